"""The rows of an invocation, in each of the shapes that MLflow's scoring server takes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field

from bayes import Input
from service.bodies import Posted, invalid_body
from service.inference.outputs import INPUT
from service.inference.schemas import SamplesBody
from service.lists import NoArrayError, NotNumbersError, array_of_lists
from service.rejected import BatchEmpty, BatchTooLarge
from service.schemas import Body

SHAPES = ("dataframe_split", "dataframe_records", "instances", "inputs")
MEMBERS_MAX = 20_000
"""Of all records together."""


class SplitBody(Body):
    """A table as pandas writes it with `orient="split"`."""

    columns: list[str | int] | None = None
    index: list[Any] | None = Field(None, description="Not looked at.")
    data: list[list[Any]] = Field(
        description="[rows, columns]; found by their names where the model has names, else in the order of its input."
    )


class InvocationBody(Body):
    """Rows to predict, in one of four shapes, and how."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"inputs": [[0.5, -1.0]]},
                {"dataframe_split": {"columns": ["a", "b"], "data": [[0.5, -1.0]]}, "params": {"samples": 16}},
                {"dataframe_records": [{"a": 0.5, "b": -1.0}]},
                {"instances": [[0.5, -1.0], [2.0, 0.25]]},
            ],
            "oneOf": [
                {"required": [shape], "properties": {other: {"type": "null"} for other in SHAPES if other != shape}}
                for shape in SHAPES
            ],
        }
    )

    dataframe_split: SplitBody | None = None
    dataframe_records: list[dict[str, Any]] | None = Field(None, description="A row each; columns as in the first.")
    instances: list[Any] | None = Field(None, description='Rows, or `{"x": row}` for each.')
    inputs: list[Any] | dict[str, list[Any]] | None = Field(None, description='Rows, or `{"x": rows}`.')
    params: SamplesBody | None = None


def rows_posted(body: InvocationBody, of: Input) -> Posted:
    """The rows, as lists or as an array.

    Raises:
        BodyInvalid: they come in no shape or in more than one, or their columns do not fit each other.
    """
    if body.dataframe_split is not None:
        table = body.dataframe_split
        names, width = table.columns, len(table.data[0]) if table.data else 0
        if names is not None and table.data and len(names) != width:
            raise invalid_body("dataframe_split", f"has {len(names)} columns, and {width} values in its first row")
        return _rows_of_table(_in_order(table.data, names, of, "dataframe_split.columns"), of)
    if body.dataframe_records is not None:
        return _rows_of_table(_rows_of_records(body.dataframe_records, of), of)
    if body.instances is not None:
        return _rows_of_instances(body.instances)
    if isinstance(body.inputs, dict):
        _must_be_the_input(body.inputs, "inputs")
        return body.inputs[INPUT]
    assert body.inputs is not None
    return body.inputs


def must_be_one_shape(body: InvocationBody) -> None:
    """Nothing happens where the rows come in just one shape.

    Raises:
        BodyInvalid: they do not.
    """
    given = [shape for shape in SHAPES if getattr(body, shape) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise invalid_body("body", f"must have exactly one of {', '.join(SHAPES)}; it has {found}")


def rows_of_csv(raw: bytes, *, of: Input, rows_max: int) -> Posted:
    """The rows of a table as pandas writes it with `to_csv(index=False)`; its first line are the names of the columns.

    Raises:
        BodyInvalid: it is no such table.
        BatchEmpty, BatchTooLarge: it has no rows, or too many.
    """
    header, _, rest = raw.partition(b"\n")
    lines = rest.strip()
    if not lines:
        raise BatchEmpty
    rows, columns = lines.count(b"\n") + 1, math.prod(of.shape)
    if rows > rows_max:
        raise BatchTooLarge(rows=rows, rows_max=rows_max)
    # However it is written, a table is not read that is larger than the rows can be.
    if lines.count(b",") > rows * (columns - 1):
        raise invalid_body("body", f"has more columns than the {columns} numbers of the model's input")
    try:
        table = np.loadtxt(io.StringIO(lines.decode()), delimiter=",", comments=None, quotechar='"', ndmin=2)
    except ValueError as error:
        raise invalid_body(
            "body", f"is no CSV of numbers behind a line of names: {str(error)[:200].rstrip('.')}"
        ) from None
    if of.dtype == "uint8" and (table == np.trunc(table)).all() and np.abs(table).max(initial=0) < 2**53:
        table = table.astype(np.int64)  # A CSV has no types.
    named = next(csv.reader([header.decode("utf-8-sig", errors="replace").strip()]), [])
    places = _places(named, of, "header") if len(named) == table.shape[1] else None
    return _shaped(table if places is None else table[:, places], of)


def _rows_of_records(records: list[dict[str, Any]], of: Input) -> list[list[Any]]:
    names = of.names or (list(records[0]) if records else [])
    for index, record in enumerate(records):
        if record.keys() != records[0].keys():
            raise invalid_body(f"dataframe_records.{index}", "has other columns than the first record")
    if missing := [name for name in names if records and name not in records[0]]:
        raise invalid_body("dataframe_records.0", _lacking(missing))
    return [[record[name] for name in names] for record in records]


def _in_order(rows: list[list[Any]], names: Sequence[str | int] | None, of: Input, where: str) -> list[list[Any]]:
    """The rows, with the columns that the model takes where it and the table have names for them."""
    places = None if names is None else _places(names, of, where)
    if places is None:
        return rows
    assert names is not None
    for index, row in enumerate(rows):
        if len(row) != len(names):
            raise invalid_body(f"dataframe_split.data.{index}", f"has {len(row)} values for {len(names)} columns")
    return [[row[place] for place in places] for row in rows]


def _places(names: Sequence[str | int], of: Input, where: str) -> list[int] | None:
    """Where the columns that the model takes are; None: in their order, as one of the two has no names.

    Raises:
        BodyInvalid: one is not there, or there more than once.
    """
    if of.names is None or not any(isinstance(name, str) for name in names):
        return None
    if missing := [name for name in of.names if name not in names]:
        raise invalid_body(where, _lacking(missing))
    if twice := [name for name in of.names if names.count(name) > 1]:
        raise invalid_body(where, f"has {twice[0]!r} twice")
    return [names.index(name) for name in of.names]


def _lacking(missing: Sequence[str]) -> str:
    return f"has no column {', '.join(map(repr, missing[:8]))}, which the model takes"


def _rows_of_instances(instances: list[Any]) -> list[Any]:
    if not any(isinstance(instance, dict) for instance in instances):
        return instances
    for index, instance in enumerate(instances):
        _must_be_the_input(instance, f"instances.{index}")
    return [instance[INPUT] for instance in instances]


def _must_be_the_input(named: object, where: str) -> None:
    if not isinstance(named, dict) or named.keys() != {INPUT}:
        raise invalid_body(where, f"must have just the model's input, {INPUT!r}")


def _rows_of_table(data: list[list[Any]], of: Input) -> Posted:
    if len(of.shape) == 1:
        return data
    try:
        return _shaped(array_of_lists(data), of)
    except (NoArrayError, NotNumbersError):
        return data  # Whoever reads the rows says why not.


def _shaped(table: np.ndarray[Any, Any], of: Input) -> np.ndarray[Any, Any]:
    """The table, whose columns are the numbers of a row, row-major; as it is, where they are more or fewer."""
    fits = table.ndim == 2 and table.shape[1] == math.prod(of.shape)
    return table.reshape(-1, *of.shape) if fits else table

"""Rows from a file or a pipe, whatever of the known formats they are in, fitted to a model's input."""

import dataclasses
import hashlib
import io
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from client.csv_tables import LABEL_NAMES, WEIGHT_NAMES, Chosen, Table, csv_arrays, is_number
from client.errors import UnusableArray
from client.values import Model

INPUT_NAMES = ("x", "inputs")
TEXT = re.compile(rb"[^\x00-\x08\x0e-\x1f\x7f]*")
"""What has no control characters is text, in whatever encoding."""


@dataclass(frozen=True)
class Rows:
    """Inputs [rows, ...] with their labels and weights, where the file has them, and the table that they are of."""

    x: NDArray[Any]
    y: NDArray[Any] | None = None
    weights: NDArray[Any] | None = None
    table: Table | None = dataclasses.field(default=None, repr=False)


def read_rows(content: bytes, *, is_labeled: bool, chosen: Chosen = Chosen()) -> Rows:  # noqa: B008 - frozen.
    """The rows in npz, npy, safetensors, JSON or CSV, told apart by how the content begins.

    Arrays are called x (or inputs), y (or labels) and weights. In CSV the columns `label` and `weight` are found by
    their header, or as `chosen`; where none is called label, the last one is the label when `is_labeled`.

    Raises:
        UnusableArray: the content is none of these, or has no inputs.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            arrays, table = _arrays(content, chosen, is_labeled=is_labeled)
            return _named(arrays, table, label=chosen.label if table is None else None)
    except UnusableArray:
        raise
    except UnicodeDecodeError as error:
        raise _other_encoding(content, error) from error
    # The readers of the formats are not ours, and junk makes them raise anything.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnusableArray(
            f"This is not npz, npy, safetensors, JSON or CSV of rows: {reason}",
            "write the rows in one of these formats",
        ) from error


def key_of(content: bytes) -> str:
    """The idempotency key of a file of rows: the same bytes have the same key, which belongs to a model alone."""
    return f"file-sha256:{hashlib.sha256(content).hexdigest()}"


def labels_of(rows: Rows) -> NDArray[Any]:
    """The rows' labels.

    Raises:
        UnusableArray: there are none.
    """
    if rows.y is None:
        raise UnusableArray(
            "The file has no labels: it needs an array or a column called label, labels, y, class or target",
            "name the column that is the label (--label)",
        )
    return rows.y


def fitted(rows: Rows, model: Model) -> Rows:
    """The rows as the model wants them: its input type and shape, class names turned into numbers.

    Raises:
        UnusableArray: a value does not survive the conversion, or a class has another name.
    """
    shape = tuple(int(size) for size in model.input["shape"])
    x = _of_type(rows.x, str(model.input["dtype"]))
    if x.shape == shape:
        x = x[np.newaxis]
    if x.ndim >= 2 and x.shape[1:] != shape and x.size == len(x) * np.prod(shape):
        x = x.reshape(len(x), *shape)
    if x.ndim == 2 and len(shape) == 1 and x.shape[1:] != shape and rows.table is not None:
        raise _other_width(rows.table, x.shape[1], shape[0], model.name)
    return dataclasses.replace(rows, x=x, y=None if rows.y is None else _labels(rows.y, model.output))


def rows_for(model: Model, content: bytes, *, is_labeled: bool) -> Rows:
    """The rows in the content as the model wants them, found by its names where both have names.

    Raises:
        UnusableArray: as from `read_rows` and `fitted`.
    """
    return fitted(read_rows(content, is_labeled=is_labeled, chosen=Chosen(known=model.input_names)), model)


def _arrays(content: bytes, chosen: Chosen, *, is_labeled: bool) -> tuple[Mapping[str, Any], Table | None]:
    """What the content holds, by name, and its cells where it is a table."""
    if content[:2] == b"PK":
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}, None
    if content[:6] == b"\x93NUMPY":
        return {"x": np.load(io.BytesIO(content), allow_pickle=False)}, None
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") < len(content):
        return load(content), None
    text = content.decode("utf-8-sig").strip()
    if text[:1] in ("{", "["):
        body = json.loads(text)
        return (body if isinstance(body, dict) else {"x": body}), None
    return csv_arrays(text, chosen, is_labeled=is_labeled)


def _named(arrays: Mapping[str, Any], table: Table | None, *, label: str | None) -> Rows:
    def found(names: tuple[str, ...]) -> NDArray[Any] | None:
        for name in names:
            if arrays.get(name) is not None:
                return np.asarray(arrays[name])
        return None

    x, weights = found(INPUT_NAMES), found(WEIGHT_NAMES)
    if x is None:
        raise UnusableArray("The file has no inputs: it needs an array called x (or inputs)", "rename the array")
    y = found(LABEL_NAMES if label is None else (label,))
    return Rows(x, y, None if weights is None else weights.astype(np.float32), table)


def _other_encoding(content: bytes, error: UnicodeDecodeError) -> UnusableArray:
    """What is wrong with text that is no UTF-8; bytes that are no text at all are none of the formats."""
    is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff") and 3 * content.count(b"\0") > len(content)
    if not is_utf16 and not TEXT.fullmatch(content):
        return UnusableArray("This is not npz, npy, safetensors, JSON or CSV of rows", "write the rows in one of these")
    line = content.count(b"\n", 0, error.start) + 1
    has_semicolons = content.split(b"\n", 1)[0].count(b";") > 0
    how = f"encoding='{'utf-16' if is_utf16 else 'cp1252'}'" + (", sep=';', decimal=','" if has_semicolons else "")
    return UnusableArray(
        "The file is text, but not in UTF-8" + ("" if is_utf16 else f": see line {line}"),
        f"save it as CSV UTF-8, or read it with pandas.read_csv(…, {how}) and write it with to_csv(…, index=False)",
    )


def _other_width(table: Table, found: int, wanted: int, model: str) -> UnusableArray:
    named = f" ({', '.join(table.names[:8])}{', …' if len(table.names) > 8 else ''})" if table.names else ""
    return UnusableArray(
        f"The CSV{named} has {found} columns of inputs, and model {model} takes {wanted}, in their order",
        "name the label (--label), leave columns out (--drop), or choose them in the model's order (--columns a,b,c)",
    )


def _of_type(x: NDArray[Any], dtype: str) -> NDArray[Any]:
    if x.dtype.kind not in "buif":
        raise UnusableArray(f"The inputs are {x.dtype}, not numbers", "give numbers; words become columns of 0 and 1")
    if dtype == "uint8" and not ((x >= 0) & (x <= 255) & (np.floor(x) == x)).all():
        raise UnusableArray(
            "The model's inputs are uint8, whole numbers of 0 to 255; the file has others",
            "post what the model was described for, or describe one with float32 inputs (`posterity describe`)",
        )
    with np.errstate(over="ignore"):
        return x.astype(dtype)


def _labels(y: NDArray[Any], output: Mapping[str, Any]) -> NDArray[Any]:
    if output["kind"] != "categorical":
        return _targets(y)
    y = np.atleast_1d(y)
    if y.dtype.kind in "bui":
        return y.astype(np.int64)
    names = output["classes"] if isinstance(output["classes"], list) else []
    numbers = {str(name): number for number, name in enumerate(names)}
    unknown = sorted({str(label) for label in y.tolist()} - set(numbers)) if numbers else []
    if numbers and not all(is_number(label) for label in unknown):
        raise UnusableArray(
            f"The model knows no class called {unknown[0]!r}; it knows {', '.join(numbers)}",
            "correct the label, or describe a new model with this class",
        )
    try:
        exact = np.array([numbers.get(str(label), label) for label in y.tolist()], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UnusableArray(
            f"The labels are not class numbers: {error}",
            "name the column that is the label (--label), or describe a model with the names of its classes",
        ) from error
    if not (np.isfinite(exact) & (np.floor(exact) == exact)).all():
        raise UnusableArray(
            "The model's labels are class numbers; the file has fractions", "describe a model of numbers for them"
        )
    return exact.astype(np.int64)


def _targets(y: NDArray[Any]) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            return y.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise UnusableArray(
            f"The model's labels are numbers; the file has others: {error}",
            "name the column that is the label (--label)",
        ) from error

"""Rows from a file or a pipe, whatever of the known formats they are in, fitted to a model's input."""

import csv
import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from client.errors import UnusableArray
from client.values import Model

INPUT_NAMES = ("x", "inputs")
LABEL_NAMES = ("y", "labels", "label")
WEIGHT_NAMES = ("weights", "weight")
COLUMN_NAMES = (*LABEL_NAMES, *WEIGHT_NAMES)


@dataclass(frozen=True)
class Rows:
    """Inputs [rows, ...] with their labels and weights, where the file has them."""

    x: NDArray[Any]
    y: NDArray[Any] | None = None
    weights: NDArray[Any] | None = None


def read_rows(content: bytes, *, is_labeled: bool) -> Rows:
    """The rows in npz, npy, safetensors, JSON or CSV, told apart by how the content begins.

    Arrays are called x (or inputs), y (or labels) and weights. In CSV the columns `label` and `weight` are
    found by their header; where none is called label, the last one is the label when `is_labeled`.

    Raises:
        UnusableArray: the content is none of these, or has no inputs.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            return _named(_arrays(content, is_labeled=is_labeled))
    except UnusableArray:
        raise
    # The readers of the formats are not ours, and junk makes them raise anything.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnusableArray(f"This is not npz, npy, safetensors, JSON or CSV of rows: {reason}") from error


def key_of(content: bytes) -> str:
    """The idempotency key of a file of rows: the same bytes have the same key, which belongs to a model alone."""
    return f"file-sha256:{hashlib.sha256(content).hexdigest()}"


def labels_of(rows: Rows) -> NDArray[Any]:
    """The rows' labels.

    Raises:
        UnusableArray: there are none.
    """
    if rows.y is None:
        raise UnusableArray("The file has no labels: it needs an array or a column called y, label or labels.")
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
    return Rows(x, None if rows.y is None else _labels(rows.y, model.output), rows.weights)


def _arrays(content: bytes, *, is_labeled: bool) -> Mapping[str, Any]:
    """What the content holds, by name."""
    if content[:2] == b"PK":
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    if content[:6] == b"\x93NUMPY":
        return {"x": np.load(io.BytesIO(content), allow_pickle=False)}
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") < len(content):
        return load(content)
    text = content.decode("utf-8-sig").strip()
    if text[:1] in ("{", "["):
        body = json.loads(text)
        return body if isinstance(body, dict) else {"x": body}
    return _csv_arrays(text, is_labeled=is_labeled)


def _csv_arrays(text: str, *, is_labeled: bool) -> dict[str, Any]:
    table = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    if not table:
        raise UnusableArray("The file is empty.")
    if any(len(row) != len(table[0]) for row in table):
        raise UnusableArray(f"Every line of the CSV must have {len(table[0])} columns.")
    header = [name.lower() for name in table[0]]
    if _is_header(header, table[1:]):
        del table[0]
    else:
        header = [""] * len(header)
    if not table:
        raise UnusableArray("The file has no rows: its only line is no row of numbers, or a header.")
    named = {name: place for place, name in enumerate(header) if name in COLUMN_NAMES}
    inputs = [place for place, name in enumerate(header) if name not in named]
    if is_labeled and inputs and not named.keys() & set(LABEL_NAMES):
        named["label"] = inputs.pop()
    columns = np.array(table)
    return {"x": columns[:, inputs].astype(np.float64), **{name: columns[:, place] for name, place in named.items()}}


def _is_header(first: list[str], below: list[list[str]]) -> bool:
    """Whether the first line names the columns: in words, or 0, 1, 2, … as pandas does where they have no names.

    A class may be called y, and a row may begin 0, 1, 2: behind numbers, a word is a name only above numbers.
    """

    def names_numbers(place: int) -> bool:
        return bool(below) and not _is_number(first[place]) and all(_is_number(row[place]) for row in below)

    features = [name for name in first if name not in COLUMN_NAMES]
    numbered = [str(place) for place in range(len(features))]
    ends_in_a_name = features[:-1] == numbered[:-1] and first[-1:] == features[-1:] and names_numbers(len(first) - 1)
    named = [place for place, name in enumerate(first) if name in COLUMN_NAMES]
    return not _is_number(first[0]) or features == numbered or ends_in_a_name or any(map(names_numbers, named))


def _named(arrays: Mapping[str, Any]) -> Rows:
    def found(names: tuple[str, ...]) -> NDArray[Any] | None:
        for name in names:
            if arrays.get(name) is not None:
                return np.asarray(arrays[name])
        return None

    x, weights = found(INPUT_NAMES), found(WEIGHT_NAMES)
    if x is None:
        raise UnusableArray("The file has no inputs: it needs an array called x (or inputs).")
    return Rows(x, found(LABEL_NAMES), None if weights is None else weights.astype(np.float32))


def _of_type(x: NDArray[Any], dtype: str) -> NDArray[Any]:
    if x.dtype.kind not in "buif":
        raise UnusableArray(f"The inputs are {x.dtype}, not numbers.")
    if dtype == "uint8" and not ((x >= 0) & (x <= 255) & (np.floor(x) == x)).all():
        raise UnusableArray("The model's inputs are uint8, whole numbers of 0 to 255; the file has others.")
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
    if numbers and not all(_is_number(label) for label in unknown):
        raise UnusableArray(f"The model knows no class called {unknown[0]!r}; it knows {', '.join(numbers)}.")
    try:
        exact = np.array([numbers.get(str(label), label) for label in y.tolist()], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UnusableArray(f"The labels are not class numbers: {error}") from error
    if not (np.isfinite(exact) & (np.floor(exact) == exact)).all():
        raise UnusableArray("The model's labels are class numbers; the file has fractions.")
    return exact.astype(np.int64)


def _targets(y: NDArray[Any]) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            return y.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise UnusableArray(f"The model's labels are numbers; the file has others: {error}") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

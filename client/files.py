"""Rows from a file or a pipe, whatever of the known formats they are in, fitted to a model's input."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from client.errors import UnusableArray
from client.values import Model

INPUT_NAMES = ("x", "inputs")
LABEL_NAMES = ("y", "labels", "label")
WEIGHT_NAMES = ("weights", "weight")


@dataclass(frozen=True)
class Rows:
    """Inputs [rows, ...] with their labels and weights, where the file has them."""

    x: NDArray[Any]
    y: NDArray[Any] | None = None
    weights: NDArray[Any] | None = None


def read_rows(content: bytes, *, is_labeled: bool) -> Rows:
    """The rows in npz, npy, safetensors, JSON or CSV, told apart by how the content begins.

    Arrays are called x (or inputs), y (or labels) and weights. In CSV the columns `label` and `weight` are
    found by their header; without a header the last column is the label when `is_labeled`.

    Raises:
        UnusableArray: the content is none of these, or has no inputs.
    """
    try:
        return _named(_arrays(content, is_labeled=is_labeled))
    except (ValueError, OSError, SafetensorError, BadZipFile) as error:
        raise UnusableArray(f"This is not npz, npy, safetensors, JSON or CSV of rows: {error}") from error


def labels_of(rows: Rows) -> NDArray[Any]:
    """The rows' labels.

    Raises:
        UnusableArray: there are none.
    """
    if rows.y is None:
        raise UnusableArray("The file has no labels: it needs an array called y (or labels).")
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
    if x.ndim >= 2 and x.shape[1:] != shape and x[0].size == np.prod(shape):
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
    text = content.decode().strip()
    if text[:1] in ("{", "["):
        body = json.loads(text)
        return body if isinstance(body, dict) else {"x": body}
    return _csv_arrays(text, is_labeled=is_labeled)


def _csv_arrays(text: str, *, is_labeled: bool) -> dict[str, Any]:
    table = [row for row in csv.reader(io.StringIO(text)) if row]
    if not table:
        raise UnusableArray("The file is empty.")
    header = [name.strip().lower() for name in table[0]]
    has_header = bool({*LABEL_NAMES, *WEIGHT_NAMES} & set(header)) or not _is_number(header[0])
    if not has_header:
        header = [*("" for _ in header[1:]), "label" if is_labeled else ""]
    if any(len(row) != len(header) for row in table):
        raise UnusableArray(f"Every line of the CSV must have {len(header)} columns.")
    columns = np.array(table[1:] if has_header else table)
    special = (*LABEL_NAMES, *WEIGHT_NAMES)
    arrays = {name: columns[:, place] for place, name in enumerate(header) if name in special}
    inputs = [place for place, name in enumerate(header) if name not in special]
    return {"x": columns[:, inputs].astype(np.float64), **arrays}


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
    return x.astype(dtype)


def _labels(y: NDArray[Any], output: Mapping[str, Any]) -> NDArray[Any]:
    if output["kind"] != "categorical":
        return y.astype(np.float32)
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
    if not np.array_equal(exact, np.floor(exact)):
        raise UnusableArray("The model's labels are class numbers; the file has fractions.")
    return exact.astype(np.int64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

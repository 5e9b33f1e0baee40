"""Posted arrays as rows of a model: shape, type and range are what the model declares, or the caller reads why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from safetensors.numpy import save

from bayes import Categorical, Gaussian, Input, Output
from service.bodies import Array, Posted, array_of, is_names, parse_rows
from service.faults import shortened
from service.lists import NoArrayError, NotNumbersError
from service.rejected import (
    BatchEmpty,
    BatchTooLarge,
    InputDtype,
    InputNotFinite,
    InputShape,
    InputTooLarge,
    LabelDtype,
    LabelOutOfRange,
    LabelShape,
    WeightsInvalid,
)
from service.schemas import BatchBody

MAGNITUDE_MAX = 1e15
"""The net squares its inputs in float32: larger ones would spoil the chunk for everybody's rows in it."""

WEIGHT_MAX = 1e6
"""A row that counts for more would drown the rest of its chunk, and the net with it."""

NAMES_MAX, NAMES_CHARACTERS = 20, 200
"""So much of the names of classes is told to who names another: each label that is refused tells it again."""

WHOLE = "iu"
"""numpy's letters for the kinds of types that hold whole numbers."""


@dataclass(frozen=True)
class Rows:
    """Labeled rows in the one form in which they are stored, whichever way they were sent."""

    inputs: Array  # [rows, *shape], uint8 or float32
    labels: Array  # int64 [rows] or float32 [rows, dims]
    weights: Array | None  # float32 [rows]

    def to_bytes(self) -> bytes:
        """The tensors x, y and, where there are, weights as safetensors; equal rows are equal bytes."""
        tensors = {"x": self.inputs, "y": self.labels}
        return save(tensors if self.weights is None else tensors | {"weights": self.weights})

    def label_counts(self) -> dict[str, int]:
        """How many rows each class has; nothing for real-valued labels."""
        if self.labels.ndim != 1:
            return {}
        return {str(label): count for label, count in enumerate(np.bincount(self.labels).tolist()) if count}


def rows_of_json(raw: bytes, *, of: Input, labeled: Output, rows_max: int) -> Rows:
    body = parse_rows(BatchBody, raw, of=of)
    return _rows(body.inputs, body.labels, body.weights, of=of, labeled=labeled, rows_max=rows_max)


def rows_of(tensors: Mapping[str, Posted], *, of: Input, labeled: Output, rows_max: int) -> Rows:
    """The rows that x, y and, where there are, weights are."""
    return _rows(tensors["x"], tensors["y"], tensors.get("weights"), of=of, labeled=labeled, rows_max=rows_max)


def label_values(posted: list[Any], labeled: Output) -> Array:
    """The labels as they are stored: int64 [rows] of classes, float32 [rows, dims] of numbers.

    Raises:
        LabelShape, LabelDtype, LabelOutOfRange: one of them is none of the model's.
    """
    return labels_of(posted, labeled, len(posted))


def inputs_of(posted: Posted, *, of: Input, rows_max: int) -> Array:
    """The inputs as the model declares them, [rows, *shape] in its type; never a view of the body.

    Raises:
        BatchEmpty, BatchTooLarge, InputShape, InputDtype, InputNotFinite, InputTooLarge: they are something else.
    """
    return owned(_inputs(posted, of, rows_max))


def owned(array: Array) -> Array:
    """The array, or its copy where it is a view of bytes that may not be written: torch takes no such memory."""
    return array if array.flags.writeable else array.copy()


def _inputs(posted: Posted, of: Input, rows_max: int) -> Array:
    """The same, perhaps a view of the body."""
    expected = f"[rows, {', '.join(map(str, of.shape))}]"
    wanted = "whole numbers from 0 to 255 (uint8)" if of.dtype == "uint8" else "numbers (float32)"
    try:
        array = array_of(posted, "inputs")
    except NoArrayError as error:
        raise InputShape(expected=expected, found=error) from None
    except NotNumbersError as error:
        raise InputDtype(expected=wanted, found=error) from None
    if array.ndim and not len(array):
        raise BatchEmpty
    if array.ndim and len(array) > rows_max:
        raise BatchTooLarge(rows=len(array), rows_max=rows_max)
    if array.ndim == 0 or array.shape[1:] != tuple(of.shape):
        raise InputShape(expected=expected, found=list(array.shape))
    return _bytes(array, wanted) if of.dtype == "uint8" else _floats(array)


def _bytes(array: Array, wanted: str) -> Array:
    if array.dtype != np.uint8:
        if array.dtype.kind not in WHOLE:
            raise InputDtype(expected=wanted, found=array.dtype)
        if (outside := (array < 0) | (array > 255)).any():
            raise InputDtype(expected=wanted, found=f"{array[outside][0]} in row {_first(outside)}")
    return np.ascontiguousarray(array, np.uint8)


def _floats(array: Array) -> Array:
    narrowed = _narrowed(array)
    if not (np.abs(narrowed).max() <= MAGNITUDE_MAX):  # NaN is not less than anything.
        if (bad := ~np.isfinite(narrowed)).any():
            raise InputNotFinite(row=_first(bad), found=array[bad][0])
        huge = np.abs(narrowed) > MAGNITUDE_MAX
        raise InputTooLarge(reason=f"row {_first(huge)} of the inputs holds {narrowed[huge][0]:g}")
    return narrowed


def _rows(
    inputs: Posted,
    labels: Posted,
    weights: Posted | None,
    *,
    of: Input,
    labeled: Output,
    rows_max: int,
) -> Rows:
    x = _inputs(inputs, of, rows_max)
    return Rows(
        inputs=x,
        labels=labels_of(labels, labeled, len(x)),
        weights=None if weights is None else _weights(weights, len(x)),
    )


def labels_of(posted: Posted, labeled: Output, rows: int) -> Array:
    """The labels of so many rows as they are stored: int64 [rows] of classes, float32 [rows, dims] of numbers.

    Raises:
        LabelShape, LabelDtype, LabelOutOfRange: they are none of the model's.
    """
    match labeled:
        case Categorical():
            return _classes(posted, labeled, rows)
        case Gaussian():
            return _targets(posted, labeled, rows)
        case _:
            assert_never(labeled)


def _classes(posted: Posted, labeled: Categorical, rows: int) -> Array:
    known = f"0 to {labeled.classes - 1}"
    wanted = f"whole numbers from {known}" + ("" if labeled.names is None else ", or names of classes")
    array = _by_name(posted, labeled, wanted) if is_names(posted) else _label_array(posted, f"[{rows}]", wanted)
    if array.shape != (rows,):
        raise LabelShape(expected=f"[{rows}], one label per row of inputs", found=list(array.shape))
    if array.dtype.kind not in WHOLE:
        raise LabelDtype(expected=wanted, found=array.dtype)
    if (outside := (array < 0) | (array >= labeled.classes)).any():
        raise LabelOutOfRange(row=_first(outside), found=array[outside][0], expected=known)
    return np.ascontiguousarray(array, np.int64)


def _by_name(names: list[str], labeled: Categorical, wanted: str) -> Array:
    if labeled.names is None:
        raise LabelDtype(expected=wanted, found="strings, but this model does not name its classes")
    numbers = labeled.numbers
    for row, name in enumerate(names):
        if name not in numbers:
            raise LabelOutOfRange(row=row, found=repr(name[:100]), expected=_few(labeled.names))
    return np.array([numbers[name] for name in names], np.int64)


def _targets(posted: Posted, labeled: Gaussian, rows: int) -> Array:
    wanted = "numbers (float32)"
    expected = f"[{rows}, {labeled.dims}]" + (f" or [{rows}]" if labeled.dims == 1 else "")
    array = _label_array(posted, expected, wanted)
    if array.shape == (rows,) and labeled.dims == 1:
        array = array.reshape(rows, 1)
    if array.shape != (rows, labeled.dims):
        raise LabelShape(expected=expected, found=list(array.shape))
    narrowed = _narrowed(array)
    if (bad := ~np.isfinite(narrowed) | (np.abs(narrowed) > MAGNITUDE_MAX)).any():
        raise LabelOutOfRange(row=_first(bad), found=array[bad][0], expected=f"numbers up to {MAGNITUDE_MAX:g}")
    return narrowed


def _label_array(posted: Posted, expected: str, wanted: str) -> Array:
    try:
        return array_of(posted, "labels")
    except NoArrayError as error:
        raise LabelShape(expected=expected, found=error) from None
    except NotNumbersError as error:
        raise LabelDtype(expected=wanted, found=error) from None


def _weights(posted: Posted, rows: int) -> Array | None:
    """The weights; None where all are 1, which says the same and so has the same digest."""
    try:
        array = array_of(posted, "weights")
    except (NoArrayError, NotNumbersError) as error:
        raise WeightsInvalid(found=error) from None
    if array.shape != (rows,):
        raise WeightsInvalid(found=f"the shape {list(array.shape)} for {rows} rows")
    narrowed = _narrowed(array)
    if (bad := ~np.isfinite(narrowed) | (narrowed < 0) | (narrowed > WEIGHT_MAX)).any():
        raise WeightsInvalid(found=f"{array[bad][0]} for row {_first(bad)}")
    if not narrowed.any():
        raise WeightsInvalid(found="0 for every row")
    return None if (narrowed == 1).all() else narrowed


def _narrowed(array: Array) -> Array:
    """The array as float32, infinite where a number is beyond it."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, np.float32)


def _few(names: tuple[str, ...]) -> str:
    listed = shortened(", ".join(names[:NAMES_MAX]), NAMES_CHARACTERS)
    return listed + (f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else "")


def _first(where: Array) -> int:
    """The first row in which this holds."""
    return int(np.argwhere(where)[0][0])

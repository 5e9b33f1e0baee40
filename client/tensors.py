"""Arrays as they travel: inputs, labels and weights in the few types that the service takes, as safetensors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from client.arrays import NUMBERS, Given, plain
from client.errors import UnusableArray
from client.wire import SAFETENSORS, Request


def safetensors_body(arrays: Mapping[str, NDArray[Any] | None]) -> bytes:
    """The arrays as one safetensors file; equal arrays make equal bytes, so that a key fits its body."""
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None})


def inputs_array(x: Given) -> NDArray[Any]:
    """Inputs [rows, *shape] as they travel: as uint8 where all are whole numbers from 0 to 255, else floats as float32.

    So pixels kept as floats suit a uint8 model. The model's own input type is applied, and checked, by the service.

    Raises:
        UnusableArray: these are no numbers.
    """
    array = plain(x, what="inputs")
    if array.dtype.kind not in NUMBERS:
        raise UnusableArray(
            f"The inputs are {array.dtype}, and not numbers", "give numbers; words become columns of 0 and 1"
        )
    if _are_bytes(array):
        return array.astype(np.uint8)
    return _narrowed(array) if array.dtype.kind == "f" else array


def labels_array(y: Given) -> NDArray[Any]:
    """Labels as they travel: whole numbers as int64 (classes, [rows]), floats as float32 ([rows, dims]).

    Raises:
        UnusableArray: these are no numbers.
    """
    array = plain(y, what="labels")
    if array.dtype.kind == "f":
        return _narrowed(array)
    if array.dtype.kind not in "bui":
        raise UnusableArray(
            f"The labels are {array.dtype}, and not numbers", "give class numbers from 0, names of classes, or numbers"
        )
    return array.astype(np.int64)


def _are_bytes(array: NDArray[Any]) -> bool:
    """Whether uint8 holds every number of the array exactly; -0.0, which it would lose the sign of, it does not."""
    if array.dtype.kind in "bu" and array.dtype.itemsize == 1:
        return True
    is_inside = not array.size or bool(array.min() >= 0 and array.max() <= 255)
    return is_inside and (array.dtype.kind != "f" or not bool((np.signbit(array) | (np.floor(array) != array)).any()))


def _narrowed(array: NDArray[Any]) -> NDArray[np.float32]:
    """As float32; what is too large for it becomes infinite, which the service refuses by row."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def rows_request(
    path: str, query: Mapping[str, str], inputs: NDArray[Any] | None, labels: NDArray[Any] | None
) -> Request:
    """Asks about these rows, of which nothing is kept, so it may be sent again."""
    body = safetensors_body({"x": inputs, "y": labels})
    return Request("POST", path, query=query, headers={"Content-Type": SAFETENSORS}, body=body, is_repeatable=True)

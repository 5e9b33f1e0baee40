"""Request bodies as arrays: nested lists or base64 in JSON, or safetensors. What the arrays must be is in rows.py."""

from __future__ import annotations

import base64
import binascii
import math
from itertools import chain
from typing import Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from service.problems import faults_of, in_words
from service.rejected import BodyInvalid, Fault, JsonInvalid, Rejected
from service.schemas import Encoded

Array = NDArray[Any]

Posted = list[Any] | Encoded | Array
"""An array as it came: nested lists, base64 with its type and shape, or a tensor of a safetensors body."""

Body = TypeVar("Body", bound=BaseModel)

AXES_MAX = 16

NUMBERS = "iuf"
"""numpy's letters for the kinds of types that hold numbers."""

JSON_NAMES = {bool: "booleans", str: "strings", type(None): "null", dict: "objects"}


class NoArrayError(Exception):
    """The lists are not of one length at every depth, or nested too deep, so they are no array."""


class NotNumbersError(Exception):
    """The lists hold something else than numbers."""


def parse(schema: type[Body], raw: bytes, invalid: type[Rejected] = BodyInvalid) -> Body:
    """The JSON body as this schema.

    Raises:
        JsonInvalid: it is not JSON.
        BodyInvalid: it has other fields; or `invalid`, where the caller says so.
    """
    try:
        return schema.model_validate_json(raw, strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        if errors[0]["type"] == "json_invalid":
            raise JsonInvalid(reason=errors[0]["msg"].removeprefix("Invalid JSON: ")) from None
        faults = faults_of(errors)
        raise invalid(faults=faults, reason=in_words(faults)) from None


def array_of(posted: Posted, where: str) -> Array:
    """The array that was posted, of some numeric type.

    Raises:
        NoArrayError, NotNumbersError: the lists are no array of numbers.
        BodyInvalid: the base64 cannot be read, or does not fill its shape.
    """
    if isinstance(posted, np.ndarray):
        return posted
    return _of_base64(posted, where) if isinstance(posted, Encoded) else _of_lists(posted)


def tensors_of(raw: bytes, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Array]:
    """The arrays of a safetensors body.

    Raises:
        BodyInvalid: it is not safetensors, or holds other tensors than these, or of a type that is no number.
    """
    try:
        tensors = load(raw)
    except (SafetensorError, ValueError) as error:
        raise invalid_body("body", f"is not safetensors: {error}") from None
    except KeyError as error:
        raise invalid_body("body", f"has a tensor of the type {error.args[0]}, which is not supported") from None
    for name in sorted(tensors.keys() - {*required, *optional}):
        raise invalid_body(name, f"is no tensor of this call, which takes {', '.join((*required, *optional))}")
    for name in required:
        if name not in tensors:
            raise invalid_body(name, "is missing among the tensors")
    for name, tensor in tensors.items():
        if tensor.dtype.kind not in NUMBERS:
            raise invalid_body(name, f"has the type {tensor.dtype}, which holds no numbers")
    return tensors


def is_names(posted: object) -> TypeGuard[list[str]]:
    """True for a flat list of strings: labels by the names of their classes."""
    return isinstance(posted, list) and set(map(type, posted)) == {str}


def invalid_body(where: str, message: str) -> BodyInvalid:
    return BodyInvalid(faults=[Fault(where, message)], reason=f"{where} {message}")


def _of_base64(encoded: Encoded, where: str) -> Array:
    try:
        data = base64.b64decode(encoded.b64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_body(f"{where}.b64", f"is not base64: {error}") from None
    dtype = np.dtype(encoded.dtype).newbyteorder("<")
    needed = math.prod(encoded.shape) * dtype.itemsize
    if len(data) != needed:
        raise invalid_body(where, f"of {encoded.dtype} {encoded.shape} is {needed} bytes, but b64 holds {len(data)}")
    return np.frombuffer(data, dtype).reshape(encoded.shape)


def _of_lists(nested: list[Any]) -> Array:
    """Looks at every node once, level by level, so that no shape of the lists makes it slow."""
    shape, level = [len(nested)], nested
    while (kinds := set(map(type, level))) == {list}:
        lengths = sorted(set(map(len, level)))
        if len(lengths) > 1:
            raise NoArrayError(f"lists of {lengths[0]} and of {lengths[-1]} entries at depth {len(shape)}")
        if len(shape) == AXES_MAX:
            raise NoArrayError(f"lists nested more than {AXES_MAX} deep")
        shape.append(lengths[0])
        level = list(chain.from_iterable(level))
    if list in kinds:
        raise NoArrayError(f"lists beside other values at depth {len(shape) - 1}")
    if others := kinds - {int, float}:
        raise NotNumbersError(" and ".join(sorted(JSON_NAMES[kind] for kind in others)))
    return _numbers(level, is_whole=kinds == {int}).reshape(shape)


def _numbers(values: list[int | float], *, is_whole: bool) -> Array:
    """int64 when all are whole and fit, else float64, where a number beyond float64 is infinite."""
    if is_whole:
        try:
            return np.array(values, np.int64)
        except OverflowError:
            pass
    try:
        return np.array(values, np.float64)
    except OverflowError:
        return np.array([_saturated(value) for value in values])


def _saturated(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf

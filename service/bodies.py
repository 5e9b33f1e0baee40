"""Request bodies as arrays: nested lists or base64 in JSON, or safetensors. What the arrays must be is in rows.py."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from bayes import Input
from service.faults import Fault, faults_of, in_words
from service.json_bounds import MEMBERS_MAX, must_be_bounded, must_name_each_once, must_name_fields_once
from service.lists import OfRows, array_of_lists, expecting
from service.rejected import BodyInvalid, JsonInvalid, Rejected
from service.schemas import AXES_MAX, Encoded

Array = NDArray[Any]

Posted = list[Any] | Encoded | Array
"""An array as it came: nested lists, base64 with its type and shape, or an array already."""

Bytes = bytes | memoryview

Body = TypeVar("Body", bound=BaseModel)

NUMBERS = "iuf"
"""numpy's letters for the kinds of types that hold numbers."""

SAFETENSORS_HEADER_BYTES_MAX = 64 * 2**10
"""Room for every name that a call takes, and too little for a million tensors."""

LISTS: TypeAdapter[list[Any]] = TypeAdapter(list[Any])


def parse(
    schema: type[Body], raw: bytes, invalid: type[Rejected] = BodyInvalid, *, members_max: int = MEMBERS_MAX
) -> Body:
    """The JSON body as this schema.

    Raises:
        JsonInvalid: it is not JSON, or an object in it has two members of one name.
        JsonTooLarge: it has too many values to be read, or too many members.
        BodyInvalid: it has other fields; or `invalid`, where the caller says so.
    """
    must_be_bounded(raw, members_max=members_max)
    body = validated(schema, raw, invalid)
    must_name_each_once(raw)
    return body


def parse_rows(schema: type[OfRows], raw: bytes, *, of: Input) -> OfRows:
    """The JSON body as this schema; its inputs are an array already where they came as the lists that the model takes.

    Raises:
        JsonInvalid, JsonTooLarge, BodyInvalid: as `parse`.
    """
    must_be_bounded(raw)
    body = _rows_at_once(schema, raw, of) or validated(schema, raw)
    must_name_fields_once(schema, raw)
    return body


def parse_list(raw: bytes, where: str) -> list[Any]:
    """The JSON list of this part of the body.

    Raises:
        JsonInvalid, JsonTooLarge, BodyInvalid: it is no JSON, or has too many values, or is no list.
    """
    must_be_bounded(raw)
    try:
        return LISTS.validate_json(raw, strict=True)
    except ValidationError as error:
        [found] = error.errors(include_url=False, include_context=False, include_input=False)
        if found["type"] == "json_invalid":
            raise JsonInvalid(reason=f"{where}: {found['msg'].removeprefix('Invalid JSON: ')}") from None
        raise invalid_body(where, "is no JSON list") from None


def array_of(posted: Posted, where: str) -> Array:
    """The array that was posted, of some numeric type.

    Raises:
        NoArrayError, NotNumbersError: the lists are no array of numbers.
        BodyInvalid: the base64 cannot be read, or does not fill its shape.
    """
    if isinstance(posted, np.ndarray):
        return posted
    return _of_base64(posted, where) if isinstance(posted, Encoded) else array_of_lists(posted)


def tensors_of(raw: bytes, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Array]:
    """The arrays of a safetensors body.

    Raises:
        BodyInvalid: it is not safetensors, or holds other tensors than these, or of a type that is no number.
    """
    if int.from_bytes(raw[:8], "little") > SAFETENSORS_HEADER_BYTES_MAX < len(raw):
        raise invalid_body("body", f"has a header of more than {SAFETENSORS_HEADER_BYTES_MAX} bytes")
    try:
        tensors = load(raw)
    except (SafetensorError, ValueError) as error:
        raise invalid_body("body", f"is not safetensors: {error}") from None
    except KeyError as error:
        raise invalid_body("body", f"has a tensor of the type {error.args[0]}, which is not supported") from None
    must_be_these(tensors, required=required, optional=optional)
    for name, tensor in tensors.items():
        if tensor.dtype.kind not in NUMBERS:
            raise invalid_body(name, f"has the type {tensor.dtype}, which holds no numbers")
    return tensors


def must_be_these(tensors: Mapping[str, object], *, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Nothing happens where the names are just these.

    Raises:
        BodyInvalid: there are others, or one of the required is missing.
    """
    for name in sorted(tensors.keys() - {*required, *optional}):
        raise invalid_body(name[:100], f"is no tensor of this call, which takes {', '.join((*required, *optional))}")
    for name in required:
        if name not in tensors:
            raise invalid_body(name, "is missing among the tensors")


def filled(data: Bytes, dtype: np.dtype[Any], shape: Sequence[int], *, where: str, holder: str = "the body") -> Array:
    """The array of this type and shape that the bytes are: the bytes themselves, where they lie aligned in memory.

    Raises:
        BodyInvalid: they are more or fewer than that takes, or no array has this shape.
    """
    needed = math.prod(shape) * dtype.itemsize
    if len(data) != needed:
        found = f"but {holder} holds {len(data)}"
        raise invalid_body(where, f"of {dtype.name} {list(shape)} is {needed} bytes, {found}")
    try:
        array = np.frombuffer(data, dtype).reshape(shape)
    except ValueError as error:
        raise invalid_body(where, f"has a shape of which there are no arrays: {error}") from None
    return array if array.flags.aligned else array.copy()


def is_names(posted: object) -> TypeGuard[list[str]]:
    """True for a flat list of strings: labels by the names of their classes."""
    return isinstance(posted, list) and set(map(type, posted)) == {str}


def invalid_body(where: str, message: str) -> BodyInvalid:
    fault = Fault(where, message)
    return BodyInvalid(faults=[fault], reason=f"{fault.where} {fault.message}")


def _rows_at_once(schema: type[OfRows], raw: bytes, of: Input) -> OfRows | None:
    """None: the inputs are no lists as the model takes them."""
    axes = 1 + len(of.shape)
    if axes > AXES_MAX:
        return None
    expected: type[OfRows] = expecting(schema, axes, of.dtype)
    try:
        return expected.model_validate_json(raw, strict=True)
    except ValidationError:
        return None


def validated(schema: type[Body], raw: bytes, invalid: type[Rejected] = BodyInvalid) -> Body:
    """The JSON as this schema, whatever its size.

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
        raise invalid(faults=faults, reason=in_words(faults, found=len(errors))) from None


def _of_base64(encoded: Encoded, where: str) -> Array:
    try:
        data = base64.b64decode(encoded.b64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_body(f"{where}.b64", f"is not base64: {error}") from None
    return filled(data, np.dtype(encoded.dtype).newbyteorder("<"), encoded.shape, where=where, holder="b64")

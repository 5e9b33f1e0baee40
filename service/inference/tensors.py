"""Tensors as requests of the protocol bring them: lists in the JSON, or the bytes behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import numpy as np

from service.bodies import Array, Bytes, invalid_body, must_be_these
from service.inference.outputs import INPUT
from service.inference.schemas import RequestInput
from service.lists import NoArrayError, NotNumbersError, array_of_lists
from service.raw_tensors import DTYPES, tensors_in
from service.schemas import BinarySize, RawTensor, Whole

BINARY_ONLY = frozenset({"FP16", "BF16"})
WHOLE = frozenset(get_args(Whole))
EXACT_MAX = 2**53
"""Whole numbers up to here are float64."""


def rows_in(inputs: Sequence[RequestInput], data: Bytes) -> Array:
    """The tensor of rows that these inputs are, of which there is one at least; `data` are the bytes of binary ones.

    Raises:
        BodyInvalid: there is another tensor, or it is none of its datatype and shape.
    """
    binary = [_raw(tensor, nbytes) for tensor in inputs if (nbytes := tensor.binary_bytes) is not None]
    found = tensors_in(data, binary, required=(), optional=(INPUT,))
    for tensor in inputs:
        if tensor.binary_bytes is None:
            if tensor.name in found:
                raise invalid_body(tensor.name, "is described twice")
            must_be_these({tensor.name: tensor}, required=(), optional=(INPUT,))
            found[tensor.name] = _listed(tensor)
    return found[INPUT]


def _raw(tensor: RequestInput, nbytes: int) -> RawTensor:
    if tensor.data is not None:
        raise invalid_body(tensor.name[:100], "has data, and binary_data_size says that bytes follow: send one of both")
    size = BinarySize(binary_data_size=nbytes)
    return RawTensor(name=tensor.name, shape=tensor.shape, datatype=tensor.datatype, parameters=size)


def _listed(tensor: RequestInput) -> Array:
    where, datatype, needed = f"{tensor.name}.data", tensor.datatype, math.prod(tensor.shape)
    if tensor.data is None:
        raise invalid_body(where, "is missing, and so is binary_data_size: nothing says what the tensor holds")
    if datatype in BINARY_ONLY:
        raise invalid_body(
            where, f"of {datatype} comes as binary data only; lists are BOOL, whole numbers, FP32 or FP64"
        )
    try:
        array = array_of_lists(tensor.data, of_booleans=datatype == "BOOL")
        if array.size != needed or (array.ndim > 1 and list(array.shape) != tensor.shape):
            raise NoArrayError(f"the shape {list(array.shape)}")
        array = array.reshape(tensor.shape)
    except (NoArrayError, ValueError) as error:
        raise invalid_body(
            where, f"of {datatype} {tensor.shape} is {needed} numbers, flat or nested; got {error}"
        ) from None
    except NotNumbersError as error:
        raise invalid_body(where, f"of {datatype} holds {error}") from None
    return _of_type(array, tensor, where)


def _of_type(array: Array, tensor: RequestInput, where: str) -> Array:
    """The numbers in the type that the tensor says it has; infinite where they are beyond a float.

    Raises:
        BodyInvalid: they are not whole, or beyond what the type holds.
    """
    datatype = tensor.datatype
    if datatype == "BOOL":
        return array
    if datatype not in WHOLE:
        with np.errstate(over="ignore"):
            return array.astype(DTYPES[datatype])
    bounds = np.iinfo(DTYPES[datatype].name)
    wrong = (array != np.trunc(array)) | (array < int(bounds.min)) | (array > int(bounds.max))
    if wrong.any():
        raise invalid_body(where, f"holds {array[wrong][0]}, which is no {datatype}")
    return array if np.abs(array).max(initial=0) > EXACT_MAX else array.astype(np.int64)

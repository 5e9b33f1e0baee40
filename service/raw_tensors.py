"""Tensors as raw bytes behind a header of JSON: the binary tensor data extension of the Open Inference Protocol.

Source: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol/binary-tensor-data-extension
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.bodies import Array, Bytes, filled, invalid_body, must_be_these
from service.encodings import HEADER_LENGTH, LENGTH
from service.rejected import QueryInvalid
from service.schemas import Datatype, RawTensor

DTYPES: dict[Datatype, np.dtype[np.generic]] = {
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
HELD = DTYPES | {"BOOL": np.dtype("<u1"), "BF16": np.dtype("<u2")}
"""How numpy holds the bytes of all types; a BF16 is the upper half of a float32."""


def split(raw: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    """The JSON that begins the body, and the bytes of the tensors behind it, where they are.

    Raises:
        QueryInvalid: the header Inference-Header-Content-Length does not say where the JSON ends.
    """
    if header_length is None or not LENGTH.fullmatch(header_length.strip()):
        raise QueryInvalid(reason=f"{HEADER_LENGTH}: must say how many bytes of JSON begin the body")
    length = int(header_length)
    if length > len(raw):
        raise QueryInvalid(reason=f"{HEADER_LENGTH}: {length} bytes of JSON cannot begin a body of {len(raw)}")
    return raw[:length], memoryview(raw)[length:]


def tensors_in(
    data: Bytes, described: Sequence[RawTensor], *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Array]:
    """The arrays that these bytes are, one behind the other; views of them, where they lie aligned in memory.

    Raises:
        BodyInvalid: a tensor is missing, comes twice or is none of these, its bytes are not those of its type and
            shape, or bytes are left over.
    """
    tensors: dict[str, Array] = {}
    view, start = memoryview(data), 0
    for tensor in described:
        where, end = tensor.name[:100], start + tensor.parameters.binary_data_size
        if tensor.name in tensors:
            raise invalid_body(where, "is described twice")
        if end > len(view):
            raise invalid_body(where, f"ends at byte {end} of {len(view)} bytes of tensors")
        dtype, data_of_it = HELD[tensor.datatype], view[start:end]
        held = filled(data_of_it, dtype, tensor.shape, where=where, holder="binary_data_size")
        tensors[tensor.name] = _meant(held, tensor.datatype, where)
        start = end
    if start < len(view):
        raise invalid_body("body", f"has {len(view) - start} bytes behind the last tensor")
    must_be_these(tensors, required=required, optional=optional)
    return tensors


def _meant(held: Array, datatype: Datatype, where: str) -> Array:
    """The numbers of this type that the bytes stand for."""
    if datatype == "BF16":
        return (held.astype(np.uint32) << 16).view(np.float32)
    if datatype == "BOOL" and held.size and held.max() > 1:
        raise invalid_body(where, f"holds the byte {held.max()}, and a BOOL is 0 or 1")
    return held

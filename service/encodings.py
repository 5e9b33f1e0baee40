"""How the rows in a body may be encoded, and how a request says in which of these ways they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Request

from service.rejected import QueryInvalid
from service.requests import BYTES, JSON, SAFETENSORS, media_type

HEADER_LENGTH = "Inference-Header-Content-Length"
LENGTH = re.compile(r"[0-9]{1,12}")


class Encoding(StrEnum):
    """The media types of rows."""

    JSON = JSON
    SAFETENSORS = SAFETENSORS
    NPY = "application/x-npy"
    NPZ = "application/x-npz"
    RAW = BYTES
    PNG = "image/png"
    JPEG = "image/jpeg"
    FORM = "multipart/form-data"


READ_AT_ONCE_BYTES = 16 * 2**10
"""Larger bodies are read by another thread, so that the others' requests need not wait for that."""
READ_AT_ONCE = frozenset({Encoding.JSON, Encoding.SAFETENSORS, Encoding.RAW})
"""How long reading takes is bounded by the length of these; a few bytes of a compressed file may be millions."""

OF_PREDICTIONS = tuple(Encoding)
OF_BATCHES = (Encoding.JSON, Encoding.SAFETENSORS, Encoding.NPZ, Encoding.RAW, Encoding.FORM)
"""What has no place for labels is no batch."""


@dataclass(frozen=True)
class BodyKind:
    """How the rows in a body are encoded, with the headers that tell its parts from each other."""

    encoding: Encoding
    content_type: str = ""
    header_length: str | None = None

    def is_read_at_once(self, raw: bytes) -> bool:
        """True where the event loop reads such a body: handing it to a thread would take longer."""
        return len(raw) <= READ_AT_ONCE_BYTES and self.encoding in READ_AT_ONCE


AS_JSON = BodyKind(Encoding.JSON)


async def _prediction_kind(request: Request) -> BodyKind:
    return _kind(request, OF_PREDICTIONS)


async def _batch_kind(request: Request) -> BodyKind:
    return _kind(request, OF_BATCHES)


PredictionKind = Annotated[BodyKind, Depends(_prediction_kind)]
BatchKind = Annotated[BodyKind, Depends(_batch_kind)]


def _kind(request: Request, accepted: tuple[Encoding, ...]) -> BodyKind:
    encoding = Encoding(media_type(request, *accepted))
    headers = request.headers
    length = headers.get(HEADER_LENGTH)
    if length is not None and not LENGTH.fullmatch(length.strip()):
        raise QueryInvalid(reason=f"{HEADER_LENGTH}: must say how many bytes of JSON begin the body")
    return AS_JSON if encoding is Encoding.JSON else BodyKind(encoding, headers.get("content-type", ""), length)

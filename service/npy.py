"""Arrays as numpy saves them: npy for one, npz for several by name. No size is believed before it is compared."""

from __future__ import annotations

import ast
import re
import struct
import zipfile
import zlib
from io import BytesIO

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.bodies import Array, Bytes, filled, invalid_body, must_be_these
from service.rejected import BodyTooLarge
from service.schemas import AXES_MAX, Side

SUFFIX = ".npy"

MAGIC = b"\x93NUMPY"

LENGTH_BYTES = {1: 2, 2: 4}
"""By version, the bytes that say how long the header is; version 3 is for arrays of records."""

HEADER_BYTES_MAX = 4096

ODD = re.compile(rb"\\|[0-9][A-Za-z_]")
"""Escapes, and letters right behind digits: no part of a header, and Python warns of some of them."""

NO_LITERAL = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)

END = struct.Struct("<4s4H2LH")
"""The record that ends a zip archive; its sixth number is the size of the directory, which lies before it."""

END_SIGNATURE, END64_SIGNATURE = b"PK\x05\x06", b"PK\x06\x07"

COMMENT_BYTES_MAX = 2**16

DIRECTORY_BYTES_MAX = 4096
"""Room for every name that a call takes, and too little for a directory of a million files."""

MEMBER_WAYS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""Those that numpy writes."""

NOT_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError)
"""A NotImplementedError is a RuntimeError."""


class Header(BaseModel):
    """What the header of an npy file says: an array of numbers, by rows or by columns."""

    model_config = ConfigDict(extra="forbid", strict=True)

    descr: str = Field(pattern=r"^[<>=|]?([iu][1248]|f[248])$")
    fortran_order: bool
    shape: tuple[Side, ...] = Field(max_length=AXES_MAX)


def array_of_npy(raw: Bytes, *, where: str) -> Array:
    """The array of an npy file: its bytes themselves, where they lie aligned in memory.

    Raises:
        BodyInvalid: it is not npy, holds something else than numbers, or other bytes than its header says.
    """
    start, end = _header_place(raw, where)
    text = bytes(raw[start:end])
    try:
        stated = None if ODD.search(text) else ast.literal_eval(text.decode("latin-1"))
    except NO_LITERAL:
        stated = None
    try:
        header = Header.model_validate(stated)
    except ValidationError:
        raise invalid_body(where, "has no npy header of one array of numbers") from None
    dtype, data = np.dtype(header.descr), memoryview(raw)[end:]
    if header.fortran_order:
        return filled(data, dtype, header.shape[::-1], where=where).transpose()
    return filled(data, dtype, header.shape, where=where)


def arrays_of_npz(
    raw: bytes, *, required: tuple[str, ...], optional: tuple[str, ...] = (), bytes_max: int
) -> dict[str, Array]:
    """The arrays of an npz file by their names, which are just these.

    Raises:
        BodyInvalid: it is no npz file of these arrays.
        BodyTooLarge: they are more than so many bytes once they are decompressed.
    """
    try:
        _must_have_a_small_directory(raw)
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            members = _members(archive)
            must_be_these(members, required=required, optional=optional)
            if sum(info.file_size for info in members.values()) > bytes_max:
                raise BodyTooLarge(bytes_max=bytes_max)
            files = {name: _read(archive, info) for name, info in members.items()}
    except NOT_ZIP as error:
        raise invalid_body("body", f"is not npz: {error}") from None
    return {name: array_of_npy(file, where=name) for name, file in files.items()}


def _header_place(raw: Bytes, where: str) -> tuple[int, int]:
    """Where the header begins and ends."""
    if bytes(raw[: len(MAGIC)]) != MAGIC or len(raw) < 12 or raw[6] not in LENGTH_BYTES:
        raise invalid_body(where, "is not npy")
    start = 8 + LENGTH_BYTES[raw[6]]
    length = int.from_bytes(raw[8:start], "little")
    if length > min(HEADER_BYTES_MAX, len(raw) - start):
        raise invalid_body(where, f"has an npy header of {length} bytes")
    return start, start + length


def _must_have_a_small_directory(raw: bytes) -> None:
    """A ValueError where the directory, which zipfile reads as a whole, is larger than that of any arrays here."""
    end = raw.rfind(END_SIGNATURE, max(0, len(raw) - END.size - COMMENT_BYTES_MAX))
    if end < 0:
        raise ValueError("there is no end of a zip archive in it")
    directory_bytes = END.unpack_from(raw, end)[5]
    if directory_bytes > DIRECTORY_BYTES_MAX or raw.startswith(END64_SIGNATURE, max(0, end - 20)):
        raise ValueError("it is an archive of too many files")


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(SUFFIX)
        if name in members:
            raise ValueError(f"{name[:100]} is in it twice")
        if info.compress_type not in MEMBER_WAYS:
            raise ValueError(f"{name[:100]} is compressed in another way than numpy does")
        members[name] = info
    return members


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """As many bytes as the directory says; no more are decompressed, whatever follows them."""
    with archive.open(info) as member:
        return member.read(info.file_size)

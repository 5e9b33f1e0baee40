"""Zip archives of a few files that are stored as they are: the same files make the same bytes.

Nothing that an archive says of itself is believed before it is compared. As nothing in it is compressed, no file is
larger than the archive.
"""

import struct
import zipfile
from collections.abc import Collection, Mapping
from io import BytesIO

END = struct.Struct("<4s4H2LH")
"""The record that ends a zip archive; its sixth number is the size of the directory, which lies before it."""
END_SIGNATURE = b"PK\x05\x06"
LOCATOR64 = struct.Struct("<4sLQL")
"""Lies before the end of an archive of more than 2 GiB, and says where the larger record of the end is."""
END64 = struct.Struct("<4sQ2H2L4Q")

COMMENT_BYTES_MAX = 2**16
DIRECTORY_BYTES_MAX = 4096
"""Room for some dozens of files, and too little for a directory of a million."""

FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)
READABLE = 0o644 << 16
UNIX = 3
ENCRYPTED = 0x1

NOT_ZIP = (zipfile.BadZipFile, struct.error, OSError, EOFError, ValueError, RuntimeError)
"""A NotImplementedError is a RuntimeError."""


def pack(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files in this order, none of them compressed."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, FIRST_MOMENT)
            info.create_system, info.external_attr = UNIX, READABLE
            archive.writestr(info, data)
    return stream.getvalue()


def unpack(raw: bytes, *, required: Collection[str], optional: Collection[str] = ()) -> dict[str, bytes]:
    """The files of the archive by their names, which are all of those required, and else only optional ones.

    Raises:
        ValueError: it is no such archive; one of the files is compressed, is there twice, or is not what the directory
            says.
    """
    try:
        must_have_a_small_directory(raw)
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            members = _members(archive, {*required, *optional})
            if sum(info.file_size for info in members.values()) > len(raw):
                raise ValueError("its files are said to be larger than it is")
            files = {name: archive.read(info) for name, info in members.items()}
    except NOT_ZIP as fault:
        raise ValueError(f"the bytes are no zip archive of this kind: {fault}") from fault
    for name in sorted(set(required) - files.keys()):
        raise ValueError(f"the archive has no {name}")
    return files


def must_have_a_small_directory(raw: bytes) -> None:
    """Nothing happens where the directory, which `zipfile` reads as a whole, is that of a few files.

    Raises:
        ValueError: it is larger, or not there.
    """
    end = raw.rfind(END_SIGNATURE, max(0, len(raw) - END.size - COMMENT_BYTES_MAX))
    if end < 0:
        raise ValueError("there is no end of a zip archive in it")
    sizes = [END.unpack_from(raw, end)[5], _directory_bytes_of_large(raw, end)]
    if max(sizes) > DIRECTORY_BYTES_MAX:
        raise ValueError("it is an archive of too many files")


def _directory_bytes_of_large(raw: bytes, end: int) -> int:
    """What the end of an archive of more than 2 GiB says of the directory; 0 for others."""
    locator = end - LOCATOR64.size
    if locator < 0 or raw[locator : locator + 4] != b"PK\x06\x07":
        return 0
    place = locator - END64.size
    if place < 0 or LOCATOR64.unpack_from(raw, locator)[2] != place:
        raise ValueError("its end is not where it says")
    return int(END64.unpack_from(raw, place)[8])


def _members(archive: zipfile.ZipFile, known: Collection[str]) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename
        if name not in known:
            raise ValueError(f"{name[:100]!r} is none of the files that it may have: {', '.join(sorted(known))}")
        if name in members:
            raise ValueError(f"{name} is in it twice")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ValueError(f"{name} is compressed; store the files as they are (zip -0)")
        if info.flag_bits & ENCRYPTED:
            raise ValueError(f"{name} is encrypted")
        members[name] = info
    return members

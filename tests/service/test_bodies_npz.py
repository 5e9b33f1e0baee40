"""An npz file is read as the arrays that it holds; neither its directory nor what is packed in it can make it dear."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.npy import arrays_of_npz
from service.rejected import BodyInvalid, BodyTooLarge, Rejected
from tests.service.encoded import npz, saved

TENSORS = {"x": np.arange(6, dtype="float32").reshape(3, 2), "y": np.array([0, 1, 2])}
GOOD = npz(TENSORS)[0]


def read(body: bytes, bytes_max: int = 1_000_000) -> dict[str, np.ndarray[Any, Any]]:
    return arrays_of_npz(body, required=("x", "y"), optional=("weights",), bytes_max=bytes_max)


def archive(
    members: dict[str, bytes], way: int = zipfile.ZIP_DEFLATED, comment: bytes = b"", twice: bool = False
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", way) as written:
        for name, data in members.items():
            written.writestr(name, data)
        if twice:
            with pytest.warns(UserWarning, match="Duplicate name"):
                written.writestr(next(iter(members)), b"")
        written.comment = comment
    return stream.getvalue()


FILES = {f"{name}.npy": saved(array) for name, array in TENSORS.items()}


@pytest.mark.parametrize("way", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_arrays_of_an_archive_are_read_by_name_stored_or_deflated(way: int) -> None:
    found = read(archive(FILES, way, comment=b"by hand"))

    assert {name: array.tolist() for name, array in found.items()} == {
        name: array.tolist() for name, array in TENSORS.items()
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no end of a zip archive"),
        (GOOD[:-1], "not npz"),
        (GOOD[: len(GOOD) // 2], "no end of a zip archive"),
        (b"PK\x05\x06", "not npz"),
        (GOOD.replace(b"PK\x01\x02", b"PK\x01\x03"), "not npz"),
        (archive({}), "x is missing"),
        (archive({"x.npy": FILES["x.npy"]}), "y is missing"),
        (archive(FILES | {"z.npy": b""}), "z is no tensor of this call, which takes x, y, weights"),
        (archive(FILES, zipfile.ZIP_BZIP2), "compressed in another way"),
        (archive(FILES, zipfile.ZIP_LZMA), "compressed in another way"),
        (archive(FILES, twice=True), "x is in it twice"),
        (archive(FILES | {"x": FILES["x.npy"]}), "x is in it twice"),
        (archive({f"{number}.npy": b"" for number in range(200)}), "too many files"),
        (archive(FILES | {"y.npy": b"pickled"}), "y is not npy"),
    ],
)
def test_what_is_not_an_archive_of_these_arrays_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(BodyInvalid) as caught:
        read(body)

    assert words in str(caught.value)


def test_a_damaged_member_is_refused() -> None:
    body = archive(FILES, zipfile.ZIP_STORED)
    at = body.index(TENSORS["x"].tobytes())

    with pytest.raises(BodyInvalid, match="CRC"):
        read(body[:at] + b"\x55" + body[at + 1 :])


def test_an_encrypted_member_is_refused() -> None:
    body = bytearray(GOOD)
    body[body.index(b"PK\x01\x02") + 8] |= 1

    with pytest.raises(BodyInvalid, match="encrypted"):
        read(bytes(body))


def test_a_bomb_is_refused_by_what_its_directory_says() -> None:
    body = npz({"x": np.zeros((1000, 1000), "uint8"), "y": np.zeros(1000, "int64")})[0]

    with pytest.raises(BodyTooLarge):
        read(body, bytes_max=1_000_000)
    assert read(body, bytes_max=1_010_000)["x"].shape == (1000, 1000)


@pytest.mark.parametrize("by", ["size", "checksum and size"])
def test_a_bomb_whose_directory_lies_costs_no_more_memory_than_it_says(by: str) -> None:
    honest = saved(np.zeros((1, 2), "float32"))
    bomb = honest + bytes(50_000_000)
    body = bytearray(archive({"x.npy": bomb, "y.npy": saved(np.array([0]))}))
    entry = body.index(b"PK\x01\x02")
    body[entry + 24 : entry + 28] = struct.pack("<I", len(honest))
    if by != "size":
        body[entry + 16 : entry + 20] = struct.pack("<I", zlib.crc32(honest))

    tracemalloc.start()
    try:
        found = read(bytes(body))["x"].tolist()
    except BodyInvalid as refusal:
        found = str(refusal)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert found == [[0, 0]] or "CRC" in found
    assert peak < 1_000_000 + len(body)


def test_a_directory_of_many_files_is_refused_before_it_is_read() -> None:
    many = archive({f"{number}.npy": b"" for number in range(20_000)}, zipfile.ZIP_STORED)

    tracemalloc.start()
    with pytest.raises(BodyInvalid):
        read(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100_000


def test_the_size_of_a_directory_is_not_taken_from_a_second_record() -> None:
    many = archive({f"{number}.npy": b"" for number in range(20_000)}, zipfile.ZIP_STORED)
    end = many.rindex(b"PK\x05\x06")
    size, start = struct.unpack_from("<LL", many, end + 12)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 20_000, 20_000, size, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    last = many[end : end + 12] + struct.pack("<LL", 92, start) + b"\0\0"
    lying = many[:end] + record + locator + last
    assert len(zipfile.ZipFile(io.BytesIO(lying)).infolist()) == 20_000

    with pytest.raises(BodyInvalid, match="too many files"):
        read(lying)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, 40))
def test_damage_anywhere_is_refused_or_changes_nothing(at: int, byte: int, cut: int) -> None:
    damaged = GOOD[:at] + bytes([byte]) + GOOD[at + 1 + cut :]
    try:
        found = read(damaged)
    except Rejected:
        return
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in TENSORS.items()
    }

"""What a JPEG says beside its pixels is read by nobody, however much of it there is."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from bayes import Input
from service.bodies import Array
from service.images import images_of
from service.rejected import BodyInvalid
from tests.service.encoded import image_file

COLOUR = Input((3, 4, 5), "uint8")
COLOURS = np.random.default_rng(7).integers(0, 256, (4, 5, 3), "uint8")
JPEG = image_file(COLOURS, "JPEG")
HEAD, REST = JPEG[: JPEG.index(b"\xff\xdb")], JPEG[JPEG.index(b"\xff\xdb") :]


def read(file: bytes) -> Array:
    [row] = images_of([file], of=COLOUR, where="images", bytes_max=1000)
    return np.moveaxis(row, 0, -1)


def decoded(file: bytes) -> Array:
    return np.asarray(Image.open(io.BytesIO(file)))


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(data)) + data


@pytest.mark.parametrize(
    "remarks",
    [
        segment(0xE1, b"Exif\0\0" + bytes(40)) * 200,
        segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(65_000)) * 20,
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM" * 100) * 20,
        segment(0xFE, b"") * 250,
        segment(0xE1, b"Exif\0\0" + JPEG) * 200,
        b"\xff" * 1_000_000,
    ],
    ids=["EXIF", "profiles", "photoshop", "comments", "previews", "filled"],
)
def test_what_a_jpeg_says_beside_its_pixels_is_read_by_nobody(monkeypatch: pytest.MonkeyPatch, remarks: bytes) -> None:
    seen: list[bytes] = []

    def opened(stream: io.BytesIO) -> JpegImageFile:
        seen.append(stream.getvalue())
        return JpegImageFile(stream)

    monkeypatch.setattr("service.images.JpegImageFile", opened)

    rows = read(HEAD + remarks + REST)

    assert seen == [JPEG]
    assert np.array_equal(rows, decoded(JPEG))


def test_what_adobe_says_of_a_jpegs_colours_is_heeded() -> None:
    file = image_file(COLOURS, "JPEG", keep_rgb=True)
    assert b"\xff\xee" in file

    assert np.array_equal(read(file), decoded(file))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (HEAD + b"x" + REST, "no segment begins"),
        (HEAD + b"\xff\xd0" + REST, "no segment begins"),
        (HEAD + segment(0xFE, b"") + bytes(1000) + REST, "no segment begins"),
        (HEAD + b"\xff\xe1\0\1" + REST, "is damaged"),
        (HEAD + b"\xff\xe1\xff\xff" + REST, "it is cut off"),
        (HEAD, "it is cut off"),
        (HEAD + segment(0xFE, b"") * 300 + REST, "has more than 300 segments"),
        (HEAD + segment(0xE0, b"JFIF") * 300 + REST, "has more than 300 segments"),
    ],
)
def test_what_stands_between_segments_and_too_many_of_them_are_refused(file: bytes, words: str) -> None:
    with pytest.raises(BodyInvalid) as caught:
        read(file)

    assert words in str(caught.value)

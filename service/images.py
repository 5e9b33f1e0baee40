"""PNG and JPEG images as the rows of a model that takes images. Nothing is decoded that has not the model's size."""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from bayes import Input
from service.bodies import Array, Bytes, invalid_body
from service.rejected import BodyTooLarge, InputShape

Mode = Literal["L", "RGB"]
"""Pillow's names for grey and for colours."""

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"

MODES = {"1", "L", "I;16", "LA", "P", "RGB", "RGBA"}
"""Pillow's modes that are read; CMYK is missing, because its colours depend on a profile."""

OF_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
"""The chunks of a PNG that its pixels depend on."""

OF_ANIMATIONS = b"acTL"

START_OF_SCAN, SCANS_MAX = b"\xff\xda", 100
"""Cameras write up to ten scans; a file of a million would take an hour."""

SEGMENT, SEGMENTS_MAX = re.compile(rb"\xff++([\xc0-\xcf\xda-\xfe])"), 300
"""The marker of a segment with a length; a large colour profile and a camera's notes are some dozens."""

REMARKS = {*range(0xE1, 0xF0), 0xFE} - {0xEE}
"""EXIF, profiles, comments: what no pixel depends on; JFIF's APP0 and Adobe's APP14 say how to read it."""

DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    SystemError,
    EOFError,
    LookupError,
    TypeError,
    AssertionError,
    struct.error,
)
"""What Pillow raises on damaged files."""


def images_of(files: Sequence[Bytes], *, of: Input, where: str, bytes_max: int) -> Array:
    """The pixels as the model's rows, uint8 [images, *shape].

    Colours become grey as 0.299 R + 0.587 G + 0.114 B (ITU-R 601-2) where the model takes grey, and grey stands for
    all three colours where it takes colours.

    Raises:
        InputShape: the model takes no images, or an image is larger or smaller than the model's.
        BodyInvalid: a file is no image, is damaged, animated or partly transparent.
        BodyTooLarge: the pixels are more than so many bytes.
    """
    mode, height, width = _declared(of)
    if len(files) * math.prod(of.shape) > bytes_max:
        raise BodyTooLarge(bytes_max=bytes_max)
    rows = np.empty((len(files), *of.shape), np.uint8)
    for number, file in enumerate(files):
        place = where if where == "body" else f"{where}[{number}]"
        image = _opened(bytes(file), place)
        if image.size != (width, height):
            raise InputShape(
                expected=f"{_shape(of)}, which is images {height} pixels high and {width} wide",
                found=f"{place}, {image.height} pixels high and {image.width} wide",
            )
        pixels = np.asarray(_decoded(image, mode, place))
        rows[number] = pixels if mode == "L" else pixels.transpose(2, 0, 1)
    return rows


def _declared(of: Input) -> tuple[Mode, int, int]:
    match of.shape:
        case (height, width) | (1, height, width):
            return "L", height, width
        case (3, height, width):
            return "RGB", height, width
        case _:
            found = "images, which are rows of [height, width], [1, height, width] or [3, height, width]"
            raise InputShape(expected=_shape(of), found=found)


def _shape(of: Input) -> str:
    return f"[rows, {', '.join(map(str, of.shape))}]"


def _opened(file: bytes, where: str) -> PngImageFile | JpegImageFile:
    """The image with its size, its pixels not yet decoded.

    Image.open would do the same, but warn of large images before it says how large they are.
    """
    try:
        if file.startswith(PNG):
            return PngImageFile(BytesIO(_only_pixels(file, where)))
        if file.startswith(JPEG):
            jpeg = _without_remarks(file, where)
            if jpeg.count(START_OF_SCAN) > SCANS_MAX:
                raise invalid_body(where, f"has more than {SCANS_MAX} scans")
            return JpegImageFile(BytesIO(jpeg))
    except DAMAGED as error:
        raise invalid_body(where, f"is damaged: {error}") from None
    raise invalid_body(where, "is neither PNG nor JPEG")


def _only_pixels(png: bytes, where: str) -> bytes:
    """The file without the chunks that say something else: texts, profiles, EXIF, which may be large once unpacked.

    Pillow compares no checksums of pixels, so damage would be taken for them.
    """
    kept, start = [PNG], len(PNG)
    while kept[-1][4:8] != b"IEND":
        end = start + 12 + int.from_bytes(png[start : start + 4])
        chunk, start = png[start:end], end
        if end > len(png) or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            raise invalid_body(where, "is damaged: it is cut off, or a checksum is wrong")
        if (kind := chunk[4:8]) in OF_PIXELS:
            kept.append(chunk)
        elif kind == OF_ANIMATIONS:
            raise invalid_body(where, "is animated; an image is one row")
    return b"".join(kept)


def _without_remarks(jpeg: bytes, where: str) -> bytes:
    """The file without the segments that say something else, and without what fills the room before a segment.

    Pillow takes the square of the time for twice as many of some, and reads what fills byte by byte.
    """
    kept, start = [jpeg[:2]], 2
    for _ in range(SEGMENTS_MAX):
        found = SEGMENT.match(jpeg, start)
        at = len(jpeg) if found is None else found.start(1)
        length = int.from_bytes(jpeg[at + 1 : at + 3])
        start = at + 1 + length
        if length < 2 or start > len(jpeg):
            raise invalid_body(where, "is damaged: it is cut off, or no segment begins where one ends")
        if jpeg[at] == START_OF_SCAN[1]:
            return b"".join([*kept, b"\xff", jpeg[at:]])
        if jpeg[at] not in REMARKS:
            kept.append(b"\xff" + jpeg[at:start])
    raise invalid_body(where, f"has more than {SEGMENTS_MAX} segments before its pixels")


def _decoded(image: PngImageFile | JpegImageFile, mode: Mode, where: str) -> Image.Image:
    if image.mode not in MODES:
        raise invalid_body(where, f"has the colours {image.mode}; send grey or RGB")
    try:
        image.load()
        if "transparency" in image.info and image.mode != "P":
            raise invalid_body(where, "has a transparent colour; send an image without")
        if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            raise invalid_body(where, "is transparent in places; send it on its background")
        if image.mode == "I;16":
            return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert(mode)
        return image.convert(mode)
    except DAMAGED as error:
        raise invalid_body(where, f"is damaged: {error}") from None

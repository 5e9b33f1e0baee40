"""Images are rows: their pixels as they are stored, of the model's own size, or the reason why not."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from bayes import Input
from service.images import images_of
from service.rejected import BodyInvalid, BodyTooLarge, InputShape, Rejected
from service.rows import inputs_of
from tests.service.encoded import image_file

GREY = Input((1, 4, 5), "uint8")
FLAT = Input((4, 5), "uint8")
COLOUR = Input((3, 4, 5), "uint8")

RANDOM = np.random.default_rng(7)
PIXELS = RANDOM.integers(0, 256, (4, 5), "uint8")
COLOURS = RANDOM.integers(0, 256, (4, 5, 3), "uint8")

Pixels = np.ndarray[Any, Any]


def read(*files: bytes, of: Input = GREY, bytes_max: int = 10_000) -> Pixels:
    return images_of(files, of=of, where="images", bytes_max=bytes_max)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(header: bytes, *chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def header(width: int, height: int, depth: int, colour: int) -> bytes:
    return struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def pixels_chunk(rows: bytes) -> bytes:
    return chunk(b"IDAT", zlib.compress(rows))


@given(arrays.arrays("uint8", (4, 5)), arrays.arrays("uint8", (4, 5, 3)))
def test_a_png_of_the_models_own_kind_is_its_pixels(grey: Pixels, colours: Pixels) -> None:
    assert np.array_equal(read(image_file(grey)), grey[None, None])
    assert np.array_equal(read(image_file(grey), of=FLAT), grey[None])
    assert np.array_equal(read(image_file(colours), of=COLOUR), colours.transpose(2, 0, 1)[None])


def test_images_are_rows_in_their_order() -> None:
    files = [image_file(np.full((4, 5), pixel, "uint8")) for pixel in (3, 1, 2)]

    assert read(*files)[:, 0, 0, 0].tolist() == [3, 1, 2]


def test_a_jpeg_is_what_pillow_decodes() -> None:
    grey, colours = image_file(PIXELS, "JPEG", quality=95), image_file(COLOURS, "JPEG", progressive=True)

    assert np.array_equal(read(grey)[0, 0], np.asarray(Image.open(io.BytesIO(grey))))
    assert np.array_equal(read(colours, of=COLOUR)[0].transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(colours))))


def test_a_float_model_takes_pixels_as_numbers_from_0_to_255() -> None:
    of = Input((1, 4, 5), "float32")

    rows = inputs_of(read(image_file(PIXELS), of=of), of=of, rows_max=1)

    assert rows.dtype.name == "float32"
    assert rows.tolist() == PIXELS[None, None].tolist()


def test_colours_become_grey_by_their_brightness_and_grey_stands_for_every_colour() -> None:
    brightness = COLOURS.astype(float) @ [0.299, 0.587, 0.114]

    assert np.abs(read(image_file(COLOURS))[0, 0] - brightness).max() <= 0.5 + 1e-3
    assert np.array_equal(read(image_file(PIXELS), of=COLOUR)[0], np.stack([PIXELS] * 3))


def test_the_upper_eight_of_sixteen_bits_are_read() -> None:
    deep = RANDOM.integers(0, 2**16, (4, 5), "uint16")
    colours = RANDOM.integers(0, 2**16, (4, 5, 3), "uint16")
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)

    assert np.array_equal(read(image_file(deep))[0, 0], deep >> 8)
    found = read(png(header(5, 4, 16, 2), pixels_chunk(rows)), of=COLOUR)
    assert np.array_equal(found[0].transpose(1, 2, 0), colours >> 8)


@pytest.mark.parametrize(("depth", "step"), [(1, 255), (2, 85), (4, 17)])
def test_fewer_than_eight_bits_of_grey_reach_from_black_to_white(depth: int, step: int) -> None:
    white = 2**depth - 1
    row = b"\0" + b"\xff" * -(-5 * depth // 8)

    found = read(png(header(5, 4, depth, 0), pixels_chunk(row * 4)))

    assert found.tolist() == np.full((1, 1, 4, 5), white * step).tolist()


def test_a_palette_is_looked_up() -> None:
    indexed = Image.fromarray(COLOURS).quantize(8)

    found = read(image_file(indexed), of=COLOUR)[0].transpose(1, 2, 0)

    assert np.array_equal(found, np.asarray(indexed.convert("RGB")))


def test_an_alpha_channel_without_transparency_changes_nothing() -> None:
    opaque = Image.fromarray(COLOURS)
    opaque.putalpha(255)

    assert np.array_equal(read(image_file(opaque), of=COLOUR), read(image_file(COLOURS), of=COLOUR))
    assert np.array_equal(read(image_file(opaque)), read(image_file(COLOURS)))
    assert np.array_equal(read(image_file(Image.fromarray(PIXELS).convert("LA"))), PIXELS[None, None])


def test_the_orientation_that_a_camera_noted_is_not_applied() -> None:
    noted = Image.Exif()
    noted[0x0112] = 3

    turned, plain = (image_file(COLOURS, "JPEG", **options) for options in ({"exif": noted}, {}))

    assert np.array_equal(read(turned, of=COLOUR), read(plain, of=COLOUR))


def see_through() -> Image.Image:
    image = Image.fromarray(COLOURS)
    image.putalpha(255)
    image.putpixel((2, 2), (1, 2, 3, 254))
    return image


GOOD = image_file(PIXELS)
JPEG = image_file(COLOURS, "JPEG")
ROWS = pixels_chunk((b"\0" + bytes(5)) * 4)
FIVE_BY_FOUR = header(5, 4, 8, 0)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "images[0] is neither PNG nor JPEG"),
        (b"GIF89a" + bytes(50), "neither"),
        (image_file(PIXELS, "BMP"), "neither"),
        (image_file(PIXELS, "GIF"), "neither"),
        (image_file(PIXELS, "TIFF"), "neither"),
        (GOOD[:8], "is damaged"),
        (GOOD[:-1], "is damaged"),
        (GOOD[:50], "is damaged"),
        (JPEG[:3], "is damaged"),
        (JPEG[: len(JPEG) // 2], "is damaged"),
        (png(FIVE_BY_FOUR), "is damaged"),
        (png(FIVE_BY_FOUR, pixels_chunk(bytes(3))), "is damaged"),
        (png(FIVE_BY_FOUR, chunk(b"IDAT", b"no zlib")), "is damaged"),
        (png(FIVE_BY_FOUR[:9], ROWS), "is damaged"),
        (png(header(5, 4, 7, 0), ROWS), "is damaged"),
        (png(header(0, 4, 8, 0), ROWS), "is damaged"),
        (png(header(5, 4, 8, 3), ROWS), "is damaged"),
        (png(FIVE_BY_FOUR, chunk(b"acTL", struct.pack(">II", 2, 0)), ROWS), "is animated"),
        (png(FIVE_BY_FOUR, chunk(b"tRNS", b"\0\7"), ROWS), "has a transparent colour"),
        (image_file(see_through()), "is transparent in places"),
        (image_file(Image.fromarray(COLOURS).quantize(8), transparency=3), "is transparent in places"),
        (image_file(Image.fromarray(COLOURS).convert("CMYK"), "JPEG"), "has the colours CMYK"),
        (JPEG[:-2] + b"\xff\xda" * 101 + JPEG[-2:], "has more than 100 scans"),
    ],
)
def test_what_is_no_whole_opaque_image_is_refused_by_its_place(file: bytes, words: str) -> None:
    with pytest.raises(BodyInvalid) as caught:
        read(file)

    assert words in str(caught.value)
    assert caught.value.faults[0].where == "images[0]"


@given(st.integers(8, len(GOOD) - 1), st.integers(1, 255))
def test_a_png_with_any_byte_changed_is_refused(at: int, change: int) -> None:
    with pytest.raises(Rejected):
        read(GOOD[:at] + bytes([GOOD[at] ^ change]) + GOOD[at + 1 :])


@given(st.integers(0, len(JPEG) - 1), st.binary(max_size=9), st.integers(0, 9))
def test_a_jpeg_with_anything_changed_is_refused_or_read(at: int, inserted: bytes, cut: int) -> None:
    try:
        rows = read(JPEG[:at] + inserted + JPEG[at + cut :])
    except Rejected:
        return
    assert rows.shape == (1, 1, 4, 5)


def test_the_place_of_the_image_that_does_not_fit_is_named() -> None:
    with pytest.raises(BodyInvalid, match=r"images\[1\] is neither"):
        read(GOOD, b"?", GOOD)


@pytest.mark.parametrize("shape", [(5, 4), (4, 6), (1, 1)])
def test_an_image_of_another_size_is_refused_with_both_sizes(shape: tuple[int, int]) -> None:
    with pytest.raises(InputShape) as caught:
        read(image_file(np.zeros(shape, "uint8")))

    assert "images 4 pixels high and 5 wide; got images[0]" in str(caught.value)
    assert f"{shape[0]} pixels high and {shape[1]} wide" in str(caught.value)


@pytest.mark.parametrize("shape", [(20,), (4, 5, 3), (2, 4, 5), (1, 1, 4, 5)])
def test_a_model_of_other_rows_takes_no_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputShape, match="got images, which are rows of"):
        read(GOOD, of=Input(shape, "uint8"))


def huge_jpeg() -> bytes:
    """It says that it is 65500 by 65500, and ends where its pixels would begin."""
    frame = JPEG.index(b"\xff\xc0")
    return JPEG[: frame + 5] + b"\xff\xdc\xff\xdc" + JPEG[frame + 9 : JPEG.index(b"\xff\xda") + 14]


@pytest.mark.parametrize("file", [png(header(30_000, 30_000, 8, 0), chunk(b"IDAT", b"no zlib")), huge_jpeg()])
def test_the_size_is_compared_before_a_pixel_is_decoded(file: bytes) -> None:
    with pytest.raises(InputShape, match="pixels high"):
        read(file)


def test_texts_in_an_image_are_not_unpacked() -> None:
    texts = (chunk(b"zTXt", b"%d\0\0" % number + zlib.compress(bytes(1_000_000))) for number in range(60))
    file = png(FIVE_BY_FOUR, *texts, ROWS)

    tracemalloc.start()
    rows = read(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert not rows.any()
    assert peak < 200_000


def test_more_pixels_than_a_body_may_have_are_refused_before_one_is_decoded() -> None:
    assert read(*[GOOD] * 5, bytes_max=100).shape == (5, 1, 4, 5)
    with pytest.raises(BodyTooLarge):
        read(*[b"not looked at"] * 6, bytes_max=100)

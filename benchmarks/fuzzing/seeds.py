"""Bodies to begin with, made by code: valid ones of each type and shape, and small bombs, encoding by encoding."""

from __future__ import annotations

import base64
import json
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save

Array = NDArray[Any]
Arrays = Mapping[str, Array]

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64")
DATATYPES = dict(
    zip(
        DTYPES,
        ("UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "UINT64", "INT64", "FP16", "FP32", "FP64"),
        strict=True,
    )
)
BOUNDARY = b"=_b"
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK")
ZEROS = np.zeros((8, 8), np.uint8)


def seeds(decoder: str) -> list[bytes]:
    """The corpus of this decoder, the same each time."""
    return OF_DECODER[decoder]()


def rows(*, pixels: bool = False) -> list[Arrays]:
    """Labeled rows of two numbers, or of 8 by 8 pixels, in every type."""
    x = np.arange(2 * (64 if pixels else 2)).reshape((2, 1, 8, 8) if pixels else (2, 2))
    labels = np.array([0, 2])
    labeled = [
        {"x": x.astype(dtype), "y": labels.astype(of)} for dtype in DTYPES for of in dict.fromkeys(("int64", dtype))
    ]
    weighed = {"x": x.astype("float32"), "y": np.array([0, 1]), "weights": np.array([0.5, 1], np.float32)}
    targets = {"x": x.astype("float32"), "y": np.ones((2, 2), np.float32)}
    odd = [
        {"x": np.full(x.shape, np.nan), "y": np.array([0, 9])},
        {"x": x[:0].astype("float32"), "y": np.zeros(0, np.int64)},
        {"x": np.full(x.shape, 1e300), "y": np.array([-1, 0])},
    ]
    return [*labeled, weighed, targets, *odd, *({"x": array["x"]} for array in labeled)]


def of_safetensors() -> list[bytes]:
    made = [save(dict(arrays)) for arrays in (*rows(), *rows(pixels=True))]
    unread = [_safetensors({"x": {"dtype": dtype, "shape": [2, 2], "data_offsets": [0, 4]}}, b"\0" * 4)
              for dtype in ("BOOL", "BF16", "F8_E4M3", "F4", "C64", "I128")]  # fmt: skip
    huge = _safetensors({"x": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 2**62]}}, b"")
    return [*made, *unread, huge, (2**62).to_bytes(8, "little"), b"\xff" * 8 + b"{}"]


def of_npy() -> list[bytes]:
    singles = [npy(arrays["x"]) for arrays in (*rows(), *rows(pixels=True))]
    orders = [npy(np.asfortranarray(np.ones((2, 2)))), npy(np.ones((2, 2), ">f4")), npy(np.ones((2, 2)), (2, 0))]
    archives = [npz(arrays, is_packed=packed) for arrays in (*rows()[::3], *rows(pixels=True)[::5])
                for packed in (True, False)]  # fmt: skip
    bomb = npz({"x": np.zeros(2**22, np.uint8)}, is_packed=True)
    return [*singles, *orders, *archives, bomb, b"PK\x05\x06" + b"\0" * 18]


def of_images() -> list[bytes]:
    noise = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    made = [Image.fromarray(noise).convert("L" if mode == "I;16" else mode) for mode in MODES]
    pngs = [image_file(image, "PNG") for image in made if image.mode != "CMYK"]
    jpegs = [image_file(image, "JPEG", progressive=progressive, quality=50)
             for image in made if image.mode in {"L", "RGB", "CMYK"} for progressive in (False, True)]  # fmt: skip
    deep = image_file(Image.fromarray(noise[..., 0].astype(np.uint16) * 256), "PNG")
    clear = image_file(made[1], "PNG", transparency=3)
    bomb = png(
        [(b"IHDR", b"\0\0\xff\xff\0\0\xff\xff\x08\0\0\0\0"), (b"IDAT", zlib.compress(bytes(2**16))), (b"IEND", b"")]
    )
    wide = image_file(Image.fromarray(np.zeros((9, 7), np.uint8)), "PNG")
    return [*pngs, *jpegs, deep, clear, bomb, wide]


def of_base64() -> list[bytes]:
    coded = [
        _json({"inputs": encoded(a["x"]), "labels": encoded(a["y"])}) for a in (*rows(), *rows(pixels=True)) if "y" in a
    ]
    lists = [_json({"inputs": [[0.5, -1]], "labels": labels}) for labels in ([0], ["cat"], [[0.5, 1.5]], [True], None)]
    alone = [_json({"inputs": encoded(np.ones((1, 2), np.float32)), "samples": 4, "seed": 1, "method": "ensemble"})]
    nested = b'{"inputs": ' + b"[" * 40 + b"1" + b"]" * 40 + b', "labels": [1e999]}'
    twice = b'{"inputs": [[1, 2]], "inputs": [[3, 4]], "labels": [0], "labels": ["\\ud800"]}'
    many = [_json({f"unknown-{number}": 1 for number in range(count)}) for count in (150, 300)]
    wrong = [_json({"inputs": [["x"] * 300], "labels": [":"] * 300}), _json({"inputs": {"x" * 300: 1}, "labels": [{}]})]
    huge = b'{"inputs": {"b64": "AAAA", "dtype": "uint8", "shape": [1099511627776, 1099511627776, 0]}, "labels": [0]}'
    return [
        *coded,
        *lists,
        *alone,
        nested,
        twice,
        *many,
        *wrong,
        huge,
        b'{"inputs": [[' + b"9" * 400 + b', -0.0]], "labels": [1e400]}',
    ]


def of_raw_tensors() -> list[bytes]:
    def body(arrays: Arrays) -> bytes:
        described = [{"name": name, "shape": array.shape, "datatype": DATATYPES[array.dtype.name],
                      "parameters": {"binary_data_size": array.nbytes}} for name, array in arrays.items()]  # fmt: skip
        head = _json({"inputs": described})
        return len(head).to_bytes(2, "little") + head + b"".join(array.tobytes() for array in arrays.values())

    return [body(arrays) for arrays in (*rows(), *rows(pixels=True))]


def of_forms() -> list[bytes]:
    files = of_images()
    labeled = [form([("images", files[1]), ("images", file), ("labels", b"[0, 1]")]) for file in files[::2]]
    named = form([("image", files[0]), ("labels", b'["cat"]'), ("weights", b"[1]")])
    return [*labeled, named, form([("images", file) for file in files[3:5]]), form([]), form([("other", b"")])]


def npy(array: Array, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


def npz(arrays: Arrays, *, is_packed: bool) -> bytes:
    return archive([(f"{name}.npy", npy(array)) for name, array in arrays.items()], is_packed=is_packed)


def archive(members: Sequence[tuple[str, bytes]], *, is_packed: bool) -> bytes:
    """A zip archive of these members; names may come twice."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as made, warnings.catch_warnings(action="ignore"):
        for name, content in members:
            way = zipfile.ZIP_DEFLATED if is_packed else zipfile.ZIP_STORED
            made.writestr(zipfile.ZipInfo(name), content, way)
    return stream.getvalue()


def png(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A PNG file of these chunks, each with its right length and checksum."""
    parts = (
        len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4) for kind, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def image_file(image: Image.Image, format_name: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, format_name, **options)
    return stream.getvalue()


def encoded(array: Array) -> dict[str, object]:
    return {"b64": base64.b64encode(array.tobytes()).decode(), "dtype": array.dtype.name, "shape": array.shape}


def form(parts: Sequence[tuple[str, bytes]]) -> bytes:
    """The Content-Type, and behind its line a form of these parts."""
    disposition = b'\r\nContent-Disposition: form-data; name="%b"\r\n\r\n'
    whole = (b"--" + BOUNDARY + disposition % name.encode() + content + b"\r\n" for name, content in parts)
    return b"multipart/form-data; boundary=" + BOUNDARY + b"\n" + b"".join(whole) + b"--" + BOUNDARY + b"--\r\n"


def _safetensors(header: object, data: bytes) -> bytes:
    head = _json(header)
    return len(head).to_bytes(8, "little") + head + data


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


OF_DECODER: dict[str, Callable[[], list[bytes]]] = {
    "safetensors": of_safetensors,
    "npy": of_npy,
    "images": of_images,
    "base64": of_base64,
    "raw": of_raw_tensors,
    "forms": of_forms,
}

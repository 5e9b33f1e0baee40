"""Small bodies that would be huge once read. As a program: the peak of memory, and the code of the refusal, of each."""

from __future__ import annotations

import io
import json
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from bayes import Categorical, Input
from service.posted import batch_posted
from store.errors import Problem
from tests.service.encoded import Sent, form, image_file, kind_of, raw_of, saved

MIB = 2**20
IMAGE = Input(shape=(1, 28, 28), dtype="uint8")
LIMITS: Mapping[str, int] = {"rows_max": 1000, "bytes_max": 64 * MIB}
JSON = {"Content-Type": "application/json"}
NPZ = {"Content-Type": "application/x-npz"}
SAFETENSORS = {"Content-Type": "application/x-safetensors"}
LABELS = ("labels", b"[0]")


CONTROL, CONTROL_MIB = "none: so much memory was taken", 100


def png(width: int, height: int, pixels: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A grey image that says it is so large, whatever its pixels are."""
    head = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", head), *chunks, (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def one_image(file: bytes) -> Sent:
    return form([("images", file), LABELS])


def npz(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def npz_of_lies() -> Sent:
    """Half a gigabyte of zeros, of which both headers of the archive say that they are 100 bytes."""
    told = npz({"x.npy": b"\0" * (512 * MIB), "y.npy": saved(np.zeros(1, np.int64))})
    return told.replace(struct.pack("<I", 512 * MIB), struct.pack("<I", 100)), NPZ


def npy_of_lies(shape: str) -> Sent:
    lying = re.sub(rb"\(1, 28, 28\)", shape.encode(), saved(np.zeros((1, 28, 28), np.uint8)))
    return npz({"x.npy": lying, "y.npy": saved(np.zeros(1, np.int64))}), NPZ


def safetensors_of(count: int) -> Sent:
    described = {f"t{number}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for number in range(count)}
    head = json.dumps(described).encode()
    return struct.pack("<Q", len(head)) + head, SAFETENSORS


def one_tensor(shape: list[int], length: int) -> Sent:
    head = json.dumps({"x": {"dtype": "U8", "shape": shape, "data_offsets": [0, length]}}).encode()
    return struct.pack("<Q", len(head)) + head, SAFETENSORS


def raw_tensor(shape: list[int], length: int) -> Sent:
    described = {"name": "x", "shape": shape, "datatype": "UINT8", "parameters": {"binary_data_size": length}}
    return raw_of({"inputs": [described]}, b"")


BOMBS: dict[str, tuple[str, Callable[[], Sent]]] = {
    "a PNG of 50,000 by 50,000": ("input-shape", lambda: one_image(png(50_000, 50_000, b"\0" * MIB))),
    "a PNG of 2**31 - 1 squared": ("input-shape", lambda: one_image(png(2**31 - 1, 2**31 - 1, b""))),
    "a PNG of the right size with too many pixels": ("", lambda: one_image(png(28, 28, b"\0" * (512 * MIB)))),
    "a PNG with half a gigabyte of text": (
        "",
        lambda: one_image(png(28, 28, b"\0" * 29 * 28, (b"zTXt", b"a\0\0" + zlib.compress(b"\0" * (512 * MIB))))),
    ),
    "a PNG with a colour profile of half a gigabyte": (
        "",
        lambda: one_image(png(28, 28, b"\0" * 29 * 28, (b"iCCP", b"a\0\0" + zlib.compress(b"\0" * (512 * MIB))))),
    ),
    "a JPEG of 20,000 by 20,000": (
        "input-shape",
        lambda: one_image(resized_jpeg(image_file(np.zeros((28, 28), np.uint8), "JPEG"), 20_000)),
    ),
    "an npz of a gigabyte of zeros": ("body-too-large", lambda: (npz({"x.npy": b"\0" * 2**30, "y.npy": b""}), NPZ)),
    "an npz that lies about its sizes": ("body-invalid", npz_of_lies),
    "an npz of 50,000 members": ("body-invalid", lambda: (npz({f"{n}.npy": b"" for n in range(50_000)}), NPZ)),
    "an npy of 2**40 numbers": ("body-invalid", lambda: npy_of_lies("(1099511627776, 28, 28)")),
    "an npy of more numbers than there are": ("body-invalid", lambda: npy_of_lies("(" + "1099511627776, " * 15 + ")")),
    "an npy of a million axes": ("body-invalid", lambda: npy_of_lies("(" + "1, " * 1_000_000 + ")")),
    "a million tensors": ("body-invalid", lambda: safetensors_of(300_000)),
    "a header of 2**62 bytes": ("body-invalid", lambda: (struct.pack("<Q", 2**62) + b"{" * MIB, SAFETENSORS)),
    "a tensor of 2**40 bytes": ("body-invalid", lambda: one_tensor([2**40], 2**40)),
    "a raw tensor of 2**40 bytes": ("body-invalid", lambda: raw_tensor([2**40], 2**40)),
    "a raw tensor of a shape without bytes": ("body-invalid", lambda: raw_tensor([2**40] * 16, 0)),
    "lists in lists": ("json-invalid", lambda: (b'{"inputs": ' + b"[" * 200_000, JSON)),
    "sixty million brackets": ("json-too-large", lambda: (b'{"inputs": ' + b"[" * (60 * MIB), JSON)),
    "thirty million numbers": ("json-too-large", lambda: (b'{"inputs": [' + b"0," * (30 * MIB), JSON)),
    "twenty million objects": ("json-too-large", lambda: (b'{"inputs": [' + b"{}," * (20 * MIB), JSON)),
    "a number of a million digits": ("json-invalid", lambda: (b'{"inputs": [' + b"9" * MIB, JSON)),
    "a number of a huge power": ("input-shape", lambda: (b'{"inputs": [1e999999999], "labels": [0]}', JSON)),
    "base64 of another shape": (
        "body-invalid",
        lambda: (b'{"inputs": {"b64": "AAAA", "dtype": "uint8", "shape": [1099511627776]}, "labels": [0]}', JSON),
    ),
    "a form of 100,000 images": ("batch-too-large", lambda: form([("images", b"")] * 100_000)),
    "a form of 100,000 fields": ("body-invalid", lambda: form([("labels", b"[0]")] * 100_000)),
    "a form of labels without end": ("json-too-large", lambda: form([("labels", b"[" + b"0," * (30 * MIB))])),
    "a form with a header without end": ("body-invalid", lambda: form([("x" * (30 * MIB), b"")])),
}
"""By what they are: the code of the refusal, none where what matters is fine, and what makes the body."""


def resized_jpeg(file: bytes, side: int) -> bytes:
    """The file, which now says that it is so high and wide."""
    start = file.index(b"\xff\xc0") + 5
    return file[:start] + struct.pack(">2H", side, side) + file[start + 4 :]


def code_of(body: bytes, headers: Mapping[str, str]) -> str:
    try:
        batch_posted(body, kind=kind_of(headers), of=IMAGE, labeled=Categorical(10), **LIMITS)
    except Problem as problem:
        return problem.code
    return ""


def main() -> None:
    """A JSON line for each bomb: what it is, its code, and by how many MiB the peak of memory was above the start."""
    for name, (_, made) in BOMBS.items():
        body, headers = made()
        before = peak_mib_from_now()
        code = code_of(body, headers)
        sys.stdout.write(json.dumps([name, code, peak_mib() - before, len(body) / MIB]) + "\n")
    before = peak_mib_from_now()
    assert len(bytes(bytearray(CONTROL_MIB * MIB))) == CONTROL_MIB * MIB
    sys.stdout.write(json.dumps([CONTROL, "", peak_mib() - before, 0.0]) + "\n")


def peak_mib_from_now() -> float:
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mib()


def peak_mib() -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()

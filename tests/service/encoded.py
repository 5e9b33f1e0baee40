"""The same arrays in every encoding, as a body with the headers that go with it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save

from bayes import Input, Output
from service.encodings import BodyKind, Encoding
from service.posted import batch_posted
from service.rows import Rows

Tensors = Mapping[str, np.ndarray[Any, Any]]
Sent = tuple[bytes, dict[str, str]]

FIELDS = {"x": "inputs", "y": "labels", "weights": "weights"}
DATATYPES = {"uint8": "UINT8", "int64": "INT64", "float32": "FP32", "float64": "FP64", "float16": "FP16"}
BOUNDARY = "the-boundary"


def lists(tensors: Tensors) -> Sent:
    body = {FIELDS[name]: array.tolist() for name, array in tensors.items()}
    return json.dumps(body).encode(), {"Content-Type": "application/json"}


def base64s(tensors: Tensors) -> Sent:
    body = {
        FIELDS[name]: {
            "b64": base64.b64encode(array.tobytes()).decode(),
            "dtype": array.dtype.name,
            "shape": list(array.shape),
        }
        for name, array in tensors.items()
    }
    return json.dumps(body).encode(), {"Content-Type": "application/json"}


def safetensors(tensors: Tensors) -> Sent:
    return save(dict(tensors)), {"Content-Type": "application/x-safetensors"}


def npz(tensors: Tensors) -> Sent:
    stream = io.BytesIO()
    np.savez_compressed(stream, **dict(tensors))  # type: ignore[arg-type]
    return stream.getvalue(), {"Content-Type": "application/x-npz"}


def npy(tensors: Tensors) -> Sent:
    return saved(tensors["x"]), {"Content-Type": "application/x-npy"}


def saved(array: np.ndarray[Any, Any], version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


def raw(tensors: Tensors, **head: object) -> Sent:
    described = [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": DATATYPES[array.dtype.name],
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in tensors.items()
    ]
    return raw_of({"inputs": described} | head, b"".join(array.tobytes() for array in tensors.values()))


def raw_of(head: object, data: bytes) -> Sent:
    described = json.dumps(head).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(described)),
    }
    return described + data, headers


def form(parts: Sequence[tuple[str, bytes]]) -> Sent:
    whole = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in parts
    )
    return whole + f"--{BOUNDARY}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def images(tensors: Tensors, format_name: str = "PNG") -> Sent:
    """A form of grey images, [rows, 1, height, width] in uint8."""
    parts = [("images", image_file(row[0], format_name)) for row in tensors["x"]]
    fields = [(FIELDS[name], json.dumps(array.tolist()).encode()) for name, array in tensors.items() if name != "x"]
    return form([*parts, *fields])


def image_file(pixels: np.ndarray[Any, Any] | Image.Image, format_name: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, format_name, **options)
    return stream.getvalue()


def kind_of(headers: Mapping[str, str]) -> BodyKind:
    content_type = headers["Content-Type"]
    encoding = Encoding(content_type.partition(";")[0])
    return BodyKind(encoding, content_type, headers.get("Inference-Header-Content-Length"))


def rows_of_safetensors(body: bytes, *, of: Input, labeled: Output, rows_max: int) -> Rows:
    kind = BodyKind(Encoding.SAFETENSORS)
    return batch_posted(body, kind=kind, of=of, labeled=labeled, rows_max=rows_max, bytes_max=len(body))


OF_BATCHES: tuple[Callable[[Tensors], Sent], ...] = (lists, base64s, safetensors, npz, raw)
OF_PREDICTIONS: tuple[Callable[[Tensors], Sent], ...] = (*OF_BATCHES, npy)

"""Blobs: weights that the priors of models start from, kept by the service under the digest of their bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from client.arrays import NUMBERS, Given, plain
from client.bars import Told, bytes_bar
from client.calls import Call, ask
from client.errors import UnusableArray
from client.tensors import safetensors_body
from client.values import Resource
from client.wire import SAFETENSORS, Request, get, url_path

Content = bytes | Path | Mapping[str, Given]
"""A safetensors file, its path, or arrays by name."""


@dataclass(frozen=True)
class Tensor:
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Blob(Resource):
    """A safetensors file that the service keeps; `blob`, the digest of its bytes, is what a prior names it by."""

    blob: str
    bytes: int
    tensors: dict[str, Tensor]


def upload(content: Content, *, progress: Told[tuple[int, int | None]] = None) -> Call[Blob]:
    """The safetensors file, its path, or its arrays by name are kept under the digest of their bytes.

    Weights for a model's prior are named after its layers, `conv1.weight`, `conv1.bias`, …; old rows are the array x.
    The same bytes again are the same blob. `progress` is as for `ingest`.

    Raises:
        UnusableArray: the file cannot be read, or an array is of a type that safetensors does not hold.
        ServiceProblem: the bytes are no safetensors file.
    """
    headers = {"Content-Type": SAFETENSORS}
    body = _body(content)
    with bytes_bar("uploading", progress) as watch:
        request = Request("POST", url_path("blobs"), headers=headers, body=body, is_repeatable=True, watch=watch)
        return (yield from ask(request, Blob))


def blob(blob: str) -> Call[Blob]:
    """What a blob of this digest holds.

    Raises:
        ServiceProblem: `blob-not-found`.
    """
    return (yield from ask(get("blobs", blob), Blob))


def _body(content: Content) -> bytes:
    """A safetensors file as it is, or one of these arrays.

    Raises:
        UnusableArray: the file cannot be read, or safetensors holds no such array.
    """
    if isinstance(content, bytes):
        return content
    if isinstance(content, Path):
        try:
            return content.read_bytes()
        except OSError as error:
            raise UnusableArray(f"{content}: {error.strerror}", "name a safetensors file that can be read") from error
    arrays: dict[str, NDArray[Any]] = {name: plain(array, what=f"array {name!r}") for name, array in content.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in NUMBERS:
            raise UnusableArray(f"The array {name!r} is {array.dtype}, and not numbers", "give numbers")
    return safetensors_body(arrays)

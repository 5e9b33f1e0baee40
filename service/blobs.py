"""Blobs that clients bring along, such as weights that a prior starts from: safetensors, named by their digest."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from safetensors import SafetensorError
from safetensors.torch import load

from service.bodies import invalid_body
from service.callers import TheCaller
from service.openapi import takes_tensors
from service.problems import declared
from service.rejected import BlobNotFound, BodyInvalid, BodyTooLarge, MediaTypeUnsupported
from service.requests import BytesOnly, RawBody, TheHouse
from service.resources import BlobResource, TensorResource
from store.blobs import DIGEST, digest_of
from store.errors import BlobCorrupt, BlobMissing

router = APIRouter(prefix="/v1/blobs", tags=["blobs"])

HEADER_BYTES_MAX = 2**20
"""Some ten thousand tensors; a header is read whole before anything else is."""

Digest = Annotated[str, Path(alias="blob", max_length=100, examples=[f"sha256:{'0' * 64}"])]


@router.post(
    "",
    operation_id="put_blob",
    status_code=201,
    dependencies=[BytesOnly],
    openapi_extra=takes_tensors("Weights by their layers' names: `conv1.weight`, `conv1.bias`, …; or any others."),
    responses=declared(
        *(BodyInvalid, BodyTooLarge, MediaTypeUnsupported),
        also={200: {"model": BlobResource, "description": "These bytes were here already."}},
    ),
)
def put_blob(raw: RawBody, caller: TheCaller, house: TheHouse, response: Response) -> BlobResource:
    """Keeps a safetensors file under the digest of its bytes, so that the prior of a model can name it.

    Bytes that only models of others have are answered as new.
    """
    described = contents_of(raw)
    was_here = caller.may_read(house, described.blob) and house.blobs.holds(described.blob)
    house.keep(raw)
    response.status_code = 200 if was_here else 201
    response.headers["Location"] = f"{router.prefix}/{described.blob}"
    return described


@router.get("/{blob}", operation_id="get_blob", responses=declared(BlobNotFound, BlobCorrupt))
def get_blob(blob: Digest, caller: TheCaller, house: TheHouse) -> BlobResource:
    """What a blob holds: names, types and shapes of its tensors."""
    if not (DIGEST.fullmatch(blob) and caller.may_read(house, blob)):
        raise BlobNotFound(digest=blob)
    try:
        return contents_of(house.blobs.get(blob))
    except (BlobMissing, BodyInvalid):
        raise BlobNotFound(digest=blob) from None


def contents_of(raw: bytes) -> BlobResource:
    """The names, types and shapes of the tensors.

    Raises:
        BodyInvalid: the bytes are no safetensors file, or one with a huge header.
    """
    if int.from_bytes(raw[:8], "little") > HEADER_BYTES_MAX < len(raw):
        raise invalid_body("body", f"has a header of more than {HEADER_BYTES_MAX} bytes")
    try:
        found = load(raw)
    except SafetensorError as error:
        raise invalid_body("body", f"is not safetensors: {error}") from None
    except KeyError as error:
        raise invalid_body("body", f"has a tensor of the type {error.args[0]}, which is not supported") from None
    except (RuntimeError, TypeError, ValueError):
        # Shapes that hold nothing and that torch cannot count, as 0 x 2^62 x 2^62; it says so with its own traceback.
        raise invalid_body("body", "has a tensor of a shape that is not supported") from None
    tensors = {
        name: TensorResource(dtype=str(tensor.dtype).removeprefix("torch."), shape=list(tensor.shape))
        for name, tensor in sorted(found.items())
    }
    return BlobResource(blob=digest_of(raw), bytes=len(raw), tensors=tensors)

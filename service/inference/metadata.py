"""What the Open Inference Protocol asks about the server and its models, beside predictions."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version as version_of

from fastapi import APIRouter

from service.bodies import parse
from service.callers import Caller, TheCaller
from service.health import readyz
from service.house import House
from service.inference.outputs import Tensor, input_tensor, output_tensors
from service.inference.schemas import (
    IndexedModel,
    IndexRequest,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
)
from service.openapi import takes
from service.problem_forms import AS_INFERENCE_ERROR
from service.problems import declared
from service.rejected import BodyInvalid, BodyTooLarge, JsonInvalid, JsonTooLarge, MediaTypeUnsupported
from service.requests import JsonIfAny, ModelName, PathNumber, RawBody, TheHouse
from store.errors import BlobMissing, DatabaseNotCurrent, ModelNotFound, VersionNotFound

router = APIRouter(prefix="/v2", tags=["inference"])

EXTENSIONS = ("binary_tensor_data", "parameters")
MODELS_AT_ONCE = 100
PLATFORM = "posterity_safetensors"


@router.get("", operation_id="get_server_metadata", responses=declared(form=AS_INFERENCE_ERROR))
async def get_server_metadata() -> ServerMetadata:
    """The server's name, version and extensions of the protocol."""
    return ServerMetadata(name="posterity", version=version_of("posterity"), extensions=list(EXTENSIONS))


@router.get("/health/live", operation_id="is_server_live", responses=declared(is_open=True, form=AS_INFERENCE_ERROR))
async def is_server_live() -> ServerLive:
    """As /livez."""
    return ServerLive(live=True)


@router.get(
    "/health/ready",
    operation_id="is_server_ready",
    responses=declared(DatabaseNotCurrent, is_open=True, form=AS_INFERENCE_ERROR),
)
def is_server_ready(house: TheHouse) -> ServerReady:
    """As /readyz; a server that is not ready answers with an error."""
    readyz(house)
    return ServerReady(live=True, ready=True)


@router.post(
    "/repository/index",
    operation_id="get_repository_index",
    dependencies=[JsonIfAny],
    openapi_extra=takes(IndexRequest, required=False),
    responses=declared(
        *(JsonInvalid, JsonTooLarge, BodyInvalid, BodyTooLarge, MediaTypeUnsupported), form=AS_INFERENCE_ERROR
    ),
)
def get_repository_index(raw: RawBody, caller: TheCaller, house: TheHouse) -> list[IndexedModel]:
    """All models that the key is for, each with the version of head; as Triton lists its repository."""
    if raw:
        parse(IndexRequest, raw)
    return [
        IndexedModel(name=name, version=str(house.resolver.resolve(name).version), state="READY", reason="")
        for name in _names(house, caller)
    ]


@router.get(
    "/models/{model}",
    operation_id="get_model_metadata",
    responses=declared(ModelNotFound, form=AS_INFERENCE_ERROR),
)
def get_model_metadata(model: ModelName, house: TheHouse) -> ModelMetadata:
    """The model's versions, input and outputs."""
    return _metadata(house, model)


@router.get(
    "/models/{model}/versions/{version}",
    operation_id="get_model_metadata_of_version",
    responses=declared(ModelNotFound, VersionNotFound, form=AS_INFERENCE_ERROR),
)
def get_model_metadata_of_version(model: ModelName, version: PathNumber, house: TheHouse) -> ModelMetadata:
    """The same; that of all versions is alike."""
    house.resolver.resolve(model, version=version)
    return _metadata(house, model)


@router.get(
    "/models/{model}/ready",
    operation_id="is_model_ready",
    responses=declared(ModelNotFound, BlobMissing, form=AS_INFERENCE_ERROR),
)
def is_model_ready(model: ModelName, house: TheHouse) -> ModelReady:
    """Whether head can answer; a model that cannot is an error."""
    return _ready(house, model, None)


@router.get(
    "/models/{model}/versions/{version}/ready",
    operation_id="is_model_version_ready",
    responses=declared(ModelNotFound, VersionNotFound, BlobMissing, form=AS_INFERENCE_ERROR),
)
def is_model_version_ready(model: ModelName, version: PathNumber, house: TheHouse) -> ModelReady:
    """Whether this version can answer."""
    return _ready(house, model, version)


def _names(house: House, caller: Caller) -> Iterator[str]:
    """Those of all models that the key is for, in their order."""
    after = ""
    while page := house.history.models(after=after, limit=MODELS_AT_ONCE, pattern=caller.models):
        yield from (row.name for row in page)
        after = page[-1].name


def _ready(house: House, model: str, version: int | None) -> ModelReady:
    resolved = house.resolver.resolve(model, version=version)
    if not house.blobs.holds(resolved.digest):
        raise BlobMissing(digest=resolved.digest)
    return ModelReady(name=model, ready=True)


def _metadata(house: House, model: str) -> ModelMetadata:
    known, numbers = house.known.find(model).model, house.history.version_numbers(model)
    return ModelMetadata(
        name=model,
        versions=[str(number) for number in numbers],
        platform=PLATFORM,
        inputs=[_described(input_tensor(known.input))],
        outputs=[_described(tensor) for tensor in output_tensors(known.output).values()],
    )


def _described(tensor: Tensor) -> TensorMetadata:
    return TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)

"""Inference as the Open Inference Protocol has it: tensors in, tensors with their uncertainty out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response

from service.answers import Written
from service.asked import Patience, Target, Way, rows_answered_max, rows_drawn_max
from service.bodies import Bytes, invalid_body, parse
from service.computing import Asked, Question
from service.encodings import HEADER_LENGTH, READ_AT_ONCE_BYTES, Encoding
from service.house import House
from service.inference.outputs import SAMPLES, output_tensors
from service.inference.schemas import InferenceRequest, InferenceResponse, InferParameters, RequestOutput
from service.inference.tensors import rows_in
from service.inference.writing import Wanted, written
from service.known import Known
from service.openapi import takes_rows
from service.predictions import BODY_REFUSALS, REFUSALS, answered, known_of, question_of
from service.problem_forms import AS_INFERENCE_ERROR
from service.problems import declared
from service.raw_tensors import split
from service.rejected import KeptTooLarge
from service.requests import BYTES, JSON, ModelName, PathNumber, RawBody, TheHouse, media_type, must_be_plain
from service.rows import inputs_of
from store.errors import AliasNotFound
from store.kinds import HEAD

router = APIRouter(prefix="/v2/models/{model}", tags=["inference"])

REFUSED = tuple(kind for kind in (*REFUSALS, *BODY_REFUSALS) if kind not in {AliasNotFound, KeptTooLarge})
BINARY = {
    "schema": {
        "type": "string",
        "contentMediaType": BYTES,
        "description": "The same JSON, then the bytes of the outputs that are binary, one behind the other.",
    }
}
ANSWER: dict[str, Any] = {
    "content": {BYTES: BINARY},
    "headers": {
        HEADER_LENGTH: {
            "description": f"With {BYTES}: how many bytes of JSON begin the body.",
            "schema": {"type": "integer"},
        }
    },
}


async def _header_length(request: Request) -> str | None:
    """How many bytes of the body are JSON, as its header says; None: all.

    Raises:
        MediaTypeUnsupported: the body is compressed, or the request says that it is something else.
    """
    must_be_plain(request, JSON, BYTES)
    if "content-type" in request.headers:  # tritonclient says nothing.
        media_type(request, JSON, BYTES)
    return request.headers.get(HEADER_LENGTH)


HeaderLength = Annotated[str | None, Depends(_header_length)]


@dataclass(frozen=True, eq=False)
class Posted:
    """A request as it was read."""

    question: Question
    asked: Asked
    timeout_seconds: float | None


@router.post(
    "/infer",
    operation_id="infer",
    response_model=InferenceResponse,
    openapi_extra=takes_rows(InferenceRequest, (Encoding.JSON, Encoding.RAW), tensors="x"),
    responses=declared(*REFUSED, form=AS_INFERENCE_ERROR, also={200: ANSWER}),
)
async def infer(
    *, model: ModelName, header_length: HeaderLength, patience: Patience, raw: RawBody, house: TheHouse
) -> Response:
    """Predicts every row with head, as tensors; nothing is kept."""
    return await _infer(house, model, Target(None, HEAD), raw, header_length=header_length, patience=patience)


@router.post(
    "/versions/{version}/infer",
    operation_id="infer_with_version",
    response_model=InferenceResponse,
    openapi_extra=takes_rows(InferenceRequest, (Encoding.JSON, Encoding.RAW), tensors="x"),
    responses=declared(*REFUSED, form=AS_INFERENCE_ERROR, also={200: ANSWER}),
)
async def infer_with_version(
    *,
    model: ModelName,
    version: PathNumber,
    header_length: HeaderLength,
    patience: Patience,
    raw: RawBody,
    house: TheHouse,
) -> Response:
    """Predicts every row with this version, as tensors; nothing is kept."""
    return await _infer(house, model, Target(version, HEAD), raw, header_length=header_length, patience=patience)


async def _infer(
    house: House, model: str, target: Target, raw: bytes, *, header_length: str | None, patience: float
) -> Response:
    known = await known_of(house, model)
    reading = partial(_read, house, known, (model, target), raw, header_length=header_length)
    posted = reading() if len(raw) <= READ_AT_ONCE_BYTES else await run_sync(reading, limiter=house.reading)
    seconds = patience if posted.timeout_seconds is None else min(patience, posted.timeout_seconds)
    answer = await answered(house, posted.question, posted.asked, seconds)
    assert isinstance(answer, Written)
    if answer.json_length is None:
        return Response(answer.body, media_type=JSON)
    return Response(answer.body, media_type=BYTES, headers={HEADER_LENGTH: str(answer.json_length)})


def _read(house: House, known: Known, asked_of: tuple[str, Target], raw: bytes, *, header_length: str | None) -> Posted:
    """What a body asks.

    Raises:
        Rejected: it is not what the protocol has, or its rows are none of this model; each class says which.
    """
    (name, target), settings = asked_of, house.settings
    head: bytes
    data: Bytes
    head, data = (raw, b"") if header_length is None else split(raw, header_length)
    request = parse(InferenceRequest, head)
    if request.model_name not in {None, name}:
        raise invalid_body("model_name", "is another than that of the path")
    parameters = request.parameters or InferParameters.model_validate({})
    way, wanted = parameters.way(), _wanted(known, request, parameters)
    is_each = SAMPLES in wanted
    question = question_of(house, known, name, target, way=_drawing(way) if is_each else way)
    chosen = question.chosen
    rows_max = rows_drawn_max(known, settings, chosen.samples or 1) if is_each else rows_answered_max(known, settings)
    rows = inputs_of(rows_in(request.inputs, data), of=known.model.input, rows_max=rows_max)
    level, is_instead = way.level(known.model.output), way.is_instead(chosen)
    write = partial(written, question=question, wanted=Wanted(wanted, level, is_instead, request.id))
    asked = Asked(rows, level, is_instead, is_each=is_each, write=write)
    return Posted(question, asked, None if parameters.timeout is None else parameters.timeout / 1e6)


def _drawing(way: Way) -> Way:
    """The way by which there is something to say of each draw."""
    return replace(way, method="ensemble") if way.method in {None, "moments"} else way


def _wanted(known: Known, request: InferenceRequest, parameters: InferParameters) -> dict[str, bool]:
    """The outputs to answer with, in their order, and whether they come as binary data.

    Raises:
        BodyInvalid: the model has none of that name, or one is asked for twice.
    """
    there = output_tensors(known.model.output)
    asked = request.outputs or [RequestOutput(name=name) for name in there if name != SAMPLES]
    wanted: dict[str, bool] = {}
    for index, output in enumerate(asked):
        where = f"outputs.{index}.name"
        if output.name not in there:
            raise invalid_body(where, f"{output.name[:100]!r} is no output of this model, which has {', '.join(there)}")
        if output.name in wanted:
            raise invalid_body(where, f"{output.name!r} is asked for twice")
        stated = None if output.parameters is None else output.parameters.binary_data
        wanted[output.name] = bool(parameters.binary_data_output) if stated is None else stated
    return wanted

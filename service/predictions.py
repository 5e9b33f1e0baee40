"""Predictions with their uncertainty, from head, from any alias or from any version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import JsonValue, TypeAdapter, ValidationError

from service.answers import Answered
from service.asked import (
    Patience,
    Target,
    TargetAsked,
    Way,
    WayAsked,
    WayToKeep,
    draws_held_max,
    rows_answered_max,
)
from service.bodies import Array, Posted
from service.callers import ANYBODY, Caller, TheCaller
from service.computing import Asked, Question
from service.encodings import AS_JSON, OF_PREDICTIONS, BodyKind, PredictionKind
from service.etags import IfNoneMatch, is_fresh
from service.house import House
from service.json_bounds import must_be_bounded
from service.kept import keep, must_be_keepable
from service.known import Known
from service.openapi import takes_rows
from service.posted import prediction_posted
from service.prediction_resources import PredictionResource
from service.problems import declared
from service.rejected import (
    BatchEmpty,
    BatchTooLarge,
    BodyInvalid,
    BodyTooLarge,
    InputDtype,
    InputNotFinite,
    InputShape,
    InputTooLarge,
    IntervalOfClasses,
    JsonInvalid,
    JsonTooLarge,
    KeptTooLarge,
    MediaTypeUnsupported,
    Overloaded,
    PredictionLate,
    QueryInvalid,
    SamplesTooMany,
)
from service.requests import JSON, ModelName, PathNumber, RawBody, TheHouse
from service.rows import inputs_of
from service.schemas import PredictionBody
from store.errors import AliasNotFound, BlobCorrupt, BlobMissing, ModelNotFound, VersionNotFound
from store.kinds import HEAD
from store.values import Resolved

router = APIRouter(prefix="/v1/models/{model}", tags=["predictions"])

REFUSALS = (
    *(ModelNotFound, VersionNotFound, AliasNotFound, BatchTooLarge, BatchEmpty, QueryInvalid),
    *(InputShape, InputDtype, InputNotFinite, InputTooLarge, SamplesTooMany, IntervalOfClasses),
    *(BlobMissing, BlobCorrupt, Overloaded, PredictionLate),
)
BODY_REFUSALS = (JsonInvalid, JsonTooLarge, BodyInvalid, BodyTooLarge, MediaTypeUnsupported, KeptTooLarge)
LISTS: TypeAdapter[list[Any]] = TypeAdapter(list[Any])
AS_JSON_LISTS: dict[str, JsonValue] = {"contentMediaType": JSON, "examples": [[[0.5, -1.0]]]}

ROWS_SHARED_MAX = 4
"""Requests of so few rows are computed together with others; more rows fill a processor by themselves."""


@router.post(
    "/predictions",
    operation_id="predict",
    response_model=PredictionResource,
    openapi_extra=takes_rows(PredictionBody, OF_PREDICTIONS, tensors="x"),
    responses=declared(*REFUSALS, *BODY_REFUSALS),
)
async def predict_rows(
    *,
    model: ModelName,
    target: TargetAsked,
    way: WayToKeep,
    patience: Patience,
    kind: PredictionKind,
    raw: RawBody,
    caller: TheCaller,
    house: TheHouse,
) -> Response:
    """Predicts every row with head, or with the version or alias in the query.

    The same version, method, samples, seed, interval and inputs give the same bytes, whatever happened in between and
    whatever else is asked meanwhile. With `keep` the inputs are kept for a time, and the answer has the ids under which
    labels for them may be posted later.
    """
    question, asked = await _read_body(house, model, target, way, kind=kind, raw=raw)
    return await _answer(house, question, asked, patience, caller=caller)


@router.post(
    "/versions/{version}/predictions",
    operation_id="predict_with_version",
    response_model=PredictionResource,
    openapi_extra=takes_rows(PredictionBody, OF_PREDICTIONS, tensors="x"),
    responses=declared(*REFUSALS, *BODY_REFUSALS),
)
async def predict_rows_with_version(
    *,
    model: ModelName,
    version: PathNumber,
    way: WayToKeep,
    patience: Patience,
    kind: PredictionKind,
    raw: RawBody,
    caller: TheCaller,
    house: TheHouse,
) -> Response:
    """Predicts every row with this version."""
    question, asked = await _read_body(house, model, Target(version, HEAD), way, kind=kind, raw=raw)
    return await _answer(house, question, asked, patience, caller=caller)


@router.get(
    "/predictions",
    operation_id="predict_small",
    response_model=PredictionResource,
    responses=declared(
        *REFUSALS, JsonInvalid, JsonTooLarge, also={304: {"description": "The answer you have is still the answer."}}
    ),
)
async def predict_small(
    *,
    model: ModelName,
    inputs: Annotated[str, Query(description="Rows as JSON lists.", json_schema_extra=AS_JSON_LISTS)],
    target: TargetAsked,
    way: WayAsked,
    patience: Patience,
    house: TheHouse,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The same for a few rows in the query; the ETag names the version, the way and the inputs. Nothing is kept."""
    raw, known = inputs.encode(), await known_of(house, model)
    resolved = await run_in_threadpool(house.resolver.resolve, model, version=target.version, alias=target.alias)

    def reading() -> tuple[Question, Asked]:
        return _asked(house, known, (model, Target(resolved.version, HEAD)), _lists(raw), way=way)

    question, asked = await _read(house, AS_JSON, raw, reading)
    etag = _etag(resolved, question, asked)
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if is_fresh(etag, if_none_match):
        return Response(status_code=304, headers=headers)
    return Response(await answer_bytes(house, question, asked, patience), media_type=JSON, headers=headers)


async def _answer(house: House, question: Question, asked: Asked, patience: float, *, caller: Caller) -> Response:
    if asked.is_kept:
        answer = await kept_answer(house, question, asked, patience, predicted_by=caller.name(ANYBODY))
    else:
        answer = await answer_bytes(house, question, asked, patience)
    return Response(answer, media_type=JSON)


async def _read_body(
    house: House, model: str, target: Target, way: Way, *, kind: BodyKind, raw: bytes
) -> tuple[Question, Asked]:
    known = await known_of(house, model)
    return await _read(house, kind, raw, partial(read, house, known, (model, target), way, kind=kind, raw=raw))


async def _read(
    house: House, kind: BodyKind, raw: bytes, reading: Callable[[], tuple[Question, Asked]]
) -> tuple[Question, Asked]:
    return reading() if kind.is_read_at_once(raw) else await run_sync(reading, limiter=house.reading)


def _lists(raw: bytes) -> list[Any]:
    must_be_bounded(raw)
    try:
        return LISTS.validate_json(raw)
    except ValidationError as error:
        raise JsonInvalid(reason=f"inputs: {error.errors()[0]['msg']}") from None


async def known_of(house: House, model: str) -> Known:
    """The model.

    Raises:
        ModelNotFound: there is none of this name.
    """
    at_hand = house.known.at_hand(model)
    return at_hand if at_hand is not None else await run_in_threadpool(house.known.find, model)


def read(
    house: House, known: Known, asked_of: tuple[str, Target], way: Way, *, kind: BodyKind, raw: bytes
) -> tuple[Question, Asked]:
    """What a body asks, in any encoding."""
    settings = house.settings
    posted, way = prediction_posted(
        raw,
        kind=kind,
        of=known.model.input,
        way=way,
        rows_max=rows_answered_max(known, settings),
        bytes_max=settings.body_bytes_max,
    )
    return _asked(house, known, asked_of, posted, way=way)


def _asked(
    house: House, known: Known, asked_of: tuple[str, Target], posted: Posted, *, way: Way
) -> tuple[Question, Asked]:
    """What is asked of which posterior, as far as it can be said before that is known."""
    (name, target), settings = asked_of, house.settings
    rows = inputs_of(posted, of=known.model.input, rows_max=rows_answered_max(known, settings))
    level, question = way.level(known.model.output), question_of(house, known, name, target, way=way)
    is_kept = known.keeps if way.keep is None else way.keep
    return question, Asked(rows, level, way.is_instead(question.chosen), is_kept)


def question_of(house: House, known: Known, name: str, target: Target, *, way: Way) -> Question:
    """What is asked, but for the rows.

    Raises:
        SamplesTooMany: an ensemble of so many draws cannot be had.
    """
    chosen = way.chosen(known, house.settings)
    in_turn = chosen.samples is not None and chosen.samples > draws_held_max(known, house.settings)
    return Question(known, name, target.version, target.alias, chosen, in_turn)


async def answer_bytes(house: House, question: Question, asked: Asked, patience: float) -> bytes:
    """The JSON that answers."""
    answer = await answered(house, question, asked, patience)
    assert isinstance(answer, bytes)
    return answer


async def answered(house: House, question: Question, asked: Asked, patience: float) -> Answered:
    """The answer, in the form that is asked for."""
    is_small = len(asked.rows) <= ROWS_SHARED_MAX and question.known.model.network.is_chain and not question.in_turn
    is_shared, nbytes = is_small and not asked.is_each, asked.rows.nbytes
    return await house.predicting.ask(question, asked, is_shared=is_shared, nbytes=nbytes, seconds=patience)


async def kept_answer(house: House, question: Question, asked: Asked, patience: float, *, predicted_by: str) -> bytes:
    """The JSON that answers, once the prediction is kept.

    Raises:
        KeptTooLarge: its inputs or its outputs are too many for that.
    """
    bytes_max = house.settings.kept_bytes_max
    must_be_keepable("inputs have", asked.rows.nbytes, bytes_max=bytes_max)
    answer = await answer_bytes(house, question, asked, patience)
    must_be_keepable("answer has", len(answer), bytes_max=bytes_max)
    return await keep(house.keeping, question, asked, answer, predicted_by=predicted_by)


def _etag(resolved: Resolved, question: Question, asked: Asked) -> str:
    rows: Array = asked.rows
    said = (resolved.digest, resolved.version, question.chosen, asked.level, rows.shape)
    return f'"{hashlib.sha256(repr(said).encode() + rows.tobytes()).hexdigest()[:32]}"'

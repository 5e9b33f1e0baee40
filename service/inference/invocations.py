"""Predictions in the shape of MLflow's scoring server: what was sent to `mlflow models serve` may be sent here.

Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally
"""

from __future__ import annotations

from functools import partial
from importlib.metadata import version as version_of
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from bayes import Drawn, Prediction
from service.answers import Written, answer_of
from service.asked import Patience, Target, TargetAsked, Way, rows_answered_max
from service.bodies import parse
from service.callers import Caller, TheCaller
from service.computing import Asked, Question
from service.encodings import READ_AT_ONCE_BYTES
from service.health import readyz
from service.house import House
from service.inference.tables import MEMBERS_MAX, InvocationBody, must_be_one_shape, rows_of_csv, rows_posted
from service.known import Known
from service.openapi import binary, takes
from service.prediction_resources import CategoricalAnswer, GaussianAnswer
from service.predictions import BODY_REFUSALS, REFUSALS, answered, known_of, question_of
from service.problem_forms import AS_INVOCATION_ERROR
from service.problems import declared
from service.rejected import KeptTooLarge, QueryInvalid
from service.requests import JSON, RawBody, TheHouse, media_type
from service.rows import inputs_of
from service.schemas import Method
from store.errors import DatabaseNotCurrent
from store.values import Resolved

router = APIRouter(tags=["invocations"])

CSV = "text/csv"
PLAIN = "text/plain"
REFUSED = tuple(kind for kind in (*REFUSALS, *BODY_REFUSALS) if kind is not KeptTooLarge)
TABLE = binary(CSV, "Names of columns, then a row in each line.")
TAKEN = takes(InvocationBody)
TAKEN["requestBody"]["content"][CSV] = {"schema": TABLE}
AS_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {PLAIN: {"schema": {"type": "string"}}}}}


class InvocationResponse(BaseModel):
    """One prediction per row, and what it takes to get the same bytes again."""

    model: str = Field(examples=["digits"])
    version: int = Field(examples=[3])
    digest: str
    method: Method
    samples: int | None
    seed: int | None
    instead_of: str | None = None
    because: str | None = None
    interval: float | None = None
    predictions: list[CategoricalAnswer] | list[GaussianAnswer]


async def _is_csv(request: Request) -> bool:
    return media_type(request, JSON, CSV) == CSV


async def _named(
    house: TheHouse,
    caller: TheCaller,
    model: Annotated[
        str | None,
        Query(
            pattern=r"^[^\x00-\x1f\x7f]{1,128}$",
            description="Absent: the only one that there is for the key.",
            examples=["pairs"],
        ),
    ] = None,
) -> str:
    """The model that is asked.

    Raises:
        QueryInvalid: none is named, and there is none or more than one.
        KeyNotAllowed: it is none of the key's.
    """
    if model is None:
        return await run_in_threadpool(_only, house, caller)
    caller.require(model)
    return model


def _only(house: House, caller: Caller) -> str:
    there = house.history.models(limit=2, pattern=caller.models)
    if len(there) != 1:
        many = "there are several" if there else "there is none"
        raise QueryInvalid(reason=f"model: must name the model, as {many}")
    return there[0].name


@router.post(
    "/invocations",
    operation_id="invoke",
    response_model=InvocationResponse,
    openapi_extra=TAKEN,
    responses=declared(*REFUSED, form=AS_INVOCATION_ERROR),
)
async def invoke(
    *,
    model: Annotated[str, Depends(_named)],
    target: TargetAsked,
    is_csv: Annotated[bool, Depends(_is_csv)],
    patience: Patience,
    raw: RawBody,
    house: TheHouse,
) -> Response:
    """Predicts every row with head, or with the version or alias in the query; nothing is kept."""
    known = await known_of(house, model)
    reading = partial(_read, house, known, (model, target), raw, is_csv=is_csv)
    is_short = len(raw) <= READ_AT_ONCE_BYTES
    question, asked = reading() if is_short else await run_sync(reading, limiter=house.reading)
    answer = await answered(house, question, asked, patience)
    assert isinstance(answer, Written)
    return Response(answer.body, media_type=JSON)


@router.get(
    "/ping",
    operation_id="ping",
    response_class=Response,
    responses=declared(DatabaseNotCurrent, is_open=True, form=AS_INVOCATION_ERROR, also=AS_TEXT),
)
def ping(house: TheHouse) -> Response:
    """As /readyz, with an empty line where it can answer."""
    readyz(house)
    return Response("\n", media_type=PLAIN)


@router.get(
    "/health",
    operation_id="health",
    response_class=Response,
    responses=declared(DatabaseNotCurrent, is_open=True, form=AS_INVOCATION_ERROR, also=AS_TEXT),
)
def health(house: TheHouse) -> Response:
    """As /ping."""
    return ping(house)


@router.get(
    "/version",
    operation_id="get_server_version",
    response_class=Response,
    responses=declared(form=AS_INVOCATION_ERROR, also=AS_TEXT),
)
async def get_server_version() -> Response:
    """The release of this service, as text."""
    return Response(version_of("posterity"), media_type=PLAIN)


def _read(
    house: House, known: Known, asked_of: tuple[str, Target], raw: bytes, *, is_csv: bool
) -> tuple[Question, Asked]:
    """What a body asks.

    Raises:
        Rejected: it has none of MLflow's shapes, or its rows are none of this model; each class says which.
    """
    (name, target), of = asked_of, known.model.input
    rows_max, way = rows_answered_max(known, house.settings), Way()
    if is_csv:
        posted = rows_of_csv(raw, of=of, rows_max=rows_max)
    else:
        body = parse(InvocationBody, raw, members_max=MEMBERS_MAX)
        must_be_one_shape(body)
        posted, way = rows_posted(body, of), way if body.params is None else body.params.way()
    rows = inputs_of(posted, of=of, rows_max=rows_max)
    level, question = way.level(known.model.output), question_of(house, known, name, target, way=way)
    is_instead = way.is_instead(question.chosen)
    write = partial(_written, question=question, level=level, is_instead=is_instead)
    return question, Asked(rows, level, is_instead, write=write)


def _written(
    resolved: Resolved, said: Prediction | Drawn, *, question: Question, level: float | None, is_instead: bool
) -> Written:
    assert not isinstance(said, Drawn)
    known, chosen = question.known, question.chosen
    return Written(answer_of(resolved, known, chosen, said, level=level, is_instead=is_instead, rows="predictions"))

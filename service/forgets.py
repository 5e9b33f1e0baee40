"""Forgets: head's line learned anew without some batches, while clients go on seeing the old head."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from service.bodies import parse
from service.callers import ANYBODY, TheCaller
from service.dividing import forget_by_division
from service.house import House
from service.openapi import takes
from service.problems import declared
from service.rejected import BodyInvalid, BodyTooLarge, JsonInvalid, JsonTooLarge, MediaTypeUnsupported, QueryInvalid
from service.requests import JsonOnly, ModelName, NumberedPageAsked, PathNumber, RawBody, TheHouse
from service.resources import ErrorResource, LayersKl, NextCursor, ProgressResource, moment
from service.schemas import ForgetBody
from store.dividing import APPROXIMATE
from store.errors import (
    ApproximationImpossible,
    ApproximationOvertaken,
    BatchNotFound,
    BlobBuried,
    BlobCorrupt,
    BlobMissing,
    ForgetBusy,
    ForgetNotFound,
    HeadUndecided,
    ModelNotFound,
    RowsMissing,
    UpdateFinished,
)
from store.forgetting import ForgetRow
from store.kinds import ForgetState, UpdateState
from store.values import Json

router = APIRouter(prefix="/v1/models/{model}", tags=["forgets"])


class StepsResource(BaseModel):
    """How many chunks are learned again, and how many of them were."""

    published: int
    all: int
    running: ProgressResource | None = Field(description="The one that is being learned now.")


class DifferenceResource(BaseModel):
    """A score under the new version less that under the one that was divided, as the mean over the rows."""

    mean: float | None
    standard_error: float | None
    rows: int


class KeptRows(BaseModel):
    rows: int
    differences: dict[str, DifferenceResource] = Field(
        examples=[{"accuracy": {"mean": -0.004, "standard_error": 0.003, "rows": 1000}}]
    )


class ForgottenRows(BaseModel):
    rows: int
    nll: dict[Literal["head", "divided", "before"], float | None] = Field(
        description="In nats a row: by the version that was divided, by what that left, and by the version before."
    )
    before: int = Field(description="The newest version that had learned from none of the rows; younger than head.")


class ApproximationResource(BaseModel):
    """What could be measured of a division there and then."""

    kl_nats: LayersKl = Field(description="KL(the new version || the version that was divided).")
    kept: KeptRows | None = Field(description="On the newest rows that it goes on knowing; null: none is here.")
    forgotten: ForgottenRows | None = Field(description="On the rows that were divided out; null: none is here.")


class ForgetResource(BaseModel):
    """Head's line, learned anew without these batches, or divided. Head moves once, when the last step is published."""

    model: str
    forget: int
    batches: list[int]
    method: Literal["replay", "approximate"]
    state: ForgetState
    base: int = Field(
        description="The version that the new line starts from: the last that knew none of the batches; or that was "
        "divided."
    )
    head: int | None = Field(description="Where head moved to; null: it has not.")
    updates: list[int] = Field(description="The updates that learn the chunks again, in their order.")
    steps: StepsResource
    divided: list[int] = Field(
        description="Batches whose part was divided out of head, approximately; its evidence still has them."
    )
    approximation: ApproximationResource | None = Field(
        description="How far the division may be off, as measured; null: nothing was divided."
    )
    warnings: list[str]
    asked_by: str
    reason: str
    error: ErrorResource | None
    created_at: datetime
    finished_at: datetime | None


class ForgetList(BaseModel):
    forgets: list[ForgetResource]
    next_cursor: NextCursor


@router.post(
    "/forget",
    operation_id="forget_batches",
    status_code=202,
    dependencies=[JsonOnly],
    openapi_extra=takes(ForgetBody),
    responses=declared(
        *(ModelNotFound, BatchNotFound, ForgetBusy, RowsMissing, ApproximationImpossible, ApproximationOvertaken),
        *(BlobMissing, BlobCorrupt, BlobBuried, HeadUndecided),
        *(JsonInvalid, JsonTooLarge, BodyInvalid, BodyTooLarge, MediaTypeUnsupported),
    ),
)
def forget_batches(
    *, model: ModelName, raw: RawBody, caller: TheCaller, house: TheHouse, response: Response
) -> ForgetResource:
    """Takes batches back: goes back to before the first of them, and learns again, without them, what came after.

    Clients see the old head until the new one is ready. Nothing learns from these batches any more; versions that have
    stay, and their rows do too: delete them by themselves. With the method `approximate`, what was learned of them is
    divided out of head instead, at once: that needs no rows, is not exact and no deletion, and says how far it is off.
    """
    body, actor = parse(ForgetBody, raw), caller.name(ANYBODY)
    if body.method == APPROXIMATE:
        number = forget_by_division(house, model, body.batches, actor=actor, reason=body.reason)
        forget = house.forgetting.find(model, number)
    else:
        forget = house.forgetting.forget(model, body.batches, actor=actor, reason=body.reason)
    response.headers["Location"] = f"/v1/models/{model}/forgets/{forget.number}"
    return _resource(house, model, forget)


@router.get("/forgets", operation_id="list_forgets", responses=declared(ModelNotFound, QueryInvalid))
def list_forgets(model: ModelName, page: NumberedPageAsked, house: TheHouse) -> ForgetList:
    """The forgets of a model, the oldest first."""
    rows = house.forgetting.list(model, after=page.after_number(0), limit=page.limit + 1)
    shown, next_cursor = page.cut(rows, lambda row: row.number)
    return ForgetList(forgets=[_resource(house, model, row) for row in shown], next_cursor=next_cursor)


@router.get("/forgets/{forget}", operation_id="get_forget", responses=declared(ModelNotFound, ForgetNotFound))
def get_forget(model: ModelName, forget: PathNumber, house: TheHouse) -> ForgetResource:
    """How far a forget is."""
    return _resource(house, model, house.forgetting.find(model, forget))


@router.delete(
    "/forgets/{forget}",
    operation_id="cancel_forget",
    responses=declared(ModelNotFound, ForgetNotFound, UpdateFinished),
)
def cancel_forget(model: ModelName, forget: PathNumber, house: TheHouse) -> ForgetResource:
    """Cancels a forget that is under way: head stays. For all that comes, the batches stay forgotten."""
    return _resource(house, model, house.forgetting.cancel(model, forget))


def _resource(house: House, model: str, row: ForgetRow) -> ForgetResource:
    error = None if row.error_code is None else ErrorResource(code=row.error_code, message=row.error_message or "")
    report = _report(house, model, row)
    return ForgetResource.model_validate(
        {
            "model": model,
            "forget": row.number,
            "batches": list(row.batches),
            "method": row.method,
            "state": row.state,
            "base": row.base,
            "head": row.head,
            "updates": list(row.updates),
            "steps": StepsResource(published=row.published, all=len(row.updates), running=_running(house, model, row)),
            "divided": report.get("divided", []),
            "approximation": report.get("approximation"),
            "warnings": report.get("warnings", []),
            "asked_by": row.asked_by,
            "reason": row.reason,
            "error": error,
            "created_at": moment(row.created_at),
            "finished_at": None if row.finished_at is None else moment(row.finished_at),
        }
    )


def _report(house: House, model: str, row: ForgetRow) -> Json:
    """What is told of the version that a division has made; nothing of others."""
    if row.method != APPROXIMATE or row.head is None or row.head == row.base:
        return {}
    return house.history.version(model, row.head).report


def _running(house: House, model: str, row: ForgetRow) -> ProgressResource | None:
    if row.state != ForgetState.RUNNING or row.published == len(row.updates):
        return None
    update = house.history.update(model, row.updates[row.published])
    if update.state != UpdateState.RUNNING or update.step is None:
        return None
    return ProgressResource(step=update.step, steps=update.steps, elbo=update.elbo)

"""Batches that are set aside: parked until somebody decides, released to be learned from, or discarded."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service.batch_resources import BatchResource
from service.batches import batch_resources
from service.bodies import parse
from service.callers import ANYBODY, TheCaller
from service.openapi import takes
from service.problems import declared
from service.rejected import BodyInvalid, BodyTooLarge, JsonInvalid, JsonTooLarge, MediaTypeUnsupported, QueryInvalid
from service.requests import JsonIfAny, ModelName, NumberedPageAsked, PathNumber, RawBody, TheHouse
from service.resources import NextCursor, UpdateResource, moment
from service.schemas import ReasonBody
from service.updates import update_resource
from store.errors import BatchAbsorbed, BatchForgotten, BatchNotFound, BatchNotParked, ModelNotFound, RowsDeleted
from store.kinds import ParkingKind
from store.parking import ParkingRow

router = APIRouter(prefix="/v1/models/{model}", tags=["parking"])

BODY_REFUSALS = (JsonInvalid, JsonTooLarge, BodyInvalid, BodyTooLarge, MediaTypeUnsupported)


class DecisionResource(BaseModel):
    """What was decided about a batch, and what led to it."""

    batch: int
    seq: int
    kind: ParkingKind
    decided_by: str
    reason: str
    surprise: dict[str, Any] | None = Field(description="How head predicted its rows; null: a person decided.")
    decided_at: datetime


class DecisionList(BaseModel):
    decisions: list[DecisionResource]


class ParkedResource(BaseModel):
    """A batch that waits for a decision."""

    batch: int
    rows: int
    chunk: int | None
    accepted_at: datetime
    parked_by: str
    reason: str
    surprise: dict[str, Any] | None = Field(description="How head predicted its rows; null: a person parked it.")
    parked_at: datetime


class ParkedList(BaseModel):
    parked: list[ParkedResource]
    next_cursor: NextCursor


class ReleasedResource(BaseModel):
    """Where a released batch is to be learned from."""

    model: str
    batch: int
    update: UpdateResource | None = Field(description="null: it is learned with others, when their chunk is.")


@router.get("/parked", operation_id="list_parked", responses=declared(ModelNotFound, QueryInvalid))
def list_parked(model: ModelName, page: NumberedPageAsked, house: TheHouse) -> ParkedList:
    """The batches that wait for a decision, with what is known of why."""
    rows = house.parking.parked(model, after=page.after_number(0), limit=page.limit + 1)
    shown, next_cursor = page.cut(rows, lambda row: row[0].number)
    parked = [
        ParkedResource(
            batch=batch.number,
            rows=batch.rows,
            chunk=batch.chunk,
            accepted_at=moment(batch.accepted_at),
            parked_by=decision.decided_by,
            reason=decision.reason,
            surprise=decision.facts or None,
            parked_at=moment(decision.decided_at),
        )
        for batch, decision in shown
    ]
    return ParkedList(parked=parked, next_cursor=next_cursor)


@router.get(
    "/batches/{batch}/decisions", operation_id="list_decisions", responses=declared(ModelNotFound, BatchNotFound)
)
def list_decisions(model: ModelName, batch: PathNumber, house: TheHouse) -> DecisionList:
    """Everything that was decided about a batch, the oldest first: parked, released, discarded, forgotten."""
    house.history.batch(model, batch)
    return DecisionList(decisions=[_decision(row) for row in house.parking.decisions(model, batch)])


@router.post(
    "/batches/{batch}/park",
    operation_id="park_batch",
    dependencies=[JsonIfAny],
    openapi_extra=takes(ReasonBody, required=False),
    responses=declared(ModelNotFound, BatchNotFound, BatchAbsorbed, BatchForgotten, RowsDeleted, *BODY_REFUSALS),
)
def park_batch(
    *, model: ModelName, batch: PathNumber, raw: RawBody, caller: TheCaller, house: TheHouse
) -> BatchResource:
    """Parks a batch: nothing learns from it before it is released. An update that has it begins anew without."""
    reason = _reason(raw)
    found = house.parking.park(model, [batch], actor=caller.name(ANYBODY), reason=reason)
    return batch_resources(house, model, found)[0]


@router.post(
    "/batches/{batch}/discard",
    operation_id="discard_batch",
    dependencies=[JsonIfAny],
    openapi_extra=takes(ReasonBody, required=False),
    responses=declared(ModelNotFound, BatchNotFound, BatchAbsorbed, BatchForgotten, *BODY_REFUSALS),
)
def discard_batch(
    *, model: ModelName, batch: PathNumber, raw: RawBody, caller: TheCaller, house: TheHouse
) -> BatchResource:
    """Discards a batch: nothing will learn from it. Its rows stay until you delete them."""
    reason = _reason(raw)
    found = house.parking.discard(model, [batch], actor=caller.name(ANYBODY), reason=reason)
    return batch_resources(house, model, found)[0]


@router.post(
    "/batches/{batch}/release",
    operation_id="release_batch",
    status_code=202,
    dependencies=[JsonIfAny],
    openapi_extra=takes(ReasonBody, required=False),
    responses=declared(ModelNotFound, BatchNotFound, BatchNotParked, BatchForgotten, RowsDeleted, *BODY_REFUSALS),
)
def release_batch(
    *, model: ModelName, batch: PathNumber, raw: RawBody, caller: TheCaller, house: TheHouse
) -> ReleasedResource:
    """Releases a parked or discarded batch: it is learned from, however surprising it is."""
    reason = _reason(raw)
    queued = house.parking.release(model, [batch], actor=caller.name(ANYBODY), reason=reason)
    return ReleasedResource(model=model, batch=batch, update=update_resource(model, queued[0]) if queued else None)


def _reason(raw: bytes) -> str:
    return parse(ReasonBody, raw).reason if raw else ""


def _decision(row: ParkingRow) -> DecisionResource:
    return DecisionResource(
        batch=row.batch,
        seq=row.seq,
        kind=row.kind,
        decided_by=row.decided_by,
        reason=row.reason,
        surprise=row.facts or None,
        decided_at=moment(row.decided_at),
    )

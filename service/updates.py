"""Updates: chunks on their way to become versions, asked for, watched, cancelled and replayed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from service.bodies import parse
from service.openapi import takes
from service.problems import declared
from service.rejected import BodyInvalid, BodyTooLarge, JsonInvalid, JsonTooLarge, MediaTypeUnsupported, QueryInvalid
from service.requests import JsonOnly, ModelName, NumberedPageAsked, PathNumber, RawBody, TheHouse
from service.resources import ErrorResource, ProgressResource, ReplayResource, UpdateList, UpdateResource, moment
from service.schemas import ReplayBody
from store.errors import (
    AlreadyAbsorbed,
    ChunkBusy,
    ChunkNotFound,
    ModelNotFound,
    NothingPending,
    RowsDeleted,
    UpdateFinished,
    UpdateNotFound,
)
from store.values import UpdateRow

router = APIRouter(prefix="/v1/models/{model}", tags=["updates"])


@router.post("/updates", operation_id="close_chunk", status_code=202, responses=declared(ModelNotFound, NothingPending))
def close_chunk(model: ModelName, house: TheHouse, response: Response) -> UpdateResource:
    """Closes the pending rows into a chunk now, without waiting for its limits."""
    update = house.ledger.close(model)
    response.headers["Location"] = f"/v1/models/{model}/updates/{update.number}"
    return update_resource(model, update)


@router.get("/updates", operation_id="list_updates", responses=declared(ModelNotFound, QueryInvalid))
def list_updates(model: ModelName, page: NumberedPageAsked, house: TheHouse) -> UpdateList:
    """The updates of a model, oldest first."""
    rows = house.history.updates(model, after=page.after_number(0), limit=page.limit + 1)
    shown, next_cursor = page.cut(rows, lambda row: row.number)
    return UpdateList(updates=[update_resource(model, row) for row in shown], next_cursor=next_cursor)


@router.get("/updates/{update}", operation_id="get_update", responses=declared(ModelNotFound, UpdateNotFound))
def get_update(model: ModelName, update: PathNumber, house: TheHouse) -> UpdateResource:
    """How far an update is; its report once it is published, its error when it failed."""
    return update_resource(model, house.history.update(model, update))


@router.delete(
    "/updates/{update}",
    operation_id="cancel_update",
    responses=declared(ModelNotFound, UpdateNotFound, UpdateFinished),
)
def cancel_update(model: ModelName, update: PathNumber, house: TheHouse) -> UpdateResource:
    """Cancels a queued or running update. Its chunk stays and can be replayed."""
    return update_resource(model, house.ledger.cancel(model, update))


@router.post(
    "/replays",
    operation_id="replay_chunks",
    status_code=202,
    dependencies=[JsonOnly],
    openapi_extra=takes(ReplayBody),
    responses=declared(
        *(JsonInvalid, JsonTooLarge, ModelNotFound, ChunkNotFound, AlreadyAbsorbed, ChunkBusy, RowsDeleted),
        *(BodyTooLarge, MediaTypeUnsupported, BodyInvalid),
    ),
)
def replay_chunks(model: ModelName, raw: RawBody, house: TheHouse) -> ReplayResource:
    """Queues chunks to be absorbed on the present line, in this order: all of them, or none."""
    queued = house.ledger.replay(model, parse(ReplayBody, raw).chunks)
    return ReplayResource(updates=[update_resource(model, update) for update in queued])


def update_resource(model: str, row: UpdateRow) -> UpdateResource:
    report: dict[str, Any] = row.report or {}
    return UpdateResource(
        model=model,
        update=row.number,
        chunk=row.chunk.number,
        rows=row.chunk.rows,
        batches=row.batches,
        omitted=sorted(row.omitted),
        forget=row.forget,
        state=row.state,
        attempt=row.attempt,
        prior=row.prior,
        version=row.version,
        progress=None if row.step is None else ProgressResource(step=row.step, steps=row.steps, elbo=row.elbo),
        report=row.report,
        warnings=list(report.get("warnings", [])),
        error=None if row.error_code is None else ErrorResource(code=row.error_code, message=row.error_message or ""),
        created_at=moment(row.created_at),
        started_at=None if row.started_at is None else moment(row.started_at),
        finished_at=None if row.finished_at is None else moment(row.finished_at),
    )

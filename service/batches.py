"""Batches: labeled rows, stored once under the client's key."""

from __future__ import annotations

from anyio.to_thread import run_sync
from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from service.accepting import Batch
from service.batch_resources import SET_ASIDE, AcceptedBatch, BatchList, BatchResource, BatchState, DeletionResource
from service.callers import ANYBODY, TheCaller
from service.encodings import OF_BATCHES, BatchKind, BodyKind
from service.house import House
from service.known import Known
from service.openapi import takes_rows
from service.posted import batch_posted
from service.problems import declared
from service.rejected import (
    BatchEmpty,
    BatchTooLarge,
    BodyInvalid,
    BodyTooLarge,
    IdempotencyKeyInvalid,
    IdempotencyKeyMissing,
    InputDtype,
    InputNotFinite,
    InputShape,
    InputTooLarge,
    JsonInvalid,
    JsonTooLarge,
    LabelDtype,
    LabelOutOfRange,
    LabelShape,
    MediaTypeUnsupported,
    Overloaded,
    QueryInvalid,
    WeightsInvalid,
)
from service.requests import IdempotencyKey, ModelName, NumberedPageAsked, PathNumber, RawBody, TheHouse
from service.resources import moment
from service.schemas import BatchBody, Reason
from store.errors import BatchNotFound, BatchWaiting, BlobBuried, IdempotencyKeyReused, ModelNotFound
from store.tracing import traceparent
from store.values import BatchRow, Part

router = APIRouter(prefix="/v1/models/{model}/batches", tags=["batches"])

REPLAYED = "Idempotent-Replayed"


@router.post(
    "",
    operation_id="post_batch",
    status_code=202,
    openapi_extra=takes_rows(BatchBody, OF_BATCHES, tensors="x, y and optionally weights"),
    responses=declared(
        *(IdempotencyKeyMissing, IdempotencyKeyInvalid, JsonInvalid, ModelNotFound, BodyTooLarge, BatchTooLarge),
        JsonTooLarge,
        *(MediaTypeUnsupported, BodyInvalid, BatchEmpty, IdempotencyKeyReused, InputShape, InputDtype),
        *(InputNotFinite, InputTooLarge, LabelShape, LabelDtype, LabelOutOfRange, WeightsInvalid, Overloaded),
        BlobBuried,
    ),
)
async def post_batch(
    *,
    model: ModelName,
    key: IdempotencyKey,
    kind: BatchKind,
    raw: RawBody,
    house: TheHouse,
    response: Response,
) -> AcceptedBatch:
    """Stores the rows once under this key; a worker absorbs them when their chunk closes.

    The same rows again under the same key are answered as the first time, with `Idempotent-Replayed: true`. The digest
    is that of the rows in their stored form, so the encoding may change between the two.
    """
    known = await run_in_threadpool(house.known.find, model)
    batch, is_replay = await accept(house, known, model, key=key, kind=kind, raw=raw)
    response.headers["Location"] = location(batch)
    if is_replay:
        response.headers[REPLAYED] = "true"
    return batch


async def accept(
    house: House, known: Known, name: str, *, key: str, kind: BodyKind, raw: bytes
) -> tuple[AcceptedBatch, bool]:
    """The rows are stored once under this key; True: they had been before."""

    def batch_to_store() -> Batch:
        rows = batch_posted(
            raw,
            kind=kind,
            of=known.model.input,
            labeled=known.model.output,
            rows_max=house.settings.rows_max,
            bytes_max=house.settings.body_bytes_max,
        )
        return Batch(key, rows.to_bytes(), len(rows.inputs), rows.label_counts(), traceparent())

    batch = batch_to_store() if kind.is_read_at_once(raw) else await run_sync(batch_to_store, limiter=house.reading)
    accepted = await house.accepting.add(name, batch)
    if not accepted.is_replay:
        house.meters.accepted(accepted.batch.rows)
    return _answer(name, accepted.batch), accepted.is_replay


def _answer(name: str, batch: BatchRow) -> AcceptedBatch:
    return AcceptedBatch(
        model=name,
        batch=batch.number,
        rows=batch.rows,
        state="accepted",
        key=batch.key,
        digest=batch.digest,
        accepted_at=moment(batch.accepted_at),
    )


def location(batch: AcceptedBatch) -> str:
    return f"/v1/models/{batch.model}/batches/{batch.batch}"


@router.get("", operation_id="list_batches", responses=declared(ModelNotFound, QueryInvalid))
def list_batches(model: ModelName, page: NumberedPageAsked, house: TheHouse) -> BatchList:
    """The batches of a model, in the order in which they were accepted."""
    rows = house.history.batches(model, after=page.after_number(0), limit=page.limit + 1)
    shown, next_cursor = page.cut(rows, lambda row: row.number)
    return BatchList(batches=batch_resources(house, model, shown), next_cursor=next_cursor)


@router.get("/{batch}", operation_id="get_batch", responses=declared(ModelNotFound, BatchNotFound))
def get_batch(model: ModelName, batch: PathNumber, house: TheHouse) -> BatchResource:
    """Where a batch stands: accepted, in which chunk, absorbed in which versions, learned by head or not."""
    return batch_resources(house, model, [house.history.batch(model, batch)])[0]


@router.delete("/{batch}", operation_id="delete_batch", responses=declared(ModelNotFound, BatchNotFound, BatchWaiting))
def delete_batch(
    *, model: ModelName, batch: PathNumber, caller: TheCaller, house: TheHouse, reason: Reason = ""
) -> DeletionResource:
    """Deletes the rows of a batch for good, and says which versions have learned from them. Once more: the same answer.

    The bytes are removed unless another batch, a version or a prior has the very same. Rows that wait to be absorbed
    are not deleted: close their chunk and cancel its update first.
    """
    found = house.retention.delete(model, batch, actor=caller.name(ANYBODY), reason=reason)
    return DeletionResource(
        model=model,
        batch=found.batch,
        digest=found.digest,
        kind=found.kind,
        deleted_by=found.deleted_by,
        reason=found.reason,
        deleted_at=moment(found.deleted_at),
        bytes_removed=caller.sees_removed(house, found),
        learned_by=list(found.learned_by),
    )


def batch_resources(house: House, model: str, rows: list[BatchRow]) -> list[BatchResource]:
    """Where these batches stand."""
    chunks = {row.chunk for row in rows if row.chunk is not None}
    absorbed_in = {chunk: house.history.absorbed_in(model, chunk) for chunk in chunks}
    born = {part.version for parts in absorbed_in.values() for part in parts}
    learned = house.history.on_line(model, house.history.resolve(model).version, born)
    return [_resource(model, row, absorbed_in, learned) for row in rows]


def _resource(model: str, row: BatchRow, absorbed_in: dict[int, list[Part]], learned: frozenset[int]) -> BatchResource:
    parts = [] if row.chunk is None else absorbed_in[row.chunk]
    versions = [part.version for part in parts if row.number not in part.omitted]
    return BatchResource(
        model=model,
        batch=row.number,
        rows=row.rows,
        state=_state(row, is_absorbed=bool(versions)),
        key=row.key,
        digest=row.digest,
        accepted_at=moment(row.accepted_at),
        chunk=row.chunk,
        absorbed_in=versions,
        on_head=any(version in learned for version in versions),
        deleted_at=None if row.deleted_at is None else moment(row.deleted_at),
    )


def _state(row: BatchRow, *, is_absorbed: bool) -> BatchState:
    if row.aside is not None:
        return SET_ASIDE[row.aside]
    if is_absorbed:
        return "absorbed"
    return "accepted" if row.chunk is None else "in-chunk"

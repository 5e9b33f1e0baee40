"""What a claim is made of: which models have something due, whose lease is over, which update is next.

The steps run inside the caller's transaction; all but the first look hold the model's lock.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, FromClause, Row, and_, exists, func, or_, select, update
from sqlalchemy.sql import ColumnElement

from store.errors import AlreadyAbsorbed
from store.queries import evidence_of, find_chunk, find_version, newest_move
from store.schema import batches, models, updates
from store.values import HEAD, ChunkRow, Claim, Json, ModelRow, UpdateState

others = updates.alias("others")

EXPIRED = {
    "error_code": "lease-expired",
    "error_message": "The worker fell silent for longer than its lease; it may have been killed or run out of memory.",
}


@dataclass(frozen=True)
class Lease:
    owner: str
    seconds: float


def due_models(connection: Connection, now: float) -> list[str]:
    """Models with a due update and no live lease, by how long that update has waited, then by age; without locks."""
    is_due = and_(updates.c.state == UpdateState.QUEUED, _is_due(updates, now))
    is_held = exists().where(
        others.c.model_id == models.c.id,
        others.c.state == UpdateState.RUNNING,
        others.c.lease_until >= now,
    )
    query = (
        select(models.c.name)
        .join(updates, updates.c.model_id == models.c.id)
        .where(is_due | _is_expired(now), ~is_held)
        .group_by(models.c.id, models.c.name)
        .order_by(func.min(updates.c.created_at), models.c.id)
    )
    return list(connection.execute(query).scalars())


def expire(connection: Connection, model: ModelRow, now: float, *, attempts_max: int) -> None:
    """No update of the model runs under a lease that is over; that attempt has failed."""
    silent = (updates.c.model_id == model.id, _is_expired(now))
    failures = connection.execute(select(updates.c.failures).where(*silent)).scalar()
    if failures is not None:
        values = failed(now, is_last=failures + 1 >= attempts_max, not_before=None)
        connection.execute(update(updates).where(*silent).values({**values, **EXPIRED, "failures": failures + 1}))


def take_oldest(connection: Connection, model: ModelRow, now: float, *, lease: Lease) -> Claim | None:
    """The model's oldest queued update runs under this lease; None when it is not due, or another one runs.

    Updates whose chunk head has learned from meanwhile have failed.
    """
    head = newest_move(connection, model.id, HEAD)
    assert head is not None
    assert head.version is not None
    learned = {chunk.number for chunk in evidence_of(connection, model.id, head.version).chunks}
    while (row := _oldest(connection, model, now)) is not None:
        if row.chunk in learned:
            absorbed = AlreadyAbsorbed(chunk=row.chunk, model=model.name, version=head.version)
            error = {"error_code": absorbed.code, "error_message": str(absorbed)}
            _write_queued(connection, model, row.number, ended(UpdateState.FAILED, now) | error)
            continue
        _write_queued(connection, model, row.number, _taken(row.attempt + 1, head.version, now, lease=lease))
        chunk = find_chunk(connection, model, row.chunk)
        return Claim(
            model_id=model.id,
            model=model.name,
            description=model.description,
            update=row.number,
            attempt=row.attempt + 1,
            failures=row.failures,
            chunk=chunk,
            prior=head.version,
            prior_digest=find_version(connection, model, head.version).digest,
            root_digest=find_version(connection, model, 0).digest,
            batch_digests=_digests(connection, model, chunk),
            lease_seconds=lease.seconds,
        )
    return None


def failed(now: float, *, is_last: bool, not_before: float | None) -> Json:
    """The columns of an update after a failed attempt."""
    if is_last:
        return ended(UpdateState.FAILED, now)
    return {"state": UpdateState.QUEUED, "owner": None, "lease_until": None, "not_before": not_before}


def ended(state: UpdateState, now: float) -> Json:
    """The columns of an update that is over."""
    return {"state": state, "owner": None, "lease_until": None, "finished_at": now}


def _oldest(connection: Connection, model: ModelRow, now: float) -> Row[tuple[object, ...]] | None:
    waiting = (updates.c.model_id == model.id, updates.c.state == UpdateState.QUEUED)
    # Asked again, now that we hold the model's lock: the look that chose it may be older than another's claim.
    is_free = ~exists().where(others.c.model_id == model.id, others.c.state == UpdateState.RUNNING)
    oldest = select(updates).where(*waiting, is_free).order_by(updates.c.number).limit(1).subquery()
    return connection.execute(select(oldest).where(_is_due(oldest, now))).one_or_none()


def _write_queued(connection: Connection, model: ModelRow, number: int, values: Json) -> None:
    this = (updates.c.model_id == model.id, updates.c.number == number, updates.c.state == UpdateState.QUEUED)
    changed = connection.execute(update(updates).where(*this).values(values))
    assert changed.rowcount == 1, "the model's lock keeps others from changing a queued update"


def _taken(attempt: int, prior: int, now: float, *, lease: Lease) -> Json:
    return {
        "state": UpdateState.RUNNING,
        "attempt": attempt,
        "prior": prior,
        "owner": lease.owner,
        "lease_until": now + lease.seconds,
        "started_at": now,
        "not_before": None,
        "step": None,
        "steps": None,
        "elbo": None,
    }


def _digests(connection: Connection, model: ModelRow, chunk: ChunkRow) -> tuple[str, ...]:
    held = batches.c.number.between(chunk.batch_first, chunk.batch_last)
    query = select(batches.c.digest).where(batches.c.model_id == model.id, held).order_by(batches.c.number)
    return tuple(connection.execute(query).scalars())


def _is_expired(now: float) -> ColumnElement[bool]:
    return and_(updates.c.state == UpdateState.RUNNING, updates.c.lease_until < now)


def _is_due(queued: FromClause, now: float) -> ColumnElement[bool]:
    return or_(queued.c.not_before.is_(None), queued.c.not_before <= now)

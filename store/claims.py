"""What a claim is made of: which models have something due, whose lease is over, which update is next.

The steps run inside the caller's transaction; all but the first look hold the model's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, FromClause, Row, Select, and_, exists, func, insert, or_, select, update
from sqlalchemy.sql import ColumnElement

from store.errors import AlreadyAbsorbed
from store.events import tell
from store.forgets import RunningForget, abandon, end_if_done, going_on, tip_of, told
from store.kinds import HEAD, EventKind, ForgetState, ParkingKind, UpdateState
from store.queries import decisions_on, find_chunk, find_version, newest_move, omitted_of, undecided_of
from store.schema.learning import batches, models, omissions, updates, versions
from store.tree import learned_among
from store.values import ChunkRow, Claim, Json, ModelRow

others = updates.alias("others")

EXPIRED = {
    "error_code": "lease-expired",
    "error_message": "The worker fell silent for longer than its lease; it may have been killed or run out of memory.",
}
SET_ASIDE = {
    "error_code": "set-aside",
    "error_message": "Every batch of the chunk is parked, discarded or forgotten: there is nothing to absorb.",
}


@dataclass(frozen=True)
class Lease:
    owner: str
    seconds: float


def due_models(connection: Connection, now: float) -> list[str]:
    """Models with a due update and no live lease, in turns; without locks.

    First comes the model whose newest version is oldest, so that nobody waits for all that another model has queued.
    Where that says nothing, it goes by how long an update has waited, then by the model's age.
    """
    is_due = and_(updates.c.state == UpdateState.QUEUED, _is_due(updates, now))
    is_held = exists().where(
        others.c.model_id == models.c.id,
        others.c.state == UpdateState.RUNNING,
        others.c.lease_until >= now,
    )
    newest = select(versions.c.created_at).where(versions.c.model_id == models.c.id).order_by(versions.c.number.desc())
    query = (
        select(models.c.name)
        .join(updates, updates.c.model_id == models.c.id)
        .where(is_due | _is_expired(now), ~is_held)
        .group_by(models.c.id, models.c.name)
        .order_by(newest.limit(1).scalar_subquery(), func.min(updates.c.created_at), models.c.id)
    )
    return list(connection.execute(query).scalars())


def expire(connection: Connection, model: ModelRow, now: float, *, attempts_max: int) -> None:
    """No update of the model runs under a lease that is over; that attempt has failed."""
    silent = (updates.c.model_id == model.id, _is_expired(now))
    row = connection.execute(select(updates).where(*silent)).one_or_none()
    if row is not None:
        is_last = row.failures + 1 >= attempts_max
        values = failed(now, is_last=is_last, not_before=None)
        connection.execute(update(updates).where(*silent).values({**values, **EXPIRED, "failures": row.failures + 1}))
        after_failure(connection, model, row.number, EXPIRED, is_last=is_last, forget=row.forget, now=now)


def after_failure(
    connection: Connection, model: ModelRow, number: int, error: Json, *, is_last: bool, forget: int | None, now: float
) -> None:
    """It is told that an attempt failed; a forget that it was a step of has failed with its last one."""
    facts = {"update": number, "is_final": is_last, "code": error["error_code"], "message": error["error_message"]}
    tell(connection, model.id, EventKind.FAILED, facts, at=now)
    if is_last and forget is not None:
        abandon(connection, model, forget, state=ForgetState.FAILED, error=error, now=now)


def take_oldest(connection: Connection, model: ModelRow, now: float, *, lease: Lease) -> Claim | None:
    """The model's oldest queued update runs under this lease; None when it is not due, or another one runs.

    The steps of a forget come before all others. What was set aside or learned from meanwhile is left out, and an
    update of nothing else is cancelled. Where head is moved by hand and has not answered yet, none is taken.
    """
    head = newest_move(connection, model.id, HEAD)
    assert head is not None
    forget = going_on(connection, model, head, now=now)
    if forget is None and undecided_of(connection, model, head) is not None:
        return None
    while (row := _oldest(connection, model, now, forget)) is not None:
        assert head.version is not None
        prior = head.version if forget is None else tip_of(connection, model.id, forget)
        chunk = find_chunk(connection, model, row.chunk)
        decided = decisions_on(connection, model.id, chunk.batch_first, chunk.batch_last)
        chosen = _to_learn(connection, model, row.number, chunk=chunk, decided=decided)
        learned = learned_among(connection, model.id, prior, chunk=chunk.number, among=chosen)
        left = [batch for batch in chosen if batch not in learned]
        if not left:
            absorbed = AlreadyAbsorbed(chunk=row.chunk, model=model.name, version=prior)
            _cancel(connection, model, row.number, error=told(absorbed) if chosen else SET_ASIDE, now=now)
            if forget is not None and end_if_done(connection, model, forget, now=now):
                return take_oldest(connection, model, now, lease=lease)
            continue
        _leave_out(connection, model, row.number, learned)
        _write_queued(connection, model, row.number, _taken(row.attempt + 1, prior, now, lease=lease))
        started = {"update": row.number, "attempt": row.attempt + 1, "chunk": chunk.number, "prior": prior}
        tell(connection, model.id, EventKind.STARTED, started, at=now)
        found = _rows_of(connection, model, chunk, left)
        return Claim(
            model_id=model.id,
            model=model.name,
            description=model.description,
            update=row.number,
            attempt=row.attempt + 1,
            failures=row.failures,
            chunk=chunk,
            prior=prior,
            prior_digest=find_version(connection, model, prior).digest,
            root_digest=find_version(connection, model, 0).digest,
            batches=tuple(left),
            batch_digests=tuple(row.digest for row in found),
            rows=sum(row.rows for row in found),
            released=frozenset(batch for batch, kind in decided.items() if kind == ParkingKind.RELEASE),
            lease_seconds=lease.seconds,
            head_seq=head.seq,
            forget=None if forget is None else forget.number,
            traceparents=tuple(row.traceparent for row in found),
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


def _to_learn(
    connection: Connection, model: ModelRow, number: int, *, chunk: ChunkRow, decided: dict[int, ParkingKind]
) -> list[int]:
    """The batches that the update is to learn from. Those that were set aside meanwhile, it leaves out from now on."""
    omitted = omitted_of(connection, model.id, [number]).get(number, frozenset())
    aside = {batch for batch, kind in decided.items() if kind != ParkingKind.RELEASE} - omitted
    _leave_out(connection, model, number, aside)
    return [batch for batch in chunk.batches if batch not in omitted | aside]


def _leave_out(connection: Connection, model: ModelRow, number: int, chosen: Collection[int]) -> None:
    if chosen:
        rows = [{"model_id": model.id, "update": number, "batch": batch} for batch in sorted(chosen)]
        connection.execute(insert(omissions), rows)


def _oldest(connection: Connection, model: ModelRow, now: float, forget: RunningForget | None) -> Row[Any] | None:
    waiting = (updates.c.model_id == model.id, updates.c.state == UpdateState.QUEUED)
    # Asked again, now that we hold the model's lock: the look that chose it may be older than another's claim.
    is_free = ~exists().where(others.c.model_id == model.id, others.c.state == UpdateState.RUNNING)
    of_forget = updates.c.forget == forget.number if forget else updates.c.forget.is_(None)
    queued = select(updates).where(*waiting, is_free).where(of_forget)
    oldest = queued.order_by(updates.c.number).limit(1).subquery()
    return connection.execute(select(oldest).where(_is_due(oldest, now))).one_or_none()


def _cancel(connection: Connection, model: ModelRow, number: int, *, error: Json, now: float) -> None:
    _write_queued(connection, model, number, ended(UpdateState.CANCELLED, now) | error)
    facts = {"update": number, "code": error["error_code"], "message": error["error_message"]}
    tell(connection, model.id, EventKind.CANCELLED, facts, at=now)


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


def _rows_of(connection: Connection, model: ModelRow, chunk: ChunkRow, chosen: list[int]) -> Sequence[Row[Any]]:
    """The chosen batches of the chunk, in their order."""
    held = batches.c.number.between(chunk.batch_first, chunk.batch_last)
    columns = (batches.c.number, batches.c.digest, batches.c.rows, batches.c.traceparent)
    query: Select[Any] = select(*columns).where(batches.c.model_id == model.id, held)
    taken = frozenset(chosen)
    return [row for row in connection.execute(query.order_by(batches.c.number)) if row.number in taken]


def _is_expired(now: float) -> ColumnElement[bool]:
    return and_(updates.c.state == UpdateState.RUNNING, updates.c.lease_until < now)


def _is_due(queued: FromClause, now: float) -> ColumnElement[bool]:
    return or_(queued.c.not_before.is_(None), queued.c.not_before <= now)

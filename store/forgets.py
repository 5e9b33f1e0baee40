"""Head's line, learned anew without some batches: steps inside the caller's transaction, which holds the model's lock.

A forget is a chain of updates aside: the first starts from the version before the first of the batches, each later one
from what the one before it has published. Nobody sees them until the last is published; then head moves, once. Where
head moves meanwhile, by anybody, the forget has failed: it was asked of another line.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from store.errors import ForgetOvertaken, Problem
from store.events import tell
from store.kinds import HEAD, OPEN, EventKind, ForgetState, MoveKind, UpdateState
from store.schema.learning import forgets, moves, updates, versions
from store.values import Json, ModelRow, MoveRow
from store.waker import announce
from store.writes import insert_move


@dataclass(frozen=True)
class RunningForget:
    """The forget whose steps are next."""

    number: int
    batches: tuple[int, ...]
    base: int
    head_seq: int
    """Head's newest move when it was asked for."""
    head: int
    """Where head was then."""
    asked_by: str
    reason: str


def running_forget(connection: Connection, model_id: int) -> RunningForget | None:
    """There is one at most, by an index."""
    of_head = (moves.c.model_id == model_id, moves.c.alias == HEAD, moves.c.seq == forgets.c.head_seq)
    version = select(moves.c.version).where(*of_head).scalar_subquery()
    query = select(forgets, version.label("was")).where(
        forgets.c.model_id == model_id, forgets.c.state == ForgetState.RUNNING
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return RunningForget(
        number=row.number,
        batches=tuple(row.batches),
        base=row.base,
        head_seq=row.head_seq,
        head=row.was,
        asked_by=row.asked_by,
        reason=row.reason,
    )


def going_on(connection: Connection, model: ModelRow, head: MoveRow, *, now: float) -> RunningForget | None:
    """The forget whose steps are next; one that head moved away from has failed."""
    forget = running_forget(connection, model.id)
    if forget is None or forget.head_seq == head.seq:
        return forget
    overtaken = ForgetOvertaken(model=model.name, head=forget.head, forget=forget.number)
    abandon(connection, model, forget.number, state=ForgetState.FAILED, error=told(overtaken), now=now)
    return None


def tip_of(connection: Connection, model_id: int, forget: RunningForget) -> int:
    """The version that its next step starts from: what the newest of its steps has published, else its base."""
    of_step = (versions.c.model_id == updates.c.model_id, versions.c["update"] == updates.c.number)
    query = select(func.max(versions.c.number)).select_from(updates.join(versions, of_step[0] & of_step[1]))
    newest = connection.execute(query.where(updates.c.model_id == model_id, updates.c.forget == forget.number)).scalar()
    return forget.base if newest is None else int(newest)


def end_if_done(connection: Connection, model: ModelRow, forget: RunningForget, *, now: float) -> bool:
    """True where no step is left: the forget is done, and head has moved to the end of its line if it is another."""
    left = select(updates.c.number).where(updates.c.model_id == model.id, updates.c.forget == forget.number)
    if connection.execute(left.where(updates.c.state.in_(OPEN)).limit(1)).scalar() is not None:
        return False
    head = tip_of(connection, model.id, forget)
    _write(connection, model, forget.number, {"state": ForgetState.DONE, "head": head, "finished_at": now})
    named = ", ".join(map(str, forget.batches))
    reason = forget.reason or f"forget {forget.number}: without batch{'es' * (len(forget.batches) > 1)} {named}"
    move = {"alias": HEAD, "version": head, "kind": MoveKind.FORGET, "moved_by": forget.asked_by, "reason": reason}
    if head != forget.head:
        insert_move(connection, model.id, move | {"moved_at": now})
    facts = {"forget": forget.number, "batches": list(forget.batches), "head": head, "by": forget.asked_by}
    tell(connection, model.id, EventKind.FORGOTTEN, facts, at=now)
    return True


def abandon(
    connection: Connection, model: ModelRow, number: int, *, state: ForgetState, error: Json, now: float
) -> None:
    """The forget is over without having moved head; what is left of its steps is cancelled."""
    _write(connection, model, number, {"state": state, "finished_at": now} | error)
    left = (updates.c.model_id == model.id, updates.c.forget == number, updates.c.state.in_(OPEN))
    values = {"state": UpdateState.CANCELLED, "owner": None, "lease_until": None, "finished_at": now}
    connection.execute(update(updates).where(*left).values(values | error))
    kind = EventKind.CANCELLED if state == ForgetState.CANCELLED else EventKind.FAILED
    facts = {"forget": number, "is_final": True, "code": error["error_code"], "message": error["error_message"]}
    tell(connection, model.id, kind, facts, at=now)
    announce(connection)


def told(problem: Problem) -> Json:
    """The columns of what ended so."""
    return {"error_code": problem.code, "error_message": str(problem)}


def _write(connection: Connection, model: ModelRow, number: int, values: Json) -> None:
    this = (forgets.c.model_id == model.id, forgets.c.number == number, forgets.c.state == ForgetState.RUNNING)
    changed = connection.execute(update(forgets).where(*this).values(values))
    assert changed.rowcount == 1, "the model's lock keeps others from ending a forget"

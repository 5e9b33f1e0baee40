"""Forgetting batches, asked for: head's line is planned anew without them, and the steps are queued. One transaction.

What comes of it is in store/forgets.py and store/claims.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select

from store.engine import Clock, database_clock, for_writing
from store.errors import BatchNotFound, ForgetBusy, ForgetNotFound, RowsMissing, UpdateFinished
from store.forgets import abandon, end_if_done, going_on, running_forget
from store.kinds import HEAD, ForgetState, ParkingKind, UpdateState
from store.parking import Decision, decide, give_back
from store.queries import batches_of, deleted_among, find_model, find_version, must_be_decided, newest_move, next_number
from store.schema.learning import batches, forgets, updates
from store.tree import learned_of, made_since
from store.values import ModelRow, MoveRow, Part
from store.waker import announce
from store.writes import lock_model, queue_update

LIMIT = 100

REPLAY = "replay"
"""How a forget is done: what followed is learned again."""
APPROXIMATELY = 'ask with "method": "approximate", which divides the posterior and is not exact'


@dataclass(frozen=True)
class ForgetRow:
    """Head's line, learned anew without these batches; clients see the old head until it is done."""

    number: int
    batches: tuple[int, ...]
    method: str
    state: ForgetState
    base: int
    """The version that it starts from."""
    head: int | None
    """Where head moved to; None until it is done."""
    updates: tuple[int, ...]
    """Its steps, in their order."""
    published: int
    """How many of them are done."""
    error_code: str | None
    error_message: str | None
    asked_by: str
    reason: str
    created_at: float
    finished_at: float | None


class Forgetting:
    """Forgets: asked for, read and cancelled; `clock` tells the time inside a transaction, else the database does."""

    def __init__(self, engine: Engine, *, clock: Clock = database_clock) -> None:
        self.engine = for_writing(engine)
        self.reading = engine
        self.clock = clock

    def forget(self, name: str, numbers: Sequence[int], *, actor: str, reason: str = "") -> ForgetRow:
        """Nothing will learn from these batches any more, and head's line is being learned anew without them.

        Where head has not learned from any, or only in its last steps, the forget is done at once.

        Raises:
            BatchNotFound: there is no such batch.
            ForgetBusy: another forget of the model is under way.
            HeadUndecided: a version waits for head to be moved by hand.
            RowsMissing: rows that would be learned again are gone.
        """
        with self.engine.begin() as connection:
            model, now = lock_model(connection, name), self.clock(connection)
            head = newest_move(connection, model.id, HEAD)
            assert head is not None
            if (busy := going_on(connection, model, head, now=now)) is not None:
                raise ForgetBusy(model=name, forget=busy.number)
            must_be_decided(connection, model, head)
            chosen = frozenset(numbers)
            must_exist(connection, model, chosen)
            base, plan = _plan(connection, model, head, chosen)
            for batch in sorted(chosen):
                decide(connection, model, batch, Decision(ParkingKind.FORGET, actor, reason), now=now)
            give_back(connection, model, updates.c.number > 0)
            number = next_number(connection, model.id, forgets.c.number)
            facts = {"batches": sorted(chosen), "method": REPLAY, "base": base, "head_seq": head.seq}
            asked = {"asked_by": actor, "reason": reason, "created_at": now}
            own = {"model_id": model.id, "number": number, "state": ForgetState.RUNNING}
            connection.execute(insert(forgets).values(**own, **facts, **asked))
            for part in plan:
                queue_update(connection, model, part.chunk, now=now, omitted=part.left_out, forget=number)
            forget = running_forget(connection, model.id)
            assert forget is not None
            if not plan:
                end_if_done(connection, model, forget, now=now)
            announce(connection)
            return _find(connection, model, number)

    def cancel(self, name: str, number: int) -> ForgetRow:
        """The forget is over, and head stays where it is. The batches stay forgotten for all that comes later.

        Raises:
            ForgetNotFound: there is none.
            UpdateFinished: it has ended before.
        """
        with self.engine.begin() as connection:
            model, now = lock_model(connection, name), self.clock(connection)
            found = _find(connection, model, number)
            if found.state != ForgetState.RUNNING:
                raise UpdateFinished(what=f"Forget {number}", model=name, state=found.state)
            error = {"error_code": "cancelled", "error_message": "Somebody cancelled it."}
            abandon(connection, model, number, state=ForgetState.CANCELLED, error=error, now=now)
            return _find(connection, model, number)

    def find(self, name: str, number: int) -> ForgetRow:
        """How far the forget is.

        Raises:
            ForgetNotFound: there is none.
        """
        with self.reading.begin() as connection:
            return _find(connection, find_model(connection, name), number)

    def list(self, name: str, *, after: int = 0, limit: int = LIMIT) -> list[ForgetRow]:
        """The forgets of the model, the oldest first."""
        with self.reading.begin() as connection:
            model = find_model(connection, name)
            query = select(forgets).where(forgets.c.model_id == model.id, forgets.c.number > after)
            rows = connection.execute(query.order_by(forgets.c.number).limit(limit)).all()
            return [_to_forget(connection, model, row) for row in rows]


def _plan(connection: Connection, model: ModelRow, head: MoveRow, chosen: frozenset[int]) -> tuple[int, list[Part]]:
    """Where the line begins anew, and what is absorbed from there on, in order; head and nothing where all may stay.

    Raises:
        RowsMissing: rows of it are gone.
    """
    assert head.version is not None
    touched = [part for part in line_with(connection, model, head.version, chosen) if chosen & set(part.batches)]
    if not touched:
        return head.version, []
    first = find_version(connection, model, min(part.version for part in touched))
    assert first.parent is not None
    later = learned_of(connection, model.id, head.version, since=first.depth - 1)
    left = [replace(part, omitted=part.omitted | (chosen & set(part.batches))) for part in later]
    plan = [part for part in left if part.batches]
    if gone := deleted_among(connection, model.id, [batch for part in plan for batch in part.batches]):
        raise _missing(model, first.parent, chosen, f"the rows of batch {', '.join(map(str, gone))} were deleted")
    if (number := made_since(connection, model.id, head.version, depth=first.depth)) is not None:
        # By division: an imported version has nothing before it that could be forgotten.
        divided = find_version(connection, model, number)
        gone_for = f"version {number} was made by dividing, not from rows"
        instead = f"roll back to version {divided.parent}, the one before it, and forget them then"
        raise _missing(model, first.parent, chosen, gone_for, instead=instead)
    return first.parent, plan


def line_with(connection: Connection, model: ModelRow, head: int, chosen: frozenset[int]) -> list[Part]:
    """What head's line has absorbed of the chunks that hold these batches."""
    query = batches_of(model.id).where(batches.c.number.in_(chosen))
    numbers = {row.chunk for row in connection.execute(query) if row.chunk is not None}
    return [part for chunk in sorted(numbers) for part in learned_of(connection, model.id, head, chunk=chunk)]


def _missing(
    model: ModelRow, base: int, chosen: frozenset[int], gone: str, *, instead: str = APPROXIMATELY
) -> RowsMissing:
    return RowsMissing(
        batches=", ".join(map(str, sorted(chosen))),
        model=model.name,
        base=base,
        gone=gone,
        instead=instead,
    )


def must_exist(connection: Connection, model: ModelRow, chosen: frozenset[int]) -> None:
    """Nothing happens where the model has these batches.

    Raises:
        BatchNotFound: one does not exist.
    """
    query = select(batches.c.number).where(batches.c.model_id == model.id, batches.c.number.in_(chosen))
    for number in sorted(chosen - set(connection.execute(query).scalars())):
        raise BatchNotFound(model=model.name, batch=number)


def _find(connection: Connection, model: ModelRow, number: int) -> ForgetRow:
    query = select(forgets).where(forgets.c.model_id == model.id, forgets.c.number == number)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise ForgetNotFound(model=model.name, forget=number)
    return _to_forget(connection, model, row)


def _to_forget(connection: Connection, model: ModelRow, row: Row[Any]) -> ForgetRow:
    of_forget = (updates.c.model_id == model.id, updates.c.forget == row.number)
    steps = connection.execute(select(updates.c.number, updates.c.state).where(*of_forget)).all()
    plain = ("number", "method", "base", "head", "error_code", "error_message", "asked_by", "reason", "created_at")
    return ForgetRow(
        batches=tuple(row.batches),
        state=ForgetState(row.state),
        updates=tuple(sorted(step.number for step in steps)),
        published=sum(step.state == UpdateState.PUBLISHED for step in steps),
        finished_at=row.finished_at,
        **{name: row._mapping[name] for name in plain},
    )

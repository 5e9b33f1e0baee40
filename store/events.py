"""What happens to a model, written down in the transaction that does it, and read from any number on.

The writers hold the model's lock, so the numbers are in the order of the commits: who has read up to one has missed
nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Integer, Row, and_, bindparam, func, insert, select

from store.kinds import EventKind, UpdateState
from store.queries import find_model
from store.schema.beside import events
from store.schema.learning import models, updates
from store.values import Json

LIMIT = 100
NAMED = frozenset({"model", "number", "kind", "at"})
"""What every event is told with; its facts have other names."""

Happened = tuple[EventKind, Json]

NEWEST = select(func.coalesce(func.max(events.c.number), 0)).where(
    events.c.model_id == bindparam("model_id", type_=Integer)
)
ADD = insert(events)
"""Asked in nearly every write, and so built once."""


@dataclass(frozen=True)
class EventRow:
    """Something that happened; `number` counts the model's events in the order of their commits."""

    number: int
    kind: EventKind
    facts: Json
    at: float


def tell(connection: Connection, model_id: int, kind: EventKind, facts: Json, *, at: float) -> None:
    """It is the newest event of the model when the caller's transaction commits."""
    tell_all(connection, model_id, [(kind, facts)], at=at)


def tell_all(connection: Connection, model_id: int, happened: Sequence[Happened], *, at: float) -> None:
    """They are the newest events of the model, in this order."""
    assert not any(NAMED & facts.keys() for _, facts in happened)
    if happened:
        first = connection.execute(NEWEST, {"model_id": model_id}).scalar_one() + 1
        rows = [
            {"model_id": model_id, "number": first + offset, "kind": kind, "facts": facts, "at": at}
            for offset, (kind, facts) in enumerate(happened)
        ]
        connection.execute(ADD, rows)


@dataclass(frozen=True)
class Running:
    """How far the running update of a model is."""

    update: int
    step: int
    steps: int
    elbo: float | None


@dataclass(frozen=True)
class Standing:
    """Where a model stands: the number of its newest event, 0 before the first, and the update under way."""

    model_id: int
    newest: int
    running: Running | None


class Events:
    """The events of models, read."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def after(
        self, name: str, number: int, *, limit: int = LIMIT, kinds: Collection[EventKind] | None = None
    ) -> list[EventRow]:
        """The events of the model after this number, the oldest first; only those of these kinds, where some are given.

        Raises:
            ModelNotFound: there is none of this name.
        """
        with self.engine.begin() as connection:
            return read_after(connection, find_model(connection, name).id, number, limit=limit, kinds=kinds)

    def of(
        self, model_id: int, number: int, *, limit: int = LIMIT, kinds: Collection[EventKind] | None = None
    ) -> list[EventRow]:
        """The events of the model with this id after this number, the oldest first; `kinds` as for `after`."""
        with self.engine.begin() as connection:
            return read_after(connection, model_id, number, limit=limit, kinds=kinds)

    def newest(self, name: str) -> int:
        """The number of the model's newest event; 0 before the first.

        Raises:
            ModelNotFound: there is none of this name.
        """
        return self.standing(name).newest

    def standing(self, name: str) -> Standing:
        """Where the model stands.

        Raises:
            ModelNotFound: there is none of this name.
        """
        with self.engine.begin() as connection:
            return _standings(connection, [find_model(connection, name).id])[0]

    def standings(self, model_ids: Collection[int]) -> list[Standing]:
        """Where each of these models stands, by one query."""
        with self.engine.begin() as connection:
            return _standings(connection, model_ids)


def read_after(
    connection: Connection,
    model_id: int,
    number: int,
    *,
    limit: int,
    kinds: Collection[EventKind] | None = None,
) -> list[EventRow]:
    """The events of the model after this number, the oldest first; only those of these kinds, where some are given."""
    query = select(events).where(events.c.model_id == model_id, events.c.number > number)
    if kinds is not None:
        query = query.where(events.c.kind.in_(kinds))
    return [to_event(row) for row in connection.execute(query.order_by(events.c.number).limit(limit))]


def to_event(row: Row[Any]) -> EventRow:
    return EventRow(number=row.number, kind=EventKind(row.kind), facts=row.facts, at=row.at)


def _standings(connection: Connection, model_ids: Collection[int]) -> list[Standing]:
    # Of each model by itself: SQLite looks at every event where it groups them.
    newest = select(func.coalesce(func.max(events.c.number), 0)).where(events.c.model_id == models.c.id)
    on = and_(updates.c.model_id == models.c.id, updates.c.state == UpdateState.RUNNING, updates.c.step.is_not(None))
    columns = (updates.c.number, updates.c.step, updates.c.steps, updates.c.elbo)
    query = select(models.c.id, newest.scalar_subquery().label("newest"), *columns)
    found = connection.execute(query.select_from(models.outerjoin(updates, on)).where(models.c.id.in_(model_ids)))
    return [
        Standing(row.id, row.newest, None if row.number is None else Running(row.number, row.step, row.steps, row.elbo))
        for row in found
    ]

"""What happens to a model, written down in the transaction that does it, and read from any number on.

The writers hold the model's lock, so the numbers are in the order of the commits: who has read up to one has missed
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, func, insert, select

from store.queries import find_model, next_number
from store.schema import events
from store.values import EventKind, EventRow, Json

LIMIT = 100

Happened = tuple[EventKind, Json]


def tell(connection: Connection, model_id: int, kind: EventKind, facts: Json, *, at: float) -> None:
    """It is the newest event of the model when the caller's transaction commits."""
    tell_all(connection, model_id, [(kind, facts)], at=at)


def tell_all(connection: Connection, model_id: int, happened: Sequence[Happened], *, at: float) -> None:
    """They are the newest events of the model, in this order."""
    if happened:
        first = next_number(connection, model_id, events.c.number)
        rows = [
            {"model_id": model_id, "number": first + offset, "kind": kind, "facts": facts, "at": at}
            for offset, (kind, facts) in enumerate(happened)
        ]
        connection.execute(insert(events), rows)


class Events:
    """The events of models, read."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def after(self, name: str, number: int, *, limit: int = LIMIT) -> list[EventRow]:
        """The events of the model after this number, the oldest first.

        Raises:
            ModelNotFound: there is none of this name.
        """
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            query = select(events).where(events.c.model_id == model.id, events.c.number > number)
            return [
                EventRow(number=row.number, kind=EventKind(row.kind), facts=row.facts, at=row.at)
                for row in connection.execute(query.order_by(events.c.number).limit(limit))
            ]

    def newest(self, name: str) -> int:
        """The number of the model's newest event; 0 before the first.

        Raises:
            ModelNotFound: there is none of this name.
        """
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            query = select(func.coalesce(func.max(events.c.number), 0)).where(events.c.model_id == model.id)
            return int(connection.execute(query).scalar_one())

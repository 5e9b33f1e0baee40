"""What is owed to webhooks, and who sees to it: a lease on the webhook's row keeps two senders apart.

The events go out in their order. `delivered` moves when the receiver took one, so whoever takes the webhook up after a
sender that died sends that event again, and none is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, CursorResult, Engine, and_, func, or_, select, update
from sqlalchemy.sql import ColumnElement

from store.engine import Clock, database_clock, for_writing
from store.events import EventRow, read_after
from store.kinds import EventKind
from store.schema.beside import events, webhooks
from store.schema.learning import models
from store.values import Json
from store.webhooks import ended, kinds_of

ERROR_LENGTH_MAX = 500
DUE_MAX = 20


@dataclass(frozen=True)
class Delivery:
    """The right to send to one webhook, while it is made use of within the lease."""

    model_id: int
    model: str
    webhook: int
    url: str
    kinds: tuple[EventKind, ...] | None
    secret: str = field(repr=False)
    failures: int
    owner: str
    """This right and no other."""


@dataclass(frozen=True)
class Full:
    """Whose webhooks are not to be sent to now, as a sender has no place left for them."""

    models: frozenset[int] = frozenset()
    failing: frozenset[int] = frozenset()
    """Of these models none whose receiver did not take what it was sent last."""
    is_failing: bool = False
    """The same of every model."""

    def __bool__(self) -> bool:
        return bool(self.models or self.failing or self.is_failing)


NOBODY = Full()


class Deliveries:
    """Safe for many threads and processes at once; leases are timed by the database's clock."""

    def __init__(self, engine: Engine, *, lease_seconds: float, clock: Clock = database_clock) -> None:
        self.engine = engine
        self.lease_seconds = lease_seconds
        self.clock = clock

    def claim(self, *, but: Full = NOBODY) -> Delivery | None:
        """The right to send to the webhook that has waited longest of those that are owed something; None: none is.

        However many of the models that are full are owed something, those of all others are found.
        """
        newest = select(func.max(events.c.number)).where(events.c.model_id == webhooks.c.model_id).scalar_subquery()
        with self.engine.begin() as connection:
            due = select(webhooks.c.model_id, webhooks.c.number).where(
                _is_free(self.clock(connection)), newest > webhooks.c.delivered, _has_place(but)
            )
            oldest = due.order_by(func.coalesce(webhooks.c.delivered_at, 0.0)).limit(DUE_MAX)
            found = connection.execute(oldest).all()
        return next((taken for row in found if (taken := self._take(row.model_id, row.number)) is not None), None)

    def next(self, delivery: Delivery) -> EventRow | None:
        """The event to be sent; None: there is none now, and those of other kinds count as delivered."""
        mine = select(webhooks.c.delivered).where(_is(delivery))
        with self.engine.begin() as connection:
            delivered = connection.execute(mine).scalar_one_or_none()
            if delivered is None:
                return None
            newest = select(func.max(events.c.number)).where(events.c.model_id == delivery.model_id)
            passed = connection.execute(newest).scalar_one_or_none() or 0
            found = read_after(connection, delivery.model_id, delivered, limit=1, kinds=delivery.kinds)
        # What was committed between the two looks may be one of its kinds, but is not passed by.
        if not found and passed > delivered:
            self._write(delivery, {"delivered": passed})
        return found[0] if found else None

    def took(self, delivery: Delivery, number: int) -> bool:
        """The receiver has the event; False: somebody else sends now, or the webhook was removed."""
        done = {"delivered": number, "failures": 0, "not_before": None, "last_error": None}
        return self._write(delivery, done, stamp="delivered_at")

    def failed(self, delivery: Delivery, error: str, *, pause_seconds: float) -> bool:
        """The same event is sent again after the pause, by whoever comes first; False: as `took`."""
        values = {"failures": webhooks.c.failures + 1, "last_error": error[:ERROR_LENGTH_MAX]}
        with for_writing(self.engine).begin() as connection:
            not_before = self.clock(connection) + pause_seconds
            return _set(connection, delivery, values | {"not_before": not_before, "owner": None, "lease_until": None})

    def gone(self, delivery: Delivery) -> bool:
        """The receiver wants nothing any more, and the webhook is removed; False: as `took`."""
        with for_writing(self.engine).begin() as connection:
            return _set(connection, delivery, ended(self.clock(connection)) | {"last_error": "answered 410 Gone"})

    def release(self, delivery: Delivery) -> bool:
        """Anybody may send at once; False: as `took`."""
        with for_writing(self.engine).begin() as connection:
            return _set(connection, delivery, {"owner": None, "lease_until": None})

    def _take(self, model_id: int, number: int) -> Delivery | None:
        owner = str(uuid4())
        named = and_(webhooks.c.model_id == model_id, webhooks.c.number == number)
        with for_writing(self.engine).begin() as connection:
            now = self.clock(connection)
            lease = {"owner": owner, "lease_until": now + self.lease_seconds}
            taken: CursorResult[Any] = connection.execute(update(webhooks).where(named, _is_free(now)).values(lease))
            if taken.rowcount != 1:
                return None
            query = select(webhooks, models.c.name).join(models, models.c.id == webhooks.c.model_id).where(named)
            row = connection.execute(query).one()
        return Delivery(
            model_id=model_id,
            model=row.name,
            webhook=number,
            url=row.url,
            kinds=kinds_of(row),
            secret=row.secret,
            failures=row.failures,
            owner=owner,
        )

    def _write(self, delivery: Delivery, values: Json, *, stamp: str | None = None) -> bool:
        """The values are in the row, and the lease runs anew."""
        with for_writing(self.engine).begin() as connection:
            now = self.clock(connection)
            stamped = {} if stamp is None else {stamp: now}
            return _set(connection, delivery, values | stamped | {"lease_until": now + self.lease_seconds})


def _is_free(now: float) -> ColumnElement[bool]:
    """True of a webhook that anybody may take."""
    no_lease = or_(webhooks.c.lease_until.is_(None), webhooks.c.lease_until <= now)
    no_pause = or_(webhooks.c.not_before.is_(None), webhooks.c.not_before <= now)
    return and_(webhooks.c.removed_at.is_(None), no_lease, no_pause)


def _has_place(full: Full) -> ColumnElement[bool]:
    """True of a webhook that its sender has a place for."""
    took = webhooks.c.failures == 0
    of_failing = took if full.is_failing else or_(took, webhooks.c.model_id.not_in(full.failing))
    return and_(webhooks.c.model_id.not_in(full.models), of_failing)


def _is(delivery: Delivery) -> ColumnElement[bool]:
    """True of its webhook, while nobody else has taken it."""
    return and_(
        webhooks.c.model_id == delivery.model_id,
        webhooks.c.number == delivery.webhook,
        webhooks.c.owner == delivery.owner,
        webhooks.c.removed_at.is_(None),
    )


def _set(connection: Connection, delivery: Delivery, values: Json) -> bool:
    written: CursorResult[Any] = connection.execute(update(webhooks).where(_is(delivery)).values(values))
    return written.rowcount == 1

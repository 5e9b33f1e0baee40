"""Webhooks: who is told of a model's events, from the newest one of the moment on. One call is one transaction."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, Row, Select, func, insert, select, update

from store.engine import Clock, database_clock, for_writing
from store.errors import WebhookNotFound, WebhooksTooMany
from store.kinds import EventKind
from store.queries import find_model, next_number
from store.schema.beside import events, webhooks
from store.values import Json
from store.writes import lock_model

PREFIX = "whsec_"
"""As the Standard Webhooks specification has it; what follows is base64."""
SECRET_BYTES = 32
LIMIT = 100
WEBHOOKS_MAX = 100
"""Of one model: all of them are owed each of its events."""


@dataclass(frozen=True)
class WebhookRow:
    """A webhook without its secret, and how far it is."""

    number: int
    url: str
    kinds: tuple[EventKind, ...] | None
    """What it is told; None: everything."""
    created_by: str
    created_at: float
    delivered: int
    """The number of the last event that its receiver took, or that it need not be told."""
    newest: int
    """The number of the model's newest event."""
    failures: int
    """Of the event that is next, one after the other."""
    not_before: float | None
    last_error: str | None
    delivered_at: float | None


@dataclass(frozen=True)
class NewWebhook:
    """The only moment in which the secret is shown."""

    row: WebhookRow
    secret: str = field(repr=False)


class Webhooks:
    """The table of webhooks; `clock` tells the time inside a transaction, by default the database's."""

    def __init__(self, engine: Engine, *, clock: Clock = database_clock) -> None:
        self.engine = engine
        self.clock = clock

    def create(self, name: str, url: str, *, kinds: Collection[EventKind] | None, created_by: str) -> NewWebhook:
        """What happens to the model from now on is told there.

        Raises:
            ModelNotFound: there is none of this name.
            WebhooksTooMany: the model has as many as it may have.
        """
        secret = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        with for_writing(self.engine).begin() as connection:
            model = lock_model(connection, name)
            if _count(connection, model.id) >= WEBHOOKS_MAX:
                raise WebhooksTooMany(model=name, webhooks=WEBHOOKS_MAX)
            number = next_number(connection, model.id, webhooks.c.number)
            values = {
                "model_id": model.id,
                "number": number,
                "url": url,
                "kinds": None if kinds is None else sorted(kinds),
                "secret": secret,
                "created_by": created_by,
                "created_at": self.clock(connection),
                "delivered": next_number(connection, model.id, events.c.number) - 1,
                "failures": 0,
            }
            connection.execute(insert(webhooks).values(values))
            return NewWebhook(_find(connection, name, number), secret)

    def list(self, name: str, *, after: int = 0, limit: int = LIMIT) -> list[WebhookRow]:
        """The webhooks of the model that were not removed, the oldest first, after this number.

        Raises:
            ModelNotFound: there is none of this name.
        """
        with self.engine.begin() as connection:
            query = _of(find_model(connection, name).id).where(webhooks.c.number > after)
            return [_to_webhook(row) for row in connection.execute(query.order_by(webhooks.c.number).limit(limit))]

    def find(self, name: str, number: int) -> WebhookRow:
        """The webhook of this number.

        Raises:
            ModelNotFound, WebhookNotFound: there is none, or it was removed.
        """
        with self.engine.begin() as connection:
            return _find(connection, name, number)

    def remove(self, name: str, number: int) -> None:
        """Nothing is told there any more, but what is on its way; its secret is gone.

        Raises:
            ModelNotFound, WebhookNotFound: there is none, or it was removed.
        """
        with for_writing(self.engine).begin() as connection:
            _find(connection, name, number)
            named = (webhooks.c.model_id == find_model(connection, name).id, webhooks.c.number == number)
            removed: CursorResult[Any] = connection.execute(
                update(webhooks).where(*named, webhooks.c.removed_at.is_(None)).values(ended(self.clock(connection)))
            )
            if removed.rowcount != 1:
                raise WebhookNotFound(model=name, webhook=number)


def ended(now: float) -> Json:
    """What a webhook is that nothing is told any more."""
    return {"removed_at": now, "secret": "", "owner": None, "lease_until": None}


def _of(model_id: int) -> Select[Any]:
    newest = select(func.coalesce(func.max(events.c.number), 0)).where(events.c.model_id == model_id)
    return select(webhooks, newest.scalar_subquery().label("newest")).where(
        webhooks.c.model_id == model_id, webhooks.c.removed_at.is_(None)
    )


def _count(connection: Connection, model_id: int) -> int:
    there = (webhooks.c.model_id == model_id, webhooks.c.removed_at.is_(None))
    return int(connection.execute(select(func.count()).select_from(webhooks).where(*there)).scalar_one())


def _find(connection: Connection, name: str, number: int) -> WebhookRow:
    model = find_model(connection, name)
    row = connection.execute(_of(model.id).where(webhooks.c.number == number)).one_or_none()
    if row is None:
        raise WebhookNotFound(model=name, webhook=number)
    return _to_webhook(row)


def _to_webhook(row: Row[Any]) -> WebhookRow:
    plain = {name: row._mapping[name] for name in WebhookRow.__dataclass_fields__ if name != "kinds"}
    return WebhookRow(kinds=kinds_of(row), **plain)


def kinds_of(row: Row[Any]) -> tuple[EventKind, ...] | None:
    """The kinds that the webhook is told."""
    return None if row.kinds is None else tuple(map(EventKind, row.kinds))

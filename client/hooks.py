"""Webhooks: addresses that the service tells what happens to a model."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from client.calls import Call, ask, every
from client.values import Resource
from client.wire import Request, get, post, url_path


@dataclass(frozen=True, kw_only=True)
class Webhook(Resource):
    """An address, and how far it is; `kinds` None: it is told everything."""

    model: str
    webhook: int
    url: str
    kinds: tuple[str, ...] | None
    created_by: str
    created_at: datetime
    delivered: int
    pending: int
    delivered_at: datetime | None = None
    failures: int = 0
    last_error: str | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class NewWebhook(Webhook):
    """The only answer that shows the secret, by which messages are signed."""

    secret: str = field(repr=False)


def create_webhook(model: str, url: str, *, kinds: Collection[str] | None = None) -> Call[NewWebhook]:
    """The address is told what happens from now on: events of these kinds, or all.

    Raises:
        ServiceProblem: the service may not send there.
    """
    body = {"url": url, "kinds": None if kinds is None else list(kinds)}
    return (yield from ask(post("models", model, "webhooks", body=body), NewWebhook))


def webhooks(model: str) -> Call[tuple[Webhook, ...]]:
    """The webhooks of the model that were not removed, the oldest first.

    Raises:
        ServiceProblem: `model-not-found`.
    """
    return (yield from every(Webhook, "models", model, "webhooks"))


def webhook(model: str, webhook: int) -> Call[Webhook]:
    """The webhook, how far it is, and how often and why its receiver failed.

    Raises:
        ServiceProblem: `webhook-not-found`.
    """
    return (yield from ask(get("models", model, "webhooks", webhook), Webhook))


def remove_webhook(model: str, webhook: int) -> Call[None]:
    """The address is told nothing any more.

    Raises:
        ServiceProblem: `webhook-not-found`.
    """
    yield Request("DELETE", url_path("models", model, "webhooks", webhook))

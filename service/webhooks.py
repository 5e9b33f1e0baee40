"""Webhooks: addresses that are told of a model's events, and how far each of them is."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from service.bodies import parse
from service.callers import ANYBODY, TheCaller
from service.openapi import takes
from service.problems import declared
from service.rejected import BodyInvalid, BodyTooLarge, JsonInvalid, JsonTooLarge, MediaTypeUnsupported, QueryInvalid
from service.requests import JsonOnly, ModelName, NumberedPageAsked, PathNumber, RawBody, TheHouse
from service.resources import NextCursor, moment
from service.schemas import WebhookBody
from store.errors import ModelNotFound, WebhookNotFound, WebhooksTooMany, WebhookUnusable
from store.kinds import EventKind
from store.webhooks import WebhookRow

router = APIRouter(prefix="/v1/models/{model}/webhooks", tags=["events"])


class WebhookResource(BaseModel):
    """A webhook without its secret, and how far it is."""

    model: str
    webhook: int = Field(examples=[1])
    url: str = Field(examples=["https://hooks.example.com/posterity"])
    kinds: list[EventKind] | None = Field(description="What it is told; null: everything.", examples=[["published"]])
    created_by: str
    created_at: datetime
    delivered: int = Field(description="The last event that the receiver took, or that it need not be told.")
    pending: int = Field(description="Events since then.")
    delivered_at: datetime | None = Field(description="When the receiver took the last one.")
    failures: int = Field(description="How often the next event was refused, or not answered, so far.")
    last_error: str | None = Field(description="Why, the last time.", examples=["answered 500"])
    next_attempt_at: datetime | None = Field(description="When it is sent again; null: as soon as there is an event.")


class NewWebhookResource(WebhookResource):
    secret: str = Field(description="Shown this once.", examples=[f"whsec_{'A' * 43}="])


class WebhookList(BaseModel):
    webhooks: list[WebhookResource]
    next_cursor: NextCursor


@router.post(
    "",
    operation_id="create_webhook",
    status_code=201,
    dependencies=[JsonOnly],
    openapi_extra=takes(WebhookBody),
    responses=declared(
        *(JsonInvalid, JsonTooLarge, BodyInvalid, BodyTooLarge, MediaTypeUnsupported, ModelNotFound, WebhookUnusable),
        WebhooksTooMany,
    ),
)
def create_webhook(
    *, model: ModelName, raw: RawBody, caller: TheCaller, house: TheHouse, response: Response
) -> NewWebhookResource:
    """Tells an address what happens to the model from now on; the secret signs what is sent, and is shown this once."""
    body = parse(WebhookBody, raw)
    house.receivers.require(body.url)
    made = house.webhooks.create(model, body.url, kinds=body.kinds, created_by=caller.name(ANYBODY))
    response.headers["Location"] = f"/v1/models/{model}/webhooks/{made.row.number}"
    response.headers["Cache-Control"] = "no-store"
    return NewWebhookResource(**_resource(model, made.row).model_dump(), secret=made.secret)


@router.get("", operation_id="list_webhooks", responses=declared(ModelNotFound, QueryInvalid))
def list_webhooks(model: ModelName, page: NumberedPageAsked, house: TheHouse) -> WebhookList:
    """The webhooks of a model, oldest first."""
    rows = house.webhooks.list(model, after=page.after_number(0), limit=page.limit + 1)
    shown, next_cursor = page.cut(rows, lambda row: row.number)
    return WebhookList(webhooks=[_resource(model, row) for row in shown], next_cursor=next_cursor)


@router.get("/{webhook}", operation_id="get_webhook", responses=declared(ModelNotFound, WebhookNotFound))
def get_webhook(model: ModelName, webhook: PathNumber, house: TheHouse) -> WebhookResource:
    """How far a webhook is, and why its receiver failed."""
    return _resource(model, house.webhooks.find(model, webhook))


@router.delete(
    "/{webhook}", operation_id="remove_webhook", status_code=204, responses=declared(ModelNotFound, WebhookNotFound)
)
def remove_webhook(model: ModelName, webhook: PathNumber, house: TheHouse) -> None:
    """Tells the address nothing any more, but what is on its way."""
    house.webhooks.remove(model, webhook)


def _resource(model: str, row: WebhookRow) -> WebhookResource:
    return WebhookResource(
        model=model,
        webhook=row.number,
        url=row.url,
        kinds=None if row.kinds is None else list(row.kinds),
        created_by=row.created_by,
        created_at=moment(row.created_at),
        delivered=row.delivered,
        pending=max(0, row.newest - row.delivered),
        delivered_at=None if row.delivered_at is None else moment(row.delivered_at),
        failures=row.failures,
        last_error=row.last_error,
        next_attempt_at=None if row.not_before is None else moment(row.not_before),
    )

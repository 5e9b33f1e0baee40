"""Events: a stream of what happens to a model, and what happened so far."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from service.callers import TheCaller
from service.listener import MEDIA_TYPE, EventStream, Listener
from service.problems import declared
from service.rejected import Overloaded, QueryInvalid
from service.requests import ModelName, PageAsked, TheHouse
from service.resources import NextCursor
from service.schemas import NUMBER_MAX
from service.told import KINDS, PROGRESS, kinds_of, told_of
from store.errors import ModelNotFound
from store.kinds import EventKind

router = APIRouter(prefix="/v1/models/{model}", tags=["events"])

IS_HEAD = "posterity.is_head"
"""Where the scope of a request says that it was a HEAD, whose answer has to have an end."""
KIND = f"({'|'.join(KINDS)})"
EXAMPLE = """\
id: 7
event: published
data: {"model": "pairs", "number": 7, "kind": "published", "at": "2026-11-23T10:00:00.5Z", "version": 1}

"""
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events, until the client or the service ends it.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}},
    }
}


class EventResource(BaseModel):
    """What happened; beside these fields it has its facts, which the page about events lists by kind."""

    model_config = ConfigDict(extra="allow")

    model: str
    number: int = Field(description="Counts the model's events; what to go on after.")
    kind: EventKind
    at: datetime


class EventList(BaseModel):
    events: list[EventResource]
    next_cursor: NextCursor


async def _kinds(
    kinds: Annotated[
        str | None,
        Query(
            description="Only these, with commas between them.",
            examples=["published,moved"],
            json_schema_extra={"pattern": f"^{KIND}(,{KIND})*$"},
        ),
    ] = None,
) -> frozenset[str] | None:
    return kinds_of(kinds)


KindsAsked = Annotated[frozenset[str] | None, Depends(_kinds)]
After = Annotated[
    int | None, Query(ge=0, le=NUMBER_MAX, description="Go on after the event of this number; 0: from the first.")
]


async def _number(
    after: After = None,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            description="The same, as browsers send it when they connect again; it comes before `after`.",
            json_schema_extra={"pattern": "^[0-9]{1,9}$"},
        ),
    ] = None,
) -> int | None:
    if last_event_id is None:
        return after
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= 9):
        raise QueryInvalid(reason="Last-Event-ID: must be the number of an event")
    return int(last_event_id)


@router.get(
    "/events",
    operation_id="listen",
    response_class=StreamingResponse,
    responses=declared(ModelNotFound, QueryInvalid, Overloaded, also=STREAM),
)
def listen(
    *,
    model: ModelName,
    number: Annotated[int | None, Depends(_number)],
    kinds: KindsAsked,
    request: Request,
    caller: TheCaller,
    house: TheHouse,
) -> Response:
    """What happens to the model from now on, or after the event that you saw last, as server-sent events."""
    standing = house.events.standing(model)
    _must_have_happened(number, standing.newest)
    if request.scope.get(IS_HEAD):
        return Response(media_type=MEDIA_TYPE)
    start = standing.newest if number is None else number
    make = partial(Listener, house.hub, start=start, kinds=kinds, key=caller.key)
    return EventStream(house.hub, model, standing, make)


@router.get("/events/history", operation_id="list_events", responses=declared(ModelNotFound, QueryInvalid))
def list_events(
    *, model: ModelName, after: After = None, kinds: KindsAsked, page: PageAsked, house: TheHouse
) -> EventList:
    """What happened to the model so far, oldest first."""
    if after is not None and page.after is not None:
        raise QueryInvalid(reason="after: says where the first page begins; the next ones have a cursor")
    kept = None if kinds is None else [EventKind(kind) for kind in kinds - {PROGRESS}]
    rows = house.events.after(model, page.after_number(after or 0), limit=page.limit + 1, kinds=kept)
    if after is not None and not rows:
        _must_have_happened(after, house.events.newest(model))
    shown, next_cursor = page.cut(rows, lambda row: row.number)
    return EventList(events=[EventResource(**told_of(model, row)) for row in shown], next_cursor=next_cursor)


def _must_have_happened(number: int | None, newest: int) -> None:
    """Nothing happens where an event has this number, or none is named: else the ledger is an older copy.

    Raises:
        QueryInvalid: there is none.
    """
    if number is not None and number > newest:
        raise QueryInvalid(reason=f"There is no event {number} yet; the newest of the model is {newest}")

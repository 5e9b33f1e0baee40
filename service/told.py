"""Events as they are told: as JSON, and as frames of a stream of server-sent events."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from fastapi.sse import format_sse_event

from service.rejected import QueryInvalid
from service.resources import moment
from store.events import EventRow, Running
from store.kinds import EventKind

PROGRESS = "progress"
"""What listeners are told beside the events that are kept: how far the running update is now."""
KINDS = (*map(str, EventKind), PROGRESS)
RETRY_MILLISECONDS = 1000
"""So long a browser waits before it connects again."""
BEAT = b":\n\n"


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it goes to everybody who listens."""

    number: int
    kind: str
    frame: bytes


def told_of(model: str, row: EventRow) -> dict[str, Any]:
    """The event as JSON: which one, when, and its facts."""
    at = moment(row.at).isoformat().replace("+00:00", "Z")
    return {"model": model, "number": row.number, "kind": str(row.kind), "at": at, **row.facts}


def told(model: str, row: EventRow) -> Told:
    """The event as a frame, whose id is the event's number."""
    data = json.dumps(told_of(model, row), ensure_ascii=False)
    return Told(row.number, row.kind, format_sse_event(data_str=data, event=row.kind, id=str(row.number)))


def told_progress(model: str, running: Running) -> bytes:
    """How far the update is, as a frame without an id: the last one stays that of the event before."""
    elbo = running.elbo if running.elbo is not None and math.isfinite(running.elbo) else None
    facts = {"model": model, "update": running.update, "step": running.step, "steps": running.steps, "elbo": elbo}
    return format_sse_event(data_str=json.dumps(facts), event=PROGRESS)


def position(number: int, *, retry: int | None = None) -> bytes:
    """A frame that is no event, after which the listener's last id is this number (HTML, 9.2.6)."""
    return format_sse_event(id=str(number), retry=retry)


def kinds_of(stated: str | None) -> frozenset[str] | None:
    """The kinds with commas between them; None: all.

    Raises:
        QueryInvalid: there is no such kind.
    """
    if stated is None:
        return None
    kinds = frozenset(stated.split(","))
    if unknown := sorted(kinds - set(KINDS)):
        raise QueryInvalid(reason=f"kinds: {unknown[0][:100]!r} is none; there are {', '.join(KINDS)}")
    return kinds

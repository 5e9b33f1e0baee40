"""What has happened to a model so far; `client.listening` hears what happens from now on."""

from collections.abc import Collection
from typing import Any

from client.calls import Call
from client.listening import Event
from client.values import parse
from client.wire import get, object_of


def event_history(model: str, *, after: int | None = None, kinds: Collection[str] = ()) -> Call[tuple[Event, ...]]:
    """The events of the model up to now, the oldest first; those after the event `after`, of these kinds, or all.

    Raises:
        ServiceProblem: there is no such model.
    """
    found: list[Event] = []
    begins: dict[str, Any] = {"after": after}
    while True:
        query = {"limit": 100, "kinds": ",".join(kinds) or None, **begins}
        request = get("models", model, "events", "history", query=query)
        page = object_of((yield request), request)
        found += [parse(Event, {"model": model, **one}, asked=str(request)) for one in page["events"]]
        if (cursor := page.get("next_cursor")) is None:
            return tuple(found)
        begins = {"cursor": cursor}

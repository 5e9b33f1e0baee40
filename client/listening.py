"""Listening to what happens to a model: over every break of the connection, without missing anything."""

import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator
from dataclasses import dataclass
from datetime import datetime

import httpx

from client.errors import ServiceProblem
from client.retry import may_pass, unreachable
from client.values import Json, Resource, parse
from client.wire import Request, checked, get

PAUSE_SECONDS, PAUSE_SECONDS_MAX = 1.0, 15.0
SILENCE_SECONDS_MAX = 60.0
"""The service says something every 15 seconds; who hears nothing for so long connects again."""
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Event(Resource):
    """Something that happened; what else is told of it is in `raw`.

    `number` and `at` are None for `progress`, which says how far the running update is and is not kept.
    """

    model: str
    kind: str
    number: int | None = None
    at: datetime | None = None


class Following:
    """Where a listener is, whatever became of its connection; no network here."""

    def __init__(
        self,
        model: str,
        *,
        after: int | None = None,
        kinds: Collection[str] = (),
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last = after
        self._model, self._kinds = model, ",".join(kinds) or None
        self._patience_seconds, self._clock = patience_seconds, clock
        self._heard_at: float | None = None
        self._failures = 0
        self._said: dict[str, str] = {}

    @property
    def request(self) -> Request:
        """What goes on behind the last event."""
        self._said = {}
        return get("models", self._model, "events", query={"after": self.last, "kinds": self._kinds})

    def take(self, line: str) -> Event | None:
        """The event that the line completes, if it does."""
        self._heard_at, self._failures = self._clock(), 0
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            self._said[name] = f"{self._said[name]}\n{value}" if name == "data" and name in self._said else value
            return None
        said, self._said = self._said, {}
        if said.get("id", "").isdigit():
            self.last = int(said["id"])
        if "data" not in said:
            return None
        told: Json = {"kind": said.get("event"), **json.loads(said["data"])}
        return parse(Event, told, asked=str(self.request))

    def pause_seconds(self, error: Exception | None, url: str) -> float:
        """How long to wait before connecting again after this error; None: the service has ended the stream.

        Raises:
            ServiceProblem, Unreachable: it would be of no use, or nothing was heard for longer than patience.
        """
        since = self._heard_at
        is_over = error is not None and (
            not may_pass(error) or since is None or self._clock() - since > self._patience_seconds
        )
        if is_over and isinstance(error, httpx.TransportError):
            raise unreachable(url, error, self.request) from error
        if is_over and error is not None:
            raise error
        self._failures += 1
        stated = error.retry_after_seconds if isinstance(error, ServiceProblem) else None
        return stated or min(PAUSE_SECONDS * 2.0 ** (self._failures - 1), PAUSE_SECONDS_MAX)


def listen(
    http: httpx.Client, following: Following, *, url: str, sleep: Callable[[float], None]
) -> Generator[Event, None, None]:
    """Every event from there on, without an end.

    Raises:
        ServiceProblem, Unreachable: there is nothing to be heard, or not any more.
    """
    while True:
        failed: Exception | None = None
        try:
            with http.stream(**following.request.httpx_arguments, timeout=SILENCE_SECONDS_MAX) as response:
                if response.status_code >= 400:
                    response.read()
                checked(response)
                for line in response.iter_lines():
                    if (event := following.take(line)) is not None:
                        yield event
        except (httpx.TransportError, ServiceProblem) as error:
            failed = error
        sleep(following.pause_seconds(failed, url))


async def listen_asynchronously(
    http: httpx.AsyncClient, following: Following, *, url: str, sleep: Callable[[float], Awaitable[None]]
) -> AsyncGenerator[Event, None]:
    """The same for asyncio.

    Raises:
        ServiceProblem, Unreachable: there is nothing to be heard, or not any more.
    """
    while True:
        failed: Exception | None = None
        try:
            async with http.stream(**following.request.httpx_arguments, timeout=SILENCE_SECONDS_MAX) as response:
                if response.status_code >= 400:
                    await response.aread()
                checked(response)
                async for line in response.aiter_lines():
                    if (event := following.take(line)) is not None:
                        yield event
        except (httpx.TransportError, ServiceProblem) as error:
            failed = error
        await sleep(following.pause_seconds(failed, url))

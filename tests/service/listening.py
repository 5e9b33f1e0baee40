"""Listeners of the tests, who read a stream of server-sent events as the standard says, and events for them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import Engine

from store.engine import for_writing
from store.events import Events, tell_all
from store.history import History
from store.kinds import EventKind
from tests.service.live import Live

SECONDS = 20.0


@dataclass
class Heard:
    """What one listener was told: events, and the last id, which also frames without an event set."""

    events: list[tuple[str | None, str, dict[str, Any]]] = field(default_factory=list)
    last_id: str | None = None
    comments: int = 0
    is_over: bool = False

    def numbers(self) -> list[int]:
        return [int(number) for number, _, _ in self.events if number is not None]

    def take(self, lines: Iterator[str]) -> None:
        """Reads until the stream ends."""
        said: dict[str, str] = {}
        for line in lines:
            if not line:
                self.last_id = said.get("id", self.last_id)
                if "data" in said:
                    self.events.append((said.get("id"), said["event"], json.loads(said["data"])))
                said = {}
            elif line.startswith(":"):
                self.comments += 1
            else:
                name, _, value = line.partition(": ")
                said[name] = value
        self.is_over = True


@contextmanager
def listening(live: Live, model: str, query: str = "", headers: dict[str, str] | None = None) -> Iterator[Heard]:
    """What somebody hears meanwhile, by a connection of its own; it is joined when the block begins."""
    heard = Heard()
    with (
        httpx.Client(base_url=live.client.base_url, timeout=SECONDS) as client,
        client.stream("GET", f"{model}/events{query}", headers=headers) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        thread = threading.Thread(target=read, args=(answer, heard))
        thread.start()
        try:
            eventually(lambda: heard.last_id is not None)
            yield heard
        finally:
            hang_up(answer)
            thread.join(SECONDS)


def read(answer: httpx.Response, heard: Heard) -> None:
    try:
        heard.take(answer.iter_lines())
    except httpx.TransportError:
        heard.is_over = True


def hang_up(answer: httpx.Response) -> None:
    line = answer.extensions["network_stream"].get_extra_info("socket")
    if line.fileno() >= 0:
        line.shutdown(2)


def eventually(holds: Any) -> None:  # noqa: ANN401 - anything to be called
    """It holds, soon."""
    until = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def happen(engine: Engine, model: str, count: int, kind: EventKind = EventKind.PUBLISHED) -> list[int]:
    """So many things happen to the model; their numbers."""
    with for_writing(engine).begin() as connection:
        model_id = History(engine).model(model.rpartition("/")[2]).id
        tell_all(connection, model_id, [(kind, {"version": number}) for number in range(count)], at=1.5)
    return newest(engine, model, count)


def newest(engine: Engine, model: str, count: int) -> list[int]:
    last = Events(engine).newest(model.rpartition("/")[2])
    return list(range(last - count + 1, last + 1))

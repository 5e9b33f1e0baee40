"""Work for threads whose calls wait for the test, and are written down."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from service.gathering import Answering, Gathering, Waiting

Item = tuple[str, int]
"""A key, and a number that tells the items of all keys apart."""

Work = Gathering[str, Item, Item]
Asked = Waiting[Item, Item]

WAIT_SECONDS = 30.0


@dataclass
class Calls:
    """Answers each item with itself. A call of a key that is shut begins, and ends once the key is opened."""

    seen: list[tuple[str, list[int]]] = field(default_factory=list)
    gates: dict[str, threading.Event] = field(default_factory=dict)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self, key: str, asked: Sequence[Asked]) -> Sequence[Item]:
        assert all(one.item[0] == key for one in asked), "items of different keys were mixed"
        self.seen.append((key, [one.item[1] for one in asked]))
        self.begun.release()
        if key in self.gates:
            assert self.gates[key].wait(WAIT_SECONDS)
        return [one.item for one in asked]

    def shut(self, *keys: str) -> None:
        self.gates |= {key: threading.Event() for key in keys}

    def open(self, *keys: str) -> None:
        for key in keys or tuple(self.gates):
            self.gates[key].set()

    def wait_for(self, calls: int = 1) -> None:
        """So many more calls have begun."""
        for _ in range(calls):
            assert self.begun.acquire(timeout=WAIT_SECONDS)


@contextmanager
def working(
    answering: Answering[str, Item, Item], *, threads: int = 2, items_max: int = 10_000, bytes_max: int = 10_000
) -> Iterator[Work]:
    """Threads that answer so, and have ended afterwards."""
    gathering: Work = Gathering(answering, threads=threads, items_max=items_max, bytes_max=bytes_max)
    try:
        yield gathering
    finally:
        if isinstance(answering, Calls):
            answering.open()
        gathering.close()


def waiting(item: Item, *, nbytes: int = 1, until: float = math.inf) -> Asked:
    """The item as a caller in this event loop puts it."""
    return Waiting(item, nbytes, until, asyncio.get_running_loop().create_future())


def put(work: Work, key: str, *numbers: int, is_shared: bool = True) -> list[asyncio.Future[Item]]:
    """Items of the key are put; their answers to come."""
    asked = [waiting((key, number)) for number in numbers]
    for one in asked:
        work.put(key, one, is_shared=is_shared)
    return [one.answer for one in asked]

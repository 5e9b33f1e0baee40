"""Who listens to events, and whose turn it is: many listeners take little of the event loop from predictions.

A listener is told in its turn what is new since its last, so that what comes quickly is told together. Whoever is
further behind than what is held here reads the database from where it is; so nothing is dropped for a listener that is
slow, and none of them holds more than one piece of what it has not taken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import Engine

from service.feeds import Feed, Lookout
from service.known_keys import KnownKeys
from service.rejected import Overloaded, Unavailable
from service.told import Told, told
from store.events import LIMIT, Events, Standing
from store.keys import KeyRow
from store.kinds import EventKind

PAUSE_SECONDS = 0.003
"""After each turn others have the event loop for so long."""
CROWD, TOGETHER, CROWD_SECONDS = 20, 5, 0.05
"""After so many turns without an end come so many together, and then a longer pause.

That is a hundred a second, a per cent or two of a core, which few predictions meet. Measured by benchmarks.listeners.
"""
TICK_SECONDS = 1.0
READERS = 2
"""Listeners that read the database at once."""


class Waiting(Protocol):
    """Who listens, as the hub sees it."""

    def call(self) -> None:
        """It is its turn."""

    def is_due(self, now: float) -> bool:
        """True where it wants a turn though nothing is new."""


Joining = TypeVar("Joining", bound=Waiting)


class Hub:
    """Belongs to one event loop, as do all who listen."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        keys: KnownKeys,
        *,
        listeners_max: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._events, self._keys = events, keys
        self._lookout = Lookout(engine, events, lambda feed: self._call(self._listening.get(feed, ())))
        self._listeners_max = listeners_max
        self._listening: dict[Feed, set[Waiting]] = {}
        self._turns: dict[Waiting, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._reading = CapacityLimiter(READERS)
        self._is_closed = False

    @property
    def count(self) -> int:
        """How many listen."""
        return sum(map(len, self._listening.values()))

    def close(self) -> None:
        """Nobody is let in any more, and no thread is left."""
        self._is_closed = True
        self._lookout.close()
        if self._ticking is not None:
            self._ticking.cancel()

    @contextmanager
    def joined(self, model: str, standing: Standing, make: Callable[[Feed], Joining]) -> Iterator[Joining]:
        """Who is made has turns while entered, as there is something new about the model.

        Raises:
            Overloaded: as many listen as may.
            Unavailable: the service is stopping.
        """
        if self._is_closed:
            raise Unavailable(reason="The service is stopping")
        if (count := self.count) >= self._listeners_max:
            raise Overloaded(waiting=f"{count} listeners")
        feed = self._lookout.feed(model, standing)
        waiting = make(feed)
        self._listening.setdefault(feed, set()).add(waiting)
        # One that has not woken since nobody listened goes on: a second beside it would never end.
        if self._ticking is None or self._ticking.done():
            self._ticking = self._begin(self._tick())
        try:
            yield waiting
        finally:
            self._turns.pop(waiting, None)
            self._listening[feed].discard(waiting)
            if not self._listening[feed]:
                del self._listening[feed]
                self._lookout.drop(feed)

    async def read(self, feed: Feed, number: int, kinds: Collection[EventKind] | None) -> tuple[list[Told], int]:
        """The next events of these kinds after this one, from the database, and the number that nothing is left up to.

        Raises:
            SQLAlchemyError: it does not answer.
        """
        newest = feed.newest  # All up to this are there before they are looked for.

        def reading() -> list[Told]:
            rows = self._events.of(feed.model_id, number, limit=LIMIT, kinds=kinds)
            return [told(feed.model, row) for row in rows]

        found = await to_thread.run_sync(reading, limiter=self._reading)
        last = found[-1].number if found else number
        return found, last if len(found) == LIMIT else max(last, newest)

    async def may_stay(self, key: KeyRow | None) -> bool:
        """False once the key was revoked or has expired, or keys are asked for where none was shown.

        While the database does not answer, the keys known last go on.
        """
        in_force, _ = await self._keys.now()
        if in_force is None:
            return True
        return in_force.is_unclaimed if key is None else self._keys.ring.counts(in_force, key)

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _call(self, waiting: Iterable[Waiting]) -> None:
        """Each of them has its turn, soon; who waits for one already keeps its place."""
        is_idle = not self._turns
        self._turns |= dict.fromkeys(waiting)
        if is_idle and self._turns:
            self._begin(self._serve())

    async def _serve(self) -> None:
        turns = 0
        while self._turns:
            waiting = next(iter(self._turns))
            del self._turns[waiting]
            waiting.call()
            turns += 1
            if turns <= CROWD:
                await asyncio.sleep(PAUSE_SECONDS)
            elif turns % TOGETHER == 0:
                await asyncio.sleep(CROWD_SECONDS)

    async def _tick(self) -> None:
        while self._listening:
            await asyncio.sleep(TICK_SECONDS)
            now = self.clock()
            self._call([one for listening in self._listening.values() for one in listening if one.is_due(now)])

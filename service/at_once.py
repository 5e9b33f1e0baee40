"""Short work is done by the event loop itself, as handing it to a thread and back takes longer than the work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Generic

from service.gathering import (
    SHARED_ITEMS_MAX,
    Answer,
    Answering,
    Answers,
    Gathering,
    Item,
    Key,
    Room,
    Waiting,
    answered,
    hand_over,
)
from service.rejected import PredictionLate
from store.errors import Problem

SECONDS_MAX = 0.005
"""How long the event loop may be kept from its other work at a time."""
SECONDS_MIN = 1e-7
"""What a clock that is too coarse sees as nothing takes so long."""
KEPT_MAX = 10_000


class AtOnce(Generic[Key, Item, Answer]):
    """Answers what came in one turn of the event loop together, where that is quick; else by threads, as `Gathering`.

    How long an item takes is learned from those that the threads answered: work is quick when it was. `is_ready` says
    whether all that a key needs is at hand. It belongs to one event loop.
    """

    def __init__(
        self,
        answering: Answering[Key, Item, Answer],
        *,
        is_ready: Callable[[Key], bool],
        kind: Callable[[Key], Hashable],
        threads: int,
        items_max: int,
        bytes_max: int,
        seconds_max: float = SECONDS_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._answering = answering
        self._clock = clock
        self._gathering: Gathering[Key, Item, Answer] = Gathering(
            self._timed, threads=threads, items_max=items_max, bytes_max=bytes_max, clock=clock
        )
        self._is_ready = is_ready
        self._kind = kind
        self._seconds_max = seconds_max
        self._seconds: dict[Hashable, float] = {}
        self._gathered: dict[Key, list[Waiting[Item, Answer]]] = {}
        self._room = Room(items_max, bytes_max)
        self._is_open = True

    async def ask(self, key: Key, item: Item, *, is_shared: bool, nbytes: int, seconds: float) -> Answer:
        """The answer to the item.

        Raises:
            Overloaded: too much waits already.
            PredictionLate: there was no answer within these seconds.
            Unavailable: the service is stopping.
            Whatever the answer is, if it is an exception.
        """
        loop = asyncio.get_running_loop()
        waiting: Waiting[Item, Answer] = Waiting(item, nbytes, self._clock() + seconds, loop.create_future())
        if is_shared and self._each_seconds(key) < self._seconds_max:
            self._gather(key, waiting, loop)
        else:
            self._to_threads(key, waiting, is_shared=is_shared)
        return await waiting.answer

    @property
    def items(self) -> int:
        """How many items wait that nobody has begun with."""
        return self._room.items + self._gathering.items

    def close(self) -> None:
        """No item is taken any more; those that wait are refused, and the threads have ended."""
        self._is_open = False
        self._gathering.close()

    def _timed(self, key: Key, items: Sequence[Waiting[Item, Answer]]) -> Sequence[Answer | BaseException]:
        began = self._clock()
        answers = self._answering(key, items)
        kind, each = self._kind(key), (self._clock() - began) / len(items)
        if len(self._seconds) > KEPT_MAX:
            self._seconds.clear()
        # The first one is slow for reasons that pass.
        self._seconds[kind] = min(each, (self._seconds.get(kind, each) + each) / 2)
        return answers

    def _each_seconds(self, key: Key) -> float:
        return self._seconds.get(self._kind(key), self._seconds_max)

    def _gather(self, key: Key, waiting: Waiting[Item, Answer], loop: asyncio.AbstractEventLoop) -> None:
        self._room.enter(waiting.nbytes)
        if not self._gathered:
            loop.call_soon(self._answer, loop)
        self._gathered.setdefault(key, []).append(waiting)

    def _answer(self, loop: asyncio.AbstractEventLoop) -> None:
        """What was gathered is answered, as far as there is time for it; the rest in the next turn."""
        gathered, self._gathered = self._gathered, {}
        behind: dict[Key, list[Waiting[Item, Answer]]] = {}
        until = self._clock() + self._seconds_max
        for key, items in gathered.items():
            is_quick = self._is_quick(key)
            taken = items[: self._items_until(until, key, is_first=not behind)] if is_quick else items
            if not taken:
                self._gathered[key] = items
                continue
            behind[key] = items[len(taken) :]
            self._room.leave(taken)
            if is_quick:
                hand_over(answered(self._timed, key, taken, now=self._clock()))
            else:
                self._hand_on(key, taken)
        self._gathered |= {key: left for key, left in behind.items() if left}
        if self._gathered:
            loop.call_soon(self._answer, loop)

    def _is_quick(self, key: Key) -> bool:
        try:
            return self._is_open and self._each_seconds(key) < self._seconds_max and self._is_ready(key)
        except Exception:  # noqa: BLE001 - A thread will meet it as well, and say so to those who wait.
            return False

    def _items_until(self, until: float, key: Key, *, is_first: bool) -> int:
        """How many items of the key there is time for; of the first key for at least one."""
        each = max(self._each_seconds(key), SECONDS_MIN)
        return max(int(is_first), min(SHARED_ITEMS_MAX, int((until - self._clock()) / each)))

    def _hand_on(self, key: Key, items: Sequence[Waiting[Item, Answer]]) -> None:
        for waiting in items:
            try:
                self._to_threads(key, waiting, is_shared=True)
            except Problem as problem:
                refused: Answers[Item, Answer] = [(waiting, problem)]
                hand_over(refused)

    def _to_threads(self, key: Key, waiting: Waiting[Item, Answer], *, is_shared: bool) -> None:
        """A thread answers, or after the item's time nobody does."""
        self._gathering.put(key, waiting, is_shared=is_shared)
        late: Answers[Item, Answer] = [(waiting, PredictionLate())]
        timer = waiting.answer.get_loop().call_later(waiting.until - self._clock(), hand_over, late)
        waiting.answer.add_done_callback(lambda _: timer.cancel())

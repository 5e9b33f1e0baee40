"""Work that comes while other work is done is done together: what is there is taken, and nobody waits for more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.rejected import Overloaded, PredictionLate, Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Key = TypeVar("Key", bound=Hashable)

SHARED_ITEMS_MAX = 64


@dataclass(frozen=True, eq=False)
class Waiting(Generic[Item, Answer]):
    """One caller's item, until when an answer is of use (by the monotonic clock), and where it goes."""

    item: Item
    nbytes: int
    until: float
    answer: asyncio.Future[Answer]


Answering = Callable[[Key, Sequence[Waiting[Item, Answer]]], Sequence[Answer | BaseException]]
"""An answer or an exception for each item; what it raises is the answer to all."""


@dataclass
class Room:
    """How many items wait that nobody has begun with, and how large they are; not safe for many threads by itself."""

    items_max: int
    bytes_max: int
    items: int = 0
    nbytes: int = 0

    def enter(self, nbytes: int) -> None:
        """One more waits.

        Raises:
            Overloaded: too much waits already; a single item may be larger than all the room.
        """
        if self.items >= self.items_max or (self.items and self.nbytes + nbytes > self.bytes_max):
            raise Overloaded(waiting=self.items)
        self.items += 1
        self.nbytes += nbytes

    def leave(self, taken: Sequence[Waiting[Item, Answer]]) -> None:
        self.items -= len(taken)
        self.nbytes -= sum(waiting.nbytes for waiting in taken)


class Gathering(Generic[Key, Item, Answer]):
    """Threads that answer items, those of one key together.

    Of one key that is shared, one call runs at a time, with up to 64 items: what comes meanwhile makes the next call.
    The key that has waited longest is next; items of keys that are not shared are answered one by one, and leave one
    thread to the others. Safe for many threads at once.
    """

    def __init__(
        self,
        answering: Answering[Key, Item, Answer],
        *,
        threads: int,
        items_max: int,
        bytes_max: int,
        clock: Callable[[], float] = time.monotonic,
        name: str = "predict",
    ) -> None:
        assert threads >= 2
        self._answering = answering
        self._clock = clock
        self._room = Room(items_max, bytes_max)
        self._queued: OrderedDict[tuple[Key, bool], deque[Waiting[Item, Answer]]] = OrderedDict()
        self._busy: set[Key] = set()
        self._lone_left = threads - 1
        self._is_open = True
        self._changed = threading.Condition()
        names = [f"{name}-{index}" for index in range(threads)]
        # Daemons: a process that nobody closed this in can end all the same.
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    @property
    def items(self) -> int:
        """How many items wait that nobody has begun with."""
        return self._room.items

    def put(self, key: Key, waiting: Waiting[Item, Answer], *, is_shared: bool) -> None:
        """The item will be answered, or refused.

        Raises:
            Overloaded: too much waits already.
            Unavailable: the service is stopping.
        """
        with self._changed:
            if not self._is_open:
                raise Unavailable(reason="The service is stopping")
            self._room.enter(waiting.nbytes)
            self._queued.setdefault((key, is_shared), deque()).append(waiting)
            self._changed.notify()

    def close(self) -> None:
        """No item is taken any more; those that wait are refused, and the threads have ended."""
        with self._changed:
            self._is_open = False
            left = [waiting for queue in self._queued.values() for waiting in queue]
            self._queued.clear()
            self._room.leave(left)
            self._changed.notify_all()
        refused: Answers[Item, Answer] = [(waiting, Unavailable(reason="The service is stopping")) for waiting in left]
        deliver(refused)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            key, is_shared, items = taken
            answers = answered(self._answering, key, items, now=self._clock())
            with self._changed:
                if is_shared:
                    self._busy.discard(key)
                else:
                    self._lone_left += 1
                self._changed.notify()
            deliver(answers)

    def _take(self) -> tuple[Key, bool, list[Waiting[Item, Answer]]] | None:
        """The items to answer next; None: there will be none."""
        with self._changed:
            while self._is_open:
                for key, is_shared in self._queued:
                    if (key not in self._busy) if is_shared else self._lone_left:
                        return key, is_shared, self._taken(key, is_shared=is_shared)
                self._changed.wait()
            return None

    def _taken(self, key: Key, *, is_shared: bool) -> list[Waiting[Item, Answer]]:
        queue = self._queued.pop((key, is_shared))
        most = SHARED_ITEMS_MAX if is_shared else 1
        items = [queue.popleft() for _ in range(min(most, len(queue)))]
        if queue:
            self._queued[key, is_shared] = queue  # Behind the keys that wait.
        self._room.leave(items)
        if is_shared:
            self._busy.add(key)
        else:
            self._lone_left -= 1
        return items


def counted(answering: Answering[Key, Item, Answer], count: Callable[[int], object]) -> Answering[Key, Item, Answer]:
    """The same answers, and `count` is told each time how many were given together."""

    def answer(key: Key, items: Sequence[Waiting[Item, Answer]]) -> Sequence[Answer | BaseException]:
        count(len(items))
        return answering(key, items)

    return answer


Answers = list[tuple[Waiting[Item, Answer], Answer | BaseException]]


def answered(
    answering: Answering[Key, Item, Answer], key: Key, items: Sequence[Waiting[Item, Answer]], *, now: float
) -> Answers[Item, Answer]:
    """Each item with its answer; those whose time is over get none."""
    late = [waiting for waiting in items if now > waiting.until]
    due = [waiting for waiting in items if now <= waiting.until] if late else items
    answers: Sequence[Answer | BaseException]
    try:
        answers = answering(key, due) if due else []
        assert len(answers) == len(due)
    except Exception as error:  # noqa: BLE001 - Whatever it is, it is the answer, and others get theirs.
        answers = [error] * len(due)
    return [*zip(due, answers, strict=True), *((waiting, PredictionLate()) for waiting in late)]


def deliver(answers: Answers[Item, Answer]) -> None:
    """Every caller has its answer, once its event loop comes to it; each loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, Answers[Item, Answer]] = {}
    for waiting, answer in answers:
        by_loop.setdefault(waiting.answer.get_loop(), []).append((waiting, answer))
    for loop, own in by_loop.items():
        try:
            loop.call_soon_threadsafe(hand_over, own)
        except RuntimeError:  # The loop is closed: nobody is left to answer.
            continue


def hand_over(answers: Answers[Item, Answer]) -> None:
    """Every caller has its answer, unless it went away; called in their event loop."""
    for waiting, answer in answers:
        if waiting.answer.done():
            continue
        if isinstance(answer, StopIteration):
            # A future takes none, and whoever comes after it would wait for ever.
            answer = RuntimeError("StopIteration")  # noqa: PLW2901
        if isinstance(answer, BaseException):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)

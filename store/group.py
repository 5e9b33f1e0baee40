"""Callers who come while another one writes are written together next: many callers, one transaction, one flush."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

ITEMS_MAX = 64


@dataclass(eq=False)
class _Waiting(Generic[Item, Answer]):
    item: Item
    woken: threading.Event = field(default_factory=threading.Event)
    """Set when there is an answer, or when it is this caller's turn to write."""
    answer: Answer | Exception | None = None


class GroupCommit(Generic[Item, Answer]):
    """Writes items by name, each name's in the order in which they came; safe for many threads.

    `write` writes items of one name, all or none, and answers each with something or an exception of its own. A caller
    writes: the first in the line of its name, at once, and with it up to `items_max` of those behind it.
    """

    def __init__(
        self, write: Callable[[str, Sequence[Item]], Sequence[Answer | Exception]], *, items_max: int = ITEMS_MAX
    ) -> None:
        self._write = write
        self._items_max = items_max
        self._lock = threading.Lock()
        # Whoever is in a line has no answer yet, and the first one of each has been woken to write.
        self._lines: dict[str, list[_Waiting[Item, Answer]]] = {}

    def add(self, name: str, item: Item) -> Answer:
        """The item is written, alone or with others; the answer to it.

        Raises:
            Whatever the answer is, if it is an exception, or what kept the whole group from being written.
        """
        mine: _Waiting[Item, Answer] = _Waiting(item)
        try:
            self._enter(name, mine)
            mine.woken.wait()
            if mine.answer is None:
                self._write_first(name)
        finally:
            # Also when this thread was interrupted: whoever is first now has to know.
            self._leave(name, mine)
        assert mine.answer is not None
        if isinstance(mine.answer, Exception):
            raise mine.answer
        return mine.answer

    def _enter(self, name: str, mine: _Waiting[Item, Answer]) -> None:
        with self._lock:
            line = self._lines.setdefault(name, [])
            line.append(mine)
            line[0].woken.set()

    def _write_first(self, name: str) -> None:
        """The first in the line are written and have their answers."""
        with self._lock:
            group = self._lines[name][: self._items_max]
        answers: Sequence[Answer | Exception]
        try:
            answers = self._write(name, [waiting.item for waiting in group])
            assert len(answers) == len(group), "each item is answered"
        except Exception as error:  # noqa: BLE001 - Each of those who wait raises it.
            answers = [error] * len(group)
        # Under the lock, so that nobody who leaves sees a part of the group as those who are to write next.
        with self._lock:
            for waiting, answer in zip(group, answers, strict=True):
                waiting.answer = answer
        for waiting in group:
            waiting.woken.set()

    def _leave(self, name: str, mine: _Waiting[Item, Answer]) -> None:
        with self._lock:
            line = [waiting for waiting in self._lines.pop(name, []) if waiting is not mine and waiting.answer is None]
            if line:
                self._lines[name] = line
                line[0].woken.set()

"""Places for deliveries to webhooks: so many at once, few of one model, and fewer of those whose receivers fail.

A delivery costs little while it waits for an answer, and a thread while a host's name is looked up, which no deadline
ends. So a place is free again once both are over, and the names that one model's webhooks name hold no more threads
than the model has places.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from store.deliveries import Delivery, Full

AT_ONCE = 256
OF_ONE_MODEL = 8
FAILING_SHARE = 0.5
"""Of either, for receivers that did not take what they were sent last: the rest is left to those that answer."""


class Place:
    """One delivery's, which is free once nobody holds it; used by the thread of its event loop alone."""

    def __init__(self, freed: Callable[[], None]) -> None:
        self._freed = freed
        self._holders = 1

    def hold(self) -> None:
        self._holders += 1

    def let_go(self) -> None:
        self._holders -= 1
        if self._holders == 0:
            self._freed()


OWN = ContextVar[Place | None]("OWN", default=None)
"""The place of the delivery that looks up a name."""


class Places:
    """Those of one sender; used by the thread of its event loop alone."""

    def __init__(self, freed: Callable[[], None]) -> None:
        self._freed = freed
        self._taken, self._failing = Counter[int](), Counter[int]()

    @property
    def is_full(self) -> bool:
        return self._taken.total() >= AT_ONCE

    def full(self) -> Full:
        """Whose webhooks there is no place for."""
        return Full(
            models=_with(self._taken, OF_ONE_MODEL),
            failing=_with(self._failing, OF_ONE_MODEL * FAILING_SHARE),
            is_failing=self._failing.total() >= AT_ONCE * FAILING_SHARE,
        )

    def take(self, delivery: Delivery) -> Place:
        """The delivery has a place."""
        counters = [self._taken, self._failing] if delivery.failures else [self._taken]
        for counter in counters:
            counter[delivery.model_id] += 1

        def free() -> None:
            for counter in counters:
                counter[delivery.model_id] -= 1
            self._freed()

        return Place(free)


class Loop(asyncio.SelectorEventLoop):
    """An event loop that looks up each name in a thread of its own, while the place of who asks is held.

    The loop ends without waiting for them.
    """

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - as asyncio has it
        proto: int = 0,
        flags: int = 0,
    ) -> Any:  # noqa: ANN401 - as socket has it
        found = self.create_future()
        place = OWN.get()

        def end(answer: object, error: OSError | UnicodeError | None) -> None:
            if place is not None:
                place.let_go()
            if found.done():
                return
            if error is None:
                found.set_result(answer)
            else:
                found.set_exception(error)

        def look_up() -> None:
            answer, error = None, None
            try:
                answer = socket.getaddrinfo(host, port, family, type, proto, flags)
            except (OSError, UnicodeError) as fault:
                error = fault
            with suppress(RuntimeError):  # The loop is closed, and nobody asks any more.
                self.call_soon_threadsafe(end, answer, error)

        threading.Thread(target=look_up, name="webhooks-name", daemon=True).start()
        if place is not None:
            place.hold()  # Until `end`, which comes in a later turn of the loop.
        return await found


def _with(counter: Counter[int], places: float) -> frozenset[int]:
    return frozenset(model_id for model_id, taken in counter.items() if taken >= places)

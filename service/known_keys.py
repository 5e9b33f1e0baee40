"""The keys in force, for the event loop: it waits for a query only where it must, and never long."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor

from store.engine import DATABASE_DOWN
from store.key_ring import KeyRing
from store.keys import InForce

ANSWER_SECONDS = 2.0
"""A database that needs longer does not answer."""
AGAIN_SECONDS = 1.0
"""After that, it is asked again."""

logger = logging.getLogger("posterity.service")


class KnownKeys:
    """Reads the ring in a thread of its own, once for all requests that wait. Belongs to one event loop."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keys")
        self._reading: asyncio.Future[InForce] | None = None
        self._overdue_at = 0.0
        self._silent_until = 0.0

    async def now(self) -> tuple[InForce | None, bool]:
        """The keys in force, and True; where the database does not answer, what they were last, and False."""
        found = None
        for _ in range(2):  # What was being read when the request came may be older than the request.
            if (at_hand := self.ring.at_hand()) is not None:
                return at_hand, True
            reading = self._asked()
            if reading is None or not await self._is_answered(reading):
                return self.ring.last(), False
            found = reading.result()
        return found, True

    def close(self) -> None:
        """No thread is left, and nothing is connected any more."""
        self._thread.shutdown(cancel_futures=True)
        self.ring.close()

    def _asked(self) -> asyncio.Future[InForce] | None:
        """The query under way; None: there is no sense in waiting for one."""
        now = time.monotonic()
        if now < self._silent_until:
            return None
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().run_in_executor(self._thread, self.ring.read)
            self._reading.add_done_callback(_looked_at)
            self._overdue_at = now + ANSWER_SECONDS
        return self._reading if now < self._overdue_at else None

    async def _is_answered(self, reading: asyncio.Future[InForce]) -> bool:
        await asyncio.wait([reading], timeout=self._overdue_at - time.monotonic())
        if reading.done() and (error := reading.exception()) is not None and not isinstance(error, DATABASE_DOWN):
            raise error
        if reading.done() and error is None:
            return True
        if time.monotonic() >= self._silent_until:
            logger.warning("the database does not say which keys count; the ones known before go on")
            self._silent_until = time.monotonic() + AGAIN_SECONDS
        return False


def _looked_at(reading: asyncio.Future[InForce]) -> None:
    """An error that nobody asks for is logged as forgotten, and nobody may be waiting any more."""
    if not reading.cancelled():
        reading.exception()

"""How many requests a key may send. Each process counts for itself, in memory: a few numbers for each key."""

from __future__ import annotations

import math
import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from service.rejected import RateLimited
from store.keys import KeyRow


class Rates:
    """Counts the requests of each key over the last minute, the minute before counting in proportion."""

    def __init__(self, *, requests_per_minute: int | None) -> None:
        self._otherwise = requests_per_minute
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def count(self, key: KeyRow) -> None:
        """The request is one of those that the key may send.

        Raises:
            RateLimited: it is one too many; `seconds` later, one more would not be.
        """
        most = self._otherwise if key.requests_per_minute is None else key.requests_per_minute
        if most is None:
            return
        item = RateLimitItemPerMinute(most)
        if await self._limiter.hit(item, key.name):
            return
        reset_time, _ = await self._limiter.get_window_stats(item, key.name)
        # At the moment itself the count is still full, so the wait is longer than that, and in whole seconds.
        seconds = max(0, math.floor(reset_time - time.time())) + 1
        raise RateLimited(name=key.name, requests_per_minute=most, seconds=seconds)

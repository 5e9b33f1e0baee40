"""How many requests a key may send: never more within any minute. Each process counts for itself, in memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from service.rejected import RateLimited
from store.values import KeyRow

MINUTE_SECONDS = 60.0


class Rates:
    """Remembers when the requests of the last minute were let in, so that the count is exact at every moment.

    Of a key that is as many numbers as it may send in a minute, at most; of one that has been silent for so long, none.
    """

    def __init__(self, *, requests_per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._otherwise = requests_per_minute
        self._clock = clock
        self._entered: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, key: KeyRow) -> None:
        """The request is one of those that the key may send.

        Raises:
            RateLimited: it is one too many; `seconds` later, one more would not be.
        """
        most = self._otherwise if key.requests_per_minute is None else key.requests_per_minute
        if most is None:
            return
        now = self._clock()
        self._forget_the_silent(now)
        entered = self._entered.setdefault(key.name, deque())
        while entered and entered[0] + MINUTE_SECONDS <= now:
            entered.popleft()
        if len(entered) >= most:
            wait = entered[-most] + MINUTE_SECONDS - now
            raise RateLimited(name=key.name, requests_per_minute=most, seconds=math.floor(wait) + 1)
        entered.append(now)
        self._entered.move_to_end(key.name)

    @property
    def remembered(self) -> int:
        """How many requests are remembered, of all keys."""
        return sum(map(len, self._entered.values()))

    def _forget_the_silent(self, now: float) -> None:
        # The first in order is the key that was let in longest ago; none is here that never was.
        while self._entered and next(iter(self._entered.values()))[-1] + MINUTE_SECONDS <= now:
            self._entered.popitem(last=False)

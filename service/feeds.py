"""The newest events of the models that somebody listens to, and the thread that looks for them.

It wakes when the ledger changes, reads what is new once for everybody, and survives outages of the database. While
nobody listens it asks nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile

from sqlalchemy import Engine

from service.told import Told, told, told_progress
from store.engine import DATABASE_DOWN, sign_of
from store.events import Events, Standing
from store.waker import Waker, waker_for

HELD_MAX = 256
"""Events of a model that are held for those who are nearly at the newest."""
LOOK_SECONDS = 0.5
"""How long nothing is looked at when nobody says that the ledger changed: on PostgreSQL, batches are not announced."""
WAKE_SECONDS = 0.05
"""How often a SQLite ledger is looked at for changes: a listener need not know as soon as a worker."""
PROGRESS_SECONDS = 1.0
AGAIN_SECONDS = 1.0
STOP_SECONDS = 0.1
"""How long a stop may wait for the thread."""

logger = logging.getLogger("posterity.service")


class Feed:
    """The newest events of one model. All but what the thread has seen belongs to the event loop."""

    def __init__(self, model: str, standing: Standing) -> None:
        self.model = model
        self.model_id = standing.model_id
        self.newest = standing.newest
        self.progress = None if standing.running is None else told_progress(model, standing.running)
        self._held: deque[Told] = deque(maxlen=HELD_MAX)
        self.seen = standing.newest, standing.running, 0.0
        """The thread's own: the number, the progress, and when that was."""

    def take(self, new: Sequence[Told], progress: bytes | None) -> None:
        """These are the newest; where others lie between them and what is held, only they are held."""
        if new:
            if self._held and new[0].number != self._held[-1].number + 1:
                self._held.clear()
            self._held.extend(new)
            self.newest = new[-1].number
        self.progress = progress

    def after(self, number: int) -> list[Told] | None:
        """The events after this one; None: they are not all held here."""
        if number >= self.newest:
            return []
        if not self._held or self._held[0].number > number + 1:
            return None
        return list(takewhile(lambda one: one.number > number, reversed(self._held)))[::-1]


class Lookout:
    """The thread. It says `on_news`, in the event loop that began it, which feed has something new."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        on_news: Callable[[Feed], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._events, self._on_news, self._clock = engine, events, on_news, clock
        self._feeds: dict[int, Feed] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wanted, self._stopping = threading.Event(), threading.Event()
        self._is_out = False
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def feed(self, model: str, standing: Standing) -> Feed:
        """The model's feed, which is looked after from now on."""
        self._loop = asyncio.get_running_loop()
        with self._lock:
            feed = self._feeds.setdefault(standing.model_id, Feed(model, standing))
        if self._thread.ident is None:
            self._thread.start()
        self._wanted.set()
        return feed

    def drop(self, feed: Feed) -> None:
        """Nobody listens to the model any more."""
        with self._lock:
            self._feeds.pop(feed.model_id, None)
            if not self._feeds and not self._stopping.is_set():
                self._wanted.clear()

    def close(self) -> None:
        """The thread ends; it is waited for, where it was started."""
        self._stopping.set()
        self._wanted.set()
        if self._thread.ident is not None:
            self._thread.join()

    def look(self) -> None:
        """Every feed is told what was committed since the last look.

        Raises:
            SQLAlchemyError: the database does not answer.
        """
        with self._lock:
            feeds = dict(self._feeds)
        for standing in self._events.standings(feeds) if feeds else ():
            self._tell(feeds[standing.model_id], standing)

    def _tell(self, feed: Feed, standing: Standing) -> None:
        number, running, since = feed.seen
        now = self._clock()
        new = list[Told]()
        if standing.newest > number:
            rows = self._events.of(feed.model_id, max(number, standing.newest - HELD_MAX), limit=HELD_MAX)
            new = [told(feed.model, row) for row in rows]
            number = new[-1].number
        has_ended = standing.running is None
        if standing.running != running and (has_ended or now - since >= PROGRESS_SECONDS):
            running, since = standing.running, now
        elif not new:
            return
        feed.seen = number, running, since
        progress = None if running is None else told_progress(feed.model, running)
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._take, feed, new, progress)

    def _take(self, feed: Feed, new: Sequence[Told], progress: bytes | None) -> None:
        feed.take(new, progress)
        self._on_news(feed)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wanted.wait()
            try:
                with waker_for(self._engine, look_seconds=WAKE_SECONDS) as waker:
                    self._watch(waker)
            except DATABASE_DOWN as error:
                if not self._is_out:
                    logger.warning("events are not told until the database answers: %s", sign_of(error))
                self._is_out = True
                self._stopping.wait(AGAIN_SECONDS)
            except Exception as error:  # Whatever it was: nobody would start this thread anew.
                if self._stopping.is_set():
                    return
                logger.error("events are not told; trying again in %s s", AGAIN_SECONDS, exc_info=error)
                self._stopping.wait(AGAIN_SECONDS)

    def _watch(self, waker: Waker) -> None:
        looked = float("-inf")
        while self._wanted.is_set() and not self._stopping.is_set():
            if waker.wait(STOP_SECONDS) or self._clock() - looked > LOOK_SECONDS:
                looked = self._clock()
                self.look()
                self._is_out = False

"""One listener: where it is among the events of a model, and what it is told next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.connection import ENDLESS
from service.feeds import Feed
from service.hub import Hub
from service.told import BEAT, PROGRESS, RETRY_MILLISECONDS, Told, position
from store.engine import DATABASE_DOWN, sign_of
from store.events import Standing
from store.keys import KeyRow
from store.kinds import EventKind

BEAT_SECONDS = 15.0
"""Of silence, after which a listener hears that the connection is well; its key is looked at as often."""
AGAIN_SECONDS = 1.0
MEDIA_TYPE = "text/event-stream"
UNBUFFERED = {"X-Accel-Buffering": "no"}
"""For nginx, which else keeps what comes until it is a page."""

logger = logging.getLogger("posterity.service")


class Listener:
    """Tells one client what comes after the event `start`; only of these `kinds`, where some are given."""

    def __init__(self, hub: Hub, feed: Feed, *, start: int, kinds: frozenset[str] | None, key: KeyRow | None) -> None:
        self._hub, self._feed, self._kinds, self._key = hub, feed, kinds, key
        self._kept = None if kinds is None else [EventKind(kind) for kind in kinds - {PROGRESS}]
        self._number = self._said_number = start
        self._said_progress: bytes | None = None
        self._spoke_at = self._checked_at = hub.clock()
        self._turn = asyncio.Event()
        self._is_over = False

    def call(self) -> None:
        self._turn.set()

    def is_due(self, now: float) -> bool:
        return now - min(self._spoke_at, self._checked_at) >= BEAT_SECONDS

    def end(self) -> None:
        self._is_over = True
        self._turn.set()

    async def frames(self) -> AsyncIterator[bytes]:
        """What the client is told, until the service stops or its key does not count any more.

        The first frame says where it begins, so that a client whose connection ends before the first event comes back
        to the same place.
        """
        yield position(self._number, retry=RETRY_MILLISECONDS)
        while not self._is_over:
            if said := await self._next():
                self._spoke_at = self._hub.clock()
                yield said
            if not said or self._number >= self._feed.newest:
                await self._turn.wait()
                self._turn.clear()

    async def _next(self) -> bytes:
        """What is to be said now; nothing, where it is to wait for its turn."""
        now = self._hub.clock()
        if now - self._checked_at >= BEAT_SECONDS:
            self._checked_at = now
            if not await self._hub.may_stay(self._key):
                self._is_over = True
                return b""
        while not self._is_over:
            new, number = await self._new()
            if number == self._number:
                break
            self._number = number
            if said := b"".join(one.frame for one in new if self._wants(one.kind)):
                self._said_number = max(one.number for one in new if self._wants(one.kind))
                return said + self._progress()
        if said := self._progress():
            return said
        return self._beat() if now - self._spoke_at >= BEAT_SECONDS else b""

    async def _new(self) -> tuple[list[Told], int]:
        """The next events, from memory or from the database, and how far they go; no further: it does not answer.

        From memory come also those that the client does not want.
        """
        new = self._feed.after(self._number)
        if new is not None:
            return new, new[-1].number if new else self._number
        try:
            return await self._hub.read(self._feed, self._number, self._kept)
        except DATABASE_DOWN as error:
            logger.warning("a listener waits until the database answers: %s", sign_of(error))
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.call)
            return [], self._number

    def _progress(self) -> bytes:
        """How far the running update is, where that is another than was said last."""
        progress = self._feed.progress
        if progress == self._said_progress or not self._wants(PROGRESS):
            return b""
        self._said_progress = progress
        return progress or b""

    def _beat(self) -> bytes:
        """That the connection is well; and where the client is, if events passed that it did not want."""
        if self._number == self._said_number:
            return BEAT
        self._said_number = self._number
        return position(self._number)

    def _wants(self, kind: str) -> bool:
        return self._kinds is None or kind in self._kinds


class EventStream(StreamingResponse):
    """An answer without an end of its own: who is made joins the hub when it begins, and leaves it however it ends."""

    media_type = MEDIA_TYPE

    def __init__(self, hub: Hub, model: str, standing: Standing, make: Callable[[Feed], Listener]) -> None:
        super().__init__((), headers=UNBUFFERED)
        self._hub, self._model, self._standing, self._make = hub, model, standing, make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streams.

        Raises:
            Overloaded, Unavailable: nobody more may listen; nothing was sent yet.
        """
        with self._hub.joined(self._model, self._standing, self._make) as listener:
            scope["state"][ENDLESS] = listener.end
            self.body_iterator = listener.frames()
            await super().__call__(scope, receive, send)

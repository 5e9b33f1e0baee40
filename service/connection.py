"""One client's connection: uvicorn's own, with bounds on what a client may send and on how long it may take.

uvicorn lets a client take as long as it likes over a request, or over reading its answer, and keeps heads of any size.
A timer for each connection looks from time to time where it stands; a request costs a few stores in attributes.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service import request_ids
from service.problems import as_bytes
from service.rejected import HeadTooLarge, Overloaded, RequestInvalid, RequestLate
from store.errors import Problem

HEAD_BYTES_MAX = 64 * 2**10
"""Of the request line and all headers, and of what is between the parts of a body."""
HEADERS_MAX = 100
PIPELINED_MAX = 16
"""Requests that came before the answer to the one before them."""
UNREAD_BYTES_MAX = 256 * 2**10
"""So much of a body is passed over after its answer, to keep the connection; beyond it ends."""
ENDLESS = "end"
"""Where the state of a request whose answer has no end of its own has what ends it."""
UNSENT_BYTES = 64 * 2**10
BYTES_PER_SECOND_LEAST = 10_000
"""Of a body on its way, and of an answer."""

logger = logging.getLogger("posterity.service")


class CutError(Exception):
    """Tells the parser to stop; nobody else sees it."""


@dataclass(frozen=True)
class Bounds:
    """The settings of the same names."""

    connections_max: int
    header_seconds: float
    upload_seconds: float
    answer_seconds: float

    @property
    def look_seconds(self) -> float:
        """So often is looked at a connection: what begins in between is due after the next look."""
        return min(self.header_seconds, self.upload_seconds, self.answer_seconds)


class Stretch(NamedTuple):
    """Some of the way of bytes: when it began, and how many had gone by then."""

    since: float
    nbytes: int

    def has_gone_on(self, now: float, seconds: float, nbytes: int) -> bool:
        """True after so many seconds in which enough went."""
        # Just as the deadline is computed: rounded otherwise, it could have come before so many seconds have gone.
        return now >= self.since + seconds and nbytes - self.nbytes >= seconds * BYTES_PER_SECOND_LEAST


class Connection(HttpToolsProtocol):
    """Ends when its client is too slow, sends too much where it should not, or is one too many."""

    bounds: ClassVar[Bounds]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _keep_what_waits(transport)
        now = self.loop.time()
        self._head_since: float | None = now
        self._head_bytes = 0
        self._fed_bytes = 0
        self._is_in_body = False
        self._coming = Stretch(now, 0)
        self._body_bytes = 0
        self._between_bytes = 0
        self._unread_bytes = 0
        self._leaving: Stretch | None = None
        self._refusal: Problem | None = None
        self._look = self.loop.call_later(self.bounds.look_seconds, self._look_at_it)
        if len(self.connections) > self.bounds.connections_max:
            self._refuse(Overloaded(waiting=f"{self.bounds.connections_max} connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._fed_bytes = len(data)
        if self._is_in_body:
            self._between_bytes += len(data)
        else:
            self._head_bytes += len(data)
            if self._head_since is None:
                self._head_since = self.loop.time()
        super().data_received(data)
        if not self._is_in_body and self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(HeadTooLarge(bytes_max=HEAD_BYTES_MAX, headers_max=HEADERS_MAX))
        elif self._between_bytes > HEAD_BYTES_MAX + self._fed_bytes:
            self._end()

    def on_headers_complete(self) -> None:
        is_large = self._fed_bytes > HEAD_BYTES_MAX and self._head_size() > HEAD_BYTES_MAX
        if is_large or len(self.headers) > HEADERS_MAX:
            self._refusal = HeadTooLarge(bytes_max=HEAD_BYTES_MAX, headers_max=HEADERS_MAX)
            raise CutError
        if len(self.pipeline) >= PIPELINED_MAX:
            raise CutError
        super().on_headers_complete()
        self.headers = []  # Not the application's list any more: trailers say nothing about a request that has begun.
        self._head_since, self._head_bytes = None, 0
        self._is_in_body, self._coming = True, Stretch(self.loop.time(), 0)
        self._body_bytes = self._between_bytes = self._unread_bytes = 0

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._between_bytes = 0
        if self.cycle.response_complete:
            self._unread_bytes += len(body)
            if self._unread_bytes > UNREAD_BYTES_MAX:
                self._end()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_in_body = False
        self._between_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn calls it so
        """The answer, instead of uvicorn's own, to bytes that it cannot read."""
        self._refuse(self._refusal or RequestInvalid(reason="What was sent cannot be read"))

    def shutdown(self) -> None:
        """As uvicorn does it; and an answer without an end of its own learns that it is to end.

        Where its client takes nothing, it just ends: what it leaves out can be asked for again.
        """
        super().shutdown()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and (end := cycle.scope["state"].get(ENDLESS)):
            end()
            if self.transport.get_write_buffer_size():
                self._end()

    def resume_writing(self) -> None:
        self._leaving = None
        super().resume_writing()

    def _look_at_it(self) -> None:
        """Ends the connection if it is time, and looks again when it may be."""
        now = self.loop.time()
        due = self._due(now)
        if now >= due:
            if self._leaving is None and (self._is_in_body or self._head_bytes):
                self._refuse(RequestLate())
            else:
                self._end()
            due = math.inf
        self._look = self.loop.call_later(min(due - now, self.bounds.look_seconds), self._look_at_it)

    def _due(self, now: float) -> float:
        """When the connection must end, unless its client does something until then."""
        bounds = self.bounds
        if waiting := self.transport.get_write_buffer_size():
            if self._leaving is None or self._leaving.has_gone_on(now, bounds.answer_seconds, -waiting):
                self._leaving = Stretch(now, -waiting)
            return self._leaving.since + bounds.answer_seconds
        self._leaving = None
        if self.transport.is_closing():
            return math.inf
        if self._is_in_body:
            # Where reading is paused it is the service that does not listen.
            if self.flow.read_paused or self._coming.has_gone_on(now, bounds.upload_seconds, self._body_bytes):
                self._coming = Stretch(now, self._body_bytes)
            return self._coming.since + bounds.upload_seconds
        if self._head_since is not None and (self.cycle is None or self.cycle.response_complete):
            return self._head_since + bounds.header_seconds
        return math.inf

    def _refuse(self, problem: Problem) -> None:
        """The connection ends with the problem, or without a word where that could be taken for something else."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        is_asked = self._is_in_body and cycle is not None and not cycle.response_complete
        is_between = not self._is_in_body and (cycle is None or cycle.response_complete)
        if self.pipeline or not (is_between or (is_asked and not cycle.response_started)):
            self._end()
            return
        state = cycle.scope["state"] if is_asked else {}
        state["cut"] = problem.status
        instance = cycle.scope["path"] if is_asked else "/"
        logger.info("%s: the connection of a client ends", problem.code)
        self.transport.write(as_bytes(problem, instance, request_id=state.get("request_id") or request_ids.new()))
        self.transport.close()
        self._tell()

    def _end(self) -> None:
        self.transport.abort()
        self._tell()

    def _tell(self) -> None:
        """What still works on the request learns that nobody waits for the answer."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)


def _keep_what_waits(transport: asyncio.Transport) -> None:
    """The system takes little more of an answer than it can send, so that it is seen here whether a client reads."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT") and (line := transport.get_extra_info("socket")) is not None:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def bounded(bounds: Bounds) -> type[Connection]:
    """The class of connections with these bounds, for uvicorn to make."""
    return type("BoundedConnection", (Connection,), {"bounds": bounds})

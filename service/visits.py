"""What every request passes first and every answer last: its id, its name for us, its bytes, its line in the log."""

from __future__ import annotations

import logging
import re
import time

from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import request_ids
from service.bodies_at_once import Bodies
from service.house import House
from service.names import Names
from service.needs import OTHER, PREDICT, need_of
from service.pages import told
from service.problems import GONE, respond
from service.rejected import Internal, Overloaded, RequestInvalid
from store.errors import Problem
from store.logs import REQUEST_ID

MODEL = re.compile(r"/v[12]/models/([^/]+)")
PIECE_BYTES = 256 * 2**10
READING = frozenset({"GET", "HEAD"})
STATED = frozenset({b"x-request-id", b"host", b"origin"})

logger = logging.getLogger("posterity.service")
requests = logging.getLogger("posterity.requests")


class Visits:
    """ASGI middleware around all others, and around what answers their faults."""

    def __init__(self, app: ASGIApp, *, house: House) -> None:
        self._app = app
        self._names = Names(house.settings)
        self._bodies = house.bodies
        self._meters = house.meters
        self._is_traced = house.tracing.export is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = [(name, value) for name, value in scope["headers"] if name in STATED]
        stated = dict(said)
        request_id = request_ids.of(stated.get(b"x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        REQUEST_ID.set(request_id)
        visit = Visit(scope, request_id, self._bodies, receive=receive, send=send)
        began = time.perf_counter()
        if self._is_traced:
            _name_span(scope)
        try:
            if len(stated) < len(said) or b"host" not in stated:
                _must_name_one_host(scope, [name for name, _ in said])
            self._names.check(stated.get(b"host"), stated.get(b"origin"))
            await self._app(scope, visit.receive, visit.send)
        except Exception as error:
            if not await visit.is_answered_all_the_same(error, scope):
                raise
        finally:
            self._bodies.leave(visit.counted_bytes)
            seconds, status = time.perf_counter() - began, scope["state"].get("cut") or visit.status or GONE
            self._meters.answered(scope["method"], scope["path"], status, seconds)
            if requests.isEnabledFor(logging.INFO):
                _write(scope, visit, status, seconds)


class Visit:
    """One request on its way in, and its answer on its way out."""

    __slots__ = (
        "_bodies",
        "_id",
        "_length",
        "_receive",
        "_scope",
        "_send",
        "bytes_in",
        "bytes_out",
        "is_over",
        "status",
    )

    def __init__(self, scope: Scope, request_id: str, bodies: Bodies, *, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._id = (b"x-request-id", request_id.encode())
        self._receive = receive
        self._send = send
        self._bodies = bodies
        self.bytes_in = self.bytes_out = self._length = 0
        self.status: int | None = None
        self.is_over = False

    @property
    def counted_bytes(self) -> int:
        """How many bytes of the request and its answer count among those of all."""
        return self._bodies.counted(self.bytes_in) + self._bodies.counted(self._length)

    async def receive(self) -> Message:
        """The next part of the body.

        Raises:
            Overloaded: there is no room for it beside the bodies of others.
        """
        message = await self._receive()
        if body := message.get("body"):
            before = self.bytes_in
            self._bodies.enter(before, len(body))
            self.bytes_in += len(body)
        return message

    async def send(self, message: Message) -> None:
        """Sends a part of the answer; of a long one no more than the client takes, and little beside."""
        if message["type"] == "http.response.start":
            await self._start(message)
        elif not self.is_over:
            body, is_more = message.get("body", b""), message.get("more_body", False)
            self.bytes_out += len(body)
            for start in range(0, len(body) - PIECE_BYTES, PIECE_BYTES):
                piece = body[start : start + PIECE_BYTES]
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            rest = body[(max(0, len(body) - 1) // PIECE_BYTES) * PIECE_BYTES :]
            self.is_over = not is_more
            await self._send({"type": "http.response.body", "body": rest, "more_body": is_more})

    async def _start(self, message: Message) -> None:
        said = message.get("headers", ())
        length = next((int(value) for name, value in said if name == b"content-length"), 0)
        if self.status is None and not self._bodies.has_room(length) and _has_changed_nothing(self._scope):
            problem = Overloaded(waiting=f"{self._bodies.nbytes} bytes of other bodies")
            await respond(problem, self._scope["path"])(self._scope, self.receive, self.send)
            return
        self._length = length
        self._bodies.enter_answer(length)
        self.status = message["status"]
        headers = [*said, self._id, *told(self._scope["method"], said)]
        await self._send({**message, "headers": headers})

    async def is_answered_all_the_same(self, error: Exception, scope: Scope) -> bool:
        """True where the client has a whole answer in spite of the error; one that is no refusal is in the log."""
        if isinstance(error, Problem):
            problem = error
        else:
            problem = Internal()
            logger.error("a fault of the service", exc_info=error)
        if self.status is None:
            await respond(problem, scope["path"])(scope, self.receive, self.send)
        return self.is_over


def _has_changed_nothing(scope: Scope) -> bool:
    """True where the request may be answered as if it had not been: it has read, or predicted."""
    method = scope["method"]
    return method in READING or need_of(method, scope["path"]).scopes >= PREDICT


def _must_name_one_host(scope: Scope, names: list[bytes]) -> None:
    """Nothing happens where a request says once for whom it is, and from where at most once.

    Raises:
        RequestInvalid: two programs could read it as two different requests; of HTTP/1.1 also, where it says nothing.
    """
    for name in (b"host", b"origin"):
        if names.count(name) > 1:
            raise RequestInvalid(reason=f"The request names {name.decode().title()} more than once")
    if b"host" not in names and scope.get("http_version") == "1.1":
        raise RequestInvalid(reason="The request names no Host")


def _name_span(scope: Scope) -> None:
    """The span of the request has the name of its call, also where a shortcut passes the router by."""
    if (route := need_of(scope["method"], scope["path"]).template) != OTHER:
        span = trace.get_current_span()
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)


def _write(scope: Scope, visit: Visit, status: int, seconds: float) -> None:
    state, path = scope["state"], scope["path"]
    model = MODEL.match(path)
    requests.info(
        "answered",
        extra={
            "method": scope["method"],
            "path": path[:200],
            "status": status,
            "ms": round(1000 * seconds, 2),
            "bytes_in": visit.bytes_in,
            "bytes_out": visit.bytes_out,
            "model": model[1][:128] if model else None,
            "caller": state.get("caller"),
        },
    )

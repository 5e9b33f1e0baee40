"""What requests that pass FastAPI by have in common: which they are, how they are read, and how they are refused."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Set
from typing import Generic, TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from service.house import House
from service.problems import problem_of, respond

Found = TypeVar("Found")

HEADERS = {b"host", b"user-agent", b"accept", b"accept-encoding", b"connection", b"content-length", b"content-type"} | {
    *(b"x-request-id", b"traceparent", b"tracestate")
}
"""Others may say more than a shortcut knows."""


class Shortcut(ABC, Generic[Found]):
    """Middleware that answers the requests it finds, and passes on everything else."""

    def __init__(self, app: ASGIApp, *, house: House) -> None:
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self.found(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        answer: ASGIApp | None
        try:
            answer = await self.answer(found, receive)
        except Exception as error:
            if (problem := problem_of(error)) is None:
                raise
            answer = respond(problem, scope["path"])
        if answer is not None:
            await answer(scope, receive, send)

    @abstractmethod
    def found(self, scope: Scope) -> Found | None:
        """What the request asks, from all but its body; None: it is for FastAPI."""

    @abstractmethod
    async def answer(self, found: Found, receive: Receive) -> ASGIApp | None:
        """What sends the answer; None: the client went away."""


async def body_of(receive: Receive) -> bytes | None:
    """The whole body; None: the client went away."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def is_plain(
    headers: list[tuple[bytes, bytes]], names: Set[bytes], types: Collection[bytes], *, bytes_max: int
) -> bool:
    """True when a request says no more than these headers can, each once: a short enough body of one of these types."""
    said = dict(headers)
    length = said.get(b"content-length", b"")
    is_small = length.isdigit() and len(length) < 9 and int(length) <= bytes_max
    is_known = said.keys() <= names and len(said) == len(headers)
    return is_small and is_known and said.get(b"content-type") in types

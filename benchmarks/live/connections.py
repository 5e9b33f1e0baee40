"""Connections that ask over and over, with next to no work of their own between an answer and the next request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
BUFFER_BYTES = 2**20
JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body of a success; anything else is an error of ours."""
        assert self.status < 300, f"{self.status}: {self.body[:500]!r}"
        return dict(json.loads(self.body))


def request(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """The request as it goes over the wire."""
    said = {"Host": "127.0.0.1", **(headers or {}), "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One connection to a port on loopback that stays open; use it as an asynchronous context manager."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=BUFFER_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, request: bytes) -> Answer:
        """The answer to the request.

        Raises:
            ConnectionError, asyncio.IncompleteReadError: there was none.
        """
        self._writer.write(request)
        await self._writer.drain()
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, length = STATUS.match(head), LENGTH.search(head)
        assert status is not None, head
        assert length is not None, head
        return Answer(int(status[1]), await self._reader.readexactly(int(length[1])))

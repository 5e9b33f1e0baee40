"""Clients that do what no client should, in a process of their own: `python -m benchmarks.live.hostile <port>`.

Once all of them are there it says "ready" on stdout, and they go on until the process is ended: 500 idle connections,
50 that send a header byte by byte, 50 that stall in their body, 20 that read nothing of an answer of megabytes, 200 a
second that vanish in the middle of a body, and one body of 2 GB after another, with its length and without. Whoever is
hung up on comes again a second later.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from benchmarks.live import digits

PREDICTIONS = f"/v1/models/{digits.NAME}/predictions"
LARGE_ANSWER = f"/v1/models/{digits.NAME}/versions/1/posterior"
JSON = "Content-Type: application/json"
IDLE, DRIPPING, STALLED, DEAF = 500, 50, 50, 20
VANISHING_PER_SECOND = 200
BODY_BYTES = 2 * 10**9
PART = b"100000\r\n" + b" " * 2**20 + b"\r\n"
PAUSE_SECONDS = 1.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Behaving = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def head(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


async def idle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in itertools.cycle(b"GET /livez HTTP/1.1\r\nX-Slow: "):
        writer.write(bytes([byte]))
        await asyncio.sleep(PAUSE_SECONDS)
        if reader.at_eof():
            return


async def stalled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(head(PREDICTIONS, JSON, "Content-Length: 100000") + b" " * 50_000)
    await reader.read()


async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(f"GET {LARGE_ANSWER} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    line = writer.get_extra_info("socket")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    while not is_lost(line):
        await asyncio.sleep(PAUSE_SECONDS)


async def huge_by_its_length(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(head(PREDICTIONS, JSON, f"Content-Length: {BODY_BYTES}") + PART)
    await reader.read()


async def huge_in_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(head(PREDICTIONS, JSON, "Transfer-Encoding: chunked"))
    for _ in range(BODY_BYTES // len(PART)):
        writer.write(PART)
        await writer.drain()
        if reader.at_eof():
            return


def is_lost(line: socket.socket) -> bool:
    """True once the other side has hung up for good."""
    state: int = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != 1


async def again_and_again(port: int, behaving: Behaving) -> None:
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await behaving(reader, writer)
            finally:
                writer.transport.abort()
        await asyncio.sleep(PAUSE_SECONDS)


async def vanish(port: int) -> None:
    """Connections that send half a request and are reset, so many a second."""
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.sendall(head(PREDICTIONS, JSON, "Content-Length: 5000") + b" " * 1000)
        await asyncio.sleep(1 / VANISHING_PER_SECOND)


async def main(port: int) -> None:
    crowd: list[tuple[int, Behaving]] = [
        *((IDLE, idle), (DRIPPING, dripping), (STALLED, stalled), (DEAF, deaf)),
        *((1, huge_by_its_length), (1, huge_in_chunks)),
    ]
    async with asyncio.TaskGroup() as group:
        for count, behaving in crowd:
            for _ in range(count):
                group.create_task(again_and_again(port, behaving))
            await asyncio.sleep(0.1)
        group.create_task(vanish(port))
        await asyncio.sleep(PAUSE_SECONDS)
        sys.stdout.write("ready\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

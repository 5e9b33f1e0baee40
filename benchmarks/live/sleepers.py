"""Listeners that hear a few events, sleep, and go on from there: gone meanwhile, or connected and reading nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx

from client.listening import SILENCE_SECONDS_MAX, Following

Json = dict[str, Any]

FEW = 20
PAUSE_SECONDS = 1.0
TCP = Path("/proc/net/tcp")


class Sleeper:
    """A listener from the first event on. Each of its connections is to the next of the ports, by `Last-Event-ID`."""

    def __init__(self, model: str, ports: Sequence[int], *, leaves: bool) -> None:
        self.told: list[Json] = []
        self.connections = 0
        self.unread_bytes = 0
        """Of the service's, when the sleep was over."""
        self.slept: tuple[float, float] | None = None
        """From when to when."""
        self._model, self._ports, self._leaves = model, ports, leaves
        self._following = Following(model, after=0)
        self._ends = 0, 0

    @property
    def last(self) -> int:
        """The id that it saw last."""
        return self._following.last or 0

    async def listen(self, seconds: float) -> None:
        """Hears a few events, sleeps for so long and goes on, whatever becomes of its connections; without an end."""
        ports = cycle(self._ports)
        async with self._connected(next(ports)) as lines:
            await self._hear(lines, until=FEW)
            if not self._leaves:
                await self._sleep(seconds)
                with suppress(httpx.TransportError):
                    await self._hear(lines)
        if self._leaves:
            await self._sleep(seconds)
        for port in ports:
            with suppress(httpx.TransportError):
                async with self._connected(port) as lines:
                    await self._hear(lines)
            await asyncio.sleep(PAUSE_SECONDS)

    @asynccontextmanager
    async def _connected(self, port: int) -> AsyncIterator[AsyncIterator[str]]:
        """The lines that a service says after the last id."""
        url, headers = f"http://127.0.0.1:{port}/v1/models/{self._model}/events", {"Last-Event-ID": str(self.last)}
        async with (
            httpx.AsyncClient(timeout=SILENCE_SECONDS_MAX) as http,
            http.stream("GET", url, headers=headers) as response,
        ):
            response.raise_for_status()
            self.connections += 1
            _, own = response.extensions["network_stream"].get_extra_info("client_addr")
            self._ends = port, own
            yield response.aiter_lines()

    async def _hear(self, lines: AsyncIterator[str], *, until: int | None = None) -> None:
        async for line in lines:
            event = self._following.take(line)
            if event is not None and event.number is not None:
                self.told.append(event.raw)
                if len(self.told) == until:
                    return

    async def _sleep(self, seconds: float) -> None:
        began = time.time()
        await asyncio.sleep(seconds)
        self.unread_bytes = waiting_bytes(*self._ends)
        self.slept = began, time.time()


def waiting_bytes(port: int, other: int) -> int:
    """How many bytes written at this port of loopback the system holds for the other one; 0: there is no connection."""
    for line in TCP.read_text().splitlines()[1:]:
        _, here, there, _, queues, *_ = line.split()
        if (_port(here), _port(there)) == (port, other):
            return int(queues.partition(":")[0], 16)
    return 0


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)

"""A TCP proxy that does what it is told: holds, delays, cuts, swallows, damages. Nothing in it happens by chance.

```
with FaultyProxy("127.0.0.1", 5432) as proxy:
    connect("127.0.0.1", proxy.port)
    proxy.swallow(To.CLIENT)     # The next answer never arrives: the server did what it was asked, nobody learns of it.
    proxy.wait_for_faults(1)
    proxy.heal()
```
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import TracebackType
from typing import Literal, Self, assert_never

READ_BYTES = 2**16
WAIT_SECONDS = 30.0


class To(StrEnum):
    """Whom bytes are for."""

    SERVER = "server"
    CLIENT = "client"


@dataclass
class Fault:
    """What befalls bytes in one direction, once so many have passed; of the next connections on which any come."""

    what: Literal["cut", "swallow", "flip"]
    to: To
    after_bytes: int
    connections: int
    times: int = 1


@dataclass(eq=False)
class Connection:
    """A client's and ours to the server; `faults` are those it has met, with the bytes that passed since."""

    writers: dict[To, asyncio.StreamWriter]
    faults: dict[To, Fault] = field(default_factory=dict)
    passed: Counter[To] = field(default_factory=Counter)

    def abort(self) -> None:
        """Both ends are told by a reset, and get nothing more."""
        for writer in self.writers.values():
            writer.transport.abort()


class FaultyProxy:
    """While entered, passes on what is sent to its `port` of 127.0.0.1, but for what it was told to do.

    Commands take effect before they return, on connections that are there too. They count bytes and connections from
    then on.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="faulty proxy", daemon=True)
        self._started: Future[int] = Future()
        self._changed = threading.Condition()
        self._faults_done = 0
        self._pending: list[Fault] = []
        self._connections: set[Connection] = set()
        self._is_refusing = False
        self._delays: dict[To, float] = {}

    @property
    def port(self) -> int:
        return self._started.result(WAIT_SECONDS)

    @property
    def faults_done(self) -> int:
        """How often a connection has met a fault so far."""
        return self._faults_done

    def heal(self) -> None:
        """All passes again; what was held arrives now. Connections that lost bytes are gone."""
        self._tell(self._heal)

    def hold(self, to: To | None = None) -> None:
        """What is sent, in one direction or both, waits until `heal`; connections are made nevertheless."""
        for one in To if to is None else (to,):
            self._tell(self._open[one].clear)

    def delay(self, seconds: float, to: To) -> None:
        """Each piece (of 64 KiB at most) arrives so much later."""
        self._tell(lambda: self._delays.update({to: seconds}))

    def refuse(self) -> None:
        """Every connection is reset, and every new one is as soon as it is made, until `heal`."""
        self._tell(self._refuse)

    def cut(self, to: To, *, after_bytes: int = 0, connections: int = 1) -> None:
        """The connection is reset once so many bytes have passed."""
        self._add(Fault("cut", to, after_bytes, connections))

    def swallow(self, to: To, *, after_bytes: int = 0, connections: int = 1) -> None:
        """What follows so many bytes never arrives; the connection stays, silent, until its client gives up."""
        self._add(Fault("swallow", to, after_bytes, connections))

    def flip(self, to: To, *, after_bytes: int, times: int = 1, connections: int = 1) -> None:
        """The lowest bit of the byte that follows so many is another, and so on; everything else passes."""
        self._add(Fault("flip", to, after_bytes, connections, times))

    def wait_for_faults(self, count: int, seconds: float = WAIT_SECONDS) -> None:
        """Connections have met faults so often since the proxy was made.

        Raises:
            AssertionError: they have not, after so many seconds.
        """
        with self._changed:
            found = self._changed.wait_for(lambda: self._faults_done >= count, seconds)
        assert found, f"{self._faults_done} of {count} faults came to pass within {seconds} s"

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(WAIT_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell(self._stop.set)
        self._thread.join()

    def _tell(self, command: Callable[[], object]) -> None:
        async def do() -> None:
            command()

        asyncio.run_coroutine_threadsafe(do(), self._loop).result(WAIT_SECONDS)

    def _add(self, fault: Fault) -> None:
        self._tell(lambda: self._pending.append(fault))

    def _heal(self) -> None:
        self._pending.clear()
        self._delays.clear()
        self._is_refusing = False
        for connection in self._connections:
            if any(fault.what == "swallow" for fault in connection.faults.values()):
                connection.abort()
        for opened in self._open.values():
            opened.set()

    def _refuse(self) -> None:
        self._is_refusing = True
        for connection in self._connections:
            connection.abort()

    async def _serve(self) -> None:
        try:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._open = {to: asyncio.Event() for to in To}
            self._heal()
            server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
            self._started.set_result(server.sockets[0].getsockname()[1])
        except BaseException as error:
            self._started.set_exception(error)
            raise
        await self._stop.wait()
        server.close()
        self._heal()
        self._refuse()
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection({To.CLIENT: writer})
        self._connections.add(connection)
        try:
            if not self._is_refusing:
                their_reader, connection.writers[To.SERVER] = await asyncio.open_connection(*self._target)
            if not self._is_refusing:
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(self._pump(connection, reader, To.SERVER))
                    pumps.create_task(self._pump(connection, their_reader, To.CLIENT))
        except* OSError:
            pass  # One end is gone.
        finally:
            connection.abort()
            self._connections.discard(connection)

    async def _pump(self, connection: Connection, reader: asyncio.StreamReader, to: To) -> None:
        writer = connection.writers[to]
        while data := await reader.read(READ_BYTES):
            if seconds := self._delays.get(to, 0.0):
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), seconds)
            await self._open[to].wait()
            writer.write(self._befallen(connection, data, to))
            await writer.drain()
        if not writer.is_closing() and "swallow" not in {fault.what for fault in connection.faults.values()}:
            writer.write_eof()

    def _befallen(self, connection: Connection, data: bytes, to: To) -> bytes:
        """What arrives of the data.

        Raises:
            ConnectionAbortedError: nothing does, and nothing will.
        """
        if to not in connection.faults and (fault := self._claimed(to)) is not None:
            connection.faults[to], connection.passed[to] = replace(fault), 0
        met = connection.faults.get(to)
        if met is None:
            return data
        begun = connection.passed[to]
        connection.passed[to] += len(data)
        at = met.after_bytes - begun
        if at >= len(data):
            return data
        match met.what:
            case "swallow":
                self._count(at >= 0)
                return data[: max(0, at)]
            case "cut":
                connection.writers[to].write(data[: max(0, at)])
                self._count(True)
                raise ConnectionAbortedError
            case "flip":
                damaged = bytearray(data)
                while at < len(data) and met.times:
                    damaged[at] ^= 1
                    at += met.after_bytes + 1
                    met.times -= 1
                    self._count(True)
                connection.passed[to] = met.after_bytes - (at - len(data))
                if not met.times:
                    del connection.faults[to]
                return bytes(damaged)
            case _ as never:
                assert_never(never)

    def _claimed(self, to: To) -> Fault | None:
        fault = next((one for one in self._pending if one.to == to), None)
        if fault is not None:
            fault.connections -= 1
            if fault.connections <= 0:
                self._pending.remove(fault)
        return fault

    def _count(self, is_new: bool) -> None:
        if is_new:
            with self._changed:
                self._faults_done += 1
                self._changed.notify_all()

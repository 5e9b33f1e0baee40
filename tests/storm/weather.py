"""The storm's faults: a plan made from the seed before it begins, and the hands that carry it out."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.faulty_proxy import FaultyProxy, To
from tests.postgres import PostgresServer

KILL_EVERY_SECONDS = 1.5


@dataclass(frozen=True)
class Fault:
    """What is to happen, so many seconds after the storm began."""

    at: float
    kind: str


def plan(kinds: dict[str, float], *, seconds: float, choices: random.Random) -> list[Fault]:
    """Faults of these kinds, each so many seconds apart on average, in order; the last seconds are left in peace."""
    faults = []
    for kind, every in sorted(kinds.items()):
        at = every * choices.random()
        while at < seconds - 1.0:
            faults.append(Fault(at, kind))
            at += every * (0.5 + choices.random())
    return sorted(faults, key=lambda fault: (fault.at, fault.kind))


class Weather(ABC):
    """The surroundings of one installation, and what may go wrong with them."""

    kinds: ClassVar[dict[str, float]]
    """How many seconds apart each kind of fault is, on average."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    @abstractmethod
    def strike(self, kind: str) -> None:
        """The fault happens; it may go on for a while after this returns."""

    @abstractmethod
    def clear(self) -> None:
        """No fault goes on any more."""


class Disk(Weather):
    """A small file system of its own, filled to its last byte for a while. Mounting one takes root."""

    kinds: ClassVar = {"full disk": 25.0}
    FULL_SECONDS = 2.0
    PIECE_BYTES = 2**20

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.ballast = folder / "ballast"
        self._timer: threading.Timer | None = None

    def strike(self, kind: str) -> None:
        self.clear()
        with suppress(OSError), self.ballast.open("wb", buffering=0) as file:
            while file.write(bytes(self.PIECE_BYTES)):
                pass
        self.counts[kind] += 1
        self._timer = threading.Timer(self.FULL_SECONDS, self._empty)
        self._timer.start()

    def clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        self._empty()

    def _empty(self) -> None:
        self.ballast.unlink(missing_ok=True)


class Sqlite(Weather):
    """Somebody else holds the ledger's write lock for a while."""

    kinds: ClassVar = {"write lock held": 30.0}
    HELD_SECONDS = 2.0

    def __init__(self, ledger: Path) -> None:
        super().__init__()
        self.ledger = ledger
        self._over = threading.Event()
        self._holder: threading.Thread | None = None

    def strike(self, kind: str) -> None:
        self.clear()
        self._holder = threading.Thread(target=self._hold)
        self._holder.start()
        self.counts[kind] += 1

    def clear(self) -> None:
        if self._holder is not None:
            self._over.set()
            self._holder.join()
            self._over.clear()

    def _hold(self) -> None:
        connection = sqlite3.connect(self.ledger, timeout=30.0, isolation_level=None)
        try:
            # A full disk is another fault; then nobody holds anything.
            with suppress(sqlite3.OperationalError):
                connection.execute("BEGIN IMMEDIATE")
                self._over.wait(self.HELD_SECONDS)
        finally:
            connection.close()


class Postgres(Weather):
    """The server drops every connection and recovers as after a crash, under load."""

    kinds: ClassVar = {"database restarted": 30.0}

    def __init__(self, server: PostgresServer) -> None:
        super().__init__()
        assert server.cluster is not None, "a storm restarts its server, and takes none that is somebody else's"
        self.cluster = server.cluster

    def strike(self, kind: str) -> None:
        self.cluster.restart()
        self.counts[kind] += 1

    def clear(self) -> None:
        """A restart is over when it returns."""


class Network(Weather):
    """Between the house and its object store: silence, cuts, and answers that never arrive."""

    kinds: ClassVar = {
        "store silent": 25.0,
        "put cut": 8.0,
        "answer swallowed": 8.0,
        "store refuses": 25.0,
        "answer late": 20.0,
    }
    SECONDS = 2.0

    def __init__(self, proxy: FaultyProxy, choices: random.Random) -> None:
        super().__init__()
        self.proxy = proxy
        self.choices = choices
        self._timer: threading.Timer | None = None

    def strike(self, kind: str) -> None:
        self.clear()
        match kind:
            case "store silent":
                self.proxy.hold()
            case "put cut":
                self.proxy.cut(To.SERVER, after_bytes=self.choices.randint(0, 2000))
            case "answer swallowed":
                self.proxy.swallow(To.CLIENT)
            case "store refuses":
                self.proxy.refuse()
            case "answer late":
                self.proxy.delay(1.5, To.CLIENT)
            case _:
                raise AssertionError(kind)
        self.counts[kind] += 1
        self._timer = threading.Timer(self.SECONDS, self.proxy.heal)
        self._timer.start()

    def clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
            self.proxy.heal()


@contextmanager
def small_disk(folder: Path, *, mebibytes: int) -> Iterator[bool]:
    """The folder is a file system of this size while inside; False, and a plain folder, where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)

"""Servers in processes of their own: started, waited for, and surely stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LISTENS = re.compile(r"(?:listens|running) on http://(127\.0\.0\.1):(\d+)")
START_SECONDS_MAX, STOP_SECONDS_MAX = 120.0, 20.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Server:
    """A server on loopback, by its process; its children, if it has some, are its workers."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def children(self) -> list[int]:
        """The processes that this one has started, by whichever thread."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]


class NotStartedError(Exception):
    """The server ended, or did not say where it listens; its log is in the message."""


@contextmanager
def service(data_dir: Path, *, workers: int = 0, **settings: object) -> Iterator[Server]:
    """A service of these settings on this folder, and on nothing else that the surroundings set."""
    said = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    stated = {f"POSTERITY_{name.upper()}": str(value) for name, value in settings.items()}
    environment = said | stated | {"POSTERITY_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "service", "--port", "0", "--workers", str(workers)]
    data_dir.mkdir(parents=True, exist_ok=True)
    with running(command, environment, log=data_dir / "service.log") as server:
        yield server


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], *, log: Path) -> Iterator[Server]:
    """The server of this command, once it listens; after the block neither it nor a child of it runs.

    It has a session of its own, so that Ctrl-C reaches only this process, which then stops it in order.

    Raises:
        NotStartedError: it did not come up.
    """
    with log.open("w") as stream:
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Server(process.pid, _port(process, log))
        finally:
            _stop(process)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port, as soon as it is in the log."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        has_ended = process.poll() is not None
        if (found := LISTENS.search(log.read_text(errors="replace"))) is not None:
            return int(found[2])
        if has_ended:
            break
        time.sleep(0.002)
    raise NotStartedError("\n".join(log.read_text(errors="replace").splitlines()[-10:]))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the server's session runs."""
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS_MAX)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

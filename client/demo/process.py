"""A service of the demo's own: started, waited for, and surely stopped."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from client.errors import ClientProblem

GREETING = "Posterity listens on "
START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 20.0


class ServiceNotStarted(ClientProblem):
    """The service ended, or did not say where it listens."""


@contextmanager
def running_service(environment: Mapping[str, str], *, log: Path) -> Iterator[str]:
    """The URL of a service with one worker; after the block neither is running, whatever happened in it.

    The two have a session of their own, so that Ctrl-C reaches only this process, which then stops them in order.

    Raises:
        ServiceNotStarted: it did not come up.
    """
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "--port", "0", "--workers", "1"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            start_new_session=True,
        )
        try:
            yield _listening_url(process, log)
        finally:
            _stop(process)


def log_tail(log: Path, *, lines: int = 5) -> str:
    return "\n".join(log.read_text(errors="replace").strip().splitlines()[-lines:]) if log.exists() else ""


def _listening_url(process: "subprocess.Popen[str]", log: Path) -> str:
    said: queue.Queue[str | None] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=_read, args=(process.stdout, said), daemon=True).start()
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            line = said.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise ServiceNotStarted(f"The service did not start within {START_SECONDS_MAX:.0f} seconds.") from None
        if line is None:
            raise ServiceNotStarted(f"The service ended before it listened.\n{log_tail(log)}".rstrip())
        if line.startswith(GREETING):
            return line.removeprefix(GREETING).strip()


def _read(stream: IO[str], said: "queue.Queue[str | None]") -> None:
    """Every line is in the queue, and None after the last; reading on keeps the pipe from filling up."""
    for line in stream:
        said.put(line)
    said.put(None)


def _stop(process: "subprocess.Popen[str]") -> None:
    """Nothing of the service's session is running."""
    try:
        process.terminate()
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _kill_session(process.pid)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _kill_session(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return

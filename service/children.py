"""Worker processes as children of the service: started, started again when they die, stopped with it."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Sequence

logger = logging.getLogger("posterity.service")

STEADY_SECONDS = 60.0
"""A child that lived this long starts the delays anew."""


class Children:
    """`count` processes of one command. Each has a pipe as its stdin, which ends when we do, even by kill -9."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        count: int,
        delay_first_seconds: float = 0.5,
        delay_max_seconds: float = 30.0,
        stop_seconds: float = 10.0,
    ) -> None:
        self.command = list(command)
        self.delay_first_seconds = delay_first_seconds
        self.delay_max_seconds = delay_max_seconds
        self.stop_seconds = stop_seconds
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._keepers = [threading.Thread(target=self._keep, name=f"child-{i}") for i in range(count)]

    def start(self) -> None:
        """The processes run, and are kept running by one thread each."""
        for keeper in self._keepers:
            keeper.start()

    def stop(self) -> None:
        """Every process has ended: asked by SIGTERM and the end of its stdin, killed when that took too long."""
        with self._lock:
            self._stopping.set()
            asked = list(self._running)
        for child in asked:
            assert child.stdin is not None
            child.stdin.close()
            child.terminate()
        until = time.monotonic() + self.stop_seconds
        for child in asked:
            try:
                child.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("worker %d did not stop in %.0f s and is killed", child.pid, self.stop_seconds)
                child.kill()
        for keeper in self._keepers:
            if keeper.ident is not None:
                keeper.join()

    def _keep(self) -> None:
        delay = self.delay_first_seconds
        while not self._stopping.is_set():
            try:
                child = self._spawn()
            except OSError as error:
                logger.error("no worker can be started: %s; trying again in %.1f s", error, self.delay_max_seconds)
                self._stopping.wait(self.delay_max_seconds)
                continue
            if child is None:
                return
            began = time.monotonic()
            with child:
                code = child.wait()
            with self._lock:
                self._running.discard(child)
            if self._stopping.is_set():
                return
            if time.monotonic() - began >= STEADY_SECONDS:
                delay = self.delay_first_seconds
            logger.error("worker %d ended with %d; another one starts in %.1f s", child.pid, code, delay)
            self._stopping.wait(delay)
            delay = min(2 * delay, self.delay_max_seconds)

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            # A session of its own: Ctrl+C reaches the service alone, which then stops its children in order.
            child = subprocess.Popen(self.command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
            self._running.add(child)
            return child

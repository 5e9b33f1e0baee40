"""The processes of the storm, kept running: whoever dies is followed by another, with another fate."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.storm.entry import enter
from tests.storm.places import PLACES, Doom

CONTEXT = multiprocessing.get_context("forkserver")
# Forked from a process that has torch already, a worker is there in milliseconds; so there can be hundreds of deaths.
CONTEXT.set_forkserver_preload(["tests.storm.entry"])

DOOMED = 0.7
"""The part of the processes that are born with a place to die at."""
PASSINGS_MAX = 6
PAUSE_SECONDS = 0.1
STOP_SECONDS = 40.0
KILLED = -signal.SIGKILL


@dataclass
class Post:
    """One process of the house that is always to be there, and who holds it now."""

    name: str
    part: str
    arguments: list[str]
    process: ForkServerProcess | None = None
    due: float = 0.0


@dataclass
class Processes:
    """The posts of one installation; `choices` decides the fates of those who hold them."""

    environment: Mapping[str, str]
    folder: Path
    choices: random.Random
    posts: list[Post] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    is_fateful: bool = True

    @property
    def epitaphs(self) -> Path:
        """Where those who died at a named place have written which."""
        return self.folder / "epitaphs"

    def serve(self, name: str) -> str:
        """A service holds this post from now on; its URL, the same for all who hold it."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.posts.append(Post(name, "service", ["--port", str(port), "--workers", "0"]))
        return f"http://127.0.0.1:{port}"

    def work(self, name: str) -> None:
        self.posts.append(Post(name, "worker", []))

    def collect(self, name: str, *, hours: float) -> None:
        """Bytes that nothing names and that are older than this are collected, again and again."""
        self.posts.append(Post(name, "collector", ["collect", "--older-than-hours", str(hours)]))

    def tend(self) -> None:
        """Every post is held, but those whose holder has just died."""
        now = time.monotonic()
        for post in self.posts:
            if post.process is not None and post.process.exitcode is not None:
                self._bury(post, now)
            if post.process is None and post.due <= now:
                post.process = self._start(post)

    def kill(self, choice: random.Random) -> None:
        """One of them, anywhere in whatever it does."""
        alive = [post for post in self.posts if post.process is not None and post.process.exitcode is None]
        if alive:
            process = choice.choice(alive).process
            assert process is not None
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """All are told to stop, and did so by themselves; who was killed before is counted.

        Raises:
            AssertionError: one had to be killed now.
        """
        running = [post for post in self.posts if post.process is not None]
        for post in running:
            assert post.process is not None
            post.process.terminate()
        stuck = [post.name for post in running if not self._ended(post)]
        assert not stuck, f"{stuck} did not stop within {STOP_SECONDS} s; their logs are in {self.folder}"

    @property
    def kills(self) -> int:
        return sum(count for end, count in self.ends.items() if end.endswith(f": {KILLED}"))

    def _ended(self, post: Post) -> bool:
        assert post.process is not None
        post.process.join(STOP_SECONDS)
        is_over = post.process.exitcode is not None
        if not is_over:
            post.process.kill()
            post.process.join()
        self._bury(post, time.monotonic())
        return is_over

    def _bury(self, post: Post, now: float) -> None:
        assert post.process is not None
        self.ends[f"{post.part}: {post.process.exitcode}"] += 1
        post.process.close()
        post.process, post.due = None, now + (PAUSE_SECONDS if post.part != "collector" else 1.0)

    def _start(self, post: Post) -> ForkServerProcess:
        process = CONTEXT.Process(
            target=enter,
            args=(post.part, post.arguments),
            kwargs={
                "environment": dict(self.environment),
                "log": str(self.folder / f"{post.name}.log"),
                "epitaphs": str(self.epitaphs),
                "fate": self._fate(post.part),
            },
            name=post.name,
        )
        process.start()
        return process

    def _fate(self, part: str) -> Doom | None:
        if not self.is_fateful or self.choices.random() > DOOMED:
            return None
        return Doom(self.choices.choice(sorted(PLACES[part])), self.choices.randint(1, PASSINGS_MAX))

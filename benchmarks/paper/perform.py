"""Lines performed side by side, in processes of one thread each."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Empty

import torch

from benchmarks.paper import results
from benchmarks.paper.absorb import absorb
from benchmarks.paper.lines import Line

Told = tuple[str, float]
"""The key of a line, and the part of it that is done."""

POLL_SECONDS = 0.2
PARENT_SECONDS = 1.0

_told: Queue[Told] | None = None


def perform(
    lines: Sequence[Line], data: Path, folder: Path, *, device: str, processes: int, told: Callable[[str, float], None]
) -> None:
    """The folder has the results of the lines, each written as soon as it is there.

    `told` hears the part that is done of a line, by its key. Where this process is interrupted or dies, its children
    end at once or within a second.

    Raises:
        ExceptionGroup: some lines failed; the others are done.
    """
    context = get_context("spawn")
    queue: Queue[Told] = context.Queue()
    stopped = context.Event()
    with ProcessPoolExecutor(processes, context, _begin, (queue, stopped, os.getpid())) as pool:
        waiting = {pool.submit(_perform, line, data, folder, device) for line in lines}
        failed: list[BaseException] = []
        try:
            while waiting:
                _drain(queue, told)
                done = {future for future in waiting if future.done()}
                failed += [error for future in done if (error := future.exception()) is not None]
                waiting -= done
        except BaseException:
            stopped.set()
            raise
    if failed:
        raise BaseExceptionGroup(f"{len(failed)} of {len(lines)} lines failed", failed)


def _drain(queue: Queue[Told], told: Callable[[str, float], None]) -> None:
    try:
        while True:
            told(*queue.get(timeout=POLL_SECONDS))
    except Empty:
        return


def _begin(queue: Queue[Told], stopped: Event, parent: int) -> None:
    """The child computes in one thread, leaves Ctrl-C to its parent, and does not outlive it."""
    global _told  # noqa: PLW0603
    _told = queue
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(stopped, parent), daemon=True).start()


def _watch(stopped: Event, parent: int) -> None:
    while os.getppid() == parent and not stopped.wait(PARENT_SECONDS):
        continue
    os._exit(1)


def _perform(line: Line, data: Path, folder: Path, device: str) -> None:
    assert _told is not None
    queue = _told
    queue.put((line.key, 0.0))
    result = absorb(line, data, device=device, progress=lambda done: queue.put((line.key, done)))
    results.write(folder, result)
    queue.put((line.key, 1.0))

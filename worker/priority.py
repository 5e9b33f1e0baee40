"""A worker leaves the processor to those who answer people."""

from __future__ import annotations

import logging
import os
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")

log = logging.getLogger("posterity.worker")


def step_back(niceness: int, *, autogroup: Path = AUTOGROUP) -> None:
    """The process, with the threads it will start, has this niceness, unless it had a greater one.

    Where Linux groups the processes of a session (`sched_autogroup_enabled`), niceness counts within the session only,
    and a worker has one of its own: then the session's group steps back as well.
    """
    os.nice(max(0, niceness - os.nice(0)))
    try:
        if autogroup.exists():
            autogroup.write_text(f"{os.nice(0)}\n")
    except OSError as error:
        log.info("The session's group keeps its place in the queue for the processor: %s", error)

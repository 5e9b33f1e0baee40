"""What a process of the storm begins with: the product's own main functions, with a log of their own and a doom."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping

import service.__main__ as service_main
import store.__main__ as store_main
import worker.__main__ as worker_main
from tests.storm.places import Doom, doom

PR_SET_PDEATHSIG = 1

MAINS: dict[str, Callable[[list[str]], int]] = {
    "service": service_main.main,
    "worker": lambda _arguments: worker_main.main(),
    "collector": store_main.main,
}


def enter(
    part: str,
    arguments: list[str],
    *,
    environment: Mapping[str, str],
    log: str,
    epitaphs: str,
    fate: Doom | None,
) -> None:
    """Runs until it is told to stop, fails, or meets its fate."""
    # Nothing outlives the storm: our parent is the fork server, which ends with whoever started it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for name in [name for name in os.environ if name.startswith("POSTERITY_")]:
        del os.environ[name]
    os.environ.update(environment)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(written, 1)
    os.dup2(written, 2)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    sys.argv = [part]
    if fate is not None:
        doom(part, fate, os.open(epitaphs, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    sys.exit(MAINS[part](arguments))

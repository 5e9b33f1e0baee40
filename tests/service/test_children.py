"""Worker processes of the service: kept running, and gone when it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from service.children import Children

LINE = "import sys, os; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n')"
UNTIL_STDIN_ENDS = f"{LINE}; sys.stdin.read()"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {LINE}; import time; time.sleep(600)"


def children(tmp_path: Path, program: str, *, count: int = 1) -> tuple[Children, Path]:
    started = tmp_path / "started"
    command = [sys.executable, "-c", program, str(started)]
    kept = Children(command, count=count, delay_first_seconds=0.01, delay_max_seconds=0.05, stop_seconds=0.5)
    return kept, started


def pids(started: Path) -> list[int]:
    return [int(line) for line in started.read_text().splitlines()] if started.exists() else []


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30.0
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_as_many_children_run_as_were_asked_for_and_none_after_the_stop(tmp_path: Path) -> None:
    kept, started = children(tmp_path, UNTIL_STDIN_ENDS, count=2)

    kept.start()
    eventually(lambda: len(pids(started)) == 2)
    kept.stop()

    assert len(pids(started)) == 2
    assert not any(is_running(pid) for pid in pids(started))


def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    kept, started = children(tmp_path, LINE)

    kept.start()
    eventually(lambda: len(pids(started)) >= 3)
    kept.stop()

    assert len(set(pids(started))) >= 3


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    kept, started = children(tmp_path, DEAF)

    kept.start()
    eventually(lambda: len(pids(started)) == 1)
    kept.stop()

    assert not is_running(pids(started)[0])


def test_children_that_were_never_started_can_be_stopped(tmp_path: Path) -> None:
    kept, started = children(tmp_path, LINE)

    kept.stop()

    assert pids(started) == []

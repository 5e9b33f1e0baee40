"""Worker processes of the service: kept running, and gone when it is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL

from service.children import Children

LINE = "import sys, os; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n')"
UNTIL_STDIN_ENDS = f"{LINE}; sys.stdin.read()"
IGNORING_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
UNTIL_STDIN_ENDS_ONLY = f"{IGNORING_SIGTERM}; {UNTIL_STDIN_ENDS}; open(sys.argv[1], 'a').write('0\\n')"
DEAF = f"{IGNORING_SIGTERM}; {LINE}; import time; time.sleep(600)"
KEEPER = """
import sys
from service.children import Children
Children([sys.executable, "-c", sys.argv[1], sys.argv[2]], count=1).start()
"""


def children(tmp_path: Path, program: str, *, count: int = 1, stop_seconds: float = 30.0) -> tuple[Children, Path]:
    started = tmp_path / "started"
    command = [sys.executable, "-c", program, str(started)]
    kept = Children(command, count=count, delay_first_seconds=0.01, delay_max_seconds=0.05, stop_seconds=stop_seconds)
    return kept, started


def pids(started: Path) -> list[int]:
    return [int(line) for line in started.read_text().splitlines()] if started.exists() else []


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30.0
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """True for a process that exists and is not a zombie whom nobody has buried yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


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


def test_a_child_sees_the_end_of_its_stdin_when_it_is_to_stop(tmp_path: Path) -> None:
    kept, started = children(tmp_path, UNTIL_STDIN_ENDS_ONLY)

    kept.start()
    eventually(lambda: len(pids(started)) == 1)
    kept.stop()

    assert pids(started)[1:] == [0]


def test_ctrl_c_in_the_terminal_of_the_service_does_not_reach_its_children(tmp_path: Path) -> None:
    kept, started = children(tmp_path, UNTIL_STDIN_ENDS)

    kept.start()
    eventually(lambda: len(pids(started)) == 1)
    session = os.getsid(pids(started)[0])
    kept.stop()

    assert session == pids(started)[0]


def test_a_child_outlives_a_killed_service_no_longer_than_its_stdin(tmp_path: Path) -> None:
    started = tmp_path / "started"

    with subprocess.Popen([sys.executable, "-c", KEEPER, UNTIL_STDIN_ENDS, str(started)]) as service:
        eventually(lambda: len(pids(started)) == 1)
        service.send_signal(SIGKILL)

    eventually(lambda: not is_running(pids(started)[0]))


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    kept, started = children(tmp_path, DEAF, stop_seconds=0.1)

    kept.start()
    eventually(lambda: len(pids(started)) == 1)
    kept.stop()

    assert not is_running(pids(started)[0])


def test_children_that_were_never_started_can_be_stopped(tmp_path: Path) -> None:
    kept, started = children(tmp_path, LINE)

    kept.stop()

    assert pids(started) == []

"""Workers step back from the processor, in whatever way the system knows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = os.nice(0)
STEP_BACK = "import os, sys; from pathlib import Path; from worker.priority import step_back\n"


def niceness_after(*steps: int, autogroup: Path) -> int:
    """The niceness of a fresh process that stepped back so far, one step after the other."""
    asked = "".join(f"step_back({step}, autogroup=Path({str(autogroup)!r}))\n" for step in steps)
    done = subprocess.run(
        [sys.executable, "-c", f"{STEP_BACK}{asked}print(os.nice(0))"], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.parametrize("asked", [0, 7, 19])
def test_a_worker_has_the_niceness_it_is_told(tmp_path: Path, asked: int) -> None:
    assert niceness_after(asked, autogroup=tmp_path / "none") == max(HERE, asked)


def test_a_worker_that_was_started_nicer_stays_so(tmp_path: Path) -> None:
    assert niceness_after(12, 5, autogroup=tmp_path / "none") == 12


def test_the_group_of_its_session_steps_back_as_well(tmp_path: Path) -> None:
    group = tmp_path / "autogroup"
    group.write_text("/autogroup-1 nice 0\n")

    assert niceness_after(9, autogroup=group) == 9

    assert group.read_text() == "9\n"


def test_a_group_that_cannot_be_moved_is_left_and_the_worker_goes_on(tmp_path: Path) -> None:
    group = tmp_path / "autogroup"
    group.mkdir()

    assert niceness_after(9, autogroup=group) == 9


def test_a_child_worker_really_runs_at_the_settings_niceness(tmp_path: Path) -> None:
    environment = os.environ | {"POSTERITY_DATA_DIR": str(tmp_path), "POSTERITY_WORKER_NICE": "13"}
    subprocess.run([sys.executable, "-m", "store", "migrate"], env=environment, check=True, capture_output=True)
    with subprocess.Popen(
        [sys.executable, "-m", "worker", "--child"], env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as worker:
        assert worker.stderr is not None
        for line in worker.stderr:
            if b"is ready" in line:
                break
        niceness = os.getpriority(os.PRIO_PROCESS, worker.pid)
        worker.terminate()
        worker.wait(30)

    assert niceness == 13

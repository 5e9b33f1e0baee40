"""`posterity demo` shows the whole chain on real digits, exits 0, and leaves nothing running and nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

MARK = "MARK_OF_THE_DEMO"


def test_the_demo_holds_all_its_checks_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = demo(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 7 checks hold" in done.stdout
    assert [path.name for path in tmp_path.iterdir() if "posterity" in path.name] == []


def test_a_demo_whose_step_fails_says_so_and_exits_non_zero(tmp_path: Path) -> None:
    done = demo(tmp_path, POSTERITY_THREADS="none")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def demo(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """The demo, run to its end; nothing that it started is running."""
    mark = uuid4().hex
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    done = subprocess.run(
        [sys.executable, "-m", "client.demo"],
        env=inherited | settings | {MARK: mark, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert running_with(mark) == []
    return done


def running_with(mark: str) -> list[int]:
    """The processes that were started with this mark in their environment."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            held = environment.read_bytes()
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in held:
            found.append(int(environment.parent.name))
    return found

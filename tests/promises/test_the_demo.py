"""`posterity demo` shows the whole chain on real digits, exits 0, and leaves nothing running and nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

MARK = "MARK_OF_THE_DEMO"


def test_the_demo_holds_all_its_checks_and_leaves_nothing_running(tmp_path: Path) -> None:
    mark = uuid4().hex
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    environment |= {MARK: mark, "TMPDIR": str(tmp_path)}

    demo = subprocess.run(
        [sys.executable, "-m", "client.demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "All 7 checks hold" in demo.stdout
    assert running_with(mark) == []
    assert [path.name for path in tmp_path.iterdir() if "posterity" in path.name] == []


def test_a_demo_whose_step_fails_says_so_and_exits_non_zero(tmp_path: Path) -> None:
    mark = uuid4().hex
    environment = os.environ | {MARK: mark, "TMPDIR": str(tmp_path), "POSTERITY_THREADS": "none"}

    demo = subprocess.run(
        [sys.executable, "-m", "client.demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert demo.returncode == 1
    assert "Traceback" not in demo.stderr
    assert running_with(mark) == []


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

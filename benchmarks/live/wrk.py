"""Load by wrk, which takes less of the machine than what it measures."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Measured:
    """What one measurement saw. Where an answer is late, wrk counts those that would have been asked for meanwhile."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float


def require() -> None:
    """The program is installed here.

    Raises:
        SystemExit: it is not; the message says how to get it.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("wrk, which makes the load, is not installed here: apt-get install wrk")


def load(url: str, posts: Sequence[bytes], *, connections: int, seconds: float) -> Measured:
    """What clients see that post these JSON bodies in turn, each the next one as soon as it is answered.

    An answer other than a success, or none, is an error of ours: there is then no figure to report.
    """
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(b"\n".join([*posts, b""]))
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
        # wrk's own summary comes first, and the script's line last.
        done = subprocess.run(
            [*command, "-s", str(SCRIPT), url, "--", file.name], capture_output=True, text=True, check=True
        )
    return read(done.stdout)


def read(output: str) -> Measured:
    """What the script said at the end of wrk's output."""
    said = json.loads(output.splitlines()[-1])
    assert said["requests"] > 0, output
    assert said["refused"] == said["broken"] == 0, output
    return Measured(
        requests=said["requests"],
        per_second=said["requests"] / said["microseconds"] * 1e6,
        p50_ms=said["p50"] / 1000,
        p99_ms=said["p99"] / 1000,
        max_ms=said["most"] / 1000,
    )

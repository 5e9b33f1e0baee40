"""A fuzzer in a process of its own: atheris takes the whole process for itself, and limits what it may have."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.live.processes import ROOT

ENGINE = (
    "atheris" if (sys.platform, platform.machine()) == ("linux", "x86_64") and sys.version_info < (3, 14) else "chance"
)
"""As the marker of the dependency in pyproject.toml says."""
MODULES = {"atheris": "benchmarks.fuzzing.guided", "chance": "benchmarks.fuzzing.unguided"}
PROGRESS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")
FOUND = ("crash-*", "timeout-*", "oom-*", "crash")
NICE = 10


def fuzz(decoder: str, folder: Path, *, executions: int, seed: int) -> dict[str, Any]:
    """What so many executions came to; `fault` is empty, or the end of the log of the one that failed.

    The same seed makes the same bodies, as long as the code and its libraries are the same.
    """
    log = folder / "log"
    command = [sys.executable, "-m", MODULES[ENGINE], decoder, str(executions), str(seed), str(folder)]
    with log.open("w") as stream:
        done = subprocess.run(
            command,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            cwd=ROOT,
            stdout=stream,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.nice(NICE),
            check=False,
        )
    said = log.read_text(errors="replace")
    figures: dict[str, Any] = {"engine": ENGINE}
    if (folder / "figures.json").exists():
        figures |= json.loads((folder / "figures.json").read_text())
    if progress := PROGRESS.findall(said):
        figures |= dict(zip(("edges", "features", "corpus"), map(int, progress[-1]), strict=True))
    found = [path.read_bytes().hex() for pattern in FOUND for path in sorted(folder.glob(pattern))]
    fault = "" if done.returncode == 0 and not found else f"ended with {done.returncode}\n{said[-4000:]}"
    return figures | {"fault": fault, "found": found}

"""A result as it is kept: figures, and the surroundings that they hold for."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

COUNTED = (":/", ":!results", ":!README.md")
RESULTS = Path(__file__).parent / "results"


def write(name: str, result: Mapping[str, Any]) -> None:
    """results/<name>.json holds the result, whole at every moment."""
    path = RESULTS / f"{name}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=2) + "\n")
    partial.replace(path)


def surroundings() -> dict[str, Any]:
    """Commit, machine, how busy it is, and versions.

    The commit ends in "+" where tracked files differ from it; results, and the table of them, do not count.
    """
    commit = _git("rev-parse", "--short", "HEAD")
    return {
        "commit": f"{commit}+" if _git("status", "--porcelain", "--untracked-files=no", "--", *COUNTED) else commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    return done.stdout.strip()

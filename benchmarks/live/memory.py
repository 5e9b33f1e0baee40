"""How much memory a process holds, as Linux counts it."""

from __future__ import annotations

import re
from pathlib import Path

FIELD = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


def held(pid: int) -> dict[str, float]:
    """MiB of a process: resident, and proportional, which shares out pages that several processes have mapped."""
    rolled = _fields(Path(f"/proc/{pid}/smaps_rollup"))
    return {"rss_mib": rolled["Rss"] / 1024, "pss_mib": rolled["Pss"] / 1024}


def resident(pid: int) -> dict[str, float]:
    """MiB resident in all, and of these the process's own, which no file could give back; quick to ask."""
    status = _fields(Path(f"/proc/{pid}/status"))
    return {"rss_mib": status["VmRSS"] / 1024, "own_mib": status["RssAnon"] / 1024}


def _fields(path: Path) -> dict[str, int]:
    return {name: int(kilobytes) for name, kilobytes in FIELD.findall(path.read_text())}

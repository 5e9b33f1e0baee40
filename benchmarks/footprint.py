"""What a start takes and an idle service holds: `python -m benchmarks.footprint` writes results/footprint.json.

`python -m service --workers 1` on an empty folder, from the start of its process to the first 200 of /readyz, asked for
every few milliseconds. Each start has the files of Python and torch in the page cache, as a first start warms up. Then
the service and its worker are left alone for some seconds, and their memory is read: resident (RSS), and proportional
(PSS), which shares out among the two the pages of libraries that both have mapped. Beside it stands a process that has
imported torch and nothing else.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from rich.progress import track

from benchmarks import record
from benchmarks.figures import Claim, figure
from benchmarks.live import memory, report
from benchmarks.live.processes import Server, service

STARTS, IDLE_SECONDS = 7, 10.0
POLL_SECONDS = 0.005
WORKER_SECONDS_MAX = 60.0

READY_SECONDS_MAX = 4.0


def main() -> None:
    quick = report.is_quick("Seconds until a service is ready, and the memory of an idle one with its worker.")
    starts, idle_seconds = (2, 3.0) if quick else (STARTS, IDLE_SECONDS)
    started(idle_seconds=0.0)
    found = [started(idle_seconds=idle_seconds) for _ in track(range(starts), description="starts")]
    result = {
        "what": "seconds from the start of the process to the first 200 of /readyz; MiB after seconds without work",
        "starts": starts,
        "idle_seconds": idle_seconds,
        **record.surroundings(),
        **{name: [start[name] for start in found] for name in found[0]},
        "torch_alone_rss_mib": round(torch_alone()["rss_mib"], 1),
    }
    report.finish("footprint", result, claims(result), quick=quick)


def started(*, idle_seconds: float) -> dict[str, float]:
    """Seconds until a service was ready and until its worker was, and their memory; both are stopped."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "service.log"
        began = time.perf_counter()
        with service(Path(folder), workers=1) as server:
            wait_until_ready(server)
            ready = time.perf_counter() - began
            wait_for_worker(log)
            found = {"ready_seconds": round(ready, 3), "worker_seconds": round(time.perf_counter() - began, 3)}
            time.sleep(idle_seconds)
            for name, pid in (("service", server.pid), ("worker", server.children[0])):
                found |= {f"{name}_{kind}": round(mib, 1) for kind, mib in memory.held(pid).items()}
    return found


def wait_until_ready(server: Server) -> None:
    """The service has said that it is ready; before, it refused the connection or said that it is not."""
    with httpx.Client(base_url=server.url) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(POLL_SECONDS)


def wait_for_worker(log: Path) -> None:
    """The worker has said so in the log."""
    deadline = time.monotonic() + WORKER_SECONDS_MAX
    while "is ready on" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(POLL_SECONDS)


def torch_alone() -> dict[str, float]:
    """The memory of a process that has imported torch."""
    command = [sys.executable, "-c", "import torch; print(); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = memory.held(process.pid)
        process.communicate(b"\n")
    return found


def claims(result: Mapping[str, Any]) -> list[Claim]:
    ready, worker = figure(result["ready_seconds"]), figure(result["worker_seconds"])
    held = "; ".join(f"{kind.upper()} {figure(_of_both(result, kind))} MiB" for kind in ("pss", "rss"))
    alone = " + ".join(f"{figure(result[f'{name}_pss_mib']).middle:.0f}" for name in ("service", "worker"))
    return [
        Claim(
            "From nothing to ready to answer",
            f"{ready} s; the worker {worker.middle:.2f} s",
            f"≤ {READY_SECONDS_MAX:g} s",
            ready.middle <= READY_SECONDS_MAX,
        ),
        Claim(
            "Memory of a service and its worker without work",
            f"{held}; PSS of each {alone}; RSS of torch alone {result['torch_alone_rss_mib']:.0f}",
        ),
    ]


def _of_both(result: Mapping[str, Any], kind: str) -> list[float]:
    both = zip(result[f"service_{kind}_mib"], result[f"worker_{kind}_mib"], strict=True)
    return [service + worker for service, worker in both]


if __name__ == "__main__":
    main()

"""Predictions from 2,000 versions in 256 MiB: `python -m benchmarks.many_versions` writes results/many_versions.json.

One service on SQLite with a LeNet-5 in 2,000 versions, 3.4 MB each on the disk, and `loaded_bytes_max` at 256 MB. Two
connections ask for three minutes: one image by moments of a version drawn uniformly from all, and of the same version
again. The second answer is a hit, as that version was made ready just before; the first one is a miss, unless the
version was among those asked last, which are left out. Meanwhile the memory of the process is read twice a second:
all that is resident, mapped files included, and the part of it that is the process's own.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import linear_regression, median
from typing import Any

from benchmarks import record
from benchmarks.figures import Claim, number, percentile
from benchmarks.live import digits, memory, report, versions
from benchmarks.live.connections import JSON, Connection, request
from benchmarks.live.processes import service
from client.client import Client

VERSIONS, SECONDS, CLIENTS = 2_000, 180.0, 2
BUDGET_BYTES = 256 * 2**20
SAMPLE_SECONDS = 0.5
REMEMBERED = 200
"""More versions than the budget holds: one that is not among the last so many has to be made ready anew."""
VERSION_BYTES = 3_600_000
SEED = 0

GROWN_MAX = 1.05
"""Most memory in the last minute, times the most in the first."""


@dataclass
class Seen:
    hits_ms: list[float] = field(default_factory=list)
    misses_ms: list[float] = field(default_factory=list)
    memory: list[tuple[float, float, float]] = field(default_factory=list)
    """Seconds since the start, MiB resident, MiB of the process's own."""
    asked: set[int] = field(default_factory=set)


def main() -> None:
    quick = report.is_quick("Memory and latency of predictions from thousands of versions.")
    count, seconds = (300, 15.0) if quick else (VERSIONS, SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        need = count * VERSION_BYTES
        if (free := shutil.disk_usage(folder).free) < 1.2 * need:
            raise SystemExit(f"{folder} has {free / 1e9:.1f} GB free, and {count} versions need {need / 1e9:.1f}.")
        with service(Path(folder)) as server, Client(server.url) as client:
            versions.publish(client, Path(folder), digits.LENET, count, seed=SEED)
        with service(Path(folder), loaded_bytes_max=BUDGET_BYTES) as server:
            before = memory.resident(server.pid)
            seen = asyncio.run(watch(server.port, server.pid, count=count, seconds=seconds))
    result = {
        "what": "milliseconds of predictions from versions drawn uniformly; MiB of the service's process",
        "versions": count,
        "seconds": seconds,
        "clients": CLIENTS,
        "budget_mib": BUDGET_BYTES / 2**20,
        "seed": SEED,
        **record.surroundings(),
        "memory_before": {name: round(value) for name, value in before.items()},
        **summary(seen, minute=seconds / 3),
    }
    report.finish("many_versions", result, claims(result), quick=quick)


async def watch(port: int, pid: int, *, count: int, seconds: float, clients: int = CLIENTS) -> Seen:
    """What the clients and the watcher of the memory saw in so many seconds."""
    seen, began = Seen(), time.perf_counter()
    recent: deque[int] = deque(maxlen=REMEMBERED)
    await asyncio.gather(
        sample(pid, seen, began, seconds=seconds),
        *(
            ask(port, seen, recent, order=Random(SEED + client), count=count, until=began + seconds)  # noqa: S311
            for client in range(clients)
        ),
    )
    return seen


async def ask(port: int, seen: Seen, recent: deque[int], *, order: Random, count: int, until: float) -> None:
    """One client's pairs of requests, each answered by the version that it names."""
    images, _ = digits.rows(64, SEED)
    posts = digits.bodies(images)
    async with Connection(port) as connection:
        while time.perf_counter() < until:
            version, body = order.randint(1, count), order.choice(posts)
            posted = request("POST", f"/v1/models/{digits.NAME}/versions/{version}/predictions", body, JSON)
            is_known = version in recent
            recent.append(version)
            for latencies in ([] if is_known else seen.misses_ms, seen.hits_ms):
                began = time.perf_counter()
                answer = await connection.ask(posted)
                latencies.append(1000 * (time.perf_counter() - began))
                assert answer.json()["version"] == version
            seen.asked.add(version)


async def sample(pid: int, seen: Seen, began: float, *, seconds: float) -> None:
    while (after := time.perf_counter() - began) < seconds:
        now = memory.resident(pid)
        seen.memory.append((after, now["rss_mib"], now["own_mib"]))
        await asyncio.sleep(SAMPLE_SECONDS)


def summary(seen: Seen, *, minute: float) -> dict[str, Any]:
    """Latencies by percentile; the most memory at all, in the first and in the last minute, and its slope between.

    A short run's minutes are as much shorter.
    """
    found: dict[str, Any] = {"answers": len(seen.hits_ms) + len(seen.misses_ms), "versions_asked": len(seen.asked)}
    for name, latencies in (("hit", seen.hits_ms), ("miss", seen.misses_ms)):
        found[name] = {
            "count": len(latencies),
            "p50_ms": round(median(latencies), 2),
            "p99_ms": round(percentile(latencies, 99), 2),
            "max_ms": round(max(latencies), 1),
        }
    last = seen.memory[-1][0]
    for place, name in ((1, "rss"), (2, "own")):
        later = [sample for sample in seen.memory if sample[0] >= minute]
        slope = linear_regression([after / 60 for after, *_ in later], [sample[place] for sample in later]).slope
        found[f"{name}_mib"] = {
            "max": round(max(sample[place] for sample in seen.memory)),
            "first_minute": round(max(sample[place] for sample in seen.memory if sample[0] < minute)),
            "last_minute": round(max(sample[place] for sample in seen.memory if sample[0] >= last - minute)),
            "slope_per_minute": round(slope, 1),
        }
    return found


def claims(result: Mapping[str, Any]) -> list[Claim]:
    rss, own, before = result["rss_mib"], result["own_mib"], result["memory_before"]
    grown = rss["last_minute"] / rss["first_minute"]
    memory_words = (
        f"Predictions from {result['versions']:,} versions within {result['budget_mib']:.0f} MiB: most memory of the "
        f"last third of {result['seconds']:.0f} seconds beside that of the first"
    )
    figure = (
        f"{number(grown)}x: {rss['max']:,} MiB resident at most, {before['rss_mib']:,} before; slope "
        f"{rss['slope_per_minute']:+} MiB a minute, of its own {own['slope_per_minute']:+}"
    )
    return [
        Claim(memory_words, figure, f"≤ {GROWN_MAX:g}x", grown <= GROWN_MAX),
        Claim(
            f"The same, {result['clients']} clients: p50 and p99 of a version that is ready, and of one that is not",
            f"{_latency(result['hit'])}; {_latency(result['miss'])}; {result['answers']:,} answers without an error",
        ),
    ]


def _latency(of: Mapping[str, float]) -> str:
    return f"{number(of['p50_ms'])} and {number(of['p99_ms'])} ms"


if __name__ == "__main__":
    main()

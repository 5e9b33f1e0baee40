"""Predictions beside clients that stall, vanish and send too much: `python -m benchmarks.hostile_clients`.

One service on SQLite, as it is installed, with a version of a LeNet-5. Four clients ask it for a prediction of one
image each, and pause for 10 ms after every answer. In each round they do so alone, and then while a process of its own
does what benchmarks/live/hostile.py lists. Every answer has to be a success. Afterwards the service has as many
connections as before; its memory is looked at all the time. Writes results/hostile_clients.json.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks import record
from benchmarks.figures import Claim, figure, percentile, ratio
from benchmarks.live import digits, hostile, memory, report
from benchmarks.live.connections import JSON, Connection, request
from benchmarks.live.processes import ROOT, Server, service

ROUNDS, SECONDS = 5, 6.0
CLIENTS, PAUSE_SECONDS = 4, 0.01
SEED = 0
P99_MAX = 2.0
"""Times that of the calm half of the same rounds."""
OWN_MIB_MAX = 512
"""Of memory, more than in calm: two bodies of 64 MiB on their way, and what they leave behind."""
SETTLE_SECONDS = 60.0
PATH = f"/v1/models/{digits.NAME}/predictions"


def main() -> None:
    quick = report.is_quick("Predictions beside clients that stall, vanish and send too much.")
    rounds, seconds = (1, 3.0) if quick else (ROUNDS, SECONDS)
    images, _ = digits.rows(64, SEED + 1)
    posts = [request("POST", PATH, body, JSON) for body in digits.bodies(images)]
    with tempfile.TemporaryDirectory() as folder:
        digits.learned(Path(folder), chunks=1, seed=SEED)
        with service(Path(folder)) as server:
            asyncio.run(asked(server, posts, seconds=2.0))
            measured = measure(server, posts, rounds=rounds, seconds=seconds)
    result = {
        "what": "one image by moments, four clients that pause for 10 ms: milliseconds and MiB of each round",
        "rounds": rounds,
        "seconds": seconds,
        "seed": SEED,
        "crowd": {
            "idle": hostile.IDLE,
            "dripping": hostile.DRIPPING,
            "stalled": hostile.STALLED,
            "deaf": hostile.DEAF,
            "vanishing_per_second": hostile.VANISHING_PER_SECOND,
            "body_bytes": hostile.BODY_BYTES,
        },
        **record.surroundings(),
        **measured,
    }
    report.finish("hostile_clients", result, claims(result), quick=quick)


def measure(server: Server, posts: Sequence[bytes], *, rounds: int, seconds: float) -> dict[str, Any]:
    """Each round in calm and beside the hostile ones; how many connections stayed that were not there before."""
    measured: dict[str, Any] = {
        part: {"answers": [], "p50_ms": [], "p99_ms": [], "own_mib": []} for part in ("calm", "hostile")
    }
    sockets = open_sockets(server)
    for _ in track(range(rounds), description="rounds"):
        keep(measured["calm"], asyncio.run(asked(server, posts, seconds=seconds)))
        with crowd(server):
            keep(measured["hostile"], asyncio.run(asked(server, posts, seconds=seconds)))
    until = time.monotonic() + SETTLE_SECONDS
    while (left := open_sockets(server) - sockets) > 0 and time.monotonic() < until:
        time.sleep(0.1)
    return {**measured, "sockets_left": left}


@contextmanager
def crowd(server: Server) -> Iterator[None]:
    """All the hostile clients are there."""
    command = [sys.executable, "-m", "benchmarks.live.hostile", str(server.port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


async def asked(server: Server, posts: Sequence[bytes], *, seconds: float) -> tuple[list[float], float]:
    """How many milliseconds each answer took, and the most MiB that were the service's own."""
    over, milliseconds, most = time.monotonic() + seconds, list[float](), 0.0

    async def client(number: int) -> None:
        async with Connection(server.port) as connection:
            turn = number
            while time.monotonic() < over:
                began = time.perf_counter()
                (await connection.ask(posts[turn % len(posts)])).json()
                milliseconds.append(1000 * (time.perf_counter() - began))
                turn += CLIENTS
                await asyncio.sleep(PAUSE_SECONDS)

    asking = asyncio.gather(*map(client, range(CLIENTS)))
    while not asking.done():
        most = max(most, memory.resident(server.pid)["own_mib"])
        await asyncio.sleep(0.1)
    await asking
    return milliseconds, most


def keep(measured: dict[str, list[float]], seen: tuple[list[float], float]) -> None:
    milliseconds, own_mib = seen
    measured["answers"].append(len(milliseconds))
    measured["p50_ms"].append(round(percentile(milliseconds, 50), 3))
    measured["p99_ms"].append(round(percentile(milliseconds, 99), 3))
    measured["own_mib"].append(round(own_mib, 1))


def open_sockets(server: Server) -> int:
    """How many connections the service has, of clients or to others."""
    found = 0
    for file in Path(f"/proc/{server.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += os.readlink(file).startswith("socket:")
    return found


def claims(result: Mapping[str, Any]) -> list[Claim]:
    """Which bounds the measurement keeps."""
    calm, beside = result["calm"], result["hostile"]
    tail = ratio(beside["p99_ms"], calm["p99_ms"])
    middle = ratio(beside["p50_ms"], calm["p50_ms"])
    more = max(beside["own_mib"]) - max(calm["own_mib"])
    crowd_words = "500 idle connections, 120 slow ones, 200 resets a second and bodies of 2 GB"
    return [
        Claim(
            f"Predictions beside {crowd_words}: 99th percentile, beside that of calm",
            f"{tail}x: {figure(beside['p99_ms'])} ms, calm {figure(calm['p99_ms'])} ms; the median {middle}x",
            f"≤ {P99_MAX:g}x",
            tail.middle <= P99_MAX,
        ),
        Claim(
            "The service's memory meanwhile, beyond that of calm",
            f"{more:,.0f} MiB; {sum(beside['answers']):,} answers, all of them successes",
            f"≤ {OWN_MIB_MAX} MiB",
            more <= OWN_MIB_MAX,
        ),
        Claim(
            "Connections that it still has afterwards", str(result["sockets_left"]), "0", result["sockets_left"] <= 0
        ),
    ]


if __name__ == "__main__":
    main()

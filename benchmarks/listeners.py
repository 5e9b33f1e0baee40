"""Predictions beside 200 listeners: `python -m benchmarks.listeners` writes results/listeners.json.

One service on SQLite with a LeNet-5. One client asks for one image after the other, and another posts a batch of one
row five times a second, each of which is an event. In each round this goes on for some seconds without listeners, with
200 of them, without listeners again, and with the 200 at a second service on the same database, in an order that
changes. What listeners cost is to be no more than the two equal arms are apart by themselves. Those who listen take
turns on the processors with the service that is asked, wherever they listen: the last arm has that and nothing else.
Every listener has to hear every event, once and in order.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from benchmarks import record
from benchmarks.figures import Claim, Figure, figure, percentile
from benchmarks.live import digits, report
from benchmarks.live.connections import JSON, Connection, request
from benchmarks.live.processes import ROOT, Server, service

LISTENERS = 200
EVENTS_PER_SECOND = 5.0
ROUNDS, SECONDS = 7, 6.0
IMAGES = 64
SEED = 0
MODEL = f"/v1/models/{digits.NAME}"
ARMS = ("none", "listeners", "none again", "elsewhere")

_keys = count(1)


@dataclass
class Seen:
    """What the rounds came to, by arm; and what the listeners heard in all."""

    p50_ms: dict[str, list[float]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    p99_ms: dict[str, list[float]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    heard: int = 0
    wrong: int = 0


def main() -> None:
    quick = report.is_quick("Predictions beside 200 listeners.")
    rounds, seconds = (1, 2.0) if quick else (ROUNDS, SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        digits.learned(Path(folder), chunks=1, seed=SEED)
        with service(Path(folder)) as server, another(Path(folder)) as other:
            seen = watch(server, other, *digits.rows(IMAGES, SEED + 1), rounds=rounds, seconds=seconds)
    result = {
        "what": "milliseconds of a prediction of one image at one connection, by arm of each round",
        "listeners": LISTENERS,
        "events_per_second": EVENTS_PER_SECOND,
        "rounds": rounds,
        "seconds": seconds,
        "seed": SEED,
        **record.surroundings(),
        "p50_ms": seen.p50_ms,
        "p99_ms": seen.p99_ms,
        "heard": seen.heard,
        "wrong": seen.wrong,
    }
    report.finish("listeners", result, claims(result), quick=quick)


def another(data_dir: Path) -> AbstractContextManager[Server]:
    """One more service on the ledger and the blobs of this folder."""
    ledger = f"sqlite:///{data_dir / 'ledger.sqlite'}"
    return service(data_dir / "another", database_url=ledger, blob_dir=data_dir / "blobs")


def watch(
    server: Server,
    other: Server,
    images: digits.Bytes,
    labels: NDArray[np.int64],
    *,
    rounds: int,
    seconds: float,
    listeners: int = LISTENERS,
) -> Seen:
    """Each arm of each round; the order goes round with the rounds. `server` is asked, `other` has the same ledger."""
    posts = [request("POST", f"{MODEL}/predictions", body, JSON) for body in digits.bodies(images)]
    rows = {"inputs": images[:1].tolist(), "labels": labels[:1].tolist()}
    seen = Seen()
    asyncio.run(measured(server.port, posts, rows, seconds=min(seconds, 2.0)))
    for turn in track(range(rounds), description="rounds"):
        for place in range(len(ARMS)):
            arm = ARMS[(place + turn) % len(ARMS)]
            heard_at = other if arm == "elsewhere" else server
            with ears(heard_at, 0 if arm.startswith("none") else listeners) as hear:
                milliseconds = asyncio.run(measured(server.port, posts, rows, seconds=seconds))
                heard = hear(asyncio.run(newest(server.port)))
            seen.p50_ms[arm].append(round(percentile(milliseconds, 50), 4))
            seen.p99_ms[arm].append(round(percentile(milliseconds, 99), 4))
            seen.heard += sum(heard["heard"])
            seen.wrong += heard["wrong"]
    return seen


@contextmanager
def ears(server: Server, listeners: int) -> Iterator[Any]:
    """So many listen; what is yielded says what they have heard up to an event, and ends them."""
    if not listeners:
        yield lambda _last: {"heard": [], "wrong": 0}
        return
    command = [sys.executable, "-m", "benchmarks.live.ears", str(server.port), f"{MODEL}/events", str(listeners)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said, told = process.stdout, process.stdin

        def hear(last: int) -> Mapping[str, Any]:
            told.write(f"{last}\n")
            told.flush()
            return dict(json.loads(said.readline()))

        try:
            assert said.readline() == "ready\n"
            yield hear
        finally:
            process.kill()


async def measured(port: int, posts: Sequence[bytes], rows: Mapping[str, Any], *, seconds: float) -> list[float]:
    """How many milliseconds each answer took, one after the other, while events happen."""
    over, milliseconds = time.monotonic() + seconds, list[float]()
    happening = asyncio.create_task(happen(port, rows, until=over))
    async with Connection(port) as connection:
        for turn in count():
            began = time.perf_counter()
            if time.monotonic() >= over:
                break
            (await connection.ask(posts[turn % len(posts)])).json()
            milliseconds.append(1000 * (time.perf_counter() - began))
    await happening
    return milliseconds


async def happen(port: int, rows: Mapping[str, Any], *, until: float) -> None:
    """A batch of one row is accepted so many times a second."""
    body = json.dumps(rows).encode()
    async with Connection(port) as connection:
        while (left := until - time.monotonic()) > 0:
            key = f"listened-{time.time_ns()}-{next(_keys)}"
            began = time.monotonic()
            (await connection.ask(request("POST", f"{MODEL}/batches", body, {**JSON, "Idempotency-Key": key}))).json()
            await asyncio.sleep(max(0.0, min(left, 1 / EVENTS_PER_SECOND - (time.monotonic() - began))))


async def newest(port: int) -> int:
    """The number of the newest event."""
    last, cursor = 0, ""
    async with Connection(port) as connection:
        while cursor is not None:
            path = f"{MODEL}/events/history?limit=100{f'&cursor={cursor}' if cursor else ''}"
            page = (await connection.ask(request("GET", path))).json()
            last, cursor = page["events"][-1]["number"] if page["events"] else last, page["next_cursor"]
    return last


def claims(result: Mapping[str, Any]) -> list[Claim]:
    costs = {name: (cost(result[name]), noise(result[name])) for name in ("p50_ms", "p99_ms")}
    said = "; ".join(
        f"{name.removesuffix('_ms')} {own}x, two arms without listeners {base}x" for name, (own, base) in costs.items()
    )
    apart = "; ".join(f"{name.removesuffix('_ms')} {beside_elsewhere(result[name])}x" for name in costs)
    without = ", ".join(f"{figure(result[name]['none'])}" for name in costs)
    return [
        Claim(
            f"Predictions beside {result['listeners']} listeners and {result['events_per_second']:g} events a second: "
            "median and 99th percentile beside those without listeners",
            f"{said}; without: {without} ms",
            "no farther from 1 than two equal arms",
            all(base.least <= own.middle <= base.most for own, base in costs.values()),
        ),
        Claim(
            "Listeners that missed an event, or heard one twice or out of order",
            f"{result['wrong']} of {2 * result['listeners'] * result['rounds']:,}; {result['heard']:,} events heard",
            "0",
            result["wrong"] == 0 and result["heard"] > 0,
        ),
        Claim(
            "Predictions beside listeners, over those while as many listen to another service: median, 99th percentile",
            apart,
        ),
    ]


def cost(of: Mapping[str, Sequence[float]]) -> Figure:
    """A prediction beside listeners, over the mean of the two arms without of its round."""
    rounds = zip(of["listeners"], of["none"], of["none again"], strict=True)
    return figure([own / ((one + other) / 2) for own, one, other in rounds])


def beside_elsewhere(of: Mapping[str, Sequence[float]]) -> Figure:
    """A prediction beside listeners, over one while the same listen to another service."""
    return figure([here / there for here, there in zip(of["listeners"], of["elsewhere"], strict=True)])


def noise(of: Mapping[str, Sequence[float]]) -> Figure:
    """Of the two arms without, each over the other: how far apart what is equal is measured."""
    pairs = list(zip(of["none"], of["none again"], strict=True))
    return figure([ratio for one, other in pairs for ratio in (one / other, other / one)])


if __name__ == "__main__":
    main()

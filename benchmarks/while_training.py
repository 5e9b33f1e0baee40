"""Predictions while the worker trains: `python -m benchmarks.while_training` writes results/while_training.json.

A service and its worker on one machine, SQLite, a LeNet-5. One client posts one image of 28x28 bytes as JSON, over and
over, by moments, to head (wrk): first while the worker has nothing to do, then while it absorbs chunks of 500 rows, one
after the other, so that head moves meanwhile. By how far the worker steps back (`worker_nice`) and by the threads that
either process has. Each round starts a service anew for each setting, on a copy of one folder, in another order.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import record
from benchmarks.figures import Claim, figure, ratio
from benchmarks.live import digits, report, wrk
from benchmarks.live.processes import service
from client.client import Client

ROUNDS, IDLE_SECONDS, TRAINING_SECONDS = 5, 5.0, 10.0
CHUNKS = 40
"""More than a worker absorbs meanwhile."""
IMAGES, SEED = 64, 0
PREDICTIONS = f"/v1/models/{digits.NAME}/predictions"

P99_MAX = 3.0
"""Times that of an idle service, with the default settings."""


class Setting(NamedTuple):
    nice: int
    threads: int

    def __str__(self) -> str:
        return f"nice {self.nice}, {self.threads} thread{'s' if self.threads > 1 else ''}"


SETTINGS = tuple(Setting(*each) for each in product((0, 10, 19), (1, 2)))
DEFAULT = Setting(10, 1)
"""What a machine with two cores gets that sets nothing."""


def main() -> None:
    wrk.require()
    quick = report.is_quick("Latency of predictions while the worker trains beside them.")
    rounds, idle_seconds, training_seconds = (1, 2.0, 4.0) if quick else (ROUNDS, IDLE_SECONDS, TRAINING_SECONDS)
    order = Random(SEED)  # noqa: S311
    measured: dict[str, Any] = {str(setting): {} for setting in SETTINGS}
    with tempfile.TemporaryDirectory() as folder:
        digits.learned(Path(folder) / "learned", chunks=1, seed=SEED)
        for _ in track(range(rounds), description="rounds"):
            for setting in order.sample(SETTINGS, len(SETTINGS)):
                copy = shutil.copytree(Path(folder) / "learned", Path(folder) / "copy")
                seen = measure(copy, setting, idle_seconds=idle_seconds, training_seconds=training_seconds)
                for name, value in seen.items():
                    measured[str(setting)].setdefault(name, []).append(value)
                shutil.rmtree(copy)
    result = {
        "what": "milliseconds of a prediction at one connection, without training and beside it, by setting",
        "rounds": rounds,
        "idle_seconds": idle_seconds,
        "training_seconds": training_seconds,
        "seed": SEED,
        **record.surroundings(),
        "measured": measured,
    }
    report.finish("while_training", result, claims(result), quick=quick)
    headings, *rows = table(result)
    shown = Table(*headings)
    for row in rows:
        shown.add_row(*row)
    Console().print(shown)


def measure(data_dir: Path, setting: Setting, *, idle_seconds: float, training_seconds: float) -> dict[str, float]:
    """Latencies without training and beside it, and the steps that the worker made a second meanwhile."""
    posts = digits.bodies(digits.rows(IMAGES, SEED + 1)[0])
    images, labels = digits.rows(CHUNKS * digits.CHUNK_ROWS, SEED + 2)
    with (
        service(data_dir, workers=1, threads=setting.threads, worker_nice=setting.nice) as server,
        Client(server.url) as client,
    ):
        url = f"{server.url}{PREDICTIONS}"
        wrk.load(url, posts, connections=1, seconds=1.0)
        idle = wrk.load(url, posts, connections=1, seconds=idle_seconds)
        for part in digits.parts(CHUNKS):
            client.ingest(digits.NAME, images[part], labels[part])
        wait_until_training(client)
        before, began = steps(client), time.perf_counter()
        beside = wrk.load(url, posts, connections=1, seconds=training_seconds)
        trained = (steps(client) - before) / (time.perf_counter() - began)
    return {
        "idle_p50_ms": idle.p50_ms,
        "idle_p99_ms": idle.p99_ms,
        "training_p50_ms": beside.p50_ms,
        "training_p99_ms": beside.p99_ms,
        "steps_per_second": round(trained, 2),
    }


def wait_until_training(client: Client, *, seconds_max: float = 300.0) -> None:
    """A step has been made since the batches came."""
    before, deadline = steps(client), time.monotonic() + seconds_max
    while steps(client) == before:
        assert time.monotonic() < deadline, "the worker makes no step"
        time.sleep(0.05)


def steps(client: Client) -> int:
    """All steps that workers have made with this model, as far as they have said so."""
    return sum((update.raw["progress"] or {}).get("step") or 0 for update in client.updates(digits.NAME))


def claims(result: Mapping[str, Any]) -> list[Claim]:
    """The default setting is held to a bound; `table` has the others."""
    of = result["measured"][str(DEFAULT)]
    median, tail = (ratio(of[f"training_{name}"], of[f"idle_{name}"]) for name in ("p50_ms", "p99_ms"))
    return [
        Claim(
            "A prediction while the worker trains on the same two cores: 99th percentile beside that without training",
            f"{tail}x: {_ms(of, 'training_p99_ms')} ms; the median {median}x: {_ms(of, 'training_p50_ms')} ms",
            f"≤ {P99_MAX:g}x",
            tail.middle <= P99_MAX,
        )
    ]


def table(result: Mapping[str, Any]) -> list[list[str]]:
    """The headings, and a row for each setting."""
    headings = ["worker_nice", "threads", "p50, idle", "p50, training", "p99, idle", "p99, training", "steps a second"]
    rows = [headings]
    for setting in SETTINGS:
        of = result["measured"][str(setting)]
        latencies = [_ms(of, f"{when}_{name}_ms") for name in ("p50", "p99") for when in ("idle", "training")]
        rows.append([str(setting.nice), str(setting.threads), *latencies, str(figure(of["steps_per_second"]))])
    return rows


def _ms(of: Mapping[str, Any], name: str) -> str:
    return str(figure(of[name]))


if __name__ == "__main__":
    main()

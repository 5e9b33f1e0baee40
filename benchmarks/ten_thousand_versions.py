"""10,000 versions on one line and 100 branches: `python -m benchmarks.ten_thousand_versions` writes results/….json.

On SQLite and on PostgreSQL (the server of the tests, made to flush each commit): a model with a tiny net, whose rows
are written in bulk as the ledger's calls would have left them, and looked through by the ledger's invariants. Its
posteriors are real, 256 different ones. Each call is timed at the store, in this process, and over HTTP on loopback,
one after the other, in rounds; what asks for a deep version asks for another one each time. Claims are made by workers,
at the store alone.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import safetensors.numpy
import torch
from sqlalchemy import Engine, text

from benchmarks import record
from benchmarks.figures import Claim, Figure, figure, number, percentile
from benchmarks.live import digits, report, versions
from benchmarks.live.asked import Call, calls_of
from benchmarks.live.connections import Connection
from benchmarks.live.databases import ENGINES, empty_database
from benchmarks.live.processes import Server, service
from benchmarks.live.tree import Shape, Tree, grow
from client.client import Client
from store.blobs import open_blobs
from store.engine import connect
from store.invariants import violations
from store.settings import Settings

SHAPE = Shape(10_000, branches=100, branch_versions=10)
POSTERIORS, ROUNDS, TIMES = 256, 3, 30
SEED = 0
MEDIAN_MS_MAX = 20.0
DESCRIPTION: dict[str, Any] = {
    "name": "tiny",
    "net": {"kind": "mlp", "hidden": [4]},
    "input": {"shape": [2], "dtype": "uint8"},
    "output": {"kind": "categorical", "classes": 3},
}
BOUNDED = ("rollback", "version by number", "lineage check", "history page", "compare")


def main() -> None:
    quick = report.is_quick("What a line of 10,000 versions and 100 branches cost.")
    shape, times = (Shape(500, branches=10), 3) if quick else (SHAPE, TIMES)
    engines = {}
    for database in ENGINES:
        with tempfile.TemporaryDirectory() as folder, empty_database(database, Path(folder)) as url:
            engines[database] = measured(Path(folder), url, shape, times=times)
    result = {
        "what": "milliseconds at the store and over HTTP on loopback; rounds: their medians",
        "versions": shape.line,
        "branches": shape.branches,
        "rounds": ROUNDS,
        "times": times,
        "seed": SEED,
        **record.surroundings(),
        "engines": engines,
    }
    report.finish("ten_thousand_versions", result, claims(result), quick=quick)


def measured(folder: Path, url: str, shape: Shape, *, times: int) -> dict[str, Any]:
    """The figures of each call, by name: at the store and over HTTP."""
    engine = connect(url)
    try:
        with service(folder, database_url=url) as server, Client(server.url) as client:
            client.create_model(DESCRIPTION)
            tree = filled(engine, folder, shape)
            calls = calls_of(engine, DESCRIPTION["name"], tree, seed=SEED)
            stored = {name: at_store(call, times) for name, call in calls.items()}
            served = asyncio.run(over_http(server, calls, times))
        with engine.begin() as connection:
            assert violations(connection) == []
    finally:
        engine.dispose()
    return {name: {"store": stored[name], "http": served.get(name)} for name in calls}


def filled(engine: Engine, folder: Path, shape: Shape) -> Tree:
    """The model has its tree, and the blobs hold what it names."""
    blobs = open_blobs(Settings(data_dir=folder))
    images, _ = digits.rows(1, SEED)
    row = images.reshape(1, -1)[:, :2]
    near = versions.near(versions.first(DESCRIPTION, row), torch.Generator().manual_seed(SEED))
    posteriors = [blobs.put(posterior.to_bytes()) for posterior in islice(near, POSTERIORS)]
    two = {"x": row.repeat(2, 0), "y": row[0].astype("int64") * 0}
    with engine.begin() as connection:
        tree = grow(
            connection,
            DESCRIPTION["name"],
            shape,
            posteriors=posteriors,
            rows=[blobs.put(safetensors.numpy.save(two))],
        )
        assert violations(connection) == []
    if engine.dialect.name == "postgresql":
        # As its autovacuum does, a minute later.
        with engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    return tree


def at_store(call: Call, times: int) -> dict[str, Any]:
    """The call's figures in this process."""
    took: list[list[float]] = []
    processor = 0.0
    for _ in range(ROUNDS):
        took.append([])
        for _ in range(times):
            call.before()
            began, used = time.perf_counter(), time.process_time()
            call.store()
            processor += time.process_time() - used
            took[-1].append(1000 * (time.perf_counter() - began))
            call.after()
    return summary(took, processor)


async def over_http(server: Server, calls: Mapping[str, Call], times: int) -> dict[str, dict[str, Any]]:
    """The same over HTTP, of those that are asked so."""
    found = {}
    async with Connection(server.port) as connection:
        for name, call in calls.items():
            if call.http is not None:
                used = processor_seconds(server.pid)
                took = [[await sent(connection, call) for _ in range(times)] for _ in range(ROUNDS)]
                found[name] = summary(took, processor_seconds(server.pid) - used)
    return found


async def sent(connection: Connection, call: Call) -> float:
    """Milliseconds until the whole answer is here."""
    assert call.http is not None
    call.before()
    posted = call.http()
    began = time.perf_counter()
    answer = await connection.ask(posted)
    took = time.perf_counter() - began
    assert answer.json()
    call.after()
    return 1000 * took


def processor_seconds(pid: int) -> float:
    """What the process has used of the processors so far, in all of its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def summary(took: Sequence[Sequence[float]], processor: float) -> dict[str, Any]:
    """The median and the 95th percentile of all, the median of each round, and the mean of the processor's time.

    That is of the process that was asked, without the server of the database; a busy machine makes the others longer.
    """
    every = [one for each in took for one in each]
    figures = {
        "median_ms": median(every),
        "p95_ms": percentile(every, 95),
        "processor_ms": 1000 * processor / len(every),
    }
    return {name: round(value, 2) for name, value in figures.items()} | {
        "rounds_ms": [round(median(each), 2) for each in took]
    }


def claims(result: Mapping[str, Any]) -> list[Claim]:
    """A line for each of the bounded calls on each engine, with the slowest of its kinds, and one for the others."""
    found = []
    tree = f"{result['versions']:,} versions on one line and {result['branches']} branches"
    for database, calls in result["engines"].items():
        for kind in BOUNDED:
            of_kind = {name: of for name, of in calls.items() if name.startswith(kind)}
            slowest = {name: max(_medians(of)) for name, of in of_kind.items()}
            name = max(slowest, key=lambda one: slowest[one])
            holds = slowest[name] < MEDIAN_MS_MAX
            words = f"{tree}, {database}, {kind}: median of the slowest of its kinds"
            found.append(Claim(words, f"{name}: {_said(calls[name])}", f"< {MEDIAN_MS_MAX:g} ms", holds))
        others = {name: of for name, of in calls.items() if not name.startswith(BOUNDED)}
        said = "; ".join(f"{name}: {_said(of)}" for name, of in others.items())
        found.append(Claim(f"{tree}, {database}, other calls: medians", said))
    return found


def _medians(of: Mapping[str, Any]) -> list[float]:
    return [place["median_ms"] for place in (of["store"], of["http"]) if place is not None]


def _said(of: Mapping[str, Any]) -> str:
    store, http = (None if place is None else _figure(place) for place in (of["store"], of["http"]))
    used = max(place["processor_ms"] for place in (of["store"], of["http"]) if place is not None)
    said = f"{store} ms at the store" + ("" if http is None else f", {http} ms over HTTP")
    return f"{said}; {number(used)} ms of a processor"


def _figure(place: Mapping[str, Any]) -> Figure:
    return figure(place["rounds_ms"])


if __name__ == "__main__":
    main()

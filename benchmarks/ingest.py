"""How many rows a second are accepted for good: `python -m benchmarks.ingest` writes results/ingest.json.

One service process on SQLite without workers, whose answer to a batch says that its rows survive a loss of power: the
blob is fsynced, and so is the ledger (synchronous=FULL). Rows are 28x28 bytes with a label, as safetensors, no two of
them alike: 256 to a batch from one connection and from four, and one to a batch from sixteen. In each round all three
take turns, and beside them the disk itself says how often a second it makes something durable (live/disk.py). At the
end the ledger must name every row that was accepted, and nothing else.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.progress import track

from benchmarks import record
from benchmarks.figures import Claim, figure, number
from benchmarks.live import digits, disk, report
from benchmarks.live.connections import Connection, request
from benchmarks.live.processes import Server, service
from client.client import Client
from client.tensors import safetensors_body
from client.wire import SAFETENSORS, quoted

ROUNDS, SECONDS = 5, 5.0
SEED = 0
BATCHES = f"/v1/models/{digits.NAME}/batches"


class Load(NamedTuple):
    """So many connections that post batches of so many rows."""

    rows: int
    clients: int

    def __str__(self) -> str:
        return f"{self.clients} x {self.rows}"


BATCH, BATCHES_OF_FOUR, SINGLE = Load(256, 1), Load(256, 4), Load(1, 16)
LOADS = (BATCH, BATCHES_OF_FOUR, SINGLE)
ROWS_LEAST, POSTS_LEAST = 20_000, 1_000


def main() -> None:
    quick = report.is_quick("Rows a second that are accepted durably, on SQLite.")
    rounds, seconds = (2, 1.5) if quick else (ROUNDS, SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        data_dir, beside = Path(folder, "service"), Path(folder, "disk")
        beside.mkdir()
        with service(data_dir) as server:
            measured, limits = measure(server, beside, rounds=rounds, seconds=seconds)
    result = {
        "what": "rows a second over HTTP on loopback, embedded SQLite; durable writes a second of the disk itself",
        "rounds": rounds,
        "seconds": seconds,
        "seed": SEED,
        **record.surroundings(),
        "rows_per_second": measured,
        "disk_per_second": limits,
    }
    report.finish("ingest", result, claims(result), quick=quick)


def measure(
    server: Server, beside: Path, *, rounds: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Rows a second of each load in each round, and the disk's own figures; a short round before warms up."""
    rates: dict[str, list[float]] = {str(load): [] for load in LOADS}
    limits: dict[str, list[float]] = {}
    sources = {rows: bodies(rows) for rows in {load.rows for load in LOADS}}
    accepted = 0
    with Client(server.url) as client:
        client.create_model(digits.LENET)
        for turn in track(range(rounds + 1), description="rounds"):
            length = seconds if turn else min(1.0, seconds)
            for load in LOADS:
                posts, taken = asyncio.run(post(server.port, sources[load.rows], load.clients, seconds=length))
                accepted += posts * load.rows
                if turn:
                    rates[str(load)].append(round(posts * load.rows / taken, 1))
            if turn:
                for name, rate in disk.limits(beside, threads=SINGLE.clients, seconds=length / 5).items():
                    limits.setdefault(name, []).append(round(rate, 1))
        client.update(digits.NAME)
        known = sum(update.rows for update in client.updates(digits.NAME))
    assert known == accepted, f"{accepted} rows were accepted, and {known} are in the ledger"
    return rates, limits


async def post(port: int, posts: Iterator[bytes], clients: int, *, seconds: float) -> tuple[int, float]:
    """How many batches were accepted, each asked to be when the one before was, and in how many seconds."""

    async def one() -> int:
        accepted = 0
        async with Connection(port) as connection:
            while time.perf_counter() < began + seconds:
                answer = await connection.ask(next(posts))
                assert answer.status == 202, answer.body
                accepted += 1
        return accepted

    began = time.perf_counter()
    accepted = sum(await asyncio.gather(*(one() for _ in range(clients))))
    return accepted, time.perf_counter() - began


def bodies(rows: int) -> Iterator[bytes]:
    """Requests that post so many rows each: images of digits, of which four bytes are the number of the request."""
    images, labels = digits.rows(rows, SEED)
    for number_of_request in count():
        images[:, 0, 0, :4] = np.frombuffer(number_of_request.to_bytes(4, "little"), np.uint8)
        headers = {"Content-Type": SAFETENSORS, "Idempotency-Key": quoted(f"{rows} rows, {number_of_request}")}
        yield request("POST", BATCHES, safetensors_body({"x": images, "y": labels}), headers)


def claims(result: Mapping[str, Any]) -> list[Claim]:
    of = result["rows_per_second"]
    limit = {name: figure(rates).middle for name, rates in result["disk_per_second"].items()}
    found = [
        Claim(
            f"Rows of 28x28 bytes accepted durably a second, 256 to a batch, {load.clients} at once, SQLite",
            f"{figure(of[str(load)])}",
            f"≥ {ROWS_LEAST:,}",
            figure(of[str(load)]).middle >= ROWS_LEAST,
        )
        for load in (BATCH, BATCHES_OF_FOUR)
    ]
    least = min(POSTS_LEAST, limit["commit"], limit["file_by_threads"])
    single = figure(of[str(SINGLE)])
    words = "or what the disk makes durable, if that is less"
    disk_says = f"the disk: {number(limit['commit'])} commits, {number(limit['file_by_threads'])} files"
    return [
        *found,
        Claim(
            f"Single rows accepted durably a second, {SINGLE.clients} at once, SQLite",
            f"{single}; {disk_says}",
            f"≥ {POSTS_LEAST:,}, {words}",
            single.middle >= least,
        ),
    ]


if __name__ == "__main__":
    main()

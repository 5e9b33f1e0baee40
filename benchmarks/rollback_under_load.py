"""A rollback while 32 clients ask: `python -m benchmarks.rollback_under_load` writes results/rollback_under_load.json.

One service on SQLite with two versions of a LeNet-5. 32 connections post three images each, over and over, to head.
Meanwhile another client moves head back by a rollback, and forth by setting the alias, in turn. Every answer must be a
success, and must say, to the bit and in all its rows, what the version that it names says when it is asked alone. Every
answer that was asked for after a move was answered must be of the version that head was moved to.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import record
from benchmarks.figures import Claim, figure, percentile
from benchmarks.live import digits, report
from benchmarks.live.connections import JSON, Connection, request
from benchmarks.live.processes import service

CLIENTS, ROWS = 32, 3
MOVES = 200
PAUSE_SECONDS = (0.05, 0.25)
SEED = 0
OLD, NEW = 1, 2
MODEL = f"/v1/models/{digits.NAME}"

Outputs = list[dict[str, Any]]


@dataclass
class Move:
    """Head moved to `version`; the times are of one clock."""

    version: int
    began: float
    ended: float


@dataclass
class Seen:
    """What the clients and the mover saw."""

    moves: list[Move] = field(default_factory=list)
    answers: list[tuple[float, float, int]] = field(default_factory=list)
    """When each was asked for, when it was there, and its version."""
    faults: Counter[str] = field(default_factory=Counter)


def main() -> None:
    quick = report.is_quick("What 32 clients see of rollbacks.")
    with tempfile.TemporaryDirectory() as folder:
        digits.learned(Path(folder), chunks=2, seed=SEED)
        with service(Path(folder)) as server:
            images, _ = digits.rows(ROWS, SEED + 1)
            seen = asyncio.run(watch(server.port, images, moves=10 if quick else MOVES))
    result = {
        "what": "answers that 32 clients got while head moved between two versions; milliseconds",
        "clients": CLIENTS,
        "rows": ROWS,
        "seed": SEED,
        **record.surroundings(),
        **counted(seen),
    }
    report.finish("rollback_under_load", result, claims(result), quick=quick)


async def watch(port: int, images: digits.Bytes, *, moves: int, clients: int = CLIENTS) -> Seen:
    """Head has moved so often while so many clients asked it."""
    body = json.dumps({"inputs": images.tolist()}).encode()
    seen, over = Seen(), asyncio.Event()
    async with Connection(port) as connection:
        expected = {
            version: (await connection.ask(request("POST", f"{MODEL}/versions/{version}/predictions", body, JSON)))
            .json()["outputs"]
            for version in (OLD, NEW)
        }  # fmt: skip
        assert expected[OLD] != expected[NEW]
        asking = [asyncio.create_task(ask(port, body, expected, seen, over=over)) for _ in range(clients)]
        await asyncio.sleep(PAUSE_SECONDS[1])
        pauses = Random(SEED)  # noqa: S311
        for turn in range(moves):
            seen.moves.append(await move(connection, OLD if turn % 2 == 0 else NEW))
            await asyncio.sleep(pauses.uniform(*PAUSE_SECONDS))
        over.set()
        await asyncio.gather(*asking)
    return seen


async def ask(port: int, body: bytes, expected: Mapping[int, Outputs], seen: Seen, *, over: asyncio.Event) -> None:
    """One client's answers, until it is over."""
    posted = request("POST", f"{MODEL}/predictions", body, JSON)
    async with Connection(port) as connection:
        while not over.is_set():
            began = time.perf_counter()
            answer = await connection.ask(posted)
            ended = time.perf_counter()
            if answer.status != 200:
                seen.faults["errors"] += 1
                continue
            said = answer.json()
            seen.answers.append((began, ended, said["version"]))
            if said["outputs"] != expected.get(said["version"]):
                seen.faults["mixed"] += 1


async def move(connection: Connection, version: int) -> Move:
    """Head points at the version: back by a rollback, forth by setting it."""
    body = json.dumps({"to": version} if version == OLD else {"version": version}).encode()
    back = request("POST", f"{MODEL}/rollback", body, JSON)
    forth = request("PUT", f"{MODEL}/aliases/head", body, JSON)
    began = time.perf_counter()
    (await connection.ask(back if version == OLD else forth)).json()
    return Move(version, began, time.perf_counter())


def counted(seen: Seen) -> dict[str, Any]:
    """How many answers were wrong, in which way, and how soon the first right one was there."""
    calls, first = [], []
    for place, moved in enumerate(seen.moves):
        if moved.version == OLD:
            next_began = seen.moves[place + 1].began if place + 1 < len(seen.moves) else float("inf")
            new = [end for began, end, version in seen.answers if version == OLD and moved.began <= end <= next_began]
            calls.append(1000 * (moved.ended - moved.began))
            first.append(1000 * (min(new) - moved.began))
    latencies = [1000 * (end - began) for began, end, _ in seen.answers]
    return {
        "answers": len(seen.answers),
        "errors": seen.faults["errors"],
        "mixed": seen.faults["mixed"],
        "stale": sum(is_stale(began, end, version, seen.moves) for began, end, version in seen.answers),
        "rollbacks": len(calls),
        "rollback_ms": spread(calls),
        "first_new_answer_ms": spread(first),
        "answer_ms": spread(latencies),
    }


def is_stale(began: float, ended: float, version: int, moves: Sequence[Move]) -> bool:
    """True where head was moved away from the version before the answer was asked for, and not back before it came."""
    before = [moved for moved in moves if moved.ended <= began]
    meanwhile = [moved for moved in moves if moved.ended > began and moved.began < ended]
    return bool(before) and version not in {before[-1].version, *(moved.version for moved in meanwhile)}


def spread(milliseconds: Sequence[float]) -> dict[str, float]:
    found = {"median": figure(milliseconds).middle, "p99": percentile(milliseconds, 99), "max": max(milliseconds)}
    return {name: round(value, 2) for name, value in found.items()}


def claims(result: Mapping[str, Any]) -> list[Claim]:
    wrong = {name: result[name] for name in ("errors", "mixed", "stale")}
    first, call = result["first_new_answer_ms"], result["rollback_ms"]
    return [
        Claim(
            f"{result['clients']} clients ask while head is rolled back: errors, answers of two versions, answers of "
            "the old version that were asked for after the rollback",
            f"{', '.join(map(str, wrong.values()))} of {result['answers']:,} in {result['rollbacks']} rollbacks; "
            f"first new answer after {first['median']} ms (p99 {first['p99']}), the call's own after {call['median']}",
            "0, 0, 0",
            not any(wrong.values()),
        )
    ]


if __name__ == "__main__":
    main()

"""Listeners that sleep for a minute and miss nothing: `python -m benchmarks.sleeping_listeners`.

It writes results/sleeping_listeners.json. On SQLite and on PostgreSQL, two services on one database, the first of which
has a worker: batches of one row are posted to both, 6,000 as fast as they are taken and then 20 a second until the end;
every second or every 100 rows there is a version. Three listeners hear the first events and sleep. One hangs up, and
comes back to the other service with `Last-Event-ID`. Two stay connected and read nothing: one at the first service,
which hangs up on it before the minute is over, and one at the second, which is told to wait longer. At the end what
each was told is compared with the events in the database, and with the batches that were answered.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import select

from benchmarks import record
from benchmarks.figures import Claim
from benchmarks.live import report
from benchmarks.live.connections import JSON, Connection, request
from benchmarks.live.databases import ENGINES, empty_database
from benchmarks.live.processes import service
from benchmarks.live.sleepers import Json, Sleeper
from client.client import Client
from store.engine import connect
from store.schema.beside import events
from store.schema.learning import models

SECONDS, QUICK_SECONDS = 60.0, 5.0
BACKLOG, BACKLOG_CLIENTS = 6_000, 32
"""Batches before anybody listens, whose events are a megabyte, more than the two ends of a connection hold unread; and
how many post them to each service.
"""
BATCHES_PER_SECOND = 20.0
AWAKE_SECONDS, HEARD_SECONDS_MAX = 3.0, 150.0
"""How long batches go on after the sleep; and all is to be heard. Who hears nothing connects again after a minute."""
MODEL: Json = {
    "name": "heard",
    "net": {"kind": "mlp", "hidden": [4]},
    "input": {"shape": [2]},
    "output": {"kind": "categorical", "classes": 2},
    "recipe": {"epochs": 1, "steps_least": 1},
    "chunk": {"rows": 100, "seconds": 1.0},
}
NAME = MODEL["name"]
BODY = b'{"inputs": [[0.5, 0.25]], "labels": [1]}'
WRONG = ("missed", "twice", "disordered", "altered", "unheard_batches")

_keys = count(1)


def main() -> None:
    parser = report.options("Listeners that sleep and come back.")
    parser.add_argument(
        "--seconds", type=float, help=f"how long they sleep; {SECONDS:g}, or {QUICK_SECONDS:g} if quick"
    )
    given = parser.parse_args()
    seconds = given.seconds or (QUICK_SECONDS if given.quick else SECONDS)
    engines = {}
    for database in ENGINES:
        with tempfile.TemporaryDirectory() as folder, empty_database(database, Path(folder)) as url:
            engines[database] = measured(Path(folder), url, seconds=seconds)
    result = {
        "what": "what listeners were told that slept while events happened, beside the events in the database",
        "seconds": seconds,
        "batches_before": BACKLOG,
        "batches_per_second": BATCHES_PER_SECOND,
        **record.surroundings(),
        "engines": engines,
    }
    report.finish("sleeping_listeners", result, claims(result), quick=given.quick)


def measured(folder: Path, url: str, *, seconds: float) -> Json:
    """What each listener was told, compared."""
    stated: Json = {"database_url": url, "blob_dir": folder / "blobs", "threads": 1}
    # As they are installed where the sleep is a minute, and else as much shorter: it hangs up before the sleep is over.
    impatient = {"header_seconds": seconds / 6, "answer_seconds": seconds / 2}
    with (
        service(folder / "first", workers=1, worker_nice=0, **impatient, **stated) as first,
        service(folder / "second", answer_seconds=seconds * 10, **stated) as second,
    ):
        with Client(first.url) as client:
            client.create_model(MODEL)
        ports = first.port, second.port
        sleepers = {
            "gone": Sleeper(NAME, ports, leaves=True),
            "cut": Sleeper(NAME, ports, leaves=False),
            "kept": Sleeper(NAME, ports[::-1], leaves=False),
        }
        posted, ledger = asyncio.run(watch(list(sleepers.values()), ports, url, seconds=seconds))
    return {
        "events": len(ledger),
        "batches": len(posted),
        "listeners": {name: compared(sleeper, ledger, posted) for name, sleeper in sleepers.items()},
    }


async def watch(
    sleepers: Sequence[Sleeper], ports: Sequence[int], url: str, *, seconds: float
) -> tuple[list[int], list[Json]]:
    """The batches that were accepted while the sleepers slept, before and after, and the events in the database then.

    The sleepers have heard on, for as long as they needed to hear the last of these, or longer than they may.
    """
    posted, over = list[int](), asyncio.Event()
    many = [port for port in ports for _ in range(BACKLOG_CLIENTS)]
    await asyncio.gather(*(post(port, posted, until=lambda: len(posted) >= BACKLOG) for port in many))
    pause = len(ports) / BATCHES_PER_SECOND
    async with asyncio.TaskGroup() as group:
        listening = [group.create_task(sleeper.listen(seconds)) for sleeper in sleepers]
        async with asyncio.TaskGroup() as until_over:
            for port in ports:
                until_over.create_task(post(port, posted, until=over.is_set, pause_seconds=pause))
            await asyncio.sleep(seconds + AWAKE_SECONDS)
            over.set()
        ledger, late = written(url), time.monotonic() + HEARD_SECONDS_MAX
        while any(sleeper.last < ledger[-1]["number"] for sleeper in sleepers) and time.monotonic() < late:
            await asyncio.sleep(0.01)
        for task in listening:
            task.cancel()
    return posted, ledger


async def post(port: int, posted: list[int], *, until: Callable[[], bool], pause_seconds: float = 0.0) -> None:
    """One batch of one row after the other is accepted."""
    async with Connection(port) as connection:
        while not until():
            headers = {**JSON, "Idempotency-Key": f"heard-{next(_keys)}"}
            answer = await connection.ask(request("POST", f"/v1/models/{NAME}/batches", BODY, headers))
            posted.append(answer.json()["batch"])
            await asyncio.sleep(pause_seconds)


def written(url: str) -> list[Json]:
    """The events of the model as the database has them, in their order; `at` is in seconds."""
    engine = connect(url)
    columns = (events.c.number, events.c.kind, events.c.at, events.c.facts)
    query = select(*columns).join(models, models.c.id == events.c.model_id).where(models.c.name == NAME)
    with engine.begin() as connection:
        rows = connection.execute(query.order_by(events.c.number)).all()
    engine.dispose()
    return [{"number": row.number, "kind": str(row.kind), "at": row.at, **row.facts} for row in rows]


def compared(sleeper: Sleeper, ledger: Sequence[Json], posted: Sequence[int]) -> Json:
    """How much of what happened up to the last of these it was not told, or not as it happened."""
    began, ended = sleeper.slept or (0.0, 0.0)
    known = {event["number"]: plain(event) for event in ledger}
    told = [event for event in sleeper.told if event["number"] <= ledger[-1]["number"]]
    numbers = [event["number"] for event in told]
    batches = {event["batch"] for event in told if event["kind"] == "accepted"}
    return {
        "heard": len(numbers),
        "happened_asleep": sum(began <= event["at"] <= ended for event in ledger),
        "unread_bytes": sleeper.unread_bytes,
        "connections": sleeper.connections,
        "missed": len(known.keys() - set(numbers)),
        "twice": len(numbers) - len(set(numbers)),
        "disordered": sum(later < earlier for earlier, later in pairwise(numbers)),
        "altered": sum(plain(event) != known.get(event["number"]) for event in told),
        "unheard_batches": len(set(posted) - batches),
    }


def plain(event: Json) -> Json:
    """Without what is said in another way to listeners than it is kept."""
    return {name: value for name, value in event.items() if name not in {"model", "at"}}


def claims(result: Mapping[str, Any]) -> list[Claim]:
    return [claim(database, of, result["seconds"]) for database, of in result["engines"].items()]


def claim(database: str, of: Mapping[str, Any], seconds: float) -> Claim:
    listeners: Mapping[str, Json] = of["listeners"]
    gone, cut, kept = (listeners[name] for name in ("gone", "cut", "kept"))
    wrong = [sum(one[name] for one in listeners.values()) for name in WRONG]
    return Claim(
        f"Listeners that sleep for {seconds:g} s and come back with `Last-Event-ID`, {database}: events missed, heard "
        "twice, out of order, altered; accepted batches not heard of",
        f"{', '.join(map(str, wrong))} of {of['events']:,} events at each of {len(listeners)}, "
        f"{gone['happened_asleep']:,} of them in its sleep: one was gone and came back to another service, one read "
        f"nothing and was hung up on, one read nothing, left {kept['unread_bytes']:,} bytes waiting and read on",
        ", ".join("0" for _ in WRONG),
        not any(wrong)
        and all(one["heard"] == of["events"] and one["happened_asleep"] > 0 for one in listeners.values())
        # Each slept in its own way: without that there is nothing to come back from.
        and (gone["connections"], kept["connections"]) == (2, 1)
        and cut["connections"] >= 2
        and kept["unread_bytes"] > 0,
    )


if __name__ == "__main__":
    main()

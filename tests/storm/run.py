"""One storm on one engine: the house is served, its clients work, its faults happen, and then its books are audited."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.record import surroundings
from client.client import Client
from store.blobs import Blobs
from store.engine import connect, for_examining
from store.folder import Folder
from store.invariants import Recorded, recorded
from store.migrate import upgrade
from store.object_store import ObjectStore
from tests.faulty_proxy import FaultyProxy
from tests.object_server import object_server
from tests.postgres import start_postgres
from tests.storm.books import audited, totals
from tests.storm.clients import MODELS, Asker, Closer, Mover, Person, Poster, Storm, described
from tests.storm.journal import Journal
from tests.storm.processes import Processes
from tests.storm.recompute import recomputed
from tests.storm.weather import KILL_EVERY_SECONDS, Disk, Fault, Network, Postgres, Sqlite, Weather, plan, small_disk

ENGINES = ("sqlite", "postgresql")
DISK_MEBIBYTES = 192
PICTURE_EVERY_SECONDS = 5.0
CALM_SECONDS = 240.0
"""So long the house may take, in fair weather, to finish what was begun."""


@dataclass
class House:
    """One installation under fire: how it is reached, and what may befall it."""

    engine: Engine
    blobs: Blobs
    environment: dict[str, str]
    weathers: list[Weather]
    facts: dict[str, Any]
    collect_hours: float


@dataclass
class Course:
    """The storm as it goes."""

    house: House
    processes: Processes
    people: list[Person]
    shared: Storm
    pictures: list[Recorded] = field(default_factory=list)


def storm(folder: Path, *, engine: str, seconds: float, seed: int) -> dict[str, Any]:
    """The report: what happened, what was promised, and everything that is wrong (a list that should be empty)."""
    torch.set_num_threads(1)
    choices = random.Random(f"{engine} {seed}")
    began = time.monotonic()
    with _house(folder, engine, choices) as house:
        course = _begin(house, folder, choices, seed)
        try:
            kinds = {"kill": KILL_EVERY_SECONDS} | {kind: every for one in house.weathers for kind, every in one.kinds.items()}
            _rage(course, plan(kinds, seconds=seconds, choices=choices), seconds=seconds, choices=choices)
            _calm(course)
        finally:
            course.shared.over.set()
            course.processes.stop()
        wrong = list(audited(house.engine, house.blobs, course.shared.journal, course.pictures))
        count, differing = recomputed(house.engine, house.blobs, folder / "scratch")
        report = _report(course, wrong=[*wrong, *differing], recomputed=count)
    about = {"engine": engine, "seed": seed, "seconds_of_faults": seconds, "seconds_in_all": round(time.monotonic() - began)}
    return surroundings() | about | report


@contextmanager
def _house(folder: Path, engine: str, choices: random.Random) -> Iterator[House]:
    """SQLite and a folder on a small disk of their own; or PostgreSQL and an object store behind a faulty network."""
    with ExitStack() as closing:
        data = folder / "data"
        common = {
            "POSTERITY_DATA_DIR": str(data),
            "POSTERITY_LEASE_SECONDS": "1",
            "POSTERITY_RETRY_SECONDS": "0.2",
            "POSTERITY_ATTEMPTS_MAX": "10000",
            "POSTERITY_THREADS": "1",
            "POSTERITY_DEVICE": "cpu",
        }
        if engine == "sqlite":
            is_small = closing.enter_context(small_disk(data, mebibytes=DISK_MEBIBYTES))
            ledger = data / "ledger.sqlite"
            own = connect(f"sqlite:///{ledger}")
            weathers: list[Weather] = [Sqlite(ledger), *([Disk(data)] if is_small else [])]
            house = House(own, Folder(data / "blobs"), common, weathers, {"full_disk_possible": is_small}, 0.0)
        else:
            server = start_postgres()
            closing.callback(server.stop)
            store = closing.enter_context(object_server())
            proxy = closing.enter_context(FaultyProxy(*store.address))
            url = server.create_database()
            keys = dict(store.variables) | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}
            place = store.url()
            more = {"POSTERITY_DATABASE_URL": url, "POSTERITY_BLOB_URL": place, "POSTERITY_BLOB_SECONDS": "1"} | keys
            own = connect(url)
            weathers = [Postgres(server), Network(proxy, choices)]
            house = House(own, _direct(place, store.variables), common | more, weathers, {}, 0.01)
        closing.callback(own.dispose)
        upgrade(own)
        yield house


def _direct(place: str, variables: Any) -> ObjectStore:  # noqa: ANN401
    """The store without the faulty network between."""
    raise NotImplementedError

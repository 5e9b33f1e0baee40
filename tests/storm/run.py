"""One storm on one engine: the house is served, its clients work, its faults happen, and then its books are audited."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from rich.progress import Progress
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.record import surroundings
from client.client import Client
from store.blobs import Blobs
from store.engine import connect, for_examining
from store.folder import Folder
from store.kinds import UpdateState
from store.migrate import upgrade
from store.object_store import ObjectStore
from store.recorded import Recorded, recorded
from store.schema.beside import deletions, tombstones
from store.schema.learning import batches, models, updates
from tests.faulty_proxy import FaultyProxy
from tests.object_server import object_server
from tests.postgres import start_postgres
from tests.storm.books import audited, totals
from tests.storm.clients import KEEPING, MODELS, Asker, Closer, LastCloser, Mover, Person, Poster, Storm, described
from tests.storm.deciders import Decider, LastForgetter
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
            kinds = {kind: every for one in house.weathers for kind, every in one.kinds.items()}
            faults = plan(kinds | {"kill": KILL_EVERY_SECONDS}, seconds=seconds, choices=choices)
            _rage(course, faults, seconds=seconds, choices=choices)
            _calm(course)
        finally:
            course.shared.over.set()
            course.processes.stop()
        wrong = list(audited(house.engine, house.blobs, course.shared.journal, course.pictures))
        count, differing = recomputed(house.engine, house.blobs, folder / "scratch")
        report = _report(course, wrong=[*wrong, *differing], recomputed=count)
    about = {"engine": engine, "seed": seed, "seconds_of_faults": seconds}
    return surroundings() | about | {"seconds_in_all": round(time.monotonic() - began)} | report


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


def _direct(place: str, variables: Mapping[str, str]) -> ObjectStore:
    """The store without the faulty network between: who audits is not under fire."""
    with patch.dict(os.environ, variables):
        return ObjectStore(place, seconds=15.0)


def _begin(house: House, folder: Path, choices: random.Random, seed: int) -> Course:
    """Services, workers and a collector run, the models are there, and everybody has begun."""
    processes = Processes(house.environment, folder, choices)
    shared = Storm([processes.serve(f"service-{turn}") for turn in range(2)], Journal(), threading.Event())
    for turn in range(2):
        processes.work(f"worker-{turn}")
    processes.is_fateful = False
    processes.tend()
    _create_models(shared)
    processes.is_fateful = True
    processes.collect("collector", hours=house.collect_hours)
    crowd = {"poster": (Poster, 3), "closer": (Closer, 2), "mover": (Mover, 1), "decider": (Decider, 1)}
    crowd |= {"asker": (Asker, 1)}
    people = [
        kind(shared, f"{name}-{turn}", f"{seed} {name} {turn}")
        for name, (kind, count) in crowd.items()
        for turn in range(count)
    ]
    for person in people:
        person.start()
    return Course(house, processes, people, shared)


def _create_models(shared: Storm) -> None:
    with Client(shared.urls[0], attempts_max=1000) as client:
        for model in MODELS:
            client.create_model(described(model))


def _rage(course: Course, faults: list[Fault], *, seconds: float, choices: random.Random) -> None:
    """The faults happen when they are due; whoever dies is followed by another."""
    by_kind = {kind: one for one in course.house.weathers for kind in one.kinds}
    ahead = deque(faults)
    began = time.monotonic()
    pictured = began
    with Progress() as bar:
        task = bar.add_task(f"storm on {course.house.engine.dialect.name}", total=seconds)
        while (now := time.monotonic()) - began < seconds:
            course.processes.tend()
            while ahead and ahead[0].at <= now - began:
                fault = ahead.popleft()
                if fault.kind == "kill":
                    course.processes.kill(choices)
                else:
                    by_kind[fault.kind].strike(fault.kind)
            if now - pictured > PICTURE_EVERY_SECONDS:
                pictured = now
                _picture(course)
            bar.update(task, completed=now - began)
            time.sleep(0.02)
    for one in course.house.weathers:
        one.clear()


def _picture(course: Course) -> None:
    """What is recorded now must be so for ever; a ledger under fire may refuse to be looked at."""
    with suppress(SQLAlchemyError), for_examining(course.house.engine).begin() as connection:
        course.pictures.append(recorded(connection))


def _calm(course: Course) -> None:
    """In fair weather everybody finishes, and every chunk is learned from.

    Raises:
        AssertionError: that takes too long; something is stuck.
    """
    course.processes.is_fateful = False
    course.shared.over.set()
    until = time.monotonic() + CALM_SECONDS
    _wait(course, lambda: not any(person.is_alive() for person in course.people), until=until)
    # By a thread of its own: whoever was doomed in the storm may still die now, and is to be followed by another.
    last = LastCloser(course.shared, "last closer", "")
    last.start()
    _wait(course, lambda: not last.is_alive(), until=until)
    _wait(course, lambda: _is_settled(course.house.engine), until=until)
    forgetter = LastForgetter(course.shared, "last forgetter", "")
    forgetter.start()
    _wait(course, lambda: not forgetter.is_alive(), until=until)
    _wait(course, lambda: _is_settled(course.house.engine), until=until)


def _wait(course: Course, is_so: Callable[[], bool], *, until: float) -> None:
    while not is_so():
        assert time.monotonic() < until, f"still not settled; the logs are in {course.processes.folder}"
        course.processes.tend()
        time.sleep(0.05)


def _is_settled(engine: Engine) -> bool:
    """No update waits, no rows are to be given up, and no bytes to be removed."""
    with engine.begin() as connection:
        waiting = connection.execute(
            select(func.count()).where(updates.c.state.in_([UpdateState.QUEUED, UpdateState.RUNNING]))
        ).scalar_one()
        unswept = connection.execute(select(func.count()).where(tombstones.c.removed_at.is_(None))).scalar_one()
        gone = connection.execute(select(func.count()).select_from(deletions)).scalar_one()
        due = connection.execute(
            select(func.count())
            .select_from(batches.join(models, models.c.id == batches.c.model_id))
            .where(models.c.name.in_([name for name, kept in KEEPING.items() if kept["kind"] == "delete-after-absorb"]))
        ).scalar_one()
    return waiting == 0 and unswept == 0 and gone == due


def _report(course: Course, *, wrong: list[str], recomputed: int) -> dict[str, Any]:
    processes, journal = course.processes, course.shared.journal
    written = processes.epitaphs.read_text().splitlines() if processes.epitaphs.exists() else []
    with course.house.engine.begin() as connection:
        left = totals(connection)
    return course.house.facts | {
        "sigkills": processes.kills,
        "sigkills_at_named_places": dict(sorted(Counter(written).items())),
        "ends_of_processes": dict(sorted(processes.ends.items())),
        "faults": dict(sorted(sum((one.counts for one in course.house.weathers), Counter()).items())),
        "clients": dict(sorted(journal.counts.items())),
        "acknowledged_batches": len(journal.acknowledged),
        "pictures_compared": len(course.pictures),
        "books": asdict(left),
        "posteriors_recomputed": recomputed,
        "wrong": wrong,
    }

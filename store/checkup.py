"""What this machine's settings lead to, looked at from outside: folders, database, blobs, clock, workers."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from store.blobs import open_blobs
from store.claims import due_models
from store.engine import close, connect, database_clock, sign_of
from store.errors import DatabaseNotCurrent
from store.kinds import UpdateState
from store.migrate import require_current
from store.schema.learning import models, updates
from store.settings import Settings

State = Literal["ok", "warn", "fail"]
SPACE_LOW_BYTES, SPACE_LEAST_BYTES = 2 << 30, 100 << 20
SKEW_WARN_SECONDS, SKEW_FAIL_SECONDS = 2.0, 60.0
PATIENCE_SECONDS = 30.0
"""An idle worker takes up what is queued at once; a busy one may have to end another update first."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: how it is, in words, and what to do next where it is not well."""

    check: str
    state: State
    detail: str
    next: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def check_up(settings: Settings, *, clock: Callable[[], float] = time.time) -> Iterator[Check]:
    """How everything is that a service or a worker with these settings would use; nothing is made or changed."""
    yield from _of_settings(settings)
    if settings.is_embedded or settings.blob_folder is not None:
        yield from _of_folder(settings)
    yield from _of_database(settings, clock)
    yield _of_blobs(settings)


def _of_settings(settings: Settings) -> Iterator[Check]:
    """What is not the default, and where it is from."""
    for name, value, source in settings.sources():
        if source != "default" or name in ("data_dir", "database_url", "blob_dir"):
            yield Check("setting", "ok", f"{name} = {value} ({source})")


def _of_folder(settings: Settings) -> Iterator[Check]:
    folder = (settings.data_dir if settings.is_embedded else settings.blob_folder or settings.data_dir).resolve()
    if not folder.is_dir():
        detail = f"{folder} {'is no folder' if folder.exists() else 'is not there'}"
        yield Check("folder", "fail", detail, "`posterity serve` makes it; or set POSTERITY_DATA_DIR to where it is")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Check("folder", "fail", f"{folder} cannot be written to", "give this user the right to, or use another")
    else:
        yield Check("folder", "ok", f"{folder} can be written to")
    free = shutil.disk_usage(folder).free
    state: State = "ok" if free > SPACE_LOW_BYTES else "warn" if free > SPACE_LEAST_BYTES else "fail"
    advice = "" if state == "ok" else "make room, or let models delete rows that were learned from (`retention`)"
    yield Check("space", state, f"{free / 2**30:,.1f} GiB are left at {folder}", advice)


def _of_database(settings: Settings, clock: Callable[[], float]) -> Iterator[Check]:
    file = make_url(settings.database).database
    if settings.is_embedded and not Path(file or "").is_file():
        detail = f"There is no ledger at {file}: nothing was served from here yet"
        yield Check("database", "fail", detail, "run `posterity serve`; or POSTERITY_DATA_DIR names another folder")
        return
    try:
        engine = connect(settings.database, is_read_only=True)
    except (ArgumentError, ImportError) as error:
        yield Check("database", "fail", f"database_url: {error}", "correct POSTERITY_DATABASE_URL")
        return
    try:
        yield from _of_engine(engine, make_url(settings.database).render_as_string(hide_password=True), clock)
    except SQLAlchemyError as error:
        detail = f"the database cannot be used: {sign_of(error)}"
        yield Check("database", "fail", detail, "start it, or correct POSTERITY_DATABASE_URL")
    finally:
        close(engine)


def _of_engine(engine: Engine, shown: str, clock: Callable[[], float]) -> Iterator[Check]:
    try:
        require_current(engine)
    except DatabaseNotCurrent as error:
        yield Check("database", "fail", f"{shown}: {error}", "run `posterity migrate`, or the release that it is of")
        return
    yield Check("database", "ok", f"{shown} answers, and has this release's tables")
    with engine.begin() as connection:
        before, now, after = clock(), database_clock(connection), clock()
        yield _of_clocks(now - (before + after) / 2)
        yield from _of_workers(connection, now)


def _of_clocks(ahead_seconds: float) -> Check:
    off = abs(ahead_seconds)
    state: State = "ok" if off < SKEW_WARN_SECONDS else "warn" if off < SKEW_FAIL_SECONDS else "fail"
    detail = f"the database's clock is {ahead_seconds:+.1f} seconds from this machine's"
    return Check("clock", state, detail, "" if state == "ok" else "let NTP set both clocks")


def _of_workers(connection: Connection, now: float) -> Iterator[Check]:
    """Whether what waits is being taken up; an idle worker leaves no trace."""
    is_running = updates.c.state == UpdateState.RUNNING
    running = connection.execute(
        select(models.c.name, updates.c.number, updates.c.owner, updates.c.lease_until)
        .join(models, models.c.id == updates.c.model_id)
        .where(is_running)
    ).all()
    for one in running:
        late = now - one.lease_until
        said = f"update {one.number} of {one.name} is worked on by {one.owner}"
        if late > 0:
            advice = "start a worker, which takes it up again: `posterity worker`"
            yield Check("worker", "warn", f"{said}, which was last heard of {late:,.0f} seconds ago", advice)
        else:
            yield Check("worker", "ok", said)
    last = connection.execute(select(func.max(updates.c.started_at))).scalar_one()
    lately = "none was ever taken up" if last is None else f"the last was taken up {now - last:,.0f} seconds ago"
    due = due_models(connection, now)
    if not due:
        yield Check("worker", "ok", f"no update waits; {lately}")
        return
    oldest = connection.execute(
        select(func.min(updates.c.created_at))
        .join(models, models.c.id == updates.c.model_id)
        .where(updates.c.state == UpdateState.QUEUED, models.c.name.in_(due))
    ).scalar_one()
    waits = 0.0 if oldest is None else now - max(oldest, last or 0.0)
    said = f"updates of {len(due)} models wait ({', '.join(due[:3])}); {lately}"
    if waits < PATIENCE_SECONDS or any(one.lease_until > now for one in running):
        yield Check("worker", "ok", said)
    else:
        yield Check("worker", "fail", f"{said}: no worker takes them", "start one: `posterity worker`")


def _of_blobs(settings: Settings) -> Check:
    where = settings.blob_url or str(settings.blob_folder)
    folder = settings.blob_folder
    if folder is not None and not folder.exists():
        # To open the store would make the folder.
        nearest = next(one for one in folder.resolve().parents if one.exists())
        if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
            return Check("blobs", "ok", f"{where} is not there yet, and can be made")
        advice = f"give this user the right to write to {nearest}, or use another folder"
        return Check("blobs", "fail", f"{where} is not there, and cannot be made", advice)
    try:
        is_writable = open_blobs(settings).is_writable()
    except OSError as error:
        return Check("blobs", "fail", f"{where}: {error}", "correct POSTERITY_BLOB_URL, or the AWS_* variables")
    if is_writable:
        return Check("blobs", "ok", f"{where} can be written to")
    advice = "make room there, or give this user the right to write; of a store in the network, see the AWS_* variables"
    return Check("blobs", "fail", f"{where} cannot be written to", advice)

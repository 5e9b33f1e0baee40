"""Where all models stand, in a fixed number of queries however many there are: for metrics, at every scrape.

Each query looks at a range of a key: pending batches, open updates, and the newest few versions and scores of a
model. None of them grows with what a model has learned.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Row,
    ScalarSelect,
    Select,
    and_,
    case,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.sql import ColumnElement

from store.engine import Clock, database_clock
from store.kinds import HEAD, OPEN, MoveKind, ParkingKind, Publication, UpdateState
from store.queries import is_to_be_learned, last_closed
from store.schema.beside import events, webhooks
from store.schema.learning import batches, chunks, models, moves, parkings, scores, updates, versions
from store.standing import Learned, Overview, Standing

VERSIONS = 10
"""What is said of how head predicts is said of the chunks of so many newest versions."""
SCORES = 50
"""So many batches that were scored last are looked at for surprises."""


def overview(engine: Engine, *, limit: int, clock: Clock = database_clock) -> Overview:
    """Where the first `limit` models stand, as of about now; a fixed number of queries."""
    with engine.begin() as connection:
        count = int(connection.execute(select(func.count()).select_from(models)).scalar_one())
        named = connection.execute(select(models.c.id, models.c.name).order_by(models.c.id).limit(limit)).all()
        found = {row.id: Standing(row.name) for row in named}
        if found:
            for read in (_counts, _head, _lags, _pending, _open, _ended, _learned, _surprises, _parked, _webhooks):
                read(connection, found, max(found))
        return Overview(count, clock(connection), list(found.values()))


Found = dict[int, Standing]


def _newest(number: Column[Any], *, of: Any = models.c.id, alias: str | None = None) -> ScalarSelect[Any]:  # noqa: ANN401
    """The largest number of the model's rows in this table."""
    table = number.table.alias()
    query = select(func.coalesce(func.max(table.c[number.name]), 0)).where(table.c.model_id == of)
    query = query if alias is None else query.where(table.c.alias == alias)
    return query.correlate(models).scalar_subquery()


def _counts(connection: Connection, found: Found, last: int) -> None:
    """Numbers count from 1 without a gap, so the newest is how many there are."""
    newest = (batches.c.number, versions.c.number, updates.c.number)
    columns = [_newest(number).label(number.table.name) for number in newest]
    for row in connection.execute(select(models.c.id, *columns).where(models.c.id <= last)):
        standing = found[row.id]
        standing.batches, standing.versions = row.batches, row.versions
        standing.updates[UpdateState.PUBLISHED] = row.updates  # Less the others, see `_open` and `_ended`.


# What follows asks by scalar subqueries, each of one model: PostgreSQL would plan a join with a range, or with what a
# subquery finds, by reading the table.


def _head(connection: Connection, found: Found, last: int) -> None:
    of_model = select(moves).where(moves.c.model_id == models.c.id, moves.c.alias == HEAD).correlate(models)
    newest = of_model.order_by(moves.c.seq.desc()).limit(1)
    told = (moves.c.version, moves.c.seq, moves.c.moved_at)
    columns = [newest.with_only_columns(one).scalar_subquery().label(one.name) for one in told]
    for row in connection.execute(select(models.c.id, *columns).where(models.c.id <= last)):
        standing = found[row.id]
        standing.head, standing.head_moves, standing.head_moved_at = row.version, row.seq, row.moved_at


def _lags(connection: Connection, found: Found, last: int) -> None:
    """A move that brings data live is a publication, or the first one by hand to a version."""
    moved, before = moves.alias("moved"), moves.alias("before")
    same = (before.c.model_id == moved.c.model_id, before.c.alias == HEAD, before.c.version == moved.c.version)
    is_first = ~select(1).where(*same, before.c.seq < moved.c.seq).correlate(moved).exists()
    brings = or_(moved.c.kind == MoveKind.PUBLISH, and_(moved.c.kind == MoveKind.PUT, is_first))
    of_chunk = and_(chunks.c.model_id == versions.c.model_id, chunks.c.number == versions.c.chunk)
    of_batch = and_(batches.c.model_id == chunks.c.model_id, batches.c.number == chunks.c.batch_first)
    of_version = (versions.c.model_id == moved.c.model_id, versions.c.number == moved.c.version)
    joined = versions.join(chunks, of_chunk).join(batches, of_batch)
    accepted_at = select(batches.c.accepted_at).select_from(joined).where(*of_version).correlate(moved)
    lag = select(moved.c.moved_at - accepted_at.scalar_subquery())
    newest = lag.where(moved.c.model_id == models.c.id, moved.c.alias == HEAD, brings).order_by(moved.c.seq.desc())
    query = select(models.c.id, newest.limit(1).correlate(models).scalar_subquery().label("lag"))
    for row in connection.execute(query.where(models.c.id <= last)):
        found[row.id].lag_seconds = row.lag


def _pending(connection: Connection, found: Found, last: int) -> None:
    waiting = (batches.c.model_id == models.c.id, batches.c.number > last_closed(models.c.id))
    pending = select(batches).where(*waiting, is_to_be_learned(batches)).correlate(models)
    told = {"batches": func.count(), "rows": func.sum(batches.c.rows), "since": func.min(batches.c.accepted_at)}
    columns = [pending.with_only_columns(one).scalar_subquery().label(name) for name, one in told.items()]
    for row in connection.execute(select(models.c.id, *columns).where(models.c.id <= last)):
        standing = found[row.id]
        standing.pending_batches, standing.pending_rows = row.batches, int(row.rows or 0)
        _wait(standing, row.since)


def _open(connection: Connection, found: Found, last: int) -> None:
    joined = updates.join(
        chunks, and_(chunks.c.model_id == updates.c.model_id, chunks.c.number == updates.c.chunk)
    ).join(batches, and_(batches.c.model_id == updates.c.model_id, batches.c.number == chunks.c.batch_first))
    columns = (func.count().label("updates"), func.sum(chunks.c.rows).label("rows"))
    # The steps of a forget learn once more what is old: nobody waits for them.
    since = func.min(case((updates.c.forget.is_(None), batches.c.accepted_at))).label("since")
    query = select(updates.c.model_id, updates.c.state, *columns, since).select_from(joined)
    query = query.where(updates.c.state.in_(OPEN), updates.c.model_id <= last)
    for row in connection.execute(query.group_by(updates.c.model_id, updates.c.state)):
        standing = found[row.model_id]
        standing.queued_rows += int(row.rows)
        _wait(standing, row.since)
        _of_state(standing, row)


def _ended(connection: Connection, found: Found, last: int) -> None:
    """Failed and cancelled: few, and found by their state."""
    ended = (UpdateState.FAILED, UpdateState.CANCELLED)
    query = select(updates.c.model_id, updates.c.state, func.count().label("updates"))
    query = query.where(updates.c.state.in_(ended), updates.c.model_id <= last)
    for row in connection.execute(query.group_by(updates.c.model_id, updates.c.state)):
        _of_state(found[row.model_id], row)


def _learned(connection: Connection, found: Found, last: int) -> None:
    report = versions.c.report
    columns = (
        *(versions.c.model_id, versions.c.number, versions.c.rows, versions.c.kl_nats, versions.c.publication),
        report["seconds"].as_float().label("steps_seconds"),
        report["seconds_in_all"].as_float().label("seconds_in_all"),
        report["steps"].as_integer().label("steps"),
        report["gpu_bytes_peak"].as_float().label("gpu_bytes_peak"),
        report["prequential"].label("prequential"),
    )
    for row in _last(connection, columns, [versions.c.number], count=VERSIONS, last=last):
        # What a forget learns once more, and what was imported or divided, says nothing of what comes in.
        if row.publication in {Publication.HEAD, Publication.GATED, Publication.MANUAL}:
            found[row.model_id].learned.append(_to_learned(row))


def _to_learned(row: Row[Any]) -> Learned:
    return Learned(
        number=row.number,
        rows=row.rows,
        kl_nats=row.kl_nats,
        seconds=row.steps_seconds if row.seconds_in_all is None else row.seconds_in_all,
        steps=row.steps,
        steps_seconds=row.steps_seconds,
        gpu_bytes_peak=None if row.gpu_bytes_peak is None else int(row.gpu_bytes_peak),
        prequential=row.prequential if isinstance(row.prequential, dict) else {},
    )


def _surprises(connection: Connection, found: Found, last: int) -> None:
    surprise = scores.c.surprise
    columns = (
        scores.c.model_id,
        scores.c.batch,
        scores.c.version,
        surprise["z"].as_float().label("z"),
        surprise["is_surprising"].as_boolean().label("is_surprising"),
    )
    for row in _last(connection, columns, [scores.c.batch, scores.c.version], count=SCORES, last=last):
        # Where nothing finite was predicted, there is none.
        if row.is_surprising is not None:
            found[row.model_id].surprises.append((row.z, bool(row.is_surprising)))


def _last(
    connection: Connection,
    columns: Sequence[ColumnElement[Any]],
    order: Sequence[Column[Any]],
    *,
    count: int,
    last: int,
) -> Iterator[Row[Any]]:
    """The last rows of each model in this order of its table, so many, the oldest first."""
    table = order[0].table
    newest_first = [one.desc() for one in order]
    of_model = select(*columns).where(table.c.model_id == models.c.id).correlate(models)
    if connection.dialect.name == "postgresql":
        found = of_model.order_by(*newest_first).limit(count).lateral("found")
        query: Select[Any] = select(found).select_from(models.join(found, true()))
    else:
        at_least = of_model.with_only_columns(order[0]).order_by(*newest_first).limit(1).offset(count - 1)
        within = order[0] >= func.coalesce(at_least.scalar_subquery(), 0)
        query = select(*columns).select_from(models.join(table, and_(table.c.model_id == models.c.id, within)))
    by_model = defaultdict[int, deque[Row[Any]]](lambda: deque(maxlen=count))
    names = ("model_id", *(one.name for one in order))
    for row in connection.execute(query.where(models.c.id <= last).order_by(*names)):
        by_model[row.model_id].append(row)
    return (row for rows in by_model.values() for row in rows)


def _parked(connection: Connection, found: Found, last: int) -> None:
    later = parkings.alias("later")
    same = (later.c.model_id == parkings.c.model_id, later.c.batch == parkings.c.batch, later.c.seq > parkings.c.seq)
    is_newest = ~select(1).where(*same).correlate(parkings).exists()
    query = select(parkings.c.model_id, func.count().label("batches"))
    query = query.where(parkings.c.kind == ParkingKind.PARK, is_newest, parkings.c.model_id <= last)
    for row in connection.execute(query.group_by(parkings.c.model_id)):
        found[row.model_id].parked = row.batches


def _webhooks(connection: Connection, found: Found, last: int) -> None:
    joined = models.join(webhooks, webhooks.c.model_id == models.c.id)
    query = select(models.c.id, webhooks.c.delivered, webhooks.c.failures, _newest(events.c.number).label("newest"))
    query = query.select_from(joined).where(models.c.id <= last, webhooks.c.removed_at.is_(None))
    for row in connection.execute(query):
        standing = found[row.id]
        standing.webhooks += 1
        standing.webhooks_failing += row.failures > 0
        standing.webhook_events = max(standing.webhook_events, row.newest - row.delivered)


def _wait(standing: Standing, since: float | None) -> None:
    if since is not None:
        standing.waiting_since = since if standing.waiting_since is None else min(since, standing.waiting_since)


def _of_state(standing: Standing, row: Row[Any]) -> None:
    standing.updates[UpdateState(row.state)] = row.updates
    standing.updates[UpdateState.PUBLISHED] -= row.updates

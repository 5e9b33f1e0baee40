"""Where all models stand, in a fixed number of queries however many there are: for metrics, at every scrape.

Each query looks at a range of a key: pending batches, open updates, and the newest few versions and scores of a
model. None of them grows with what a model has learned.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Row,
    ScalarSelect,
    Select,
    Table,
    and_,
    case,
    func,
    or_,
    select,
)

from store.engine import Clock, database_clock
from store.kinds import HEAD, OPEN, MoveKind, ParkingKind, Publication, UpdateState
from store.queries import is_to_be_learned, last_closed
from store.schema.beside import events, webhooks
from store.schema.learning import batches, chunks, models, moves, parkings, scores, updates, versions
from store.values import Json

VERSIONS = 10
"""What is said of how head predicts is said of the chunks of so many newest versions."""
SCORES = 50
"""So many batches that were scored last are looked at for surprises."""


@dataclass(frozen=True)
class Learned:
    """A version that an update published, and what its report says."""

    number: int
    rows: int
    kl_nats: float
    seconds: float | None
    steps: int | None
    steps_seconds: float | None
    """Of `seconds`, those that the steps took."""
    gpu_bytes_peak: int | None
    prequential: Json
    """How head predicted the rows of its chunk before: their number, and each score; empty where nothing was finite."""


@dataclass
class Standing:
    """Where one model stands."""

    name: str
    batches: int = 0
    versions: int = 0
    updates: dict[UpdateState, int] = field(default_factory=lambda: dict.fromkeys(UpdateState, 0))
    head: int | None = None
    head_moves: int = 0
    head_moved_at: float | None = None
    pending_batches: int = 0
    pending_rows: int = 0
    queued_rows: int = 0
    """In chunks whose updates are queued or running."""
    waiting_since: float | None = None
    """When the oldest row was accepted that no version has learned from."""
    lag_seconds: float | None = None
    """Of the chunk that was the last to be live: from its first batch to the move of head."""
    learned: list[Learned] = field(default_factory=list)
    """The newest versions, oldest first."""
    surprises: list[tuple[float | None, bool]] = field(default_factory=list)
    """z of the batches that were scored last, oldest first, and whether that is surprising; None: beyond all bounds."""
    parked: int = 0
    webhooks: int = 0
    webhooks_failing: int = 0
    webhook_events: int = 0
    """That the webhook furthest behind has not been sent."""


@dataclass(frozen=True)
class Overview:
    """All models, or those created first."""

    models: int
    now: float
    standings: list[Standing]


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


def _head(connection: Connection, found: Found, last: int) -> None:
    newest = and_(
        moves.c.model_id == models.c.id, moves.c.alias == HEAD, moves.c.seq == _newest(moves.c.seq, alias=HEAD)
    )
    query = select(moves).select_from(models.join(moves, newest)).where(models.c.id <= last)
    for row in connection.execute(query):
        standing = found[row.model_id]
        standing.head, standing.head_moves, standing.head_moved_at = row.version, row.seq, row.moved_at


def _lags(connection: Connection, found: Found, last: int) -> None:
    """A move that brings data live is a publication, or the first one by hand to a version."""
    moved, before = moves.alias("moved"), moves.alias("before")
    same = (before.c.model_id == moved.c.model_id, before.c.alias == HEAD, before.c.version == moved.c.version)
    is_first = ~select(1).where(*same, before.c.seq < moved.c.seq).correlate(moved).exists()
    brings = or_(moved.c.kind == MoveKind.PUBLISH, and_(moved.c.kind == MoveKind.PUT, is_first))
    seq = select(moved.c.seq).where(moved.c.model_id == models.c.id, moved.c.alias == HEAD, brings)
    newest = seq.order_by(moved.c.seq.desc()).limit(1).correlate(models).scalar_subquery()
    joined = (
        models.join(moves, and_(moves.c.model_id == models.c.id, moves.c.alias == HEAD, moves.c.seq == newest))
        .join(versions, and_(versions.c.model_id == models.c.id, versions.c.number == moves.c.version))
        .join(chunks, and_(chunks.c.model_id == models.c.id, chunks.c.number == versions.c.chunk))
        .join(batches, and_(batches.c.model_id == models.c.id, batches.c.number == chunks.c.batch_first))
    )
    lag = (moves.c.moved_at - batches.c.accepted_at).label("lag")
    for row in connection.execute(select(models.c.id, lag).select_from(joined).where(models.c.id <= last)):
        found[row.id].lag_seconds = row.lag


def _pending(connection: Connection, found: Found, last: int) -> None:
    waiting = and_(batches.c.model_id == models.c.id, batches.c.number > last_closed(models.c.id))
    columns = (func.count().label("batches"), func.sum(batches.c.rows).label("rows"))
    query = select(models.c.id, *columns, func.min(batches.c.accepted_at).label("since"))
    query = query.select_from(models.join(batches, waiting)).where(models.c.id <= last, is_to_be_learned(batches))
    for row in connection.execute(query.group_by(models.c.id)):
        standing = found[row.id]
        standing.pending_batches, standing.pending_rows = row.batches, int(row.rows)
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
    columns = (versions.c.model_id, versions.c.number, versions.c.rows, versions.c.kl_nats)
    facts = (
        report["seconds"].as_float().label("steps_seconds"),
        report["seconds_in_all"].as_float().label("seconds_in_all"),
        report["steps"].as_integer().label("steps"),
        report["gpu_bytes_peak"].as_integer().label("gpu_bytes_peak"),
        report["prequential"].label("prequential"),
    )
    # What a forget learns once more, and what was imported or divided, says nothing of what comes in.
    is_new = versions.c.publication.in_((Publication.HEAD, Publication.GATED, Publication.MANUAL))
    for row in connection.execute(_last(select(*columns, *facts), versions, VERSIONS, last).where(is_new)):
        seconds = row.steps_seconds if row.seconds_in_all is None else row.seconds_in_all
        said = row.prequential if isinstance(row.prequential, dict) else {}
        reported = {"seconds": seconds, "steps": row.steps, "steps_seconds": row.steps_seconds}
        facts_of = {"number": row.number, "rows": row.rows, "kl_nats": row.kl_nats, "prequential": said}
        found[row.model_id].learned.append(Learned(**facts_of, **reported, gpu_bytes_peak=row.gpu_bytes_peak))


def _surprises(connection: Connection, found: Found, last: int) -> None:
    surprise = scores.c.surprise
    facts = (surprise["z"].as_float().label("z"), surprise["is_surprising"].as_boolean().label("is_surprising"))
    query = _last(select(scores.c.model_id, *facts), scores, SCORES, last, number="batch").order_by(scores.c.version)
    for row in connection.execute(query.where(surprise.is_not(None))):
        found[row.model_id].surprises.append((row.z, bool(row.is_surprising)))


def _last(query: Select[Any], table: Table, count: int, last: int, *, number: str = "number") -> Select[Any]:
    """The rows of the last numbers of each model, so many, in their order."""
    newest = _newest(table.c[number])
    within = and_(table.c.model_id == models.c.id, table.c[number] > newest - count)
    chosen = query.select_from(models.join(table, within)).where(models.c.id <= last)
    return chosen.order_by(table.c.model_id, table.c[number])


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

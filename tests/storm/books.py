"""After the storm: the books from outside, against all that was promised."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Row, func, select

from store.blobs import Blobs
from store.collecting import Collecting
from store.doctor import examine
from store.engine import for_examining
from store.kinds import HEAD, ForgetState, ParkingKind, UpdateState
from store.learned import evidence_of
from store.queries import decisions_on, newest_move, to_model
from store.recorded import Recorded, changed, recorded
from store.schema.beside import deletions
from store.schema.learning import batches, chunks, forgets, models, moves, parkings, updates, versions
from store.tree import born_of
from tests.storm.clients import KEEPING, ROWS
from tests.storm.journal import Journal


@dataclass(frozen=True)
class Totals:
    """How much the storm has left in the books."""

    batches: int
    chunks: int
    updates: int
    attempts: int
    failures: int
    versions: int
    moves: int
    deletions: int
    decisions: int
    forgets: int
    forgets_done: int


def totals(connection: Connection) -> Totals:
    def count(column: object) -> int:
        return int(connection.execute(select(column)).scalar_one())  # type: ignore[call-overload]

    return Totals(
        batches=count(func.count(batches.c.number)),
        chunks=count(func.count(chunks.c.number)),
        updates=count(func.count(updates.c.number)),
        attempts=count(func.coalesce(func.sum(updates.c.attempt), 0)),
        failures=count(func.coalesce(func.sum(updates.c.failures), 0)),
        versions=count(func.count(versions.c.number)),
        moves=count(func.count(moves.c.seq)),
        deletions=count(func.count(deletions.c.batch)),
        decisions=count(func.count(parkings.c.seq)),
        forgets=count(func.count(forgets.c.number)),
        forgets_done=count(func.count(forgets.c.number).filter(forgets.c.state == ForgetState.DONE)),
    )


def audited(engine: Engine, blobs: Blobs, journal: Journal, pictures: list[Recorded]) -> tuple[str, ...]:
    """Everything that is wrong: in the answers, in the books and in the bytes.

    Each batch that was acknowledged is there once, and was learned from or forgotten; nothing is there that nobody
    posted. Head has learned from nothing that was forgotten. What was recorded during the storm has not changed. Moves
    and predictions are what their callers were told. The bytes of every version and of all kept rows are whole, those
    that nothing names are gone, and no others.
    """
    with for_examining(engine).begin() as connection:
        wrong = [*journal.wrong, *_batches(connection, journal), *_told(connection, journal)]
        last = recorded(connection)
    wrong += [sentence for picture in pictures for sentence in changed(picture, last)]
    Collecting(engine, blobs).collect(older_than_seconds=-1.0)
    return (*wrong, *examine(engine, blobs).wrong, *_bytes(engine, blobs))


def _batches(connection: Connection, journal: Journal) -> Iterator[str]:
    by_key: dict[tuple[str, str], list[Row[tuple[object, ...]]]] = defaultdict(list)
    query = select(models.c.name, batches).join(models, models.c.id == batches.c.model_id)
    for row in connection.execute(query):
        by_key[row.name, row.key].append(row)
    for (model, key), told in journal.acknowledged.items():
        found = by_key.get((model, key), [])
        if len(found) != 1:
            yield f"{model}: batch {told.batch}, acknowledged under key {key}, is there {len(found)} times"
        elif (found[0].number, found[0].digest, found[0].rows) != (told.batch, told.digest, ROWS):
            yield f"{model}: {told} was acknowledged, the books have {found[0]}"
    for model, key in by_key.keys() - journal.posted:
        yield f"{model}: nobody has posted batch {key}"
    yield from _unlearned(connection)


def _unlearned(connection: Connection) -> Iterator[str]:
    """In the end no batch waits, and each is in the evidence of some version, but what was forgotten before that."""
    for row in connection.execute(select(models).order_by(models.c.id)):
        model = to_model(row)
        decided = decisions_on(connection, model.id, 1, 2**31 - 1)
        yield from (
            f"{model.name}: batch {batch} is parked" for batch, kind in decided.items() if kind == ParkingKind.PARK
        )
        held = list(connection.execute(select(chunks.c.number).where(chunks.c.model_id == model.id)).scalars())
        parts = [part for chunk in held for part in born_of(connection, model.id, chunk)]
        learned = {batch for part in parts for batch in part.batches}
        for number in connection.execute(select(batches.c.number).where(batches.c.model_id == model.id)).scalars():
            if number not in learned and decided.get(number) != ParkingKind.FORGET:
                yield f"{model.name}: no version has learned from batch {number}"
        head = newest_move(connection, model.id, HEAD)
        assert head is not None
        assert head.version is not None
        for number in evidence_of(connection, model.id, head.version).batches:
            if decided.get(number) == ParkingKind.FORGET:
                yield f"{model.name}: head has learned from batch {number}, which was forgotten"
    waiting = select(updates.c.number).where(updates.c.state.in_([UpdateState.QUEUED, UpdateState.RUNNING]))
    yield from (f"update {number} still waits" for number in connection.execute(waiting).scalars())


def _told(connection: Connection, journal: Journal) -> Iterator[str]:
    names = {row.id: row.name for row in connection.execute(select(models.c.id, models.c.name))}
    of_head = select(moves.c.model_id, moves.c.seq, moves.c.version).where(moves.c.alias == HEAD)
    heads = {(names[row.model_id], row.seq): row.version for row in connection.execute(of_head)}
    for move in journal.moved:
        if heads.get((move.model, move.seq)) != move.version:
            yield f"{move} was told, the history has {heads.get((move.model, move.seq))}"
    of_versions = select(versions.c.model_id, versions.c.number, versions.c.digest)
    digests = {(names[row.model_id], row.number): row.digest for row in connection.execute(of_versions)}
    for answer in journal.predicted:
        if digests.get((answer.model, answer.version)) != answer.digest:
            yield f"{answer} has answered, the books have {digests.get((answer.model, answer.version))}"


def _bytes(engine: Engine, blobs: Blobs) -> Iterator[str]:
    """Rows are kept or gone as the retention of their model says, and nothing else is in the store."""
    with engine.begin() as connection:
        query = select(models.c.name, batches.c.digest, deletions.c.batch.label("deleted"))
        gone = (deletions.c.model_id == batches.c.model_id) & (deletions.c.batch == batches.c.number)
        joined = batches.join(models, models.c.id == batches.c.model_id).outerjoin(deletions, gone)
        rows = connection.execute(query.select_from(joined)).all()
        posteriors = set(connection.execute(select(versions.c.digest)).scalars())
    for row in rows:
        is_due = KEEPING[row.name]["kind"] == "delete-after-absorb"
        if is_due != (row.deleted is not None):
            yield f"{row.name}: the rows {row.digest} are {'deleted' if row.deleted else 'kept'}, and should not be"
    named = posteriors | {row.digest for row in rows if row.deleted is None}
    stored = {listed.digest for listed in blobs.listed()}
    yield from (f"the blob {digest} is there, and nothing names it" for digest in sorted(stored - named))
    yield from (f"the blob {digest} is named, and not listed" for digest in sorted(named - stored))

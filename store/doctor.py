"""Examines a ledger and its blobs from outside: what the database cannot enforce by itself is looked at here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Engine, func, select

from store.blobs import Blobs
from store.errors import BlobCorrupt, BlobMissing
from store.migrate import require_current
from store.queries import line_of, to_chunk, to_model
from store.schema import batches, chunks, models, moves, updates, versions
from store.values import HEAD, ModelRow, UpdateState


@dataclass(frozen=True)
class Findings:
    models: int
    versions: int
    batches: int
    wrong: tuple[str, ...]


def examine(engine: Engine, blobs: Blobs) -> Findings:
    """Everything wrong with the books or the bytes, in sentences that name the thing.

    Raises:
        DatabaseNotCurrent: the tables are not those of this release.
    """
    require_current(engine)
    with engine.begin() as connection:
        found = [to_model(row) for row in connection.execute(select(models).order_by(models.c.id))]
        wrong = [sentence for model in found for sentence in _examine(connection, model)]
        wrong += [*_examine_priors(found, blobs), *_examine_blobs(connection, blobs)]
        return Findings(
            len(found),
            _size(connection, versions.c.number),
            _size(connection, batches.c.number),
            tuple(wrong),
        )


def _examine(connection: Connection, model: ModelRow) -> Iterator[str]:
    yield from _examine_chunks(connection, model)
    yield from _examine_lines(connection, model)
    yield from _examine_moves(connection, model)


def _examine_chunks(connection: Connection, model: ModelRow) -> Iterator[str]:
    """Chunks follow each other without gap or overlap, and hold the rows of their batches."""
    expected = 1
    query = select(chunks).where(chunks.c.model_id == model.id).order_by(chunks.c.number)
    for row in connection.execute(query).all():
        chunk = to_chunk(row)
        if chunk.batch_first != expected:
            yield f"{model.name}: chunk {chunk.number} begins at batch {chunk.batch_first} instead of {expected}"
        expected = chunk.batch_last + 1
        held = connection.execute(
            select(func.sum(batches.c.rows)).where(
                batches.c.model_id == model.id, batches.c.number.between(chunk.batch_first, chunk.batch_last)
            )
        ).scalar_one()
        if held != chunk.rows:
            yield f"{model.name}: chunk {chunk.number} says {chunk.rows} rows, its batches hold {held}"


def _examine_lines(connection: Connection, model: ModelRow) -> Iterator[str]:
    """Evidence is counted once on every line, and every published update has its version."""
    query = select(versions.c.number, versions.c.chunk).where(versions.c.model_id == model.id)
    learned = {row.number: row.chunk for row in connection.execute(query).all()}
    for number in learned:
        counts = Counter(learned[step] for step in line_of(connection, model.id, number))
        yield from (
            f"{model.name}: version {number} counts chunk {chunk} {count} times"
            for chunk, count in counts.items()
            if chunk is not None and count > 1
        )
    published = select(updates.c.number).where(updates.c.model_id == model.id, updates.c.state == UpdateState.PUBLISHED)
    born = select(versions.c.update).where(versions.c.model_id == model.id, versions.c.update.is_not(None))
    for update in set(connection.execute(published).scalars()) ^ set(connection.execute(born).scalars()):
        yield f"{model.name}: update {update} and the versions disagree about its being published"


def _examine_moves(connection: Connection, model: ModelRow) -> Iterator[str]:
    """Each alias has a history without gaps, and head points at a version."""
    query = select(moves.c.alias, moves.c.seq, moves.c.version).where(moves.c.model_id == model.id)
    seqs: dict[str, list[int]] = {}
    head: int | None = None
    for row in connection.execute(query.order_by(moves.c.alias, moves.c.seq)):
        seqs.setdefault(row.alias, []).append(row.seq)
        head = row.version if row.alias == HEAD else head
    if head is None:
        yield f"{model.name}: head points at no version"
    for alias, found in seqs.items():
        if found != list(range(1, len(found) + 1)):
            yield f"{model.name}: the history of alias '{alias}' has a gap"


def _examine_priors(found: list[ModelRow], blobs: Blobs) -> Iterator[str]:
    """The bytes that priors name, as weights learned elsewhere, are there: an update from the root may need them."""
    for model in found:
        prior = model.description.get("prior", {})
        for key in ("blob", "batch"):
            try:
                if key in prior:
                    blobs.get(prior[key])
            except (BlobMissing, BlobCorrupt) as error:
                yield f"{model.name}: prior.{key}: {error}"


def _examine_blobs(connection: Connection, blobs: Blobs) -> list[str]:
    """Every blob that a row names is there and holds the bytes its name says."""
    wrong = []
    for table, noun in ((versions, "version"), (batches, "batch")):
        query = select(models.c.name, table.c.number, table.c.digest).join(models, models.c.id == table.c.model_id)
        for row in connection.execute(query.order_by(models.c.name, table.c.number)):
            try:
                blobs.get(row.digest)
            except (BlobMissing, BlobCorrupt) as error:
                wrong.append(f"{row.name}: {noun} {row.number}: {error}")
    return wrong


def _size(connection: Connection, column: Column[int]) -> int:
    return connection.execute(select(func.count(column))).scalar_one()

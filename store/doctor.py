"""Examines a ledger and its blobs from outside: what the database cannot enforce by itself is looked at here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Engine, Select, func, select

from store.blobs import Blobs
from store.engine import for_examining
from store.errors import BlobCorrupt, BlobMissing
from store.evidence import EvidenceOfHead, evidence_of_head
from store.invariants import violations
from store.migrate import require_current
from store.queries import IS_DELETED, to_model
from store.schema.beside import tombstones
from store.schema.learning import batches, models, versions
from store.tombstones import PRIOR_BLOBS, named_among
from store.values import ModelRow


@dataclass(frozen=True)
class Findings:
    models: int
    versions: int
    batches: int
    evidence: tuple[EvidenceOfHead, ...]
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """A blob that a row names; `owner` says which row, in words."""

    owner: str
    digest: str


def examine(engine: Engine, blobs: Blobs) -> Findings:
    """Everything wrong with the books or the bytes, in sentences that name the thing.

    The books are those of one moment. Blobs are read after it, as that may take long.

    Raises:
        DatabaseNotCurrent: the tables are not those of this release.
    """
    require_current(engine)
    with for_examining(engine).begin() as connection:
        wrong = violations(connection)
        found = [to_model(row) for row in connection.execute(select(models).order_by(models.c.id))]
        named = [*_of_models(found), *_of_rows(connection)]
        removed = list(connection.execute(_removed()).scalars())
        evidence = [] if wrong else [evidence_of_head(connection, model) for model in found]
        counts = [_size(connection, column) for column in (versions.c.number, batches.c.number)]
    wrong += [*_examine_blobs(engine, named, blobs), *_examine_removed(engine, removed, blobs)]
    return Findings(len(found), counts[0], counts[1], tuple(evidence), tuple(wrong))


def _of_models(found: Sequence[ModelRow]) -> Iterator[Named]:
    """The bytes that priors name, as weights learned elsewhere, and what came along with imported models."""
    for model in found:
        if model.imported is not None:
            blobs = model.imported["blobs"].items()
            yield from (Named(f"{model.name}: imported.{key}", digest) for key, digest in blobs)
            continue
        prior = model.description.get("prior", {})
        yield from (Named(f"{model.name}: prior.{key}", prior[key]) for key in PRIOR_BLOBS if key in prior)


def _of_rows(connection: Connection) -> Iterator[Named]:
    """The bytes that versions and batches name."""
    for table, noun in ((versions, "version"), (batches, "batch")):
        query = select(models.c.name, table.c.number, table.c.digest).join(models, models.c.id == table.c.model_id)
        if table is batches:
            query = query.where(~IS_DELETED)
        for row in connection.execute(query.order_by(models.c.name, table.c.number)):
            yield Named(f"{row.name}: {noun} {row.number}", row.digest)


def _removed() -> Select[str]:
    """The digests whose bytes were removed, and that nobody has named again."""
    return select(tombstones.c.digest).where(tombstones.c.removed_at.is_not(None)).order_by(tombstones.c.digest)


def _examine_removed(engine: Engine, removed: Sequence[str], blobs: Blobs) -> Iterator[str]:
    """What was removed is not there, as bytes written again for a batch whose rows are deleted would be."""
    for digest in filter(blobs.holds, removed):
        # It may have been posted again since the moment of the books.
        with engine.begin() as connection:
            is_removed = connection.execute(_removed().where(tombstones.c.digest == digest)).one_or_none() is not None
        if is_removed:
            yield f"the blob {digest} was removed and is there again; `posterity collect` removes what nothing names"


def _examine_blobs(engine: Engine, named: Sequence[Named], blobs: Blobs) -> Iterator[str]:
    """Every blob that a row names is there and holds the bytes its name says."""
    for one in named:
        try:
            blobs.verify(one.digest)
        except BlobCorrupt as error:
            yield f"{one.owner}: {error}"
        except BlobMissing as error:
            # A batch may have been deleted since the moment of the books.
            with engine.begin() as connection:
                is_named = bool(named_among(connection, [one.digest]))
            if is_named:
                yield f"{one.owner}: {error}"


def _size(connection: Connection, column: Column[int]) -> int:
    return connection.execute(select(func.count(column))).scalar_one()

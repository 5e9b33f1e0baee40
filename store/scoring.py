"""How batches were predicted before anything learned from them, read in the order in which they came to be learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, FromClause, Select, and_, or_, select
from sqlalchemy.sql import ColumnElement

from store.kinds import Publication
from store.queries import find_model
from store.schema.learning import chunks, omissions, scores, versions
from store.values import Json, ModelRow

LIMIT = 500


@dataclass(frozen=True)
class ScoreRow:
    """How a version predicted a batch before anything learned from it, as it was kept; None: nothing finite.

    `update` learned from it, and published the version `learned`.
    """

    batch: int
    version: int
    update: int
    learned: int
    scores: Json | None
    surprise: Json | None
    scored_at: float


@dataclass(frozen=True)
class Notice:
    """What an update had to say: a warning about its chunk, or why head did not move."""

    update: int
    version: int
    report: Json
    publication: str


class Place(NamedTuple):
    """Where in a series a batch is: the version that learned it comes first."""

    learned: int
    batch: int


BEGINNING = Place(0, 0)


class Scoring:
    """The scores of a model's batches; each call is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def series(self, name: str, *, after: Place = BEGINNING, limit: int = LIMIT) -> list[ScoreRow]:
        """The next batches after this place, each with the version that was head when an update learned it.

        In the order in which versions learned them, so that what is new comes last. Each batch is there once for each
        version that predicted it, where an update first learned it so; the steps of forgets, which learn old batches
        once more, do not count.

        Raises:
            ModelNotFound: there is none of this name.
        """
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            is_later = or_(
                versions.c.number > after.learned,
                and_(versions.c.number == after.learned, scores.c.batch > after.batch),
            )
            chosen = _series(model.id).where(versions.c.number >= after.learned, is_later)
            rows = connection.execute(chosen.order_by(versions.c.number, scores.c.batch).limit(limit))
            return [ScoreRow(**row._mapping) for row in rows]

    def series_until(self, name: str, *, until: Place, limit: int) -> list[ScoreRow]:
        """The last batches up to and with this place that were predicted with finite numbers, in the same order."""
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            is_earlier = or_(
                versions.c.number < until.learned,
                and_(versions.c.number == until.learned, scores.c.batch <= until.batch),
            )
            chosen = _series(model.id).where(
                versions.c.number <= until.learned, is_earlier, scores.c.scores.is_not(None)
            )
            rows = connection.execute(chosen.order_by(versions.c.number.desc(), scores.c.batch.desc()).limit(limit))
            return [ScoreRow(**row._mapping) for row in rows][::-1]

    def notices(self, name: str, *, first: int, last: int) -> list[Notice]:
        """What the updates from `first` to `last` had to say, with the versions that they published."""
        with self.engine.begin() as connection:
            return _notices(connection, find_model(connection, name), first, last)


def _notices(connection: Connection, model: ModelRow, first: int, last: int) -> list[Notice]:
    columns = (versions.c["update"], versions.c.number, versions.c.report, versions.c.publication)
    query = select(*columns).where(versions.c.model_id == model.id, versions.c["update"].between(first, last))
    return [
        Notice(update=update, version=version, report=report, publication=publication)
        for update, version, report, publication in connection.execute(query.order_by(versions.c["update"]))
    ]


def _series(model_id: int) -> Select[Any]:
    """The scores of what updates learned, by the versions that they published."""
    # Not by the update of a score: a step of a forget, or an update before a rollback, may have scored the same before.
    of_chunk = and_(chunks.c.model_id == versions.c.model_id, chunks.c.number == versions.c.chunk)
    within = scores.c.batch.between(chunks.c.batch_first, chunks.c.batch_last)
    scored = and_(scores.c.model_id == versions.c.model_id, scores.c.version == versions.c.parent, within)
    earlier = versions.alias("earlier")
    same = (earlier.c.model_id == model_id, earlier.c.chunk == versions.c.chunk, earlier.c.parent == versions.c.parent)
    # SQLite would otherwise look through all versions before it, not through those of the chunk.
    is_earlier = earlier.c.number + 0 < versions.c.number
    is_again = select(1).where(*same, is_earlier, _learned(earlier)).correlate(versions, scores).exists()
    columns = (scores.c.batch, scores.c.version, versions.c["update"], versions.c.number.label("learned"))
    # The moment of publication is that of the score as well.
    facts = (scores.c.scores, scores.c.surprise, versions.c.created_at.label("scored_at"))
    joined = versions.join(chunks, of_chunk).join(scores, scored)
    of_model = (versions.c.model_id == model_id, _learned(versions))
    return select(*columns, *facts).select_from(joined).where(*of_model, ~is_again)


def _learned(table: FromClause) -> ColumnElement[bool]:
    """True of a version that learned the batch of a score, and not as the step of a forget."""
    of_update = (omissions.c.model_id == table.c.model_id, omissions.c["update"] == table.c["update"])
    left_out = select(1).where(*of_update, omissions.c.batch == scores.c.batch).correlate(table, scores)
    return and_(table.c.publication != Publication.ASIDE, ~left_out.exists())

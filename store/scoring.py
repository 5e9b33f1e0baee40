"""How batches were predicted before anything learned from them, read in the order in which they came to be learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, and_, select

from store.queries import find_model
from store.schema import scores, updates, versions
from store.values import Json, ModelRow, ScoreRow


@dataclass(frozen=True)
class Notice:
    """What an update had to say: a warning about its chunk, or why head did not move."""

    update: int
    version: int
    report: Json
    publication: str


class Scoring:
    """The scores of a model's batches; each call is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def series(self, name: str) -> list[ScoreRow]:
        """Every batch with the version that was head when it came, in the order of the updates.

        The steps of forgets, which learn old batches once more, are not among them.

        Raises:
            ModelNotFound: there is none of this name.
        """
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            of_update = and_(updates.c.model_id == scores.c.model_id, updates.c.number == scores.c["update"])
            query = select(scores).select_from(scores.join(updates, of_update))
            chosen = query.where(scores.c.model_id == model.id, updates.c.forget.is_(None))
            rows = connection.execute(chosen.order_by(scores.c["update"], scores.c.batch)).all()
            return [_to_score(row._mapping) for row in rows]

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


def _to_score(row: Any) -> ScoreRow:  # noqa: ANN401 - a row of the database, by the names of its columns
    return ScoreRow(**{name: row[name] for name in ScoreRow.__dataclass_fields__})

"""Predictions that are kept for a time, so that a label may come for them later."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, select

from store.engine import Clock, database_clock, for_writing
from store.errors import PredictionExpired, PredictionNotFound
from store.queries import find_model
from store.schema.beside import labels, predictions
from store.schema.learning import models

ID = re.compile(r"p([0-9a-f]{11})[A-Za-z0-9_-]{22}", re.ASCII)
"""Until when it is kept, in milliseconds since 1970, and 128 bits that nobody guesses."""
NAMED = re.compile(rf"({ID.pattern})(?:\.(0|[1-9][0-9]{{0,8}}))?", re.ASCII)
"""A prediction, or with its number behind a dot one of its rows."""
SWEPT = 200
"""Predictions that are removed in one transaction; other writers wait as long as that takes."""


@dataclass(frozen=True)
class LabelRow:
    """A label that arrived later: which row of a kept prediction it is for, and which row of a batch that became."""

    prediction: str
    row: int
    label: Any
    """The index of its class, or its numbers."""
    batch: int
    batch_row: int
    labeled_at: float


@dataclass(frozen=True)
class KeptPrediction:
    """A prediction that is kept until a moment, and the labels that came for it."""

    id: str
    version: int
    digest: str
    rows: int
    inputs: bytes = field(repr=False)
    answer: bytes = field(repr=False)
    predicted_by: str
    predicted_at: float
    kept_until: float
    labels: tuple[LabelRow, ...]


@dataclass(frozen=True)
class ToKeep:
    """A prediction as it was answered."""

    model: str
    version: int
    digest: str
    rows: int
    inputs: bytes
    """[rows, *shape] in the model's type, little-endian, row-major."""
    answer: bytes
    predicted_by: str
    seconds: float


@dataclass(frozen=True)
class Named:
    """What a caller names: a prediction, and perhaps one of its rows."""

    prediction: str
    row: int | None


def named(text: str) -> Named | None:
    """What the text names; None: no prediction was ever called so."""
    found = NAMED.fullmatch(text)
    return None if found is None else Named(found[1], None if found[3] is None else int(found[3]))


def is_past(prediction: str, now: float) -> bool:
    """True where a prediction of this id that is not there may have been, and is kept no longer."""
    found = ID.fullmatch(prediction)
    return found is not None and int(found[1], 16) <= now * 1000


class KeptPredictions:
    """Keeps predictions, reads them, and removes those whose time is over."""

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Clock = database_clock,
        token: Callable[[], str] = lambda: secrets.token_urlsafe(16),
    ) -> None:
        self.engine = for_writing(engine)
        self.reading = engine
        self.clock = clock
        self.token = token

    def keep(self, answered: Sequence[ToKeep]) -> list[tuple[str, float]]:
        """All are kept, in one transaction; the id of each, and until when.

        Raises:
            SQLAlchemyError: the database cannot be written to; none is kept.
        """
        with self.engine.begin() as connection:
            now, ids = self.clock(connection), _model_ids(connection, {one.model for one in answered})
            kept = [(f"p{int((now + one.seconds) * 1000):011x}{self.token()}", now + one.seconds) for one in answered]
            rows = [
                {
                    "id": id_,
                    "model_id": ids[one.model],
                    "version": one.version,
                    "digest": one.digest,
                    "rows": one.rows,
                    "inputs": one.inputs,
                    "answer": one.answer,
                    "predicted_by": one.predicted_by,
                    "predicted_at": now,
                    "kept_until": until,
                }
                for one, (id_, until) in zip(answered, kept, strict=True)
            ]
            connection.execute(insert(predictions), rows)
            return kept

    def find(self, model: str, text: str) -> KeptPrediction:
        """The prediction that the text names, or that has the row that it names; with the labels that came for it.

        Raises:
            ModelNotFound: there is no such model.
            PredictionExpired: it is kept no longer, if there was one of this id.
            PredictionNotFound: the model has none of this id, or not so many rows.
        """
        with self.reading.begin() as connection:
            model_id, now, name = find_model(connection, model).id, self.clock(connection), named(text)
            if name is None:
                raise PredictionNotFound(model=model, prediction=text[:100])
            this = (predictions.c.id == name.prediction, predictions.c.model_id == model_id)
            row = connection.execute(select(predictions).where(*this)).one_or_none()
            if is_past(name.prediction, now) if row is None else row.kept_until <= now:
                raise PredictionExpired(model=model, prediction=text)
            if row is None or (name.row is not None and name.row >= row.rows):
                raise PredictionNotFound(model=model, prediction=text)
            given = select(labels).where(labels.c.prediction == name.prediction).order_by(labels.c.row)
            return _kept(row, tuple(to_label(label) for label in connection.execute(given)))

    def sweep(self) -> int:
        """What is kept no longer is gone from the database; how many predictions that were."""
        swept = 0
        while True:
            with self.engine.begin() as connection:
                over = select(predictions.c.id).where(predictions.c.kept_until <= self.clock(connection)).limit(SWEPT)
                gone = connection.execute(delete(predictions).where(predictions.c.id.in_(over))).rowcount
            swept += gone
            if gone < SWEPT:
                return swept


def to_label(row: Row[tuple[object, ...]]) -> LabelRow:
    return LabelRow(**{name: row._mapping[name] for name in LabelRow.__dataclass_fields__})


def _kept(row: Row[tuple[object, ...]], given: tuple[LabelRow, ...]) -> KeptPrediction:
    plain = {name: row._mapping[name] for name in KeptPrediction.__dataclass_fields__ if name != "labels"}
    return KeptPrediction(labels=given, **plain)


def _model_ids(connection: Connection, names: set[str]) -> dict[str, int]:
    found = connection.execute(select(models.c.name, models.c.id).where(models.c.name.in_(names)))
    return {row.name: row.id for row in found}

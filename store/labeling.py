"""Labels that arrive later: the row of a kept prediction becomes a row of a batch, once.

The primary key of `labels` is the guard, in the transaction that accepts the batch: whoever comes second, in whichever
process, finds the row taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from store.accepting import Posted, accept_in_order
from store.engine import Clock
from store.errors import IdempotencyKeyReused, Problem
from store.kept_predictions import LabelRow, to_label
from store.ledger import Ledger
from store.queries import find_model
from store.schema.beside import labels, predictions
from store.values import Accepted, BatchRow, ModelRow
from store.writes import lock_model

ASKED = 500
"""Ids in one query."""
READ_BYTES = 16 * 2**20
"""Inputs that are read in one query, if more than one prediction is."""

NBYTES = func.length(predictions.c.inputs).label("nbytes")

Item = TypeVar("Item")
Place = tuple[str, int]
"""A prediction and the number of its row."""


@dataclass(frozen=True)
class KeptRows:
    """A prediction that is still kept, as far as labels need it."""

    rows: int
    nbytes: int


@dataclass(frozen=True)
class Standing:
    """What is known of some predictions at one moment: which are kept, and which labels came."""

    now: float
    kept: Mapping[str, KeptRows]
    labels: Mapping[Place, LabelRow]


@dataclass(frozen=True)
class LabeledBatch:
    """Rows that got their labels, in the order of the batch, which asks to be accepted."""

    posted: Posted
    places: Sequence[Place]
    labels: Sequence[object]


class LabelsTaken(Exception):  # noqa: N818 - no error: somebody else was first
    """Rows have got their labels since the look; nothing was stored."""


class Labeling:
    """Turns rows of kept predictions into batches."""

    def __init__(self, ledger: Ledger) -> None:
        self.engine = ledger.engine
        self.reading = ledger.reading
        self.clock: Clock = ledger.clock
        self._close: Callable[[Connection, ModelRow], int] = ledger.close_full

    def look(self, model: str, asked: Collection[str]) -> Standing:
        """What is known of these predictions of the model, by the database's clock.

        Raises:
            ModelNotFound: there is none of this name.
        """
        kept: dict[str, KeptRows] = {}
        given: dict[Place, LabelRow] = {}
        with self.reading.begin() as connection:
            model_id, now = find_model(connection, model).id, self.clock(connection)
            for ids in _parts(list(asked)):
                query = select(predictions.c.id, predictions.c.rows, NBYTES)
                this = (predictions.c.model_id == model_id, predictions.c.kept_until > now)
                found = connection.execute(query.where(predictions.c.id.in_(ids), *this))
                kept |= {row.id: KeptRows(row.rows, row.nbytes) for row in found}
                came = select(labels).where(labels.c.prediction.in_(ids), labels.c.model_id == model_id)
                given |= {(row.prediction, row.row): to_label(row) for row in connection.execute(came)}
        return Standing(now, kept, given)

    def inputs(self, kept: Mapping[str, KeptRows]) -> Iterator[tuple[str, bytes]]:
        """The inputs of these predictions, a few at a time; those that went meanwhile are left out."""
        for ids in _by_bytes(kept):
            with self.reading.begin() as connection:
                query = select(predictions.c.id, predictions.c.inputs).where(predictions.c.id.in_(ids))
                found = connection.execute(query).all()
            yield from ((row.id, row.inputs) for row in found)

    def record(self, model: str, labeled: Sequence[LabeledBatch]) -> list[BatchRow]:
        """Each is a batch, and its rows have their labels for good: all of them or none, in one transaction.

        Raises:
            LabelsTaken: one of the rows has its label already.
            IdempotencyKeyReused: one of the keys names a batch.
            BlobBuried: bytes that they name are being removed.
            SQLAlchemyError: the database cannot be written to.
        """
        with self.engine.begin() as connection:
            row = lock_model(connection, model)
            now = self.clock(connection)
            answers = accept_in_order(connection, row, [one.posted for one in labeled], now=now, close=self._close)
            stored = [_new(connection, row, one, answer) for one, answer in zip(labeled, answers, strict=True)]
            for one, batch in zip(labeled, stored, strict=True):
                _insert(connection, row, one, batch)
            return stored


def _parts(items: list[Item]) -> Iterator[list[Item]]:
    return (items[start : start + ASKED] for start in range(0, len(items), ASKED))


def _by_bytes(kept: Mapping[str, KeptRows]) -> Iterator[list[str]]:
    """The ids in groups that are read at once."""
    group: list[str] = []
    nbytes = 0
    for prediction, rows in kept.items():
        if group and (nbytes + rows.nbytes > READ_BYTES or len(group) == ASKED):
            yield group
            group, nbytes = [], 0
        group.append(prediction)
        nbytes += rows.nbytes
    if group:
        yield group


def _new(connection: Connection, model: ModelRow, labeled: LabeledBatch, answer: Accepted | Problem) -> BatchRow:
    """The batch, which was not there before: else its rows are not these, whatever they are."""
    if isinstance(answer, Accepted) and not answer.is_replay:
        return answer.batch
    # The same request, sent again while its first answer was on the way, has the same key: that is no other batch.
    if _any_taken(connection, labeled.places):
        raise LabelsTaken
    if isinstance(answer, Problem):
        raise answer
    raise IdempotencyKeyReused(key=answer.batch.key, batch=answer.batch.number, model=model.name)


def _any_taken(connection: Connection, places: Sequence[Place]) -> bool:
    wanted = set(places)
    for ids in _parts(sorted({prediction for prediction, _ in places})):
        found = connection.execute(select(labels.c.prediction, labels.c.row).where(labels.c.prediction.in_(ids)))
        if any((row.prediction, row.row) in wanted for row in found):
            return True
    return False


def _insert(connection: Connection, model: ModelRow, labeled: LabeledBatch, batch: BatchRow) -> None:
    """Every row has its label, or LabelsTaken is raised and the transaction ends."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    once = dialect.insert(labels).on_conflict_do_nothing().returning(labels.c.row)
    rows = [
        {
            "prediction": prediction,
            "row": row,
            "model_id": model.id,
            "label": label,
            "batch": batch.number,
            "batch_row": batch_row,
            "labeled_at": batch.accepted_at,
        }
        for batch_row, ((prediction, row), label) in enumerate(zip(labeled.places, labeled.labels, strict=True))
    ]
    inserted = sum(len(connection.execute(once, part).all()) for part in _parts(rows))
    if inserted < len(rows):
        raise LabelsTaken

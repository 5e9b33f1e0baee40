"""The scores of a model's batches, added up to where a page of its metrics begins: no page reads all before it again.

What is kept is sums of what never changes, in places that never change, so nothing here can be stale; it grows by what
was learned since.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from bayes import Scores
from store.history import History
from store.scoring import BEGINNING, Place, ScoreRow, Scoring

SPACING = 100
"""Batches from one kept sum to the next, at first."""
SUMS_MAX = 1000
"""Where a model has more kept sums than this, every other one is dropped."""
KEPT_MAX = 30_000
"""Kept sums of all models; each takes about a kilobyte. Models asked for longest ago make room."""


@dataclass(frozen=True)
class Sum:
    """Batches and the scores of their rows added up; no scores where none was predicted with finite numbers."""

    batches: int = 0
    scores: Scores | None = None

    def plus(self, scores: Scores | None) -> Sum:
        """With one batch more."""
        return Sum(self.batches + 1, added(self.scores, scores))


@dataclass(frozen=True)
class Standing:
    """Where the series stands: all of it added up, until this place."""

    total: Sum = Sum()
    place: Place = BEGINNING


@dataclass
class Running:
    """The sums of one model."""

    now: Standing = Standing()
    of_versions: dict[int, Sum] = field(default_factory=dict)
    """By the version that predicted."""
    kept: list[Standing] = field(default_factory=lambda: [Standing()])
    """Each is `spacing` batches after the one before it."""
    spacing: int = field(default_factory=lambda: SPACING)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def count(self) -> int:
        return len(self.kept) + len(self.of_versions)

    def take(self, rows: Iterable[ScoreRow]) -> None:
        """These come next."""
        for row in rows:
            scores = scores_of(row)
            self.now = Standing(self.now.total.plus(scores), Place(row.learned, row.batch))
            self.of_versions[row.version] = self.of_versions.get(row.version, Sum()).plus(scores)
            if self.now.total.batches % self.spacing == 0:
                self.kept.append(self.now)
            if len(self.kept) > SUMS_MAX:
                self.kept, self.spacing = self.kept[::2], 2 * self.spacing


@dataclass(frozen=True)
class Before:
    """What is known of a series without reading it."""

    total: Sum
    of_versions: dict[int, Sum]
    nearest: Standing
    """The last kept sum at or before the batch that was asked about."""


class RunningScores:
    """The sums of the models asked for last. Safe for many threads at once: what is new is read by one of them."""

    def __init__(self, scoring: Scoring, history: History) -> None:
        self._scoring, self._history = scoring, history
        self._models: OrderedDict[int, Running] = OrderedDict()
        self._lock = threading.Lock()

    def before(self, name: str, batches: int) -> Before:
        """The series as it is now, added up, and to near the place that so many of its batches lie before.

        Raises:
            ModelNotFound: there is none of this name.
        """
        running = self._running(self._history.model(name).id)
        with running.lock:
            while rows := self._scoring.series(name, after=running.now.place):
                running.take(rows)
            index = min(batches // running.spacing, len(running.kept) - 1)
            found = Before(running.now.total, dict(running.of_versions), running.kept[index])
        self._make_room()
        return found

    def _running(self, model_id: int) -> Running:
        with self._lock:
            running = self._models.setdefault(model_id, Running())
            self._models.move_to_end(model_id)
            return running

    def _make_room(self) -> None:
        with self._lock:
            count = sum(running.count for running in self._models.values())
            while count > KEPT_MAX and len(self._models) > 1:
                count -= self._models.popitem(last=False)[1].count


def added(one: Scores | None, other: Scores | None) -> Scores | None:
    """The scores of the rows of both."""
    if one is None or other is None:
        return other if one is None else one
    return one + other


def scores_of(row: ScoreRow) -> Scores | None:
    return None if row.scores is None else Scores.from_json(row.scores)

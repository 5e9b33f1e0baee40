"""What the storm's clients were promised: every answer that the books are held to afterwards."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Acknowledged:
    """A batch that the service said it has: from then on it may not be lost, nor be there twice."""

    model: str
    key: str
    batch: int
    digest: str


@dataclass(frozen=True)
class Moved:
    """A move of head that a client was told of."""

    model: str
    seq: int
    version: int


@dataclass(frozen=True)
class Predicted:
    """Which posterior answered a prediction."""

    model: str
    version: int
    digest: str


@dataclass
class Journal:
    """Written by many threads; `wrong` holds answers that no fault can explain."""

    acknowledged: dict[tuple[str, str], Acknowledged] = field(default_factory=dict)
    posted: set[tuple[str, str]] = field(default_factory=set)
    moved: set[Moved] = field(default_factory=set)
    predicted: set[Predicted] = field(default_factory=set)
    forgotten: set[tuple[str, int]] = field(default_factory=set)
    """Batches that somebody asked to be forgotten, by model and number."""
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def accuse(self, sentence: str) -> None:
        with self.lock:
            self.wrong.append(sentence)

    def post(self, model: str, key: str) -> None:
        """A batch is about to be posted; it may be there from now on."""
        with self.lock:
            self.posted.add((model, key))

    def forget(self, model: str, batch: int) -> None:
        """A batch is about to be forgotten."""
        with self.lock:
            self.forgotten.add((model, batch))

    def acknowledge(self, batch: Acknowledged) -> None:
        """Told again, a batch is what it was told to be before."""
        with self.lock:
            self.counts["batches acknowledged"] += 1
            before = self.acknowledged.setdefault((batch.model, batch.key), batch)
            if before != batch:
                self.wrong.append(f"{batch.model}: key {batch.key} was {before} and is {batch}")

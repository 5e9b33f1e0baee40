"""Sets of numbers that are mostly runs: 10,000 chunks in a row are one pair, and not 10,000 numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Run = tuple[int, int]
"""The first and the last of numbers that follow each other."""


@dataclass(frozen=True)
class Runs:
    """A set of numbers, as runs in their order, with a gap between any two.

    >>> learned = Runs.of([(1, 4), (9, 9), (5, 6)])
    >>> learned.pairs
    ((1, 6), (9, 9))
    >>> (learned - Runs.of([(3, 8)])).numbers
    [1, 2, 9]
    >>> (learned & Runs.of([(3, 8)])).numbers
    [3, 4, 5, 6]
    """

    pairs: tuple[Run, ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[Run]) -> Runs:
        """The numbers of these pairs, which may overlap and come in any order."""
        joined: list[Run] = []
        for first, last in sorted(pairs):
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = joined[-1][0], max(joined[-1][1], last)
            else:
                joined.append((first, last))
        return cls(tuple(joined))

    @classmethod
    def among(cls, numbers: Iterable[int]) -> Runs:
        return cls.of((number, number) for number in numbers)

    @property
    def numbers(self) -> list[int]:
        return [number for first, last in self.pairs for number in range(first, last + 1)]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.pairs)

    def __or__(self, other: Runs) -> Runs:
        return Runs.of((*self.pairs, *other.pairs))

    def __and__(self, other: Runs) -> Runs:
        return Runs(tuple(_shared(self.pairs, other.pairs)))

    def __sub__(self, other: Runs) -> Runs:
        if not self.pairs:
            return self
        gaps = _gaps(other.pairs, self.pairs[0][0], self.pairs[-1][1])
        return Runs(tuple(_shared(self.pairs, tuple(gaps))))


def _shared(ours: tuple[Run, ...], theirs: tuple[Run, ...]) -> Iterator[Run]:
    here = there = 0
    while here < len(ours) and there < len(theirs):
        first, last = max(ours[here][0], theirs[there][0]), min(ours[here][1], theirs[there][1])
        if first <= last:
            yield first, last
        if ours[here][1] < theirs[there][1]:
            here += 1
        else:
            there += 1


def _gaps(pairs: tuple[Run, ...], first: int, last: int) -> Iterator[Run]:
    """What is not in the pairs, from `first` to `last`."""
    for begins, ends in pairs:
        if first < begins:
            yield first, min(begins - 1, last)
        first = max(first, ends + 1)
    if first <= last:
        yield first, last

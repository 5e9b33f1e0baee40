"""The lines of a model's versions: who was learned from whom, and which batches a line counts more than once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Absorbed:
    """A version, as far as its line is concerned; `chunk` is None where it absorbed none."""

    number: int
    parent: int | None
    chunk: int | None
    omitted: frozenset[int]


class Lines:
    """The tree of versions; walked once, whatever its size.

    `spans` has the first and the last batch of each chunk. `repeated` are the (version, chunk, count) where a version
    absorbed batches of a chunk that its line had counted before.
    """

    def __init__(self, versions: Iterable[Absorbed], spans: dict[int, tuple[int, int]]) -> None:
        self.parents: dict[int, int | None] = {}
        self.chunks: dict[int, int | None] = {}
        self.repeated: list[tuple[int, int, int]] = []
        self._spans = spans
        self._omitted: dict[int, frozenset[int]] = {}
        self._children = defaultdict[int | None, list[int]](list)
        for one in versions:
            self.parents[one.number], self.chunks[one.number] = one.parent, one.chunk
            self._omitted[one.number] = one.omitted
            self._children[one.parent].append(one.number)
        self._entered: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self._walk()

    def is_on_line(self, earlier: int | None, version: int | None) -> bool:
        """True when `version` was learned from `earlier`, or is it."""
        if earlier not in self._entered or version not in self._entered:
            return False
        return self._entered[earlier] <= self._entered[version] < self._left[earlier]

    def line(self, version: int | None) -> Iterator[int]:
        """The versions from this one to the root."""
        while version is not None and version in self._entered:
            yield version
            version = self.parents[version]

    def has_learned(self, version: int | None, chunk: int, omitted: frozenset[int]) -> bool:
        """True when the version has learned from a batch of the chunk that is not omitted."""
        return any(
            self.chunks[earlier] == chunk and self._overlap(chunk, omitted, self._omitted[earlier])
            for earlier in self.line(version)
        )

    def _overlap(self, chunk: int, one: frozenset[int], other: frozenset[int]) -> bool:
        first, last = self._spans.get(chunk, (1, 0))
        # Mostly neither leaves anything out; a chunk that is not there counts as one batch.
        return not (one or other) or any(batch not in one | other for batch in range(first, last + 1))

    def _walk(self) -> None:
        """Every version is entered after its parent and left after what was learned from it; strays are not entered."""
        held = defaultdict[int, list[int]](list)
        ahead = [(0, False)] if 0 in self.parents else []
        while ahead:
            version, is_done = ahead.pop()
            chunk = self.chunks[version]
            if is_done:
                self._left[version] = len(self._entered)
                if chunk is not None:
                    held[chunk].pop()
                continue
            self._entered[version] = len(self._entered)
            if chunk is not None:
                own = self._omitted[version]
                count = 1 + sum(self._overlap(chunk, own, self._omitted[earlier]) for earlier in held[chunk])
                held[chunk].append(version)
                if count > 1:
                    self.repeated.append((version, chunk, count))
            ahead.append((version, True))
            # A parent that is not earlier would lead in circles.
            ahead += [(child, False) for child in self._children[version] if child > version]

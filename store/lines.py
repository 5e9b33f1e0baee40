"""The lines of a model's versions: who was learned from whom, and which chunk a line counts more than once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator


class Lines:
    """The tree of versions, each given as (number, parent, chunk); walked once, whatever its size.

    `repeated` are the (version, chunk, count) where a version absorbed what its line had counted before.
    """

    def __init__(self, versions: Iterable[tuple[int, int | None, int | None]]) -> None:
        self.parents: dict[int, int | None] = {}
        self.chunks: dict[int, int | None] = {}
        self.repeated: list[tuple[int, int, int]] = []
        self._children = defaultdict[int | None, list[int]](list)
        for number, parent, chunk in versions:
            self.parents[number], self.chunks[number] = parent, chunk
            self._children[parent].append(number)
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

    def _walk(self) -> None:
        """Every version is entered after its parent and left after what was learned from it; strays are not entered."""
        counts = Counter[int]()
        ahead = [(0, False)] if 0 in self.parents else []
        while ahead:
            version, is_done = ahead.pop()
            chunk = self.chunks[version]
            if is_done:
                self._left[version] = len(self._entered)
                if chunk is not None:
                    counts[chunk] -= 1
                continue
            self._entered[version] = len(self._entered)
            if chunk is not None:
                counts[chunk] += 1
                if counts[chunk] > 1:
                    self.repeated.append((version, chunk, counts[chunk]))
            ahead.append((version, True))
            # A parent that is not earlier would lead in circles.
            ahead += [(child, False) for child in self._children[version] if child > version]

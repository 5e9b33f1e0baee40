"""The line of a version as a few ranges of depth, one for each branch that it passes, however long it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, and_, or_, select
from sqlalchemy.sql import ColumnElement

from store.schema.learning import versions

SEGMENTS_AT_ONCE = 100
"""In one query; SQLite bounds how long a condition may be."""


@dataclass(frozen=True)
class Segment:
    """The versions of a branch from one depth to another that a line passes."""

    branch: int
    first: int
    last: int


@dataclass(frozen=True)
class Line:
    """The way from a version to the root; its segments, the version's own first."""

    segments: tuple[Segment, ...]

    @property
    def depth(self) -> int:
        """How many versions lie before the version."""
        return self.segments[0].last if self.segments else -1

    def holds(self, branch: int, depth: int) -> bool:
        """True of the versions that the version was learned from, and of itself."""
        return any(one.branch == branch and one.first <= depth <= one.last for one in self.segments)

    def at(self, depth: int) -> Segment | None:
        """The segment that has the version of this depth; None: the line has none."""
        return next((one for one in self.segments if one.first <= depth <= one.last), None)

    def beyond(self, depth: int) -> Line:
        """What of the line is deeper."""
        deeper = (one for one in self.segments if one.last > depth)
        return Line(tuple(Segment(one.branch, max(one.first, depth + 1), one.last) for one in deeper))

    def split(self, depths: int) -> tuple[Line, Line]:
        """Its newest versions, of so many depths, and the others."""
        top = self.depth - depths
        older = (Segment(one.branch, one.first, min(one.last, top)) for one in self.segments if one.first <= top)
        return self.beyond(top), Line(tuple(older))

    def shared_with(self, other: Line) -> tuple[int, int]:
        """Branch and depth of the newest version on both lines, which both begin at the root."""
        theirs = {one.branch: one.last for one in other.segments}
        shared = ((min(one.last, theirs[one.branch]), one.branch) for one in self.segments if one.branch in theirs)
        depth, branch = max(shared)
        return branch, depth

    def within(self, model_id: int) -> Iterator[ColumnElement[bool]]:
        """Conditions of which each version of the line meets one, the newest versions first."""
        for start in range(0, len(self.segments), SEGMENTS_AT_ONCE):
            some = self.segments[start : start + SEGMENTS_AT_ONCE]
            yield and_(versions.c.model_id == model_id, or_(*map(_in_segment, some)))


def find_line(connection: Connection, model_id: int, version: int) -> Line:
    """The line of the version; empty where there is no such version."""
    columns = (versions.c.branch, versions.c.depth, versions.c.fork)
    here = select(*columns).where(versions.c.model_id == model_id, versions.c.number == version)
    passed = here.cte("passed", recursive=True)
    on = and_(versions.c.model_id == model_id, versions.c.number == passed.c.fork)
    passed = passed.union_all(select(*columns).select_from(passed.join(versions, on)))
    found = connection.execute(select(passed.c.branch, passed.c.depth)).all()
    # A branch has the depths after that of the version that it starts from, which is where the next segment ends.
    tops = sorted(((depth, branch) for branch, depth in found), reverse=True)
    starts = [depth + 1 for depth, _ in tops[1:]] + [0]
    return Line(tuple(Segment(branch, first, last) for (last, branch), first in zip(tops, starts, strict=True)))


def _in_segment(one: Segment) -> ColumnElement[bool]:
    return and_(versions.c.branch == one.branch, versions.c.depth.between(one.first, one.last))

"""The tree of a model's versions, asked of the database: a line is a few ranges of depth, however long it is.

A branch is a run of versions, each the child of the one before. The first child of a version goes on with its branch;
a later child begins another, whose `fork` is that version. The line of a version is its own branch up to its depth, the
branch of the fork up to the fork's depth, and so on to the root: one range for each branch that it passes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, Connection, Join, Select, and_, case, func, select
from sqlalchemy.sql import ColumnElement

from store.queries import omitted_of
from store.schema import batches, chunks, scores, versions
from store.values import Evidence, Json, Part


@dataclass(frozen=True)
class Difference:
    """What two versions have learned since their common ancestor; each side is 0 or 1."""

    ancestor: int
    parts: tuple[tuple[Part, ...], tuple[Part, ...]]
    rows: dict[int, int]
    """How many rows each batch of theirs has."""

    def batches_only(self, side: int) -> list[int]:
        """Batches that only this side has learned from, in their order."""
        ours, theirs = ({batch for part in self.parts[at] for batch in part.batches} for at in (side, 1 - side))
        return sorted(ours - theirs)

    def rows_only(self, side: int) -> int:
        return sum(self.rows[batch] for batch in self.batches_only(side))

    def chunks_only(self, side: int) -> list[int]:
        """Chunks of those batches, in their order."""
        only = set(self.batches_only(side))
        return sorted({part.chunk for part in self.parts[side] if only.intersection(part.batches)})


def line_of(connection: Connection, model_id: int, version: int) -> list[int]:
    """The versions from this one to the root, this one first."""
    query = select(versions.c.number).select_from(_line(model_id, version)).order_by(versions.c.depth.desc())
    return list(connection.execute(query).scalars())


def ancestor_of(connection: Connection, model_id: int, version: int, *, steps: int) -> int | None:
    """The version that many parents back on the line; None where the line is shorter."""
    depth = select(versions.c.depth).where(versions.c.model_id == model_id, versions.c.number == version)
    query = select(versions.c.number).select_from(_line(model_id, version))
    return connection.execute(query.where(versions.c.depth == depth.scalar_subquery() - steps)).scalar()


def is_on_line(connection: Connection, model_id: int, earlier: int, version: int) -> bool:
    """True when `version` was learned from `earlier`, or is it."""
    return earlier in on_line(connection, model_id, version, [earlier])


def on_line(connection: Connection, model_id: int, version: int, among: Collection[int]) -> frozenset[int]:
    """Of these versions, those that the version was learned from, or is."""
    query = select(versions.c.number).select_from(_line(model_id, version)).where(versions.c.number.in_(among))
    return frozenset(connection.execute(query).scalars())


def common_ancestor(connection: Connection, model_id: int, one: int, other: int) -> int:
    """The newest version on both lines."""
    ours, theirs = (_segments(model_id, version, name) for version, name in ((one, "ours"), (other, "theirs")))
    both = ours.join(theirs, ours.c.branch == theirs.c.branch)
    least = _least(ours.c.top, theirs.c.top)
    shared = select(ours.c.branch, least.label("top")).select_from(both).cte("shared")
    on = and_(versions.c.branch == shared.c.branch, versions.c.depth == shared.c.top)
    query = select(versions.c.number).select_from(versions.join(shared, on)).where(versions.c.model_id == model_id)
    return int(connection.execute(query.order_by(versions.c.depth.desc()).limit(1)).scalar_one())


def difference_between(connection: Connection, model_id: int, one: int, other: int) -> Difference:
    """What one of the two versions has learned from and the other has not."""
    ancestor = common_ancestor(connection, model_id, one, other)
    depth = select(versions.c.depth).where(versions.c.model_id == model_id, versions.c.number == ancestor)
    since = connection.execute(depth).scalar_one()
    ours, theirs = (learned_of(connection, model_id, version, since=since) for version in (one, other))
    rows = {batch: 0 for part in (*ours, *theirs) for batch in part.batches}
    if rows:
        within = batches.c.number.between(min(rows), max(rows))
        query = select(batches.c.number, batches.c.rows).where(batches.c.model_id == model_id, within)
        rows |= {row.number: row.rows for row in connection.execute(query) if row.number in rows}
    return Difference(ancestor, (tuple(ours), tuple(theirs)), rows)


def learned_of(
    connection: Connection, model_id: int, version: int, *, chunk: int | None = None, since: int = -1
) -> list[Part]:
    """What the line of the version has absorbed, oldest first; only of this chunk, only at depths beyond `since`."""
    segments = _segments(model_id, version, "segments")
    on = and_(versions.c.branch == segments.c.branch, versions.c.depth <= segments.c.top)
    query = _parts().join(segments, on).where(versions.c.model_id == model_id)
    if chunk is not None:
        query = query.where(versions.c.chunk == chunk)
    if since >= 0:
        query = query.where(versions.c.depth > since)
    return _to_parts(connection, model_id, connection.execute(query.order_by(versions.c.depth)).all())


def born_of(connection: Connection, model_id: int, chunk: int) -> list[Part]:
    """What each version that was born by absorbing this chunk has learned of it, in the order of the versions."""
    query = _parts().where(versions.c.model_id == model_id, versions.c.chunk == chunk)
    return _to_parts(connection, model_id, connection.execute(query.order_by(versions.c.number)).all())


def scores_on_line(connection: Connection, model_id: int, version: int, *, limit: int) -> list[Json]:
    """The scores of the newest batches that the line has learned from, the oldest of them first."""
    of_update = and_(scores.c.model_id == model_id, scores.c["update"] == versions.c["update"])
    query = select(scores.c.scores).select_from(_line(model_id, version).join(scores, of_update))
    newest = query.where(scores.c.scores.is_not(None)).order_by(versions.c.depth.desc(), scores.c.batch.desc())
    return list(connection.execute(newest.limit(limit)).scalars())[::-1]


def evidence_of(connection: Connection, model_id: int, version: int) -> Evidence:
    """Everything that the version has learned from."""
    learned = select(versions.c.rows_learned).where(versions.c.model_id == model_id, versions.c.number == version)
    rows = connection.execute(learned).scalar_one()
    return Evidence(rows=rows, parts=tuple(learned_of(connection, model_id, version)))


def learned_among(
    connection: Connection, model_id: int, version: int, *, chunk: int, among: Collection[int]
) -> frozenset[int]:
    """Of these batches of the chunk, those that the version has learned from."""
    parts = learned_of(connection, model_id, version, chunk=chunk)
    return frozenset(batch for part in parts for batch in part.batches if batch in among)


def descendants_of(connection: Connection, model_id: int, born: Collection[int]) -> list[int]:
    """These versions, and all that were learned from them."""
    columns = (versions.c.number,)
    later = select(*columns).where(versions.c.model_id == model_id, versions.c.number.in_(born))
    found = later.cte("later", recursive=True)
    on = and_(versions.c.model_id == model_id, versions.c.parent == found.c.number)
    # One of them may descend from another.
    found = found.union(select(*columns).join(found, on))
    return list(connection.execute(select(found.c.number).order_by(found.c.number)).scalars())


def place_of_child(connection: Connection, model_id: int, parent: int, *, rows: int) -> Json:
    """Where in the tree a new child of the version belongs, which adds so many rows; the caller holds the lock."""
    this = select(versions).where(versions.c.model_id == model_id, versions.c.number == parent)
    row = connection.execute(this).one()
    place = {"depth": row.depth + 1, "rows": rows, "rows_learned": row.rows_learned + rows}
    of_branch = (versions.c.model_id == model_id, versions.c.branch == row.branch, versions.c.depth == row.depth + 1)
    if connection.execute(select(versions.c.number).where(*of_branch)).scalar() is None:
        return place | {"branch": row.branch, "fork": row.fork}
    newest = select(func.max(versions.c.branch)).where(versions.c.model_id == model_id)
    return place | {"branch": connection.execute(newest).scalar_one() + 1, "fork": parent}


def _parts() -> Select[Any]:
    columns = (versions.c.number, versions.c["update"], versions.c.chunk, versions.c.rows)
    held = and_(chunks.c.model_id == versions.c.model_id, chunks.c.number == versions.c.chunk)
    return select(*columns, chunks.c.batch_first, chunks.c.batch_last).select_from(versions).join(chunks, held)


def _to_parts(connection: Connection, model_id: int, found: Sequence[Any]) -> list[Part]:
    omitted = omitted_of(connection, model_id, [row[1] for row in found])
    return [
        Part(version=number, chunk=held, rows=rows, span=(first, last), omitted=omitted.get(update, frozenset()))
        for number, update, held, rows, first, last in found
    ]


def _line(model_id: int, version: int) -> Join:
    segments = _segments(model_id, version, "segments")
    on = and_(
        versions.c.model_id == model_id, versions.c.branch == segments.c.branch, versions.c.depth <= segments.c.top
    )
    return segments.join(versions, on)


def _segments(model_id: int, version: int, name: str) -> CTE:
    """(branch, top, fork) of each branch that the line passes: it holds the branch's versions up to depth `top`."""
    columns = (versions.c.branch, versions.c.depth.label("top"), versions.c.fork)
    here = select(*columns).where(versions.c.model_id == model_id, versions.c.number == version)
    segments = here.cte(name, recursive=True)
    on = and_(versions.c.model_id == model_id, versions.c.number == segments.c.fork)
    return segments.union_all(select(*columns).join(segments, on))


def _least(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    return case((one <= other, one), else_=other)

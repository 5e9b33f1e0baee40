"""The tree of a model's versions, asked of the database: a line is a few ranges of depth, however long it is.

A branch is a run of versions, each the child of the one before. The first child of a version goes on with its branch;
a later child begins another, whose `fork` is that version. The line of a version is its own branch up to its depth, the
branch of the fork up to the fork's depth, and so on to the root: one range for each branch that it passes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, func, select

from store.kinds import HEAD, Publication
from store.line import Line, find_line
from store.queries import omitted_of
from store.schema.learning import chunks, moves, omissions, scores, versions
from store.values import Json, Part


def line_of(connection: Connection, model_id: int, version: int) -> list[int]:
    """The versions from this one to the root, this one first."""
    query = select(versions.c.number).order_by(versions.c.depth.desc())
    line = find_line(connection, model_id, version)
    return [number for some in line.within(model_id) for number in connection.execute(query.where(some)).scalars()]


def ancestor_of(connection: Connection, model_id: int, version: int, *, steps: int) -> int | None:
    """The version that many parents back on the line; None where the line is shorter."""
    line = find_line(connection, model_id, version)
    depth = line.depth - steps
    segment = line.at(depth)
    return None if segment is None else version_at(connection, model_id, segment.branch, depth)


def version_at(connection: Connection, model_id: int, branch: int, depth: int) -> int | None:
    """The version of this depth on the branch."""
    here = (versions.c.model_id == model_id, versions.c.branch == branch, versions.c.depth == depth)
    return connection.execute(select(versions.c.number).where(*here)).scalar()


def is_on_line(connection: Connection, model_id: int, earlier: int, version: int) -> bool:
    """True when `version` was learned from `earlier`, or is it."""
    return earlier in on_line(connection, model_id, version, [earlier])


def on_line(connection: Connection, model_id: int, version: int, among: Collection[int]) -> frozenset[int]:
    """Of these versions, those that the version was learned from, or is."""
    line = find_line(connection, model_id, version)
    query = select(versions.c.number, versions.c.branch, versions.c.depth).where(versions.c.model_id == model_id)
    found = connection.execute(query.where(versions.c.number.in_(among)))
    return frozenset(number for number, branch, depth in found if line.holds(branch, depth))


def common_ancestor(connection: Connection, model_id: int, one: int, other: int) -> int:
    """The newest version on both lines."""
    ours, theirs = (find_line(connection, model_id, version) for version in (one, other))
    found = version_at(connection, model_id, *ours.shared_with(theirs))
    assert found is not None
    return found


def learned_of(
    connection: Connection, model_id: int, version: int, *, chunk: int | None = None, since: int = -1
) -> list[Part]:
    """What the line of the version has absorbed, oldest first; only of this chunk, only at depths beyond `since`."""
    line = find_line(connection, model_id, version).beyond(since)
    if chunk is not None:
        return parts_of_chunks(connection, model_id, [chunk], line=line)
    found = [row for some in line.within(model_id) for row in connection.execute(_parts().where(some))]
    return _to_parts(connection, model_id, found)


def made_since(connection: Connection, model_id: int, version: int, *, depth: int) -> int | None:
    """The first version of the line, from this depth on, that absorbed no chunk; None: there is none."""
    line = find_line(connection, model_id, version).beyond(depth - 1)
    query = select(func.min(versions.c.number)).where(versions.c.chunk.is_(None))
    found = [connection.execute(query.where(some)).scalar() for some in line.within(model_id)]
    return min((number for number in found if number is not None), default=None)


def parts_of_chunks(connection: Connection, model_id: int, of: Collection[int], *, line: Line) -> list[Part]:
    """What the line has absorbed of these chunks, oldest first."""
    query = _parts().where(versions.c.model_id == model_id, versions.c.chunk.in_(of))
    found = [row for row in connection.execute(query) if line.holds(row.branch, row.depth)]
    return _to_parts(connection, model_id, found)


def born_of(connection: Connection, model_id: int, chunk: int) -> list[Part]:
    """What each version that was born by absorbing this chunk has learned of it, in the order of the versions."""
    query = _parts().where(versions.c.model_id == model_id, versions.c.chunk == chunk)
    return sorted(_to_parts(connection, model_id, connection.execute(query)), key=lambda part: part.version)


def learned_by_heads(connection: Connection, model_id: int, chunk: int) -> frozenset[int]:
    """The batches of the chunk that a version which was head at some time has learned from.

    Of the versions that absorbed it, those aside learned nothing that head's line had not. A version that was held back
    was head where something was learned from it, or where head was moved to it.
    """
    follows = versions.alias("follows")
    has_child = exists().where(follows.c.model_id == model_id, follows.c.parent == versions.c.number)
    of_head = (moves.c.model_id == model_id, moves.c.alias == HEAD, moves.c.seq > versions.c.head_seq)
    was_head = exists().where(*of_head, moves.c.version == versions.c.number)
    was_held = versions.c.publication.in_((Publication.GATED, Publication.MANUAL))
    query = _parts().where(versions.c.model_id == model_id, versions.c.chunk == chunk)
    query = query.where((versions.c.publication == Publication.HEAD) | (was_held & (has_child | was_head)))
    parts = _to_parts(connection, model_id, connection.execute(query))
    return frozenset(batch for part in parts for batch in part.batches)


def scores_on_line(
    connection: Connection, model_id: int, version: int, *, limit: int, but: Collection[int] = ()
) -> list[Json]:
    """The scores of the newest batches that the line has learned from, the oldest first; but these batches'."""
    line, window = find_line(connection, model_id, version), limit
    found: list[Json] = []
    while line.segments and len(found) < limit:
        newest, line = line.split(window)
        found += [one for batch, one in _scores(connection, model_id, newest) if batch not in but]
        # Versions from before scores were kept have none.
        window *= 2
    return found[:limit][::-1]


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


def _scores(connection: Connection, model_id: int, line: Line) -> list[tuple[int, Json]]:
    """The batches that the versions of the line were learned after, with their scores, the newest first."""
    # Not by the update: where a version scored a batch again, after a rollback, the scores are of the first time.
    held = and_(chunks.c.model_id == versions.c.model_id, chunks.c.number == versions.c.chunk)
    within = scores.c.batch.between(chunks.c.batch_first, chunks.c.batch_last)
    scored = and_(scores.c.model_id == versions.c.model_id, scores.c.version == versions.c.parent, within)
    learned = ~exists().where(
        omissions.c.model_id == versions.c.model_id,
        omissions.c["update"] == versions.c["update"],
        omissions.c.batch == scores.c.batch,
    )
    columns = (versions.c.depth, scores.c.batch, scores.c.scores)
    kept = select(*columns).select_from(versions.join(chunks, held).join(scores, scored)).where(learned)
    query = kept.where(scores.c.scores.is_not(None))
    found = [row for some in line.within(model_id) for row in connection.execute(query.where(some))]
    return [(row.batch, row.scores) for row in sorted(found, key=lambda row: (row.depth, row.batch), reverse=True)]


def _parts() -> Select[Any]:
    columns = (versions.c.number, versions.c["update"], versions.c.chunk, versions.c.rows)
    placed = (versions.c.branch, versions.c.depth)
    held = and_(chunks.c.model_id == versions.c.model_id, chunks.c.number == versions.c.chunk)
    spans = (chunks.c.batch_first, chunks.c.batch_last)
    return select(*columns, *placed, *spans).select_from(versions.join(chunks, held))


def _to_parts(connection: Connection, model_id: int, found: Iterable[Row[Any]]) -> list[Part]:
    """The parts, by the depth of their versions."""
    by_depth: list[Any] = sorted(found, key=lambda row: row.depth)
    omitted = omitted_of(connection, model_id, [row.update for row in by_depth])
    return [
        Part(
            version=row.number,
            chunk=row.chunk,
            rows=row.rows,
            span=(row.batch_first, row.batch_last),
            omitted=omitted.get(row.update, frozenset()),
        )
        for row in by_depth
    ]

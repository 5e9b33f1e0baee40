"""What versions have learned from, as runs of numbers that the database counts: 10,000 chunks are one row of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, true

from store.line import Line, find_line
from store.runs import Run, Runs
from store.schema.learning import batches, chunks, omissions, versions
from store.tree import parts_of_chunks, version_at
from store.values import Evidence

AT_ONCE = 500
"""Numbers in one query."""
RUNS_AT_ONCE = 100


@dataclass(frozen=True)
class Learned:
    """What the versions of a line, or of its newer part, have absorbed."""

    chunks: Runs
    batches: Runs
    partly: dict[int, tuple[Run, Runs]]
    """Chunks of which some batch was left out once: their first and last batch, and those that were learned."""

    def of_chunk(self, chunk: int, span: Run) -> Runs:
        return self.partly[chunk][1] if chunk in self.partly else Runs((span,))


@dataclass(frozen=True)
class Difference:
    """What two versions have learned since their common ancestor; each side is 0 or 1."""

    ancestor: int
    sides: tuple[Learned, Learned]
    rows: tuple[int, int]
    """All of them; those that an imported version brings are among them."""
    rows_shared: int
    """Rows of the batches that both have learned from since then, each on its own."""

    def batches_only(self, side: int) -> list[int]:
        """Batches that only this side has learned from, in their order."""
        return (self.sides[side].batches - self.sides[1 - side].batches).numbers

    def rows_only(self, side: int) -> int:
        return self.rows[side] - self.rows_shared

    def chunks_only(self, side: int) -> list[int]:
        """Chunks of those batches, in their order."""
        ours, theirs = self.sides[side], self.sides[1 - side]
        partly = ours.partly | theirs.partly
        more = [
            chunk
            for chunk in (ours.chunks & theirs.chunks & Runs.among(partly)).numbers
            if len(ours.of_chunk(chunk, partly[chunk][0]) - theirs.of_chunk(chunk, partly[chunk][0]))
        ]
        return ((ours.chunks - theirs.chunks) | Runs.among(more)).numbers


def evidence_of(connection: Connection, model_id: int, version: int) -> Evidence:
    """Everything that the version has learned from."""
    rows = _rows_learned(connection, model_id, version)
    learned = learned_on(connection, model_id, find_line(connection, model_id, version))
    return Evidence(rows=rows[version], chunk_runs=learned.chunks, batch_runs=learned.batches)


def difference_between(connection: Connection, model_id: int, one: int, other: int) -> Difference:
    """What one of the two versions has learned from and the other has not."""
    ours, theirs = (find_line(connection, model_id, version) for version in (one, other))
    branch, depth = ours.shared_with(theirs)
    ancestor = version_at(connection, model_id, branch, depth)
    assert ancestor is not None
    sides = tuple(learned_on(connection, model_id, line.beyond(depth)) for line in (ours, theirs))
    shared = rows_in(connection, model_id, sides[0].batches & sides[1].batches)
    rows = _rows_learned(connection, model_id, one, other, ancestor)
    since = (rows[one] - rows[ancestor], rows[other] - rows[ancestor])
    return Difference(ancestor, (sides[0], sides[1]), since, shared)


def learned_on(connection: Connection, model_id: int, line: Line) -> Learned:
    """What the versions of the line have absorbed."""
    found = _chunks(connection, model_id, line)
    partly = _partly(connection, model_id, line)
    gone = (Runs((span,)) - learned for span, learned in partly.values())
    left_out = Runs.of(pair for runs in gone for pair in runs.pairs)
    return Learned(found, _batches_of(connection, model_id, found) - left_out, partly)


def rows_in(connection: Connection, model_id: int, of: Runs) -> int:
    """How many rows these batches have."""
    query = select(func.coalesce(func.sum(batches.c.rows), 0))
    return sum(connection.execute(query.where(some)).scalar_one() for some in _batches(model_id, of))


def labels_in(connection: Connection, model_id: int, of: Runs) -> frozenset[str]:
    """The labels that the rows of these batches have."""
    query = _labels(connection)
    return frozenset(
        str(label) for some in _batches(model_id, of) for label in connection.execute(query.where(some)).scalars()
    )


def _rows_learned(connection: Connection, model_id: int, *numbers: int) -> dict[int, int]:
    query = select(versions.c.number, versions.c.rows_learned).where(versions.c.model_id == model_id)
    return {row.number: row.rows_learned for row in connection.execute(query.where(versions.c.number.in_(numbers)))}


def _chunks(connection: Connection, model_id: int, line: Line) -> Runs:
    """The chunks that the line has absorbed.

    Where one version after the other absorbs one chunk after the other, the one number stays as far from the other.
    """
    shift = versions.c.chunk - versions.c.depth
    ends = (func.min(versions.c.chunk), func.max(versions.c.chunk))
    counted = select(shift, *ends, func.count()).group_by(shift)
    pairs: list[Run] = []
    for some in line.within(model_id):
        absorbed = and_(some, versions.c.chunk.is_not(None))
        with_gaps = []
        for apart, first, last, count in connection.execute(counted.where(absorbed)):
            if count == last - first + 1:
                pairs.append((first, last))
            else:
                with_gaps.append(apart)
        for chosen in _slices(with_gaps):
            one_by_one = select(versions.c.chunk).where(absorbed, shift.in_(chosen))
            pairs += [(chunk, chunk) for chunk in connection.execute(one_by_one).scalars()]
    return Runs.of(pairs)


def _batches_of(connection: Connection, model_id: int, of: Runs) -> Runs:
    """The batches of these chunks; chunks that follow each other have batches that do."""
    ends = sorted({end for pair in of.pairs for end in pair})
    columns = (chunks.c.number, chunks.c.batch_first, chunks.c.batch_last)
    spans: dict[int, Run] = {}
    for chosen in _slices(ends):
        query = select(*columns).where(chunks.c.model_id == model_id, chunks.c.number.in_(chosen))
        spans |= {number: (first, last) for number, first, last in connection.execute(query)}
    return Runs.of((spans[first][0], spans[last][1]) for first, last in of.pairs)


def _partly(connection: Connection, model_id: int, line: Line) -> dict[int, tuple[Run, Runs]]:
    """The chunks on the line of which a batch was left out; what one update left out, another may have absorbed."""
    left_out = select(omissions.c["update"]).where(omissions.c.model_id == model_id).distinct()
    touched = set[int]()
    for chosen in _slices(sorted(connection.execute(left_out).scalars())):
        columns = (versions.c.chunk, versions.c.branch, versions.c.depth)
        query = select(*columns).where(versions.c.model_id == model_id, versions.c["update"].in_(chosen))
        touched |= {chunk for chunk, branch, depth in connection.execute(query) if line.holds(branch, depth)}
    found = defaultdict[int, list[Runs]](list)
    spans: dict[int, Run] = {}
    for chosen in _slices(sorted(touched)):
        for part in parts_of_chunks(connection, model_id, chosen, line=line):
            spans[part.chunk] = part.span
            found[part.chunk].append(Runs.among(part.batches))
    return {chunk: (spans[chunk], Runs.of(pair for runs in of for pair in runs.pairs)) for chunk, of in found.items()}


def _batches(model_id: int, of: Runs) -> Iterator[ColumnElement[bool]]:
    """Conditions of which each of these batches meets one."""
    for start in range(0, len(of.pairs), RUNS_AT_ONCE):
        within = (batches.c.number.between(*pair) for pair in of.pairs[start : start + RUNS_AT_ONCE])
        yield and_(batches.c.model_id == model_id, or_(*within))


def _labels(connection: Connection) -> Select[Any]:
    counts = batches.c.label_counts
    if connection.dialect.name == "sqlite":
        counted = func.json_each(counts).table_valued("key", name="counted")
        return select(counted.c.key).distinct().select_from(batches.join(counted, true()))
    label = func.json_object_keys(counts).table_valued("label", name="counted").render_derived().lateral()
    return select(label.c.label).distinct().select_from(batches.join(label, true()))


def _slices(numbers: Iterable[int]) -> Iterator[Sequence[int]]:
    held = list(numbers)
    return (held[start : start + AT_ONCE] for start in range(0, len(held), AT_ONCE))

"""What is true at every moment of versions that were made by division; `store.invariants` asks it with all else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import Row

from store.dividing import APPROXIMATE
from store.kinds import HEAD, ForgetState, MoveKind, Publication
from store.lines import Lines

Rows = Sequence[Row[Any]]
Batches = Mapping[int, frozenset[int]]
"""What each version has absorbed, of those that absorbed anything."""


def absorbed_by(versions: Rows, omitted: Mapping[int, frozenset[int]], spans: Mapping[int, tuple[int, int]]) -> Batches:
    """The batches that each version has absorbed."""
    found: dict[int, frozenset[int]] = {}
    for row in versions:
        if row.chunk in spans:
            first, last = spans[row.chunk]
            found[row.number] = frozenset(range(first, last + 1)) - omitted.get(row.update, frozenset())
    return found


def divided_on(version: int | None, *, forgets: Rows, versions: Rows, lines: Lines) -> frozenset[int]:
    """The batches that forgets by division have divided out on the line of the version."""
    line = {row.number for row in versions if row.publication == Publication.APPROXIMATE}
    line &= set(lines.line(version)) if line else set()
    ended = (row for row in forgets if row.method == APPROXIMATE and row.head in line)
    return frozenset(batch for row in ended for batch in row.batches)


def faults_of_divisions(
    *, forgets: Rows, updates: Rows, versions: Rows, moves: Rows, absorbed: Batches, lines: Lines
) -> Iterator[str]:
    """A version made by division has absorbed nothing and belongs to one forget, which moved head to it."""
    made = [row for row in versions if row.publication == Publication.APPROXIMATE]
    numbers, steps = {row.number for row in made}, {row.forget for row in updates}
    by_division = [row for row in forgets if row.method == APPROXIMATE]
    for row in by_division:
        if row.state != ForgetState.DONE or row.number in steps:
            yield f"forget {row.number} is by division, which is done at once, and is {row.state} or has steps"
        if row.head != row.base and row.head not in numbers:
            yield f"forget {row.number} is by division, and ends at version {row.head}, which was made otherwise"
    of_head = [row for row in moves if row.alias == HEAD]
    came = [(before.version, move.version) for before, move in pairwise(of_head) if move.kind == MoveKind.FORGET]
    for row in made:
        if (row.chunk, row.update, row.rows) != (None, None, 0):
            yield f"version {row.number} was made by division, and yet absorbed a chunk, or has an update or rows"
        own = [forget for forget in by_division if (forget.base, forget.head) == (row.parent, row.number)]
        if len(own) != 1:
            yield f"version {row.number} was made by division of version {row.parent} by {len(own)} forgets"
        if came.count((row.parent, row.number)) != 1:
            yield f"version {row.number} was made by division, and head did not move there once from its parent"
        chosen = frozenset(batch for forget in own for batch in forget.batches)
        yield from _of_line(row, chosen, forgets=forgets, versions=versions, absorbed=absorbed, lines=lines)


def _of_line(
    row: Row[Any], chosen: frozenset[int], *, forgets: Rows, versions: Rows, absorbed: Batches, lines: Lines
) -> Iterator[str]:
    """It is divided by what versions of its line learned of these batches and no others, and no earlier one was."""
    gone = divided_on(row.parent, forgets=forgets, versions=versions, lines=lines)
    touched = [one for one in lines.line(row.parent) if chosen & (absorbed.get(one, frozenset()) - gone)]
    if not touched:
        yield f"version {row.number} was made by division, and there was nothing to divide out"
    for one in touched:
        if more := sorted(absorbed[one] - chosen):
            yield f"version {row.number} is divided by what version {one} learned also of batch {more[0]}"

"""What is true at every moment of aliases and their histories; `store.invariants` asks it with all else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from sqlalchemy import Row

from store.books import Books
from store.kinds import CHALLENGER, HEAD, MoveKind, Publication
from store.lines import Lines


def faults_of_moves(books: Books) -> Iterator[str]:
    """Each alias has a history without gaps, of kinds that it can have, in the order of time."""
    numbers = {row.number for row in books.versions}
    histories = defaultdict[str, list[Row[Any]]](list)
    for row in books.moves:
        histories[row.alias].append(row)
    for alias, history in histories.items():
        if [row.seq for row in history] != list(range(1, len(history) + 1)):
            yield f"the history of alias '{alias}' has a gap"
        if any(later.moved_at < earlier.moved_at for earlier, later in pairwise(history)):
            yield f"the history of alias '{alias}' goes back in time"
        before: int | None = None
        for row in history:
            if row.version is not None and row.version not in numbers:
                yield f"move {row.seq} of alias '{alias}' points at version {row.version}, which does not exist"
            if not _is_sensible(row, before):
                yield f"move {row.seq} of alias '{alias}' cannot be of kind '{row.kind}'"
            before = row.version


def _is_sensible(move: Row[Any], before: int | None) -> bool:
    """`before` is where the alias pointed until this move."""
    if move.alias == HEAD:
        by_kind = move.kind in {MoveKind.PUBLISH, MoveKind.PUT, MoveKind.ROLLBACK, MoveKind.FORGET}
        return move.version is not None and (move.kind == MoveKind.CREATE if move.seq == 1 else by_kind)
    if move.kind == MoveKind.REMOVE:
        return move.version is None and before is not None
    by_hold = move.kind == MoveKind.HOLD and move.alias == CHALLENGER
    return (move.kind == MoveKind.PUT or by_hold) and move.version is not None


def faults_of_head(books: Books, lines: Lines) -> Iterator[str]:
    """Head was the parent when a version was published, once each, and is rolled back along its line."""
    history = [row for row in books.moves if row.alias == HEAD]
    if not history or history[-1].version is None:
        yield "head points at no version"
    for before, move in pairwise(history):
        if move.kind == MoveKind.PUBLISH and before.version != lines.parents.get(move.version):
            yield f"version {move.version} was published while head was {before.version}, not its parent"
        if move.kind == MoveKind.ROLLBACK and not _is_back(lines, move.version, before.version):
            yield f"move {move.seq} rolls head back from {before.version} to {move.version}, not along its line"
    published = Counter(row.version for row in history if row.kind == MoveKind.PUBLISH)
    for row in books.versions:
        if published[row.number] != (row.publication == Publication.HEAD):
            yield f"version {row.number} ({row.publication}) was published by {published[row.number]} moves of head"
    held = Counter(row.version for row in books.moves if row.kind == MoveKind.HOLD)
    for row in books.versions:
        if held[row.number] != (row.publication in {Publication.GATED, Publication.MANUAL}):
            yield f"version {row.number} ({row.publication}) was held by {held[row.number]} moves of the challenger"


def _is_back(lines: Lines, to: int, head: int) -> bool:
    return to != head and lines.is_on_line(to, head)

"""What is true at every moment of batches that were left out: omissions, decisions and forgets.

`store.invariants` asks it with all else.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from typing import Any

from sqlalchemy import Row

from store.divided_books import Batches, divided_on
from store.dividing import APPROXIMATE
from store.kinds import OPEN, ForgetState, MoveKind, ParkingKind, Publication
from store.lines import Lines

Rows = Sequence[Row[Any]]
Omitted = Mapping[int, frozenset[int]]
"""The batches that each update leaves out, of those that leave any out."""
Spans = Mapping[int, tuple[int, int]]
"""The first and the last batch of each chunk."""


def faults_of_parts(*, batches: Rows, updates: Rows, versions: Rows, omitted: Omitted, spans: Spans) -> Iterator[str]:
    """An update leaves out batches of its own chunk; a version has the rows of the others, and there are some."""
    for row in updates:
        first, last = spans.get(row.chunk, (1, 0))
        strays = sorted(batch for batch in omitted.get(row.number, ()) if not first <= batch <= last)
        yield from (f"update {row.number} leaves out batch {batch}, which is not in its chunk" for batch in strays)
    numbers = [row.number for row in batches]
    totals = list(accumulate((row.rows for row in batches), initial=0))
    rows = {row.number: row.rows for row in batches}
    for row in versions:
        if row.update is None:
            continue
        first, last = spans.get(row.chunk, (1, 0))
        held = totals[bisect_right(numbers, last)] - totals[bisect_left(numbers, first)]
        held -= sum(rows.get(batch, 0) for batch in omitted.get(row.update, ()))
        if row.rows != held or held == 0:
            yield f"version {row.number} says {row.rows} rows, what it learned of chunk {row.chunk} has {held}"


def faults_of_decisions(parkings: Rows) -> Iterator[str]:
    """Those about a batch have a history without gaps: what was set aside may be released, but not what was forgotten.

    They come by their batch and seq.
    """
    for batch, history in groupby(parkings, key=lambda row: row.batch):
        before: str | None = None
        for seq, row in enumerate(history, start=1):
            if row.seq != seq:
                yield f"the decisions about batch {batch} have a gap"
                break
            is_sensible = before in {ParkingKind.PARK, ParkingKind.DISCARD} if row.kind == ParkingKind.RELEASE else True
            if not is_sensible or (before == ParkingKind.FORGET != row.kind):
                yield f"decision {seq} about batch {batch} cannot be to {row.kind} it"
            before = row.kind


def faults_of_forgets(
    *, forgets: Rows, updates: Rows, versions: Rows, moves: Rows, spans: Spans, lines: Lines
) -> Iterator[str]:
    """A forget that is done has moved head, once, to a line without its batches; where one is over, no step is left."""
    running = {row.number for row in forgets if row.state == ForgetState.RUNNING}
    if len(running) > 1:
        yield f"forgets {', '.join(map(str, sorted(running)))} run at once"
    known = {row.number for row in forgets}
    steps = {row.number: row.forget for row in updates if row.forget is not None}
    for row in updates:
        if row.forget is not None and row.forget not in known:
            yield f"update {row.number} is a step of forget {row.forget}, which does not exist"
        elif row.forget is not None and row.state in OPEN and row.forget not in running:
            yield f"update {row.number} is a step of forget {row.forget}, which is over"
    for row in versions:
        if (row.publication == Publication.ASIDE) != (row.update in steps):
            yield f"version {row.number} ({row.publication}) and its update disagree about its being a step of a forget"
    for row in forgets:
        is_done = row.state == ForgetState.DONE
        if (row.head is None) == is_done:
            yield f"forget {row.number} is {row.state}, where head moved says otherwise"
        if (row.finished_at is None) != (row.state == ForgetState.RUNNING):
            yield f"forget {row.number} is {row.state}, its finish says otherwise"
        batches = frozenset(row.batches)
        if row.method == APPROXIMATE:
            # Its line has learned from them.
            batches -= divided_on(row.head, forgets=forgets, versions=versions, lines=lines)
        if is_done and _has_learned(row.head, batches, spans, lines):
            yield f"forget {row.number} is done, and version {row.head} has learned from its batches"
    moved = Counter(row.version for row in moves if row.kind == MoveKind.FORGET)
    done = Counter(row.head for row in forgets if row.state == ForgetState.DONE)
    for version in sorted((moved - done).keys()):
        yield f"head was moved to version {version} by a forget, and none that is done ends there"


def faults_of_comebacks(
    head: int | None, *, parkings: Rows, forgets: Rows, versions: Rows, absorbed: Batches, lines: Lines
) -> Iterator[str]:
    """Head has not learned from what is parked or discarded, nor from what was forgotten by a forget that is done.

    What was divided out stays on the line of the version before the division, and head may go back there.
    """
    newest = {row.batch: row.kind for row in parkings}
    aside = {batch for batch, kind in newest.items() if kind != ParkingKind.RELEASE}
    is_exact = {row.number: row.state == ForgetState.DONE and row.method != APPROXIMATE for row in forgets}
    without = {batch for row in forgets if is_exact[row.number] for batch in row.batches}
    aside -= {batch for row in forgets if not is_exact[row.number] for batch in row.batches} - without
    if aside:
        aside -= divided_on(head, forgets=forgets, versions=versions, lines=lines)
        learned = {batch for version in lines.line(head) for batch in absorbed.get(version, ())}
        for batch in sorted(aside & learned):
            yield f"head, version {head}, has learned from batch {batch}: the newest decision is to {newest[batch]} it"


def _has_learned(version: int, batches: frozenset[int], spans: Spans, lines: Lines) -> bool:
    for chunk, (first, last) in spans.items():
        held = range(first, last + 1)
        if batches.intersection(held) and lines.has_learned(version, chunk, frozenset(held) - batches):
            return True
    return False

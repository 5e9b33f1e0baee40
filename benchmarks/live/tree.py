"""A model's tree of versions, written in bulk: the rows that the ledger's own calls would have left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from sqlalchemy import Connection, Table, insert

from store.kinds import HEAD, CloseReason, EventKind, MoveKind, Publication, UpdateState
from store.queries import find_model, next_number
from store.schema.beside import events
from store.schema.learning import batches, chunks, moves, scores, updates, versions
from store.values import Json

ROWS = 2
"""Of every batch; each chunk is one batch."""
NESTED = 4
"""Every so many branches, one starts from the branch before it and not from the long line."""
TICK_SECONDS = 1e-6
"""From one version to the next; so little, that whatever is written afterwards is later."""
SUMS: Json = {"rows": ROWS, "nll": 2.0}


@dataclass(frozen=True)
class Shape:
    """A line of so many versions, and branches off it: most from the line, some from another branch."""

    line: int
    branches: int = 0
    branch_versions: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Birth:
    """A version, and where it stands."""

    number: int
    parent: int
    chunk: int
    depth: int
    branch: int
    fork: int | None


@dataclass(frozen=True)
class Tree:
    """What was written; `tips` are the last versions of the branches, in their order."""

    births: Sequence[Birth]
    chunks: int

    @property
    def end(self) -> int:
        """The last version of the long line."""
        return max(birth.number for birth in self.births if birth.branch == 0)

    def chunk_of(self, version: int) -> int:
        return self.births[version - 1].chunk

    @property
    def tips(self) -> list[int]:
        last = {birth.branch: birth.number for birth in self.births}
        return [number for branch, number in sorted(last.items()) if branch]


def planned(shape: Shape) -> Tree:
    """The versions in the order of their births. Every other branch off the line replays the chunks after its fork."""
    births = [Birth(number, number - 1, number, number, 0, None) for number in range(1, shape.line + 1)]
    drawn, newest_chunk = Random(shape.seed), shape.line  # noqa: S311
    forks = drawn.sample(range(1, shape.line), shape.branches)
    for branch in range(1, shape.branches + 1):
        is_nested = branch % NESTED == 0
        fork = births[-shape.branch_versions // 2] if is_nested else births[forks[branch - 1] - 1]
        before = fork
        for step in range(1, shape.branch_versions + 1):
            is_replay = branch % 2 == 1 and fork.depth + step <= shape.line
            newest_chunk += not is_replay
            chunk = fork.depth + step if is_replay else newest_chunk
            number = len(births) + 1
            before = Birth(number, before.number, chunk, before.depth + 1, branch, fork.number)
            births.append(before)
    return Tree(births, newest_chunk)


def grow(
    connection: Connection, name: str, shape: Shape, *, posteriors: Sequence[str], rows: Sequence[str] = ("",)
) -> Tree:
    """The model, which is new, has these versions, with the digests in turn; head is at the end of the long line."""
    model = find_model(connection, name)
    tree = planned(shape)
    first = next_number(connection, model.id, events.c.number)
    born = _born(tree, posteriors, first_event=first, began=model.created_at)
    filled = _accepted(tree, rows, began=model.created_at) | born
    for table, written in filled.items():
        connection.execute(insert(table), [{"model_id": model.id, **row} for row in written])
    return tree


def _accepted(tree: Tree, rows: Sequence[str], *, began: float) -> dict[Table, list[Json]]:
    numbers = range(1, tree.chunks + 1)
    return {
        batches: [
            {"number": number, "key": str(number), "digest": rows[number % len(rows)], "rows": ROWS}
            | {"label_counts": {str(number % 3): 1, "0": 1}, "accepted_at": began}
            for number in numbers
        ],
        chunks: [
            {"number": number, "batch_first": number, "batch_last": number, "rows": ROWS}
            | {"reason": CloseReason.ROWS, "closed_at": began}
            for number in numbers
        ],
    }


def _born(tree: Tree, posteriors: Sequence[str], *, first_event: int, began: float) -> dict[Table, list[Json]]:
    """The versions with their updates and scores, and how head went from each to the next."""
    rows_of = defaultdict[Table, list[dict[str, Any]]](list)
    for table in (versions, updates, scores, moves, events):
        rows_of[table] = []
    head, seq, scored = 0, 1, set[tuple[int, int]]()
    for one in tree.births:
        now = began + one.number * TICK_SECONDS
        if one.parent != head:
            seq += 1
            rows_of[moves].append(_move(seq, one.parent, MoveKind.PUT, now))
        update = {"number": one.number, "chunk": one.chunk, "prior": one.parent, "state": UpdateState.PUBLISHED}
        times = dict.fromkeys(("created_at", "started_at", "finished_at"), now)
        rows_of[updates].append({**update, "attempt": 1, "failures": 0, **times})
        place = {"depth": one.depth, "branch": one.branch, "fork": one.fork}
        facts = {"digest": posteriors[one.number % len(posteriors)], "kl_nats": 1.5, "report": {"seconds": 0.1}}
        learned = {"rows": ROWS, "rows_learned": ROWS * one.depth}
        lineage = {"number": one.number, "parent": one.parent, "chunk": one.chunk, "update": one.number}
        published = {"publication": Publication.HEAD, "head_seq": seq, "created_at": now}
        rows_of[versions].append(lineage | place | facts | learned | published)
        if (one.chunk, one.parent) not in scored:
            scored.add((one.chunk, one.parent))
            rows_of[scores].append(
                {"batch": one.chunk, "version": one.parent, "update": one.number}
                | {"scores": SUMS, "surprise": None, "scored_at": now}
            )
        seq += 1
        rows_of[moves].append(_move(seq, one.number, MoveKind.PUBLISH, now))
        told = {"number": first_event + one.number - 1, "kind": EventKind.PUBLISHED, "facts": {"version": one.number}}
        rows_of[events].append({**told, "at": now})
        head = one.number
    if head != (end := tree.end):
        rows_of[moves].append(_move(seq + 1, end, MoveKind.PUT, now))
    return dict(rows_of)


def _move(seq: int, version: int, kind: MoveKind, now: float) -> Json:
    moved = {"alias": HEAD, "seq": seq, "version": version, "kind": kind}
    return {**moved, "moved_by": "worker", "reason": f"version {version}", "moved_at": now}

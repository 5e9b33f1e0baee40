"""Lines, evidence and differences of random trees agree with a walk from parent to parent."""

from __future__ import annotations

from random import Random

import pytest
from sqlalchemy import Connection, Engine, insert

from store.history import History
from store.ledger import Ledger
from store.queries import find_model
from store.runs import Runs
from store.schema.learning import batches, chunks, omissions, updates, versions
from store.tree import ancestor_of, common_ancestor, learned_of, line_of, on_line
from tests.store.given import a_model, digest

VERSIONS = 40


class Walked:
    """A random tree written row by row, and its answers by walking it."""

    def __init__(self, connection: Connection, seed: int) -> None:
        self.drawn = Random(seed)
        self.model_id = find_model(connection, "digits").id
        self.connection = connection
        self.parents: dict[int, int] = {}
        self.learned: dict[int, list[int]] = {}
        self.chunk: dict[int, int] = {}
        self.spans: dict[int, range] = {}
        self.rows: dict[int, int] = {}
        self.place: dict[int, tuple[int, int, int | None]] = {0: (0, 0, None)}
        self.taken = {(0, 0)}
        self.rows_learned = {0: 0}
        for _ in range(VERSIONS):
            self.grow()

    def grow(self) -> None:
        """One more version: mostly of a new chunk, at times of what its line has not learned of an old one."""
        number = len(self.parents) + 1
        parent = number - 1 if self.drawn.random() < 0.7 else self.drawn.randrange(number)
        seen = set(self.batches_of(parent))
        old = [chunk for chunk, span in self.spans.items() if set(span) - seen]
        chunk = self.drawn.choice(old) if old and self.drawn.random() < 0.5 else self.close()
        left = sorted(set(self.spans[chunk]) - seen)
        chosen = sorted(self.drawn.sample(left, self.drawn.randint(1, len(left))))
        self.parents[number], self.learned[number], self.chunk[number] = parent, chosen, chunk
        self.write(number, parent, chunk, chosen)

    def close(self) -> int:
        chunk, first = len(self.spans) + 1, sum(map(len, self.spans.values())) + 1
        self.spans[chunk] = range(first, first + self.drawn.randint(1, 3))
        here = {"model_id": self.model_id}
        for batch in self.spans[chunk]:
            self.rows[batch] = self.drawn.randint(1, 9)
            facts = {"digest": digest("any"), "label_counts": {str(batch % 4): 1}, "accepted_at": 0.0}
            row = here | {"number": batch, "key": str(batch), "rows": self.rows[batch]} | facts
            self.connection.execute(insert(batches).values(row))
        span = self.spans[chunk]
        rows = sum(self.rows[batch] for batch in span)
        ends = {"batch_first": span[0], "batch_last": span[-1], "rows": rows, "reason": "rows", "closed_at": 0.0}
        self.connection.execute(insert(chunks).values(here | {"number": chunk} | ends))
        return chunk

    def write(self, number: int, parent: int, chunk: int, chosen: list[int]) -> None:
        here, rows = {"model_id": self.model_id}, sum(self.rows[batch] for batch in chosen)
        branch, depth, fork = self.place[parent]
        if (branch, depth + 1) in self.taken:
            branch, fork = 1 + max(taken for taken, _ in self.taken), parent
        self.place[number] = branch, depth + 1, fork
        self.taken.add((branch, depth + 1))
        self.rows_learned[number] = self.rows_learned[parent] + rows
        state = {"state": "published", "attempt": 1, "failures": 0, "created_at": 0.0, "finished_at": 0.0}
        update = here | {"number": number, "chunk": chunk, "prior": parent} | state
        self.connection.execute(insert(updates).values(update))
        for batch in set(self.spans[chunk]) - set(chosen):
            self.connection.execute(insert(omissions).values(here | {"update": number, "batch": batch}))
        facts = {"digest": digest("any"), "kl_nats": 0.0, "report": {}, "created_at": 0.0}
        lineage = {"number": number, "parent": parent, "chunk": chunk, "update": number}
        tree = {"branch": branch, "depth": depth + 1, "fork": fork, "rows": rows}
        counted = {"rows_learned": self.rows_learned[number]}
        self.connection.execute(insert(versions).values(here | lineage | facts | tree | counted))

    def line(self, version: int) -> list[int]:
        found = [version]
        while found[-1]:
            found.append(self.parents[found[-1]])
        return found

    def batches_of(self, version: int, *, since: tuple[int, ...] = ()) -> list[int]:
        passed = [one for one in self.line(version) if one and one not in since]
        return sorted(batch for one in passed for batch in self.learned[one])


@pytest.mark.parametrize("seed", range(6))
def test_what_is_asked_of_a_random_tree_is_what_a_walk_finds(engine: Engine, seed: int) -> None:
    a_model(Ledger(engine))
    with engine.begin() as connection:
        walked = Walked(connection, seed)
        pairs = [(one, other) for one in range(VERSIONS + 1) for other in walked.drawn.sample(range(VERSIONS + 1), 3)]
        for version in range(VERSIONS + 1):
            line = walked.line(version)
            assert line_of(connection, walked.model_id, version) == line
            assert on_line(connection, walked.model_id, version, range(VERSIONS + 1)) == frozenset(line)
            steps = walked.drawn.randint(0, len(line))
            expected = line[steps] if steps < len(line) else None
            assert ancestor_of(connection, walked.model_id, version, steps=steps) == expected
            parts = learned_of(connection, walked.model_id, version)
            assert [(part.version, part.batches) for part in parts] == [
                (one, walked.learned[one]) for one in reversed(line) if one
            ]
        for one, other in pairs:
            shared = next(earlier for earlier in walked.line(one) if earlier in walked.line(other))
            assert common_ancestor(connection, walked.model_id, one, other) == shared

    history = History(engine)
    for version in range(VERSIONS + 1):
        evidence = history.evidence("digits", version)
        assert evidence.batches == walked.batches_of(version)
        assert evidence.chunks == sorted({walked.chunk[one] for one in walked.line(version) if one})
        assert evidence.rows == sum(walked.rows[batch] for batch in evidence.batches)
        seen = {str(batch % 4) for batch in evidence.batches}
        assert history.missing_labels("digits", version=version, batches=[1]) == sorted(seen - {"1"})
    for one, other in pairs:
        *_, difference = history.compared("digits", one, other)
        since = tuple(walked.line(difference.ancestor))
        sides = [set(walked.batches_of(version, since=since)) for version in (one, other)]
        for side in (0, 1):
            only = sorted(sides[side] - sides[1 - side])
            assert difference.batches_only(side) == only
            assert difference.rows_only(side) == sum(walked.rows[batch] for batch in only)
            of = sorted({chunk for chunk, span in walked.spans.items() if set(span) & set(only)})
            assert difference.chunks_only(side) == of
    branches = history.branches("digits")
    tips = {branch: number for number, (branch, _, _) in sorted(walked.place.items())}
    assert {row.branch: row.tip for row in branches} == tips
    assert sum(row.versions for row in branches) == VERSIONS + 1


@pytest.mark.parametrize("seed", range(50))
def test_runs_are_sets_of_numbers(seed: int) -> None:
    drawn = Random(seed)
    one, other = ({drawn.randrange(30) for _ in range(drawn.randrange(25))} for _ in range(2))
    ours, theirs = Runs.among(one), Runs.among(other)

    assert (ours | theirs).numbers == sorted(one | other)
    assert (ours & theirs).numbers == sorted(one & other)
    assert (ours - theirs).numbers == sorted(one - other)
    assert len(ours) == len(one)
    assert all(later - last > 1 for (_, last), (later, _) in zip(ours.pairs, ours.pairs[1:], strict=False))

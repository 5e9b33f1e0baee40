"""The tree of versions as the database answers it, beside the same walked parent by parent, on random trees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, insert
from sqlalchemy.exc import IntegrityError

from store.learned import difference_between, evidence_of
from store.placed import placed
from store.schema.learning import batches, chunks, models, omissions, scores, updates, versions
from store.tree import (
    ancestor_of,
    born_of,
    common_ancestor,
    descendants_of,
    is_on_line,
    learned_among,
    learned_of,
    line_of,
    on_line,
    place_of_child,
    scores_on_line,
)

MODEL = 1
SPANS = {1: (1, 1), 2: (2, 4), 3: (5, 6), 4: (7, 9), 5: (10, 10), 6: (11, 14)}
ROWS = {batch: 2**batch for batch in range(1, 15)}
"""So that no two sets of batches have as many rows."""


@dataclass(frozen=True)
class Born:
    """A version as it was drawn: whose child it is, and what it has learned."""

    parent: int
    chunk: int
    batches: tuple[int, ...]


@st.composite
def trees(draw: st.DrawFn) -> list[Born]:
    """Versions 1, 2, 3 … in the order of their birth; most are children of the newest, as in life.

    None learns from a batch that its line has learned from.
    """
    tree: list[Born] = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        parent = max(0, number - 1 - draw(st.sampled_from((0, 0, 0, *range(number)))))
        known = {batch for _, _, held in Walked(tree).learned(parent) for batch in held}
        left = {chunk: {*range(first, last + 1)} - known for chunk, (first, last) in SPANS.items()}
        open_ = [chunk for chunk, some in left.items() if some]
        if open_:
            chunk = draw(st.sampled_from(open_))
            held = draw(st.sets(st.sampled_from(sorted(left[chunk])), min_size=1))
            tree.append(Born(parent, chunk, tuple(sorted(held))))
        else:
            tree.append(Born(0, 1, (1,)))
    return tree


@contextmanager
def planted(engine: Engine, tree: list[Born]) -> Iterator[Connection]:
    """The tree is in the tables until the end of the context."""
    with engine.connect() as connection:
        here = {"model_id": MODEL}
        connection.execute(insert(models).values(id=MODEL, name="digits", description={}, created_at=0.0))
        batch = here | {"digest": "", "label_counts": {}, "accepted_at": 0.0}
        rows = [batch | {"number": n, "key": str(n), "rows": rows} for n, rows in ROWS.items()]
        connection.execute(insert(batches), rows)
        for number, (first, last) in SPANS.items():
            held = sum(ROWS[n] for n in range(first, last + 1))
            span = {"number": number, "batch_first": first, "batch_last": last, "rows": held}
            connection.execute(insert(chunks).values(**here, **span, reason="rows", closed_at=0.0))
        born = here | {"digest": "", "kl_nats": 0.0, "report": {}, "created_at": 0.0}
        connection.execute(insert(versions).values(**born, number=0))
        for number, one in enumerate(tree, start=1):
            _publish(connection, number, one)
        yield connection
        connection.rollback()


def _publish(connection: Connection, number: int, born: Born) -> None:
    here = {"model_id": MODEL, "number": number, "chunk": born.chunk, "created_at": 0.0}
    done = {"state": "published", "attempt": 1, "failures": 0, "prior": born.parent, "finished_at": 0.0}
    connection.execute(insert(updates).values(**here, **done))
    first, last = SPANS[born.chunk]
    for batch in sorted({*range(first, last + 1)} - {*born.batches}):
        connection.execute(insert(omissions).values(model_id=MODEL, update=number, batch=batch))
    place = place_of_child(connection, MODEL, born.parent, rows=sum(ROWS[batch] for batch in born.batches))
    facts = {"parent": born.parent, "update": number, "digest": "", "kl_nats": 0.0, "report": {}}
    connection.execute(insert(versions).values(**here, **facts, **place))
    for batch in born.batches:
        values = {"batch": batch, "version": born.parent, "update": number, "scores": {"batch": batch}}
        known = {(one.batch, one.version) for one in connection.execute(scores.select())}
        if (batch, born.parent) not in known:
            connection.execute(insert(scores).values(model_id=MODEL, scored_at=0.0, **values))


class Walked:
    """The same, parent by parent."""

    def __init__(self, tree: list[Born]) -> None:
        self.born = dict(enumerate(tree, start=1))

    def line(self, version: int) -> list[int]:
        """From the version to the root."""
        return [version] if version == 0 else [version, *self.line(self.born[version].parent)]

    def learned(self, version: int) -> list[tuple[int, int, list[int]]]:
        """Version, chunk and batches, the oldest first."""
        steps = [step for step in reversed(self.line(version)) if step > 0]
        return [(step, self.born[step].chunk, list(self.born[step].batches)) for step in steps]

    def common(self, one: int, other: int) -> int:
        return next(version for version in self.line(one) if version in self.line(other))

    def batches(self, version: int, *, since: int) -> set[int]:
        """Those on its line that are not on the line of `since`, which is on it."""
        later = [step for step in self.line(version) if step not in self.line(since)]
        return {batch for step in later for batch in self.born[step].batches}


A_TREE = settings(
    max_examples=20,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@A_TREE
@given(tree=trees())
def test_lines_and_ancestors_are_those_of_a_walk_from_parent_to_parent(engine: Engine, tree: list[Born]) -> None:
    walked, everyone = Walked(tree), range(len(tree) + 1)
    with planted(engine, tree) as connection:
        for version in everyone:
            line = walked.line(version)
            assert line_of(connection, MODEL, version) == line
            assert on_line(connection, MODEL, version, everyone) == set(line)
            assert [ancestor_of(connection, MODEL, version, steps=steps) for steps in range(len(line))] == line
            assert ancestor_of(connection, MODEL, version, steps=len(line)) is None
        newest = everyone[-1]
        for version in everyone:
            assert is_on_line(connection, MODEL, version, newest) == (version in walked.line(newest))
            assert common_ancestor(connection, MODEL, version, newest) == walked.common(version, newest)
            later = [one for one in everyone if version in walked.line(one)]
            assert descendants_of(connection, MODEL, [version]) == later
        assert descendants_of(connection, MODEL, everyone) == [*everyone]


@A_TREE
@given(tree=trees())
def test_what_a_line_has_learned_is_that_of_a_walk_from_parent_to_parent(engine: Engine, tree: list[Born]) -> None:
    walked, everyone = Walked(tree), range(len(tree) + 1)
    with planted(engine, tree) as connection:
        for version in everyone:
            learned = walked.learned(version)
            found = learned_of(connection, MODEL, version)
            assert [(part.version, part.chunk, part.batches) for part in found] == learned
            evidence = evidence_of(connection, MODEL, version)
            assert evidence.batches == sorted(batch for _, _, held in learned for batch in held)
            assert evidence.chunks == sorted({chunk for _, chunk, _ in learned})
            assert evidence.rows == sum(ROWS[batch] for _, _, held in learned for batch in held)
            for chunk, (first, last) in SPANS.items():
                of_chunk = {batch for _, of, held in learned if of == chunk for batch in held}
                asked = [first, last]
                assert learned_among(connection, MODEL, version, chunk=chunk, among=asked) == of_chunk & set(asked)
            deep = learned_of(connection, MODEL, version, since=1)
            assert [part.version for part in deep] == [step for step, _, _ in learned[1:]]
        for chunk in SPANS:
            born = [(number, list(one.batches)) for number, one in walked.born.items() if one.chunk == chunk]
            assert [(part.version, part.batches) for part in born_of(connection, MODEL, chunk)] == born


@A_TREE
@given(tree=trees())
def test_two_versions_differ_in_what_they_learned_since_their_common_ancestor(engine: Engine, tree: list[Born]) -> None:
    walked, newest = Walked(tree), len(tree)
    with planted(engine, tree) as connection:
        for version in range(newest + 1):
            found = difference_between(connection, MODEL, version, newest)
            ancestor = walked.common(version, newest)
            ours, theirs = (walked.batches(one, since=ancestor) for one in (version, newest))
            assert found.ancestor == ancestor
            assert (found.batches_only(0), found.batches_only(1)) == (sorted(ours - theirs), sorted(theirs - ours))
            assert found.rows_only(1) == sum(ROWS[batch] for batch in theirs - ours)
            of = {batch: chunk for chunk, (first, last) in SPANS.items() for batch in range(first, last + 1)}
            assert found.chunks_only(0) == sorted({of[batch] for batch in ours - theirs})


@A_TREE
@given(tree=trees())
def test_the_scores_of_a_line_are_those_of_its_batches_in_the_order_of_learning(
    engine: Engine, tree: list[Born]
) -> None:
    walked = Walked(tree)
    with planted(engine, tree) as connection:
        for version in range(len(tree) + 1):
            wanted = [batch for _, _, held in walked.learned(version) for batch in held]
            found = [one["batch"] for one in scores_on_line(connection, MODEL, version, limit=1000)]
            assert found == wanted
            assert [one["batch"] for one in scores_on_line(connection, MODEL, version, limit=2)] == wanted[-2:]


@A_TREE
@given(tree=trees())
def test_a_branch_is_a_run_of_versions_each_the_child_of_the_one_before(engine: Engine, tree: list[Born]) -> None:
    with planted(engine, tree) as connection:
        rows = connection.execute(versions.select().order_by(versions.c.number)).all()
        assert list(placed(rows)) == []
        for branch in {row.branch for row in rows}:
            run = sorted((row for row in rows if row.branch == branch), key=lambda row: row.depth)
            assert all(later.parent == earlier.number for earlier, later in pairwise(run))
            assert {row.fork for row in run} == {None if branch == 0 else run[0].parent}


def test_the_database_refuses_two_versions_at_one_place(engine: Engine) -> None:
    with planted(engine, [Born(0, 1, (1,)), Born(0, 2, (2,))]) as connection:
        at_once = versions.update().where(versions.c.number == 2).values(branch=0, fork=None)

        with pytest.raises(IntegrityError):
            connection.execute(at_once)

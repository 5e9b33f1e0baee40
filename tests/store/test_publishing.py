"""A version is published; whether head moves to it is the model's policy, and what the worker has found."""

from __future__ import annotations

from typing import Literal

import pytest
from sqlalchemy import Engine, select

from store.aliases import Aliases
from store.errors import HeadUndecided
from store.forgetting import Forgetting
from store.history import History
from store.invariants import violations
from store.kinds import CHALLENGER, HEAD, MoveKind, Publication
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from store.schema.learning import scores
from store.scoring import BEGINNING, Place, Scoring
from store.values import Scored, VersionRow
from tests.conftest import FakeClock
from tests.store.given import DESCRIPTION, ROOT, a_chunk, claimed, digest, learn, publish

WORSE = "accuracy fell by 4 points"


def a_model(ledger: Ledger, publish: Literal["always", "gated", "manual"]) -> None:
    ledger.create_model("digits", DESCRIPTION | {"publish": publish}, ROOT)


def held(leases: Leases) -> VersionRow:
    claim = claimed(leases)
    return leases.publish(claim, digest=digest(f"worse {claim.update}"), kl_nats=1.0, report={}, held=WORSE)


def test_head_stays_where_a_version_is_held_back_and_the_challenger_points_at_it(
    ledger: Ledger, leases: Leases, history: History, engine: Engine
) -> None:
    a_model(ledger, "gated")
    learn(ledger, leases, "a")
    a_chunk(ledger, "b")

    version = held(leases)

    assert (version.parent, version.publication) == (1, Publication.GATED)
    assert history.aliases("digits") == {CHALLENGER: 2, HEAD: 1}
    move = history.alias("digits", CHALLENGER)
    assert (move.kind, move.moved_by, move.reason) == (MoveKind.HOLD, "worker", WORSE)
    assert history.update("digits", 2).version == 2
    assert _wrong(engine) == []


def test_the_next_update_starts_from_head_on_a_branch_of_its_own_and_lacks_what_was_held_back(
    ledger: Ledger, leases: Leases, history: History, engine: Engine
) -> None:
    a_model(ledger, "gated")
    learn(ledger, leases, "a")
    a_chunk(ledger, "b")
    first = held(leases)
    a_chunk(ledger, "c")

    second = publish(leases, claimed(leases))

    assert (first.depth, first.branch, first.fork) == (2, 0, None)
    assert (second.parent, second.depth, second.branch, second.fork) == (1, 2, 1, 1)
    assert history.evidence("digits", 3).batches == [1, 3]
    assert history.aliases("digits") == {CHALLENGER: 2, HEAD: 3}
    assert _wrong(engine) == []


def test_head_can_be_moved_to_a_version_that_was_held_back_and_goes_on_from_it(
    ledger: Ledger, leases: Leases, aliases: Aliases, history: History, engine: Engine
) -> None:
    a_model(ledger, "gated")
    a_chunk(ledger, "a")
    held(leases)
    a_chunk(ledger, "b")

    aliases.move("digits", HEAD, 1, actor="ada", reason="it is right")

    assert publish(leases, claimed(leases)).parent == 1
    assert history.evidence("digits", 2).batches == [1, 2]
    assert _wrong(engine) == []


def test_the_queue_of_a_model_whose_head_is_moved_by_hand_waits_until_it_was(
    ledger: Ledger, leases: Leases, aliases: Aliases, history: History, engine: Engine
) -> None:
    a_model(ledger, "manual")
    for keys in "ab":
        a_chunk(ledger, keys)

    version = publish(leases, claimed(leases))

    assert version.publication is Publication.MANUAL
    assert history.aliases("digits") == {CHALLENGER: 1, HEAD: 0}
    assert "stays at version 0" in history.alias("digits", CHALLENGER).reason
    assert leases.claim("worker") is None
    aliases.move("digits", HEAD, 1, actor="ada")
    assert publish(leases, claimed(leases)).parent == 1
    assert _wrong(engine) == []


def test_a_move_of_head_to_where_it_is_declines_the_version_and_the_queue_goes_on_without_it(
    ledger: Ledger, leases: Leases, aliases: Aliases, history: History, engine: Engine
) -> None:
    a_model(ledger, "manual")
    for keys in "ab":
        a_chunk(ledger, keys)
    publish(leases, claimed(leases))

    aliases.move("digits", HEAD, 0, actor="ada", reason="not this one")

    second = publish(leases, claimed(leases))
    assert (second.parent, second.branch, second.fork) == (0, 1, 0)
    assert history.evidence("digits", 2).batches == [2]
    assert history.aliases("digits") == {CHALLENGER: 2, HEAD: 0}
    assert _wrong(engine) == []


def test_a_move_of_head_before_a_version_was_published_is_no_answer_to_it(
    ledger: Ledger, leases: Leases, aliases: Aliases
) -> None:
    a_model(ledger, "manual")
    for keys in "ab":
        a_chunk(ledger, keys)
    claim = claimed(leases)
    aliases.move("digits", HEAD, 0, actor="ada")

    publish(leases, claim)

    assert leases.claim("worker") is None


def test_a_version_waits_for_its_answer_as_nothing_is_forgotten_meanwhile(
    ledger: Ledger, leases: Leases, aliases: Aliases, forgetting: Forgetting
) -> None:
    a_model(ledger, "manual")
    for number, keys in enumerate(("a", "b", "c"), start=1):
        a_chunk(ledger, keys)
        publish(leases, claimed(leases))
        aliases.move("digits", HEAD, number, actor="ada")
    for keys in "de":
        a_chunk(ledger, keys)
    publish(leases, claimed(leases))

    with pytest.raises(HeadUndecided):
        forgetting.forget("digits", [1], actor="ada")

    assert leases.claim("worker") is None


def test_the_steps_of_a_forget_do_not_wait_for_an_answer_and_move_head_at_their_end(
    ledger: Ledger, leases: Leases, aliases: Aliases, forgetting: Forgetting, history: History, engine: Engine
) -> None:
    a_model(ledger, "manual")
    for number, keys in enumerate("abc", start=1):
        a_chunk(ledger, keys)
        publish(leases, claimed(leases))
        aliases.move("digits", HEAD, number, actor="ada")
    a_chunk(ledger, "d")

    forgetting.forget("digits", [1], actor="ada")
    steps = [publish(leases, claimed(leases)).publication for _ in range(2)]

    assert steps == [Publication.ASIDE, Publication.ASIDE]
    assert history.aliases("digits")[HEAD] == 5
    assert claimed(leases).prior == 5
    assert _wrong(engine) == []


def test_what_a_prior_scored_is_kept_once_however_often_it_scores_the_batch(
    ledger: Ledger, leases: Leases, aliases: Aliases, engine: Engine
) -> None:
    a_model(ledger, "always")
    a_chunk(ledger, "ab")
    _scored(leases)
    aliases.rollback("digits", actor="ada")
    ledger.replay("digits", [1])
    _scored(leases)

    with engine.begin() as connection:
        found = connection.execute(select(scores).order_by(scores.c.batch)).all()
    assert [(row.batch, row.version, row.update, row.scores) for row in found] == [
        (1, 0, 1, {"rows": 2, "of": 1}),
        (2, 0, 1, {"rows": 2, "of": 2}),
    ]


def test_the_scores_of_a_line_are_those_of_what_it_learned_also_where_it_was_scored_before(
    ledger: Ledger, leases: Leases, aliases: Aliases, forgetting: Forgetting, history: History
) -> None:
    a_model(ledger, "always")
    for keys in ("ab", "c"):
        a_chunk(ledger, keys)
        _scored(leases)
    assert _of(history, 2) == [1, 2, 3]

    forgetting.forget("digits", [1], actor="ada")
    for _ in range(2):
        _scored(leases)

    assert _of(history, 4) == [2, 3]
    assert _of(history, 2) == [1, 2, 3]
    assert history.scores_on_line("digits", 2, limit=2) == [{"rows": 2, "of": 2}, {"rows": 2, "of": 3}]


def test_the_series_has_what_updates_learned_though_a_forget_scored_it_first(
    ledger: Ledger, leases: Leases, aliases: Aliases, forgetting: Forgetting, engine: Engine, clock: FakeClock
) -> None:
    a_model(ledger, "always")
    for keys in ("ab", "c"):
        a_chunk(ledger, keys)
        _scored(leases)
    forgetting.forget("digits", [1], actor="ada")
    _scored(leases)
    # The second step scores batch 3 by version 3, which no update has done.
    _scored(leases)
    before = _series(engine)
    aliases.rollback("digits", actor="ada", to=3)
    clock.pass_by(5)
    ledger.replay("digits", [2])
    _scored(leases)

    assert before == [(1, 0, 1, 1), (2, 0, 1, 1), (3, 1, 2, 2)]
    assert _series(engine) == [*before, (3, 3, 5, 5)]
    assert Scoring(engine).series("digits")[-1].scored_at == clock.seconds


def test_the_series_has_a_batch_once_for_each_version_that_predicted_it(
    ledger: Ledger, leases: Leases, aliases: Aliases, engine: Engine
) -> None:
    a_model(ledger, "always")
    for keys in ("ab", "c"):
        a_chunk(ledger, keys)
        _scored(leases)
    aliases.rollback("digits", actor="ada", to=0)
    ledger.replay("digits", [2, 1])
    for _ in range(2):
        _scored(leases)
    aliases.rollback("digits", actor="ada", to=0)
    ledger.replay("digits", [1])
    _scored(leases)

    series = [(1, 0, 1, 1), (2, 0, 1, 1), (3, 1, 2, 2), (3, 0, 3, 3), (1, 3, 4, 4), (2, 3, 4, 4)]
    assert _series(engine) == series
    for count in range(len(series) + 1):
        place = Place(series[count - 1][3], series[count - 1][0]) if count else BEGINNING
        assert _series(engine, after=place, limit=2) == series[count : count + 2]
        until = Scoring(engine).series_until("digits", until=place, limit=2)
        assert [(row.batch, row.version) for row in until] == [row[:2] for row in series[max(0, count - 2) : count]]


def test_the_series_has_a_batch_that_the_first_update_of_its_chunk_left_out(
    ledger: Ledger, leases: Leases, aliases: Aliases, parking: Parking, engine: Engine
) -> None:
    a_model(ledger, "always")
    a_chunk(ledger, "ab")
    parking.park("digits", [2], actor="ada")
    _scored(leases)
    aliases.rollback("digits", actor="ada", to=0)
    parking.release("digits", [2], actor="ada")
    _scored(leases)
    aliases.rollback("digits", actor="ada", to=0)
    ledger.replay("digits", [1])
    _scored(leases)

    assert _series(engine) == [(1, 0, 1, 1), (2, 0, 2, 2)]


def _series(engine: Engine, after: Place = BEGINNING, limit: int = 100) -> list[tuple[int, int, int, int]]:
    rows = Scoring(engine).series("digits", after=after, limit=limit)
    return [(row.batch, row.version, row.update, row.learned) for row in rows]


def _scored(leases: Leases) -> None:
    claim = claimed(leases)
    found = [Scored(batch, {"rows": 2, "of": batch}, {"z": 0.1}) for batch in claim.batches]
    leases.publish(claim, digest=digest(f"{claim.update}"), kl_nats=1.0, report={}, scores=found)


def _of(history: History, version: int) -> list[int]:
    return [one["of"] for one in history.scores_on_line("digits", version, limit=100)]


def _wrong(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return violations(connection)

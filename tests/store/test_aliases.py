"""Pointers: moved by compare-and-swap, rolled back along the line, with a history that has no gaps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, event

from store.aliases import Aliases
from store.errors import (
    AliasInvalid,
    AliasMoved,
    AliasNotFound,
    AlreadyAbsorbed,
    ChunkBusy,
    HeadRequired,
    NotOnLine,
    RollbackTooFar,
    VersionNotFound,
)
from store.history import History
from store.kinds import HEAD, MoveKind
from store.leases import Leases
from store.ledger import Ledger
from tests.conftest import FakeClock
from tests.store.given import a_model, a_published_version, a_queued_update, claimed, publish


@pytest.fixture(autouse=True)
def three_versions(ledger: Ledger, leases: Leases) -> None:
    a_model(ledger)
    for key in "abc":
        a_published_version(ledger, leases, key)


def test_a_rollback_moves_head_along_its_line(aliases: Aliases, history: History) -> None:
    move = aliases.rollback("digits", to=1, actor="ada", reason="worse on the shop floor")

    assert (move.version, move.previous, move.kind) == (1, 3, MoveKind.ROLLBACK)
    assert history.resolve("digits").version == 1
    assert aliases.rollback("digits", actor="ada").version == 0


def test_a_rollback_with_another_move_in_mind_is_refused(aliases: Aliases, history: History) -> None:
    seq = history.alias("digits", HEAD).seq

    with pytest.raises(AliasMoved, match=f"at move {seq}, not {seq - 1}"):
        aliases.rollback("digits", actor="ada", expected_seq=seq - 1)

    assert aliases.rollback("digits", actor="ada", expected_seq=seq).version == 2


def test_a_move_may_ask_that_the_alias_exists_or_that_it_does_not(aliases: Aliases) -> None:
    with pytest.raises(AliasMoved, match="at move 0, not at any version"):
        aliases.move("digits", "review", 1, actor="ada", expected_seq="any")
    aliases.move("digits", "review", 1, actor="ada", expected_seq="none")
    with pytest.raises(AliasMoved, match="at move 1, not absent"):
        aliases.move("digits", "review", 2, actor="ada", expected_seq="none")

    aliases.remove("digits", "review", actor="ada", expected_seq="any")

    with pytest.raises(AliasMoved, match="at move 2, not at any version"):
        aliases.remove("digits", "review", actor="ada", expected_seq="any")
    assert aliases.move("digits", "review", 1, actor="ada", expected_seq="none").seq == 3


def test_a_rollback_by_steps_counts_parents_not_numbers(
    aliases: Aliases, ledger: Ledger, leases: Leases, history: History
) -> None:
    aliases.rollback("digits", to=1, actor="ada")
    assert a_published_version(ledger, leases, "d").parent == 1

    assert aliases.rollback("digits", steps=1, actor="ada").version == 1


def test_a_rollback_to_a_version_off_the_line_is_refused(aliases: Aliases, ledger: Ledger, leases: Leases) -> None:
    aliases.rollback("digits", to=1, actor="ada")
    a_published_version(ledger, leases, "d")

    for off_the_line in (2, 3, 4):
        with pytest.raises(NotOnLine, match=f"Version {off_the_line} "):
            aliases.rollback("digits", to=off_the_line, actor="ada")


def test_a_rollback_past_the_root_or_to_nowhere_is_refused(aliases: Aliases, history: History) -> None:
    for steps in (4, 0, -1):
        with pytest.raises(RollbackTooFar, match="3 earlier versions"):
            aliases.rollback("digits", steps=steps, actor="ada")
    with pytest.raises(VersionNotFound):
        aliases.rollback("digits", to=9, actor="ada")
    assert history.resolve("digits").version == 3


def test_the_history_says_what_was_live_when_by_whom_and_why(aliases: Aliases, history: History) -> None:
    aliases.rollback("digits", to=1, actor="ada", reason="why")

    moves = history.moves("digits", HEAD)

    assert [move.seq for move in moves] == [1, 2, 3, 4, 5]
    assert [move.version for move in moves] == [0, 1, 2, 3, 1]
    assert [move.previous for move in moves] == [None, 0, 1, 2, 3]
    assert (moves[-1].moved_by, moves[-1].reason) == ("ada", "why")
    assert moves[1].reason == "update 1 absorbed chunk 1"
    assert history.moves("digits", HEAD, after=3, limit=1) == moves[3:4]


@pytest.mark.parametrize("seconds", [0.2500002, 0.2500004, 0.2500006, 0.2500009])
def test_a_move_was_live_from_the_microsecond_that_is_shown_of_it(
    aliases: Aliases, history: History, clock: FakeClock, seconds: float
) -> None:
    clock.seconds = 1_795_000_000.0 + seconds
    aliases.move("digits", "champion", 1, actor="ada")
    clock.seconds = 1_795_000_002.0 + seconds
    aliases.move("digits", "champion", 2, actor="ada")
    shown = datetime.fromtimestamp(clock.seconds, UTC)

    def live_at(moment: datetime) -> int | None:
        return history.alias("digits", "champion", at=moment.timestamp()).version

    assert (
        live_at(shown) == live_at(shown + timedelta(microseconds=1)) == live_at(datetime.max.replace(tzinfo=UTC)) == 2
    )
    assert live_at(shown - timedelta(microseconds=1)) == live_at(shown - timedelta(seconds=2)) == 1
    with pytest.raises(AliasNotFound):
        live_at(shown - timedelta(seconds=2, microseconds=1))


def test_a_move_expected_from_an_earlier_one_is_refused(aliases: Aliases, history: History) -> None:
    first = aliases.move("digits", "champion", 1, actor="ada", expected_seq=0)
    aliases.move("digits", "champion", 2, actor="bob", expected_seq=first.seq)

    with pytest.raises(AliasMoved, match="at move 2, not 1"):
        aliases.move("digits", "champion", 3, actor="ada", expected_seq=first.seq)

    assert history.alias("digits", "champion").version == 2


def test_of_many_movers_who_read_the_same_state_one_wins(aliases: Aliases, history: History) -> None:
    def move(version: int) -> bool:
        try:
            aliases.move("digits", "champion", version, actor=f"mover-{version}", expected_seq=0)
        except AliasMoved:
            return False
        return True

    with ThreadPoolExecutor(8) as movers:
        assert sum(movers.map(move, [1, 2, 3] * 8)) == 1
    assert len(history.moves("digits", "champion")) == 1


def test_a_removed_alias_points_nowhere_and_keeps_its_history(aliases: Aliases, history: History) -> None:
    aliases.move("digits", "champion", 1, actor="ada")
    aliases.remove("digits", "champion", actor="ada")

    with pytest.raises(AliasNotFound):
        history.resolve("digits", alias="champion")
    with pytest.raises(AliasNotFound):
        aliases.remove("digits", "champion", actor="ada")
    assert history.aliases("digits") == {HEAD: 3}
    assert [move.version for move in history.moves("digits", "champion")] == [1, None]
    assert aliases.move("digits", "champion", 2, actor="ada").seq == 3


def test_the_newest_moves_of_all_aliases_are_one_query_and_removed_ones_have_none(
    aliases: Aliases, history: History, engine: Engine
) -> None:
    for alias in ("b", "a", "gone", "a"):
        aliases.move("digits", alias, 2, actor="ada", reason=f"try {alias}")
    aliases.move("digits", "b", 1, actor="bob", reason="worse")
    aliases.remove("digits", "gone", actor="bob")
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *about: asked.append(about[2]))

    found = history.newest_moves("digits")

    assert len([said for said in asked if said.startswith(("SELECT", "WITH"))]) == 2  # The model, and the moves.
    assert found == [history.alias("digits", alias) for alias in ("a", "b", HEAD)]
    assert [(one.alias, one.seq, one.version, one.previous) for one in found[:2]] == [("a", 2, 2, 2), ("b", 2, 1, 2)]


def test_head_cannot_be_removed_and_a_bad_name_is_refused(aliases: Aliases) -> None:
    with pytest.raises(HeadRequired):
        aliases.remove("digits", HEAD, actor="ada")
    for name in ("7", "", "Head", "a b", "a" * 65, "ä"):
        with pytest.raises(AliasInvalid):
            aliases.move("digits", name, 1, actor="ada")


def test_an_alias_points_only_at_versions_that_exist(aliases: Aliases, history: History) -> None:
    with pytest.raises(VersionNotFound):
        aliases.move("digits", "champion", 9, actor="ada")
    with pytest.raises(AliasNotFound):
        history.moves("digits", "champion")


def test_a_chunk_on_the_line_cannot_be_replayed_and_one_off_it_can_once(
    aliases: Aliases, ledger: Ledger, history: History
) -> None:
    with pytest.raises(AlreadyAbsorbed, match="version 3"):
        ledger.replay("digits", [2])
    aliases.rollback("digits", to=1, actor="ada")

    (update,) = ledger.replay("digits", [3])

    assert update.chunk.number == 3
    with pytest.raises(ChunkBusy, match=f"update {update.number}"):
        ledger.replay("digits", [3])


def test_a_batch_tells_every_version_born_from_its_chunk(
    aliases: Aliases, ledger: Ledger, leases: Leases, history: History
) -> None:
    a_queued_update(ledger, "d")
    assert history.absorbed_in("digits", 4) == []
    assert [part.version for part in history.absorbed_in("digits", 2)] == [2]


def test_several_chunks_are_replayed_in_the_order_asked_for_or_not_at_all(
    aliases: Aliases, ledger: Ledger, leases: Leases, history: History
) -> None:
    aliases.rollback("digits", to=1, actor="ada")
    with pytest.raises(AlreadyAbsorbed):
        ledger.replay("digits", [3, 1])
    assert len(history.updates("digits")) == 3

    assert [update.chunk.number for update in ledger.replay("digits", [3, 2, 3])] == [3, 2]

    absorbed = [publish(leases, claimed(leases)).chunk for _ in range(2)]
    assert absorbed == [3, 2]
    assert history.evidence("digits", 5).batches == [1, 2, 3]

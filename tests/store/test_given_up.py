"""What was forgotten, discarded or parked does not come to head, by whatever move."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, insert

from store.aliases import Aliases
from store.dividing import Divided, Dividing
from store.engine import for_writing
from store.errors import HeadUndecided, VersionForgotten, VersionParked
from store.forgetting import Forgetting
from store.history import History
from store.invariants import violations
from store.kinds import HEAD, ForgetState, MoveKind, ParkingKind, UpdateState
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from store.schema.learning import moves, parkings
from tests.store.given import DESCRIPTION, ROOT, a_chunk, a_model, claimed, digest, learn, publish


def test_head_does_not_go_back_to_a_version_that_knows_what_was_forgotten(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, aliases: Aliases, history: History, engine: Engine
) -> None:
    a_model(ledger)
    learn(ledger, leases, "a", "b", "c")
    forgetting.forget("digits", [2], actor="ada")
    publish(leases, claimed(leases))

    for version in (2, 3):
        with pytest.raises(VersionForgotten, match="batch 2"):
            aliases.move("digits", HEAD, version, actor="bob")

    assert history.alias("digits", HEAD).version == 4
    assert aliases.move("digits", "before", 3, actor="bob").version == 3
    assert aliases.rollback("digits", to=1, actor="bob").version == 1
    assert aliases.move("digits", HEAD, 4, actor="bob").version == 4
    assert _wrong(engine) == []


def test_head_goes_along_its_line_while_a_forget_is_under_way_but_not_back_once_it_has_left(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, aliases: Aliases, engine: Engine
) -> None:
    a_model(ledger)
    learn(ledger, leases, "a", "b", "c")
    forgetting.forget("digits", [2], actor="ada")

    aliases.rollback("digits", to=2, actor="bob")
    aliases.rollback("digits", to=1, actor="bob")

    with pytest.raises(VersionForgotten, match="batch 2"):
        aliases.move("digits", HEAD, 2, actor="bob")
    assert _wrong(engine) == []


def test_head_does_not_go_to_a_challenger_that_has_learned_from_what_was_discarded_until_it_is_released(
    ledger: Ledger, leases: Leases, parking: Parking, aliases: Aliases, engine: Engine
) -> None:
    a_model(ledger)
    a_chunk(ledger, "ab")
    leases.publish(claimed(leases), digest=ROOT, kl_nats=1.0, report={}, held="worse")
    parking.discard("digits", [2], actor="ada")

    with pytest.raises(VersionForgotten, match="batch 2"):
        aliases.move("digits", HEAD, 1, actor="ada")
    parking.release("digits", [2], actor="ada")
    aliases.move("digits", HEAD, 1, actor="ada")

    assert _wrong(engine) == []


def test_head_does_not_go_to_a_version_that_has_learned_from_what_is_parked_until_it_is_released(
    ledger: Ledger, leases: Leases, parking: Parking, aliases: Aliases, history: History, engine: Engine
) -> None:
    ledger.create_model("digits", DESCRIPTION | {"publish": "manual"}, ROOT)
    learn(ledger, leases, "ab")
    parking.park("digits", [2], actor="ada")

    with pytest.raises(VersionParked, match=r"batch 2, which head has not and which is parked.*/release.*discard"):
        aliases.move("digits", HEAD, 1, actor="ada")
    assert aliases.move("digits", "candidate", 1, actor="ada").version == 1
    parking.release("digits", [2], actor="ada")
    aliases.move("digits", HEAD, 1, actor="ada")

    # The update that was to learn from it alone has nothing left to do.
    assert leases.claim("worker") is None
    update = history.update("digits", 2)
    assert (update.state, update.error_code, update.failures) == (UpdateState.CANCELLED, "already-absorbed", 0)
    assert history.evidence("digits", 1).batches == [1, 2]
    assert _wrong(engine) == []


def test_what_is_released_is_learned_alone_where_head_does_not_go_to_the_version_that_has_learned_from_it(
    ledger: Ledger, leases: Leases, parking: Parking, aliases: Aliases, history: History, engine: Engine
) -> None:
    ledger.create_model("digits", DESCRIPTION | {"publish": "manual"}, ROOT)
    learn(ledger, leases, "ab")
    parking.park("digits", [2], actor="ada")
    parking.release("digits", [2], actor="ada")
    assert leases.claim("worker") is None

    aliases.move("digits", HEAD, 0, actor="ada")

    publish(leases, claimed(leases))
    aliases.move("digits", HEAD, 2, actor="ada")
    assert history.evidence("digits", 2).batches == [2]
    assert _wrong(engine) == []


def test_what_is_forgotten_is_told_before_what_is_parked_as_no_release_would_help(
    ledger: Ledger, leases: Leases, parking: Parking, aliases: Aliases
) -> None:
    a_model(ledger)
    learn(ledger, leases, "abc")
    aliases.rollback("digits", actor="ada")
    parking.park("digits", [1, 3], actor="ada")
    parking.discard("digits", [2, 3], actor="ada")

    with pytest.raises(VersionForgotten, match="batch 2, 3"):
        aliases.move("digits", HEAD, 1, actor="ada")
    parking.release("digits", [2, 3], actor="ada")
    with pytest.raises(VersionParked, match="batch 1,"):
        aliases.move("digits", HEAD, 1, actor="ada")


def test_a_head_that_knows_what_is_parked_is_named(ledger: Ledger, leases: Leases, engine: Engine) -> None:
    a_model(ledger)
    learn(ledger, leases, "a")
    assert _wrong(engine) == []

    parked = {"model_id": 1, "batch": 1, "seq": 1, "kind": ParkingKind.PARK, "decided_by": "eve", "reason": ""}
    with for_writing(engine).begin() as connection:
        connection.execute(insert(parkings).values(**parked, facts={}, decided_at=0.0))

    assert any("head, version 1, has learned from batch 1" in sentence for sentence in _wrong(engine))


def test_a_head_that_knows_what_was_forgotten_is_named(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, engine: Engine
) -> None:
    a_model(ledger)
    learn(ledger, leases, "a", "b")
    forgetting.forget("digits", [1], actor="ada")
    publish(leases, claimed(leases))
    assert _wrong(engine) == []

    back = {"model_id": 1, "alias": HEAD, "seq": 5, "version": 2, "kind": MoveKind.PUT}
    with for_writing(engine).begin() as connection:
        connection.execute(insert(moves).values(**back, moved_by="eve", reason="", moved_at=0.0))

    assert any("head, version 2, has learned from batch 1" in sentence for sentence in _wrong(engine))


@pytest.mark.parametrize("decided", [1, 2])
def test_nothing_is_forgotten_while_a_version_waits_for_head_to_be_moved_by_hand(
    ledger: Ledger, leases: Leases, forgetting: Forgetting, aliases: Aliases, engine: Engine, decided: int
) -> None:
    ledger.create_model("digits", DESCRIPTION | {"publish": "manual"}, ROOT)
    learn(ledger, leases, "a")
    aliases.move("digits", HEAD, 1, actor="ada")
    learn(ledger, leases, "b")
    a_chunk(ledger, "c")

    with pytest.raises(HeadUndecided, match="Version 2"):
        forgetting.forget("digits", [1], actor="ada")
    assert forgetting.list("digits") == []
    aliases.move("digits", HEAD, decided, actor="ada")

    forget = forgetting.forget("digits", [1], actor="ada")
    assert (forget.state, len(forget.updates)) == ((ForgetState.RUNNING, 1) if decided == 2 else (ForgetState.DONE, 0))
    assert _wrong(engine) == []


def test_nothing_is_divided_out_either_while_a_version_waits_for_head_to_be_moved_by_hand(
    ledger: Ledger, leases: Leases, aliases: Aliases, engine: Engine
) -> None:
    ledger.create_model("digits", DESCRIPTION | {"publish": "manual"}, ROOT)
    learn(ledger, leases, "a")
    aliases.move("digits", HEAD, 1, actor="ada")
    dividing = Dividing(engine)
    planned = dividing.plan("digits", [1])
    learn(ledger, leases, "b")

    with pytest.raises(HeadUndecided, match="Version 2"):
        dividing.plan("digits", [1])
    with pytest.raises(HeadUndecided, match="Version 2"):
        dividing.finish(planned, Divided(digest("divided"), 1.0, {}), actor="ada")
    assert _wrong(engine) == []


def _wrong(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return violations(connection)

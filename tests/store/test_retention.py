"""Rows are given up by retention or on demand, for good; what was learned from them stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from store.aliases import Aliases
from store.collecting import Collecting
from store.doctor import examine
from store.errors import BatchNotFound, BatchWaiting, BlobMissing, RowsDeleted
from store.folder import Folder
from store.forgetting import Forgetting
from store.history import History
from store.kinds import DeletionKind
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from store.retention import Retention
from store.values import Json
from tests.conftest import FakeClock
from tests.store.given import DESCRIPTION, claimed

DAY = 86_400.0
AFTER_ABSORB: Json = {"kind": "delete-after-absorb"}
AFTER_A_WEEK: Json = {"kind": "delete-after-days", "days": 7}


@pytest.fixture
def blobs(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "blobs")


@pytest.fixture
def retention(engine: Engine, blobs: Folder, clock: FakeClock) -> Retention:
    return Retention(engine, Collecting(engine, blobs, clock=clock), clock=clock)


def a_model(ledger: Ledger, blobs: Folder, kept: Json | None = None, *, name: str = "digits") -> None:
    ledger.create_model(name, DESCRIPTION | {"retention": kept or {"kind": "keep"}}, blobs.put(b"root"))


def a_batch(ledger: Ledger, blobs: Folder, data: bytes, *, key: str | None = None, model: str = "digits") -> str:
    digest = blobs.put(data)
    ledger.accept(model, key=key or data.decode(), digest=digest, rows=1, label_counts={"7": 1})
    return digest


def absorb(ledger: Ledger, leases: Leases, blobs: Folder, model: str = "digits") -> int:
    ledger.close(model)
    claim = claimed(leases)
    posterior = blobs.put(f"{model} {claim.prior} {claim.chunk.number}".encode())
    return leases.publish(claim, digest=posterior, kl_nats=1.0, report={}).number


def test_a_model_that_keeps_its_rows_keeps_them(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, clock: FakeClock
) -> None:
    a_model(ledger, blobs)
    digest = a_batch(ledger, blobs, b"a")
    absorb(ledger, leases, blobs)
    clock.pass_by(1000 * DAY)

    assert retention.apply() == []

    assert blobs.get(digest) == b"a"


@pytest.mark.parametrize("then", ["moved to", "learned on from", "passed by"])
def test_rows_that_only_a_held_version_has_learned_from_are_kept_until_head_moves_to_it(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, aliases: Aliases, then: str
) -> None:
    a_model(ledger, blobs, AFTER_ABSORB)
    digest = a_batch(ledger, blobs, b"a")
    ledger.close("digits")
    leases.publish(claimed(leases), digest=blobs.put(b"held"), kl_nats=1.0, report={}, held="worse")

    assert retention.apply() == []

    assert blobs.get(digest) == b"a"
    if then == "passed by":
        ledger.replay("digits", [1])
        assert claimed(leases).batch_digests == (digest,)
        assert retention.apply() == []
        return
    aliases.move("digits", "head", 1, actor="ada")
    if then == "learned on from":
        a_batch(ledger, blobs, b"b")
        absorb(ledger, leases, blobs)
        aliases.move("digits", "head", 0, actor="ada")
    assert retention.apply() == [("digits", batch) for batch in ((1, 2) if then == "learned on from" else (1,))]


def test_rows_go_as_soon_as_a_version_has_learned_from_them_and_not_before(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, history: History, engine: Engine
) -> None:
    a_model(ledger, blobs, AFTER_ABSORB)
    learned = a_batch(ledger, blobs, b"a")
    ledger.close("digits")
    pending = a_batch(ledger, blobs, b"b")
    assert retention.apply() == []
    claim = claimed(leases)
    assert retention.apply() == []
    leases.publish(claim, digest=blobs.put(b"posterior"), kl_nats=1.0, report={})

    assert retention.apply() == [("digits", 1)]

    assert not blobs.holds(learned)
    assert blobs.holds(pending)
    found = retention.deletion("digits", 1)
    assert found is not None
    assert (found.kind, found.deleted_by, found.reason) == (
        DeletionKind.RETENTION,
        "worker",
        "retention: delete-after-absorb",
    )
    assert (found.learned_by, found.bytes_removed) == ((1,), True)
    assert (history.batch("digits", 1).deleted_at, history.batch("digits", 2).deleted_at) == (found.deleted_at, None)
    assert retention.apply() == []
    assert examine(engine, blobs).wrong == ()


def test_rows_of_a_failed_update_are_kept_until_a_replay_has_absorbed_them(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention
) -> None:
    a_model(ledger, blobs, AFTER_ABSORB)
    digest = a_batch(ledger, blobs, b"a")
    ledger.close("digits")
    leases.fail(claimed(leases), code="diverged", message="It did.", is_final=True)
    assert retention.apply() == []
    ledger.replay("digits", [1])
    leases.publish(claimed(leases), digest=blobs.put(b"posterior"), kl_nats=1.0, report={})

    assert retention.apply() == [("digits", 1)]

    assert not blobs.holds(digest)


def test_rows_that_a_replay_waits_for_are_kept(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, aliases: Aliases
) -> None:
    a_model(ledger, blobs, AFTER_A_WEEK)
    digest = a_batch(ledger, blobs, b"a")
    absorb(ledger, leases, blobs)
    aliases.rollback("digits", steps=1, actor="anna")
    ledger.replay("digits", [1])

    for now_or_later in range(2):
        assert retention.apply() == [], now_or_later
        with pytest.raises(BatchWaiting, match="update 2 is to absorb chunk 1"):
            retention.delete("digits", 1, actor="anna")
    assert blobs.holds(digest)


def test_rows_go_so_many_days_after_they_were_accepted(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, clock: FakeClock
) -> None:
    a_model(ledger, blobs, AFTER_A_WEEK)
    a_batch(ledger, blobs, b"a")
    clock.pass_by(2 * DAY)
    a_batch(ledger, blobs, b"b")
    absorb(ledger, leases, blobs)

    clock.pass_by(5 * DAY - 1)
    assert retention.apply() == []
    clock.pass_by(1)
    assert retention.apply() == [("digits", 1)]
    clock.pass_by(2 * DAY)
    assert retention.apply() == [("digits", 2)]


def test_deleting_a_batch_says_which_versions_learned_from_it_and_says_it_again(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, aliases: Aliases
) -> None:
    a_model(ledger, blobs)
    digest = a_batch(ledger, blobs, b"a")
    absorb(ledger, leases, blobs)
    a_batch(ledger, blobs, b"b")
    absorb(ledger, leases, blobs)
    aliases.rollback("digits", to=0, actor="anna")
    a_batch(ledger, blobs, b"c")
    absorb(ledger, leases, blobs)

    found = retention.delete("digits", 1, actor="anna", reason="asked by its owner")

    assert (found.learned_by, found.digest, found.bytes_removed) == ((1, 2), digest, True)
    assert (found.kind, found.deleted_by, found.reason) == (DeletionKind.DEMAND, "anna", "asked by its owner")
    with pytest.raises(BlobMissing):
        blobs.get(digest)
    assert retention.delete("digits", 1, actor="bert", reason="again") == found


def test_rows_that_wait_to_be_learned_from_are_not_deleted(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention
) -> None:
    a_model(ledger, blobs)
    a_batch(ledger, blobs, b"a")
    with pytest.raises(BatchWaiting, match="it is in no chunk yet"):
        retention.delete("digits", 1, actor="anna")
    update = ledger.close("digits").number
    with pytest.raises(BatchWaiting, match=f"update {update} is to absorb chunk 1"):
        retention.delete("digits", 1, actor="anna")
    with pytest.raises(BatchNotFound):
        retention.delete("digits", 2, actor="anna")

    ledger.cancel("digits", update)

    assert retention.delete("digits", 1, actor="anna").learned_by == ()


def test_a_chunk_whose_rows_are_gone_cannot_be_replayed(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, aliases: Aliases, history: History
) -> None:
    a_model(ledger, blobs)
    for data in (b"a", b"b", b"c"):
        a_batch(ledger, blobs, data)
    absorb(ledger, leases, blobs)
    aliases.rollback("digits", steps=1, actor="anna")
    retention.delete("digits", 1, actor="anna")
    retention.delete("digits", 3, actor="anna")

    with pytest.raises(RowsDeleted, match="the rows of batch 1, 3 of model"):
        ledger.replay("digits", [1])

    assert len(history.updates("digits")) == 1


def test_parked_rows_wait_for_a_decision_whatever_the_retention_and_whatever_has_learned_from_them(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, aliases: Aliases, parking: Parking
) -> None:
    a_model(ledger, blobs, AFTER_ABSORB)
    digests = [a_batch(ledger, blobs, data) for data in (b"a", b"b")]
    absorb(ledger, leases, blobs)
    aliases.rollback("digits", steps=1, actor="anna")
    parking.park("digits", [1], actor="anna")

    assert retention.apply() == [("digits", 2)]
    with pytest.raises(BatchWaiting, match="it is parked: release or discard it first"):
        retention.delete("digits", 1, actor="anna")

    assert [blobs.holds(digest) for digest in digests] == [True, False]
    parking.discard("digits", [1], actor="anna")
    assert retention.apply() == [("digits", 1)]


def test_discarded_rows_can_be_deleted_before_anything_learns_from_their_chunk_and_are_gone_then(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, parking: Parking, engine: Engine
) -> None:
    a_model(ledger, blobs)
    for data in (b"a", b"b", b"c"):
        a_batch(ledger, blobs, data)
    parking.discard("digits", [1], actor="anna")
    retention.delete("digits", 1, actor="anna")
    ledger.close("digits")
    parking.discard("digits", [2], actor="anna")

    assert retention.delete("digits", 2, actor="anna").learned_by == ()

    for number in (1, 2):
        with pytest.raises(RowsDeleted, match=f"the rows of batch {number} of model"):
            parking.release("digits", [number], actor="anna")
        with pytest.raises(RowsDeleted, match=f"the rows of batch {number} of model"):
            parking.park("digits", [number], actor="anna")
    assert examine(engine, blobs).wrong == ()
    assert claimed(leases).batches == (3,)


def test_rows_that_a_forget_is_to_learn_again_are_kept(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, forgetting: Forgetting, engine: Engine
) -> None:
    a_model(ledger, blobs)
    for data in (b"a", b"b"):
        a_batch(ledger, blobs, data)
        absorb(ledger, leases, blobs)
    forgetting.forget("digits", [1], actor="anna")

    with pytest.raises(BatchWaiting, match="update 3 is to absorb chunk 2"):
        retention.delete("digits", 2, actor="anna")
    assert retention.delete("digits", 1, actor="anna").learned_by == (1, 2)

    assert examine(engine, blobs).wrong == ()


def test_bytes_that_another_batch_has_stay_until_that_one_is_deleted_as_well(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention
) -> None:
    for name in ("digits", "letters"):
        a_model(ledger, blobs, name=name)
        digest = a_batch(ledger, blobs, b"a", model=name)
        absorb(ledger, leases, blobs, name)

    assert retention.delete("digits", 1, actor="anna").bytes_removed is False
    assert blobs.get(digest) == b"a"
    assert retention.delete("letters", 1, actor="anna").bytes_removed is True
    assert not blobs.holds(digest)


def test_the_key_of_a_deleted_batch_is_still_taken_and_the_rows_of_a_late_retry_go_again(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, engine: Engine
) -> None:
    a_model(ledger, blobs)
    digest = a_batch(ledger, blobs, b"a", key="monday")
    absorb(ledger, leases, blobs)
    retention.delete("digits", 1, actor="anna")

    late = ledger.accept("digits", key="monday", digest=blobs.put(b"a"), rows=1, label_counts={"7": 1})

    assert (late.is_replay, late.batch.number) == (True, 1)
    assert blobs.holds(digest)
    retention.apply()
    assert not blobs.holds(digest)
    assert examine(engine, blobs).wrong == ()


def test_bytes_that_could_not_be_removed_are_removed_by_the_worker_later(
    ledger: Ledger, leases: Leases, blobs: Folder, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_model(ledger, blobs)
    digest = a_batch(ledger, blobs, b"a")
    absorb(ledger, leases, blobs)
    with monkeypatch.context() as patched:
        patched.setattr(Folder, "delete", _refuse)
        assert retention.delete("digits", 1, actor="anna").bytes_removed is False
    assert blobs.holds(digest)

    retention.apply()

    assert not blobs.holds(digest)
    found = retention.deletion("digits", 1)
    assert found is not None
    assert found.bytes_removed


def _refuse(_self: Folder, _digest: str) -> None:
    raise OSError("read-only")

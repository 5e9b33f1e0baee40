"""Bytes that nothing names are removed; whoever is about to name some is not passed by."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from store.blobs import Blobs
from store.collecting import Collecting
from store.doctor import examine
from store.engine import close, connect
from store.errors import BlobBuried, BlobMissing
from store.folder import Folder
from store.leases import Leases
from store.ledger import Ledger
from tests.conftest import FakeClock
from tests.store.given import DESCRIPTION, claimed

DAY = 86_400.0


@pytest.fixture
def blobs(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "blobs")


@pytest.fixture
def collecting(engine: Engine, blobs: Folder, clock: FakeClock) -> Collecting:
    return Collecting(engine, blobs, clock=clock)


@pytest.fixture
def digits(ledger: Ledger, blobs: Folder) -> Ledger:
    """The ledger, with one model."""
    ledger.create_model("digits", DESCRIPTION, blobs.put(b"root"))
    return ledger


def aged(blobs: Folder, digest: str, clock: FakeClock, *, seconds: float = 2 * DAY) -> str:
    """The blob was written so long ago."""
    os.utime(blobs.path(digest), (clock.seconds - seconds,) * 2)
    return digest


def accept(ledger: Ledger, digest: str, *, key: str = "a") -> None:
    ledger.accept("digits", key=key, digest=digest, rows=1, label_counts={})


def test_what_a_version_a_batch_or_a_prior_names_stays_and_the_rest_goes(
    digits: Ledger, leases: Leases, blobs: Folder, collecting: Collecting, clock: FakeClock, engine: Engine
) -> None:
    star, batch, posterior, orphan = (blobs.put(data) for data in (b"star", b"batch", b"posterior", b"orphan"))
    digits.create_model("letters", DESCRIPTION | {"prior": {"kind": "weights", "blob": star}}, blobs.put(b"root 2"))
    accept(digits, batch)
    digits.close("digits")
    leases.publish(claimed(leases), digest=posterior, kl_nats=1.0, report={})
    for listed in list(blobs.listed()):
        aged(blobs, listed.digest, clock)

    collected = collecting.collect(older_than_seconds=DAY)

    assert (collected.removed, collected.bytes_removed) == ((orphan,), len(b"orphan"))
    assert collected.blobs == 6
    assert examine(engine, blobs).wrong == ()
    with pytest.raises(BlobMissing):
        blobs.get(orphan)
    assert collecting.collect(older_than_seconds=DAY).removed == ()


def test_what_is_young_stays_as_what_names_it_may_be_on_its_way(
    digits: Ledger, blobs: Folder, collecting: Collecting, clock: FakeClock
) -> None:
    aged(blobs, blobs.put(b"root"), clock)
    young = aged(blobs, blobs.put(b"young"), clock, seconds=DAY - 1)

    collected = collecting.collect(older_than_seconds=DAY)

    assert (collected.removed, collected.young) == ((), 1)
    assert blobs.holds(young)
    clock.pass_by(2)
    assert collecting.collect(older_than_seconds=DAY).removed == (young,)


def test_a_rehearsal_names_what_would_go_and_removes_nothing(
    digits: Ledger, blobs: Folder, collecting: Collecting, clock: FakeClock
) -> None:
    orphan = aged(blobs, blobs.put(b"orphan"), clock)

    assert collecting.collect(older_than_seconds=DAY, is_rehearsal=True).removed == (orphan,)

    assert blobs.get(orphan) == b"orphan"
    accept(digits, orphan)


def test_a_removed_digest_is_named_again_after_it_was_readmitted_and_written(
    digits: Ledger, blobs: Folder, collecting: Collecting, clock: FakeClock, engine: Engine
) -> None:
    digest = aged(blobs, blobs.put(b"rows"), clock)
    collecting.collect(older_than_seconds=DAY)
    blobs.put(b"rows")

    with pytest.raises(BlobBuried) as refused:
        accept(digits, digest)
    assert refused.value.digests == [digest]
    digits.readmit(refused.value.digests, settle_seconds=0.0)
    accept(digits, blobs.put(b"rows"))

    collecting.collect(older_than_seconds=-DAY)
    assert examine(engine, blobs).wrong == ()


@pytest.mark.parametrize("write", ["create", "accept", "publish"])
def test_no_row_names_a_buried_digest(
    digits: Ledger, leases: Leases, blobs: Folder, collecting: Collecting, clock: FakeClock, write: str
) -> None:
    accept(digits, blobs.put(b"rows"))
    digits.close("digits")
    claim = claimed(leases)
    buried = aged(blobs, blobs.put(b"buried"), clock)
    collecting.collect(older_than_seconds=DAY)
    prior = {"kind": "weights", "blob": buried}
    writes: dict[str, Callable[[], object]] = {
        "create": lambda: digits.create_model("letters", DESCRIPTION | {"prior": prior}, blobs.put(b"other root")),
        "accept": lambda: accept(digits, buried, key="b"),
        "publish": lambda: leases.publish(claim, digest=buried, kl_nats=0.0, report={}),
    }

    with pytest.raises(BlobBuried):
        writes[write]()

    digits.readmit([buried], settle_seconds=0.0)
    writes[write]()


def test_a_removal_that_the_store_may_still_carry_out_is_waited_for(
    digits: Ledger, blobs: Folder, collecting: Collecting, clock: FakeClock
) -> None:
    digest = aged(blobs, blobs.put(b"rows"), clock)
    collecting.collect(older_than_seconds=DAY)

    clock.pass_by(22.5)
    with pytest.raises(BlobBuried, match="again in 38 s") as refused:
        digits.readmit([digest], settle_seconds=60.0)
    assert refused.value.seconds == 38
    clock.pass_by(36.5)
    with pytest.raises(BlobBuried, match="again in 1 s"):
        digits.readmit([digest], settle_seconds=60.0)
    clock.pass_by(1)
    digits.readmit([digest], settle_seconds=60.0)


def test_a_removal_that_was_cut_short_is_finished_by_the_next_sweep(
    digits: Ledger, blobs: Folder, collecting: Collecting, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = aged(blobs, blobs.put(b"rows"), clock)
    with monkeypatch.context() as patched:
        patched.setattr(Folder, "delete", refuse)
        with pytest.raises(OSError, match="read-only"):
            collecting.collect(older_than_seconds=DAY)
    assert blobs.holds(digest)

    collecting.sweep()

    assert not blobs.holds(digest)


def test_what_was_readmitted_before_its_removal_began_stays(
    digits: Ledger, blobs: Folder, collecting: Collecting, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = aged(blobs, blobs.put(b"rows"), clock)
    with monkeypatch.context() as patched:
        patched.setattr(Folder, "delete", refuse)
        with pytest.raises(OSError, match="read-only"):
            collecting.collect(older_than_seconds=DAY)
    digits.readmit([digest], settle_seconds=0.0)
    accept(digits, blobs.put(b"rows"))

    collecting.sweep()

    assert blobs.get(digest) == b"rows"


def test_collecting_waits_for_whoever_has_looked_and_is_about_to_name(
    digits: Ledger, blobs: Folder, collecting: Collecting, clock: FakeClock, database_url: str
) -> None:
    """The interleaving that a look without a lock loses: it looks, we bury and remove, it names."""
    digest = aged(blobs, blobs.put(b"rows"), clock)
    collector = threading.Thread(target=collecting.collect, kwargs={"older_than_seconds": DAY})

    def collect_and_wait() -> None:
        collector.start()
        wait_until_blocked(database_url, collector)

    with before_statement(digits.engine, "INSERT INTO batches", collect_and_wait):
        accept(digits, digest)
    collector.join()

    assert blobs.get(digest) == b"rows"


def test_readmitting_waits_for_a_removal_that_has_begun(
    digits: Ledger,
    blobs: Folder,
    collecting: Collecting,
    clock: FakeClock,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest = aged(blobs, blobs.put(b"rows"), clock)
    readmitter = threading.Thread(target=lambda: digits.readmit([digest], settle_seconds=0.0))
    delete = Folder.delete

    def delete_while_another_readmits(self: Folder, doomed: str) -> None:
        readmitter.start()
        wait_until_blocked(database_url, readmitter)
        delete(self, doomed)

    monkeypatch.setattr(Folder, "delete", delete_while_another_readmits)
    collecting.collect(older_than_seconds=DAY)
    readmitter.join()

    # It was readmitted after its bytes were gone: whoever writes them now keeps them.
    accept(digits, blobs.put(b"rows"))
    assert blobs.get(digest) == b"rows"


def refuse(_self: Blobs, _digest: str) -> None:
    raise OSError("read-only")


@contextmanager
def before_statement(engine: Engine, beginning: str, act: Callable[[], None]) -> Iterator[None]:
    """`act` is called once, just before the first statement that begins so."""
    is_due = True

    def listen(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        nonlocal is_due
        if is_due and statement.startswith(beginning):
            is_due = False
            act()

    event.listen(engine, "before_cursor_execute", listen)
    yield
    event.remove(engine, "before_cursor_execute", listen)
    assert not is_due, f"nothing began with {beginning}"


def wait_until_blocked(url: str, waiting: threading.Thread) -> None:
    """The thread waits for a lock of the database, as PostgreSQL says; SQLite cannot be asked, and gets a moment."""
    if url.startswith("sqlite"):
        waiting.join(0.3)
        assert waiting.is_alive()
        return
    engine = connect(url)
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(10_000):
            if connection.execute(query).scalar_one() > 0:
                break
            waiting.join(0.005)
            assert waiting.is_alive()
    close(engine)

"""pg_dump and the blobs, in the order that docs/operations.md gives: the restored copy has the same evidence."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from store.collecting import Collecting
from store.doctor import Findings, examine
from store.engine import connect
from store.folder import Folder
from store.leases import Leases
from store.ledger import Ledger
from store.retention import Retention
from tests.postgres import PostgresServer
from tests.store.given import DESCRIPTION, claimed

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def program(server: PostgresServer, name: str) -> str:
    """PostgreSQL's own program beside the server, else on the path."""
    beside = None if server.cluster is None else server.cluster.binaries / name
    found = str(beside) if beside is not None and beside.exists() else shutil.which(name)
    assert found is not None, f"there is no {name} on this machine"
    return found


def copy_blobs(source: Path, target: Path) -> None:
    """As rsync does it: what is there is not copied again, and nothing is removed."""
    for path in source.rglob("*"):
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        elif not copy.exists() and not path.name.startswith("."):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)


def libpq(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def examined(url: str, blobs: Path) -> Findings:
    engine = connect(url)
    try:
        return examine(engine, Folder(blobs))
    finally:
        engine.dispose()


@pytest.fixture
def url(postgres: PostgresServer, migrated: str) -> str:
    return postgres.create_database(template=migrated)


def test_a_dump_and_two_copies_of_the_blobs_are_a_copy_of_the_installation(
    postgres: PostgresServer, url: str, tmp_path: Path
) -> None:
    over, learned = threading.Event(), threading.Event()
    learner = threading.Thread(target=keep_learning, args=(url, tmp_path / "blobs", over, learned))
    learner.start()
    try:
        assert learned.wait(60)
        copy_blobs(tmp_path / "blobs", tmp_path / "copy")
        dump = tmp_path / "ledger.dump"
        dumping = [program(postgres, "pg_dump"), "--format=custom", f"--file={dump}", libpq(url)]
        subprocess.run(dumping, check=True, capture_output=True, timeout=60)
        copy_blobs(tmp_path / "blobs", tmp_path / "copy")
    finally:
        over.set()
        learner.join()

    restored = postgres.create_database()
    restoring = [program(postgres, "pg_restore"), f"--dbname={libpq(restored)}", str(dump)]
    subprocess.run(restoring, check=True, capture_output=True, timeout=60)

    copy, original = examined(restored, tmp_path / "copy"), examined(url, tmp_path / "blobs")
    assert (copy.wrong, original.wrong) == ((), ())
    assert 0 < copy.versions <= original.versions
    for one, other in zip(copy.evidence, original.evidence, strict=True):
        assert (one == other) == (one.version == other.version)
    postgres.drop_database(restored)
    postgres.drop_database(url)


def test_the_page_says_what_pg_dump_is_given() -> None:
    url = "postgresql+psycopg://ada:a+psycopg@db.example:5433/posterity?sslmode=require"
    (line,) = re.findall(r"^LEDGER=.*$", PAGE.read_text(), re.MULTILINE)

    shell = ["sh", "-c", f'{line}\nprintf %s "$LEDGER"']
    said = subprocess.run(shell, env={"POSTERITY_DATABASE_URL": url}, capture_output=True, text=True, check=True)

    assert said.stdout == libpq(url)


def keep_learning(url: str, folder: Path, over: threading.Event, learned: threading.Event) -> None:
    """Batches become versions, one after the other, as services and workers do it."""
    engine = connect(url)
    ledger, blobs = Ledger(engine), Folder(folder)
    leases = Leases(engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0)
    retention = Retention(engine, Collecting(engine, blobs))
    ledger.create_model("digits", DESCRIPTION, blobs.put(b"root"))
    turn = 0
    while not over.is_set():
        turn += 1
        rows = blobs.put(f"rows {turn}".encode())
        ledger.accept("digits", key=str(turn), digest=rows, rows=1, label_counts={})
        ledger.close("digits")
        posterior = blobs.put(f"posterior {turn}".encode())
        leases.publish(claimed(leases), digest=posterior, kl_nats=1.0, report={})
        retention.apply()
        if turn == 3:
            learned.set()
    engine.dispose()

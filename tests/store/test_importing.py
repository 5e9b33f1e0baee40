"""Models that were learned elsewhere, in the ledger: whole or not at all, learned on from, and examined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from store.aliases import Aliases
from store.backup import back_up
from store.collecting import Collecting
from store.doctor import examine
from store.errors import BlobBuried, ModelExists
from store.exporting import Exporting
from store.folder import Folder
from store.forgetting import Forgetting
from store.history import History
from store.importing import Imported, Importing
from store.invariants import violations
from store.kinds import HEAD, MoveKind, Publication
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from tests.conftest import FakeClock
from tests.store.given import ROOT, a_model, a_published_version, a_queued_update, accept, claimed, digest, publish
from tests.store.installation import Installation, examined

GRID = {"kind": "weights", "blob": digest("weights"), "sigmas": [0.1, 1.0]}
DESCRIPTION: dict[str, Any] = {
    "name": "digits",
    "family": "ffg",
    "chunk": {"rows": 100, "seconds": None},
    "prior": GRID,
}
IMPORTED = Imported(
    model="far",
    version=7,
    digest=digest("learned"),
    root_digest=ROOT,
    rows=700,
    chunks=7,
    kl_nats=12.5,
    blobs={"lineage": digest("lineage")},
    posterity="0.1.0",
)
UNTAUGHT = replace(IMPORTED, version=0, digest=ROOT, rows=0, chunks=0, kl_nats=0.0)


@pytest.fixture
def importing(engine: Engine, clock: FakeClock) -> Importing:
    return Importing(engine, clock=clock)


def faults(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return violations(connection)


def test_an_imported_model_has_its_root_and_its_version_and_head_is_the_version(
    engine: Engine, importing: Importing, history: History
) -> None:
    model, is_new = importing.create_model("digits", DESCRIPTION, IMPORTED, actor="ada")

    assert is_new
    assert model.imported is not None
    assert (model.imported["model"], model.imported["version"], model.imported["rows"]) == ("far", 7, 700)
    root, learned = history.versions("digits")
    assert (root.digest, root.parent, root.publication, root.rows_learned) == (ROOT, None, Publication.ROOT, 0)
    assert (learned.digest, learned.parent, learned.chunk, learned.update) == (digest("learned"), 0, None, None)
    assert (learned.publication, learned.rows_learned, learned.kl_nats) == (Publication.IMPORTED, 700, 12.5)
    assert (learned.depth, learned.branch, learned.fork) == (1, 0, None)
    assert history.resolve("digits").version == 1
    assert (history.evidence("digits", 1).rows, history.evidence("digits", 1).batches) == (700, [])
    (move,) = history.moves("digits", HEAD)
    assert (move.version, move.kind, move.moved_by) == (1, MoveKind.CREATE, "ada")
    assert move.reason == "imported: version 7 of 'far'"
    assert faults(engine) == []


def test_what_an_imported_version_learned_elsewhere_is_a_difference_from_its_root(
    importing: Importing, history: History
) -> None:
    importing.create_model("digits", DESCRIPTION, IMPORTED)

    *_, difference = history.compared("digits", 1, 0)

    assert (difference.ancestor, difference.rows_only(0), difference.rows_only(1)) == (0, 700, 0)
    assert difference.batches_only(0) == difference.chunks_only(0) == []


def test_a_root_is_imported_as_version_0_alone(engine: Engine, importing: Importing, history: History) -> None:
    importing.create_model("digits", DESCRIPTION, UNTAUGHT)

    assert [version.number for version in history.versions("digits")] == [0]
    assert history.resolve("digits").digest == ROOT
    assert faults(engine) == []


def test_the_same_import_again_changes_nothing(importing: Importing, history: History) -> None:
    first, _ = importing.create_model("digits", DESCRIPTION, IMPORTED)

    again, is_new = importing.create_model("digits", DESCRIPTION, replace(IMPORTED, posterity="0.2.0"))

    assert (again, is_new) == (first, False)
    assert len(history.moves("digits", HEAD)) == 1


@pytest.mark.parametrize(
    ("description", "imported"),
    [
        (DESCRIPTION | {"family": "cfg"}, IMPORTED),
        (DESCRIPTION, replace(IMPORTED, digest=digest("other"))),
        (DESCRIPTION, replace(IMPORTED, root_digest=digest("other"))),
        (DESCRIPTION, UNTAUGHT),
    ],
)
def test_a_name_that_another_import_has_is_refused(
    importing: Importing, history: History, description: dict[str, Any], imported: Imported
) -> None:
    importing.create_model("digits", DESCRIPTION, IMPORTED)

    with pytest.raises(ModelExists):
        importing.create_model("digits", description, imported)

    assert history.resolve("digits").digest == IMPORTED.digest


def test_a_name_that_a_model_of_this_installation_has_is_refused(
    ledger: Ledger, importing: Importing, history: History
) -> None:
    ledger.create_model("digits", DESCRIPTION, ROOT)

    with pytest.raises(ModelExists):
        importing.create_model("digits", DESCRIPTION, UNTAUGHT)

    assert history.model("digits").imported is None


def test_the_description_of_an_imported_model_posted_again_is_that_model(
    ledger: Ledger, importing: Importing, history: History
) -> None:
    importing.create_model("digits", DESCRIPTION, IMPORTED, posted={"name": "digits"})

    model, is_new = ledger.create_model("digits", {"another": "release"}, ROOT, posted={"name": "digits"})

    assert not is_new
    assert model.imported is not None
    assert history.resolve("digits").version == 1


def test_learning_goes_on_from_the_imported_version_and_head_rolls_back_to_the_root(
    engine: Engine, ledger: Ledger, leases: Leases, importing: Importing, aliases: Aliases
) -> None:
    importing.create_model("digits", DESCRIPTION, IMPORTED)
    a_queued_update(ledger, "a")
    claim = claimed(leases)

    published = publish(leases, claim)

    assert (claim.prior_digest, claim.root_digest) == (IMPORTED.digest, ROOT)
    assert (published.number, published.parent) == (2, 1)
    assert aliases.rollback("digits", steps=2, actor="ada").version == 0
    assert faults(engine) == []


def test_what_came_along_is_needed_and_what_the_prior_names_is_not(
    engine: Engine, importing: Importing, tmp_path: Path
) -> None:
    blobs = Folder(tmp_path / "blobs")
    for text in ("learned", "root", "lineage", "weights"):
        blobs.put(text.encode())
    Collecting(engine, blobs).discard([digest("weights")])
    importing.create_model("digits", DESCRIPTION, IMPORTED)

    Collecting(engine, blobs).discard([digest("learned"), ROOT, digest("lineage")])

    assert [blobs.holds(digest(text)) for text in ("learned", "root", "lineage", "weights")] == [True] * 3 + [False]
    assert faults(engine) == []
    assert examine(engine, blobs).wrong == ()
    blobs.delete(digest("lineage"))
    (wrong,) = examine(engine, blobs).wrong
    assert wrong.startswith("digits: imported.lineage: The blob")


def test_weights_that_came_along_are_kept(engine: Engine, importing: Importing, tmp_path: Path) -> None:
    blobs = Folder(tmp_path / "blobs")
    blobs.put(b"weights")
    importing.create_model("digits", DESCRIPTION, replace(IMPORTED, blobs={"weights": digest("weights")}))

    Collecting(engine, blobs).discard([digest("weights")])

    assert blobs.holds(digest("weights"))
    assert History(engine).holders_of(digest("weights")) == ["digits"]


@pytest.mark.parametrize("text", ["learned", "root", "lineage"])
def test_nothing_is_stored_while_some_of_the_bytes_are_being_removed(
    engine: Engine, importing: Importing, history: History, tmp_path: Path, text: str
) -> None:
    blobs = Folder(tmp_path / "blobs")
    blobs.put(text.encode())
    Collecting(engine, blobs).discard([digest(text)])

    with pytest.raises(BlobBuried):
        importing.create_model("digits", DESCRIPTION, IMPORTED)

    assert history.models() == []


def test_a_restored_copy_has_what_came_along(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "data")
    for text in ("learned", "lineage"):
        installation.blobs.put(text.encode())
    Importing(installation.engine).create_model("far", DESCRIPTION, IMPORTED)

    back_up(installation.engine, installation.blobs, tmp_path / "copy")

    restored = examined(tmp_path / "copy")
    assert restored == examine(installation.engine, installation.blobs)
    assert restored.wrong == ()
    assert Folder(tmp_path / "copy" / "blobs").holds(digest("lineage"))
    installation.engine.dispose()


DAMAGE = {
    "UPDATE versions SET digest = 'x' WHERE number = 1": "version 1 is another than the imported one",
    "UPDATE versions SET rows_learned = 1 WHERE number = 1": "version 1 is another than the imported one",
    "UPDATE versions SET digest = 'x' WHERE number = 0": "version 0 is another root than the imported one",
    "UPDATE versions SET publication = 'head' WHERE number = 1": (
        "version 1 and the model disagree about its being imported"
    ),
    "UPDATE versions SET publication = 'imported' WHERE number = 2": (
        "version 2 and the model disagree about its being imported"
    ),
    'UPDATE versions SET "update" = 9 WHERE number = 1': (
        "version 1 was imported, and has another parent than the root, a chunk or an update"
    ),
    'UPDATE versions SET "update" = NULL WHERE number = 2': "version 2 names update None, which does not exist",
    "UPDATE models SET imported = NULL": "version 1 names update None, which does not exist",
}


@pytest.mark.parametrize("statement", DAMAGE)
def test_the_doctor_accepts_an_imported_version_and_nothing_that_is_merely_like_one(
    engine: Engine, ledger: Ledger, leases: Leases, importing: Importing, statement: str
) -> None:
    importing.create_model("digits", DESCRIPTION, IMPORTED)
    a_published_version(ledger, leases, "a")

    with engine.begin() as connection:
        connection.exec_driver_sql(statement)

    assert f"digits: {DAMAGE[statement]}" in faults(engine)


def test_a_line_is_read_with_the_batches_that_each_version_absorbed(
    engine: Engine, ledger: Ledger, leases: Leases
) -> None:
    a_model(ledger)
    accept(ledger, "a", rows=3)
    a_queued_update(ledger, "b")
    publish(leases, claimed(leases))
    a_published_version(ledger, leases, "c")
    Aliases(engine).rollback("digits", to=1, actor="ada")
    a_published_version(ledger, leases, "d")

    line = Exporting(engine).line("digits", 3)

    assert line.version.number == 3
    told = [(one.number, one.parent, [(batch.number, batch.digest) for batch in one.batches]) for one in line.versions]
    assert told == [
        (0, None, []),
        (1, 0, [(1, digest("a")), (2, digest("b"))]),
        (3, 1, [(4, digest("d"))]),
    ]
    assert line.versions[1].batches[0].rows == 3


def test_a_line_does_not_name_batches_that_a_version_left_out(
    engine: Engine, ledger: Ledger, leases: Leases, clock: FakeClock
) -> None:
    a_model(ledger)
    accept(ledger, "a", rows=3)
    accept(ledger, "poisoned", rows=4)
    Parking(engine, clock=clock).park("digits", [2], actor="ada")
    a_queued_update(ledger, "b")
    publish(leases, claimed(leases))

    line = Exporting(engine).line("digits", 1)

    assert [batch.digest for batch in line.versions[1].batches] == [digest("a"), digest("b")]
    assert line.versions[1].rows == 4


def test_a_forget_on_a_line_that_began_elsewhere_keeps_what_was_learned_there(
    engine: Engine, ledger: Ledger, leases: Leases, importing: Importing, clock: FakeClock
) -> None:
    importing.create_model("digits", DESCRIPTION, IMPORTED)
    for key in "ab":
        a_published_version(ledger, leases, key)
    Forgetting(engine, clock=clock).forget("digits", [1], actor="ada")

    publish(leases, claimed(leases))

    head = Exporting(engine).line("digits", History(engine).resolve("digits").version)
    assert [version.number for version in head.versions] == [0, 1, 4]
    assert head.version.rows_learned == IMPORTED.rows + 1
    assert faults(engine) == []

"""`python -m store`: the commands that look after books and bytes, as their processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from store.engine import connect
from store.folder import Folder
from store.ledger import Ledger
from store.migrate import upgrade
from tests.store.given import DESCRIPTION

TWO_DAYS = 2 * 86_400


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one model, and an old blob that nothing names."""
    folder = tmp_path / "data"
    engine = connect(f"sqlite:///{folder / 'ledger.sqlite'}")
    upgrade(engine)
    blobs = Folder(folder / "blobs")
    Ledger(engine).create_model("digits", DESCRIPTION, blobs.put(b"root"))
    engine.dispose()
    orphan = blobs.path(blobs.put(b"orphan"))
    modified = orphan.stat().st_mtime - TWO_DAYS
    os.utime(orphan, (modified, modified))
    return folder


def store(
    *arguments: str | Path, data: Path, wrapped: Sequence[str] = (), **settings: str
) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    environment = plain | {"POSTERITY_DATA_DIR": str(data)} | settings
    command = [*wrapped, sys.executable, "-m", "store", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_collecting_says_what_it_removed(data: Path) -> None:
    orphan = Folder(data / "blobs").put(b"orphan 2")

    rehearsed = store("collect", "--dry-run", data=data)
    collected = store("collect", data=data)
    again = store("collect", "--older-than-hours", "0", data=data)

    assert rehearsed.stdout.splitlines()[0].startswith("would remove sha256:")
    assert "1 of 6 bytes would be removed, 1 that nothing names are too young" in rehearsed.stdout
    assert "1 of 6 bytes were removed, 1 that nothing names are too young" in collected.stdout
    assert again.stdout.splitlines()[0] == f"removed {orphan}"
    assert store("doctor", data=data).returncode == 0


def test_a_backup_is_a_data_folder_that_the_doctor_finds_sound(data: Path, tmp_path: Path) -> None:
    done = store("backup", tmp_path / "copy", data=data)

    assert (done.returncode, done.stderr) == (0, "")
    assert "the 1 blobs that it names, 1 of them new" in done.stdout
    original, restored = store("doctor", data=data), store("doctor", data=tmp_path / "copy")
    assert restored.stdout == original.stdout
    assert restored.stdout.startswith("digits: head is version 0, learned from 0 rows in 0 chunks; evidence sha256:")


def test_a_backup_into_a_folder_that_is_used_is_refused(data: Path, tmp_path: Path) -> None:
    into_itself = store("backup", data, data=data)
    done = store("backup", tmp_path / "copy", data=data)
    again = store("backup", tmp_path / "copy", data=data)
    served = store("keys", "list", data=tmp_path / "copy")
    into_served = store("backup", tmp_path / "copy", data=data)

    assert [one.returncode for one in (into_itself, done, again, served, into_served)] == [1, 0, 0, 0, 1]
    assert into_itself.stderr.startswith(f"posterity: {data} is, holds or lies in {data}, where the installation")
    assert "is not as the last backup left it" in into_served.stderr
    assert store("doctor", data=data).returncode == 0


def test_a_folder_that_has_no_room_for_the_ledger_is_named(data: Path, tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{data / 'ledger.sqlite'}")
    with engine.connect():  # What SQLite shares between processes is large enough then, and not made anew.
        refused = store("backup", tmp_path / "copy", data=data, wrapped=["sh", "-c", 'ulimit -f 64; exec "$@"', "sh"])
    engine.dispose()

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"posterity: the ledger cannot be copied into {tmp_path / 'copy'}: ")
    assert not (tmp_path / "copy" / "ledger.sqlite").exists()
    assert store("backup", tmp_path / "copy", data=data).returncode == 0


def test_a_backup_that_lacks_something_says_what_and_fails(data: Path, tmp_path: Path) -> None:
    root = Folder(data / "blobs").put(b"root")
    Folder(data / "blobs").path(root).write_bytes(b"Root")

    done = store("backup", tmp_path / "copy", data=data)

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"lacking: The blob {root} holds other bytes")
    assert "0 of the 1 blobs that it names" in done.stdout
    assert "`posterity doctor` says whose" in done.stdout
    assert "digits: version 0: The blob" in store("doctor", data=data).stdout
    assert (tmp_path / "copy" / "ledger.sqlite").is_file()


def test_a_backup_of_postgresql_is_left_to_its_own_program(data: Path, tmp_path: Path) -> None:
    url = "postgresql+psycopg://nobody@127.0.0.1:1/ledger"
    refused = store("backup", tmp_path / "copy", data=data, POSTERITY_DATABASE_URL=url)

    assert refused.returncode == 2
    assert "pg_dump" in refused.stdout
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("command", [["collect"], ["backup", "copy"], ["doctor"]])
def test_where_nothing_was_served_from_nothing_is_made(command: list[str], tmp_path: Path) -> None:
    refused = store(*command, data=tmp_path / "nowhere")

    assert refused.returncode == 1
    assert "There is no ledger at" in refused.stdout
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("hours", ["-1", "nan", "inf", "1e308"])
def test_an_age_that_is_no_number_of_hours_removes_nothing(hours: str, data: Path) -> None:
    refused = store("collect", f"--older-than-hours={hours}", data=data)

    assert refused.returncode == 2
    assert "must be a number of hours, 0 or more" in refused.stderr
    assert len(list(Folder(data / "blobs").listed())) == 2


def test_settings_that_cannot_be_used_are_told_in_a_line(data: Path) -> None:
    for command in (["migrate"], ["keys", "list"]):
        refused = store(*command, data=data, POSTERITY_DATABASE_URL="sqlite:///:memory:")

        assert refused.returncode == 1
        assert refused.stderr.startswith("posterity: database_url: ")
        assert "an embedded ledger is a file" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [["doctor"], ["collect"], ["migrate"], ["keys", "list"], ["backup", "copy"]])
def test_a_file_that_is_no_database_is_told_in_a_line(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "ledger.sqlite").write_bytes(b"no database" * 1000)

    refused = store(*[str(tmp_path / word) if word == "copy" else word for word in command], data=tmp_path / "new")

    assert refused.returncode == 1
    assert refused.stderr == "posterity: the database cannot be used: file is not a database\n"


def test_a_disk_that_takes_no_more_is_told_in_a_line(tmp_path: Path) -> None:
    refused = store("migrate", data=tmp_path / "new", wrapped=["sh", "-c", 'ulimit -f 16; exec "$@"', "sh"])

    assert refused.returncode == 1
    assert refused.stderr.startswith("posterity: the database cannot be used: ")
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [[], ["collcet"], ["backup"], ["collect", "--older-than-hours", "soon"]])
def test_what_it_does_not_understand_it_does_not_do(command: list[str], data: Path) -> None:
    refused = store(*command, data=data)

    assert refused.returncode == 2
    assert "usage: python -m store" in refused.stderr

"""`posterity doctor` finds what was broken, says what to do, and finds nothing where nothing is."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client import Client
from client.packages import is_within, missing_and_misfits
from client.ports import holder_of, port_of
from store.engine import close, connect
from store.ledger import Ledger
from tests.client.given import description, empty_config, rows
from tests.client.test_cli import NOBODY, POSTERITY
from tests.store.given import DESCRIPTION

Checks = dict[str, list[dict[str, str]]]


def surroundings(directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    return kept | {"POSTERITY_DATA_DIR": str(directory / "data"), "POSTERITY_CONFIG": str(empty_config(directory))}


def examined(environment: dict[str, str], *arguments: str) -> tuple[int, Checks]:
    command = [*POSTERITY, "doctor", "--json", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found: Checks = {}
    for line in done.stdout.splitlines():
        check = json.loads(line)
        found.setdefault(check["check"], []).append(check)
    return done.returncode, found


@pytest.fixture
def migrated(tmp_path: Path) -> dict[str, str]:
    environment = surroundings(tmp_path)
    subprocess.run([*POSTERITY, "migrate"], env=environment, check=True, capture_output=True)
    return environment


def failed(found: Checks) -> set[str]:
    return {name for name, checks in found.items() if any(one["state"] == "fail" for one in checks)}


def test_nothing_fails_where_all_is_well(url: str, migrated: dict[str, str]) -> None:
    code, found = examined(migrated, "--url", url)

    assert (code, failed(found)) == (0, set())
    named = {"python", "posterity", "torch", "packages", "devices", "service", "key", "setting", "folder", "space"}
    assert named | {"database", "clock", "worker", "blobs", "books"} == set(found)
    assert "threads" in found["devices"][0]["detail"]
    assert any("POSTERITY_DATA_DIR" in one["detail"] for one in found["setting"])


def test_only_what_can_be_seen_from_afar_is_looked_at_on_request(url: str, tmp_path: Path) -> None:
    code, found = examined(surroundings(tmp_path), "--url", url, "--remote")

    assert code == 0
    assert set(found) == {"python", "posterity", "torch", "packages", "service", "key"}


def test_the_books_are_looked_at_alone_on_request(migrated: dict[str, str]) -> None:
    code, found = examined(migrated, "--books")

    assert (code, set(found)) == (0, {"books"})
    assert "all is well" in found["books"][0]["detail"]


def test_bytes_that_are_lost_are_named_with_their_owner(migrated: dict[str, str], tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite'}")
    Ledger(engine).create_model("digits", DESCRIPTION, "sha256:" + "0" * 64)
    close(engine)

    code, found = examined(migrated, "--books")

    wrong = [one for one in found["books"] if one["state"] == "fail"]
    assert code == 1
    assert "digits: version 0: The blob" in wrong[0]["detail"]
    assert "backup" in wrong[0]["next"]
    assert [one["state"] for one in found["books"] if "head is version" in one["detail"]] == ["ok"]


@pytest.mark.parametrize(
    "more", [{}, {"POSTERITY_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/nothing"}, {"POSTERITY_PROT": "1"}]
)
def test_books_that_are_not_there_fail(tmp_path: Path, more: dict[str, str]) -> None:
    code, found = examined({**surroundings(tmp_path), **more}, "--books")

    assert (code, failed(found)) == (1, {"books"})
    assert found["books"][0]["next"]


def lose_the_database(directory: Path) -> dict[str, str]:
    (directory / "data" / "ledger.sqlite").unlink()
    return {}


def write_junk_over_the_database(directory: Path) -> dict[str, str]:
    for file in (directory / "data").glob("ledger.sqlite*"):
        file.unlink()
    (directory / "data" / "ledger.sqlite").write_bytes(b"junk" * 4096)
    return {}


def take_the_folder_away(directory: Path) -> dict[str, str]:
    shutil.rmtree(directory / "data")
    return {}


def put_a_file_where_blobs_belong(directory: Path) -> dict[str, str]:
    shutil.rmtree(directory / "data" / "blobs", ignore_errors=True)
    (directory / "data" / "blobs").write_text("no folder")
    return {}


def name_a_server_that_is_not_there(directory: Path) -> dict[str, str]:
    return {"POSTERITY_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/nothing"}


def misspell_a_setting(directory: Path) -> dict[str, str]:
    return {"POSTERITY_PROT": "8000"}


@pytest.mark.parametrize(
    ("broken", "check", "said"),
    [
        (lose_the_database, "database", "There is no ledger at"),
        (write_junk_over_the_database, "database", "cannot be used"),
        (take_the_folder_away, "folder", "is not there"),
        (put_a_file_where_blobs_belong, "blobs", "cannot be written to"),
        (name_a_server_that_is_not_there, "database", "cannot be used"),
        (misspell_a_setting, "settings", "POSTERITY_PORT is"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_what_is_broken_fails_and_ends_in_what_to_do(
    migrated: dict[str, str], url: str, tmp_path: Path, broken: Callable[[Path], dict[str, str]], check: str, said: str
) -> None:
    environment = {**migrated, **broken(tmp_path)}

    code, found = examined(environment, "--url", url)

    assert code == 1
    assert check in failed(found)
    wrong = next(one for one in found[check] if one["state"] == "fail")
    assert said in wrong["detail"]
    assert wrong["next"]


def test_a_folder_that_is_not_the_services_gets_one_warning_and_stays_empty(url: str, tmp_path: Path) -> None:
    environment = surroundings(tmp_path)
    del environment["POSTERITY_DATA_DIR"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [*POSTERITY, "doctor", "--json", "--url", url]
    root = str(Path(__file__).parents[2])

    done = subprocess.run(
        command, env=environment | {"PYTHONPATH": root}, cwd=elsewhere, capture_output=True, text=True, check=False
    )

    found = [json.loads(line) for line in done.stdout.splitlines()]
    warned = [one for one in found if one["state"] != "ok"]
    assert (done.returncode, [one["state"] for one in warned]) == (0, ["warn"])
    assert "this folder has no ledger" in warned[0]["detail"]
    assert "--remote" in warned[0]["next"]
    assert list(elsewhere.iterdir()) == []


@pytest.fixture
def squatter() -> Iterator[tuple[str, int]]:
    """The URL of a port that something else than a service listens on, and that process."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = process.stdout.readline().split("port ")[1].split()[0]
        yield f"http://127.0.0.1:{port}", process.pid
        process.terminate()


def test_whoever_else_has_the_port_is_named(migrated: dict[str, str], squatter: tuple[str, int]) -> None:
    url, pid = squatter

    code, found = examined(migrated, "--url", url)

    assert code == 1
    assert f"process {pid}" in found["port"][0]["detail"]
    assert "--port" in found["port"][0]["next"]


def test_a_service_that_is_not_there_is_to_be_started_on_a_free_port(migrated: dict[str, str]) -> None:
    code, found = examined(migrated, "--url", NOBODY)

    assert code == 1
    assert "posterity serve" in found["service"][0]["next"]
    assert found["port"][0]["state"] == "ok"


def test_a_free_port_has_no_holder_and_another_machine_no_port_of_ours() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"process {os.getpid()} " in str(holder_of(port))

    assert holder_of(port) is None
    assert (port_of("http://127.0.0.1:81"), port_of("https://localhost"), port_of("http://example.org")) == (
        81,
        443,
        None,
    )


def test_the_key_is_told_with_what_it_allows(tmp_path: Path) -> None:
    environment = surroundings(tmp_path)
    made = [*POSTERITY, "keys", "create", "operator", "--scope", "admin", "--local"]
    subprocess.run([*POSTERITY, "migrate"], env=environment, check=True, capture_output=True)
    operator = subprocess.run(made, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    serve = [*POSTERITY, "serve", "--port", "0", "--workers", "0"]
    with subprocess.Popen(
        serve, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        url = next(line for line in process.stdout if line.startswith("Posterity listens on ")).split()[-1]
        with Client(url, key=operator) as client:
            client.create_model(description("mine"))
            reader = client.create_key("reader", ["predict"]).key
            client.ingest("mine", *rows(10))
        found = {
            name: examined({**environment, "POSTERITY_KEY": key}, "--url", url)[1]
            for name, key in {
                "none": "",
                "wrong": f"posterity_{'x' * 43}",
                "reader": reader,
                "operator": operator,
            }.items()
        }
        process.terminate()

    assert {name: checks["key"][0]["state"] for name, checks in found.items()} == {
        "none": "fail",
        "wrong": "fail",
        "reader": "ok",
        "operator": "ok",
    }
    assert "allows predict" in found["reader"]["key"][0]["detail"]
    assert "allows everything" in found["operator"]["key"][0]["detail"]
    assert "POSTERITY_KEY" in found["none"]["key"][0]["next"]
    assert "updates of 1 models wait (mine)" in found["operator"]["worker"][0]["detail"]


@pytest.mark.parametrize(
    ("installed", "bounds", "fits"),
    [
        ("2.14.1", ">=2.14,<2.16", True),
        ("2.16.0", ">=2.14,<2.16", False),
        ("2.14.0+cpu", ">=2.14", True),
        ("2.1", "==2.1.0", True),
        ("1.9", ">=1.10", False),
        ("1.4.9", "~=1.4.2", True),
        ("1.5.0", "~=1.4.2", False),
        ("3", "!=3", False),
        ("3", "", True),
    ],
)
def test_versions_are_compared_by_their_numbers(installed: str, bounds: str, fits: bool) -> None:
    assert is_within(installed, bounds) == fits


def test_nothing_that_is_needed_is_missing_here() -> None:
    missing, _ = missing_and_misfits("posterity")

    assert missing == []

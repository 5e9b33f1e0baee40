"""`python -m service` as a process: says where it listens, drains on SIGTERM, refuses what it cannot use."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from service.__main__ import main
from store.engine import connect
from store.keys import Keys
from store.kinds import Scope
from store.migrate import upgrade
from store.settings import Settings
from tests.conftest import FakeClock

LISTENS = "Posterity listens on "


def test_the_process_says_where_it_listens_and_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    environment = os.environ | {"POSTERITY_DATA_DIR": str(tmp_path), "POSTERITY_LOG_LEVEL": "info"}
    command = [sys.executable, "-m", "service", "--port", "0", "--workers", "0"]
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(LISTENS + "http://127.0.0.1:")
        ready = httpx.get(line.removeprefix(LISTENS).strip() + "/readyz")
        process.send_signal(signal.SIGTERM)
        rest, log = process.communicate(timeout=60)

    assert ready.status_code == 200
    assert process.returncode == 0, log
    assert rest == ""
    assert f"data_dir = {tmp_path} (POSTERITY_DATA_DIR)" in log
    assert "port = 0 (command line)" in log
    assert "workers = 0 (command line)" in log


ELSEWHERE = "127.1"
"""Leads to this machine, which the service cannot know: it is no loopback address by its name."""


@pytest.mark.parametrize("how", ["never made", "revoked", "expired"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", ELSEWHERE, "192.0.2.1"])  # noqa: S104
def test_an_address_that_others_can_reach_is_refused_as_long_as_no_key_tells_who_may_call(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    clock: FakeClock,
    *,
    host: str,
    how: str,
) -> None:
    monkeypatch.setenv("POSTERITY_DATA_DIR", str(tmp_path))
    if how != "never made":
        keys = keys_in(tmp_path, clock)
        keys.create("last", scopes=[Scope.ADMIN], created_by="test", expires_at=clock.seconds + 1)
        if how == "revoked":
            keys.revoke("last")
        keys.engine.dispose()

    assert main(["--host", host, "--port", "0", "--workers", "0"]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"posterity: host {host} can be reached from other machines, and there is no key")
    assert "`posterity keys create NAME --scope admin --local`" in said.err
    assert "--host 127.0.0.1" in said.err


@pytest.mark.parametrize("names", ["models.example", "localhost,models.example", "*"])
def test_a_name_by_which_others_call_is_refused_as_long_as_no_key_tells_who_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], names: str
) -> None:
    monkeypatch.setenv("POSTERITY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("POSTERITY_HOSTS", names)

    assert main(["--port", "0", "--workers", "0"]) == 2

    said = capsys.readouterr().err
    assert said.startswith(f"posterity: a service named {', '.join(sorted(names.split(',')))} is reached from other")
    assert "unset POSTERITY_HOSTS" in said


def test_with_a_key_it_listens_where_others_can_reach_it_and_stays_closed_when_the_key_is_revoked(
    tmp_path: Path, clock: FakeClock
) -> None:
    keys = keys_in(tmp_path, clock)
    key = keys.create("operator", scopes=[Scope.ADMIN], created_by="test").key
    headers = {"Authorization": f"Bearer {key}"}
    environment = os.environ | {"POSTERITY_DATA_DIR": str(tmp_path), "POSTERITY_LOG_LEVEL": "debug"}
    command = [sys.executable, "-m", "service", "--host", ELSEWHERE, "--port", "0", "--workers", "0"]
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix(LISTENS).strip()
        models = f"{url}/v1/models"
        statuses = [httpx.get(models).status_code, httpx.get(models, headers=headers).status_code]
        keys.revoke("operator")
        statuses += [httpx.get(models).status_code, httpx.get(models, headers=headers).status_code]
        statuses += [httpx.get(f"{url}/readyz").status_code]
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)

    keys.engine.dispose()
    assert statuses == [401, 200, 401, 401, 200]
    assert process.returncode == 0, log
    assert key.removeprefix("posterity_") not in log


def keys_in(folder: Path, clock: FakeClock) -> Keys:
    """The keys of the embedded database of this folder, which is migrated."""
    engine = connect(Settings(data_dir=folder).database)
    upgrade(engine)
    return Keys(engine, clock=clock)


@pytest.mark.parametrize(
    ("variables", "arguments", "words"),
    [
        ({}, ["--port", "x"], "port: "),
        ({"POSTERITY_DATABASE_URL": "garbage"}, [], "database_url: "),
        ({"POSTERITY_DATABASE_URL": "postgresql+nothing://127.0.0.1/x"}, ["--port", "0"], "database_url: "),
        ({"POSTERITY_PROT": "1"}, [], "POSTERITY_PROT is no setting"),
        ({"POSTERITY_DATABASE_URL": "mysql://localhost/x"}, [], "database_url: "),
        (
            {"POSTERITY_DATABASE_URL": "postgresql+psycopg://me:secret@127.0.0.1:1/x"},
            ["--port", "0"],
            "the database cannot be used: ",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_refused_with_the_reason(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    variables: dict[str, str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert main(arguments) == 2

    said = capfd.readouterr()
    assert words in said.err
    assert "secret" not in said.err + said.out


@pytest.mark.parametrize("text", [b"port = [1,\n", b"\xff"])
def test_a_file_of_settings_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, text: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "posterity.toml").write_bytes(text)

    assert main([]) == 2

    said = capsys.readouterr().err
    assert said.startswith("posterity: posterity.toml cannot be read: ")
    assert said.count("\n") == 1


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "service", "--port", port, "--workers", "0"]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"posterity: port {port} of 127.0.0.1 cannot be listened on")
    assert re.search(r"Next: .*`posterity serve --port \d+`\.$", last)
    assert "Traceback" not in ended.stderr


def test_a_data_folder_that_cannot_be_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("POSTERITY_DATA_DIR", str(tmp_path / "file" / "data"))

    assert main([]) == 2

    assert "in_the_way" in capsys.readouterr().err.replace("file", "in_the_way")


def test_a_database_that_a_later_release_has_migrated_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = connect(Settings(data_dir=tmp_path).database)
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    monkeypatch.setenv("POSTERITY_DATA_DIR", str(tmp_path))

    assert main(["--port", "0"]) == 2

    said = capsys.readouterr().err
    assert said.startswith("posterity: The database is at revision 9999")
    assert "is newer than this program" in said

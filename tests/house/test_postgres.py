"""The tests' own PostgreSQL: started from what is there, fresh databases, nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests import postgres
from tests.postgres import URL_VARIABLE, PostgresServer, PostgresUnavailableError, serve, start_postgres

ROOT = Path(__file__).parents[2]
STARTS_A_SERVER = """
from tests.postgres import serve, wheel_binaries
print(serve(wheel_binaries()).cluster.folder, flush=True)
input()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = start_postgres({})
    yield server
    server.stop()


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize("find", [postgres.system_binaries, postgres.wheel_binaries])
def test_a_server_starts_from_the_programs_found_and_leaves_nothing_behind(
    find: Callable[[], Path | None],
) -> None:
    binaries = find()
    if binaries is None:  # A machine without PostgreSQL has the wheel's only; the other case covers it.
        assert find is postgres.system_binaries
        return
    server = serve(binaries)
    assert server.cluster is not None

    answer = query(server.url("postgres"), "SELECT 6 * 7")
    server.stop()

    assert answer == [(42,)]
    assert not server.cluster.folder.exists()
    with pytest.raises(psycopg.OperationalError):
        query(server.url("postgres"), "SELECT 1")


def test_programs_that_only_their_owner_may_reach_start_a_server_too(tmp_path: Path) -> None:
    found = postgres.wheel_binaries()
    assert found is not None
    package = found.parents[1]
    shutil.copytree(found.parent, tmp_path / package.name / "postgres", symlinks=True)
    shutil.copytree(package.with_suffix(".libs"), tmp_path / f"{package.name}.libs")
    tmp_path.chmod(0o700)

    server = serve(tmp_path / package.name / "postgres" / "bin")

    assert query(server.url("postgres"), "SELECT 1") == [(1,)]
    server.stop()


def test_a_new_database_is_empty_and_a_copy_holds_what_its_template_held(server: PostgresServer) -> None:
    template = server.create_database()
    query(template, "CREATE TABLE fact AS SELECT 7 AS value")

    copy, empty = server.create_database(template=template), server.create_database()

    assert query(copy, "SELECT value FROM fact") == [(7,)]
    with pytest.raises(psycopg.errors.UndefinedTable):
        query(empty, "SELECT value FROM fact")


def test_a_dropped_database_is_gone_even_while_someone_is_connected(server: PostgresServer) -> None:
    url = server.create_database()
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

    with psycopg.connect(conninfo, autocommit=True) as connection:
        server.drop_database(url)

        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        query(url, "SELECT 1")


def test_a_restart_drops_connections_and_keeps_what_was_committed(server: PostgresServer) -> None:
    url = server.create_database()
    query(url, "CREATE TABLE fact AS SELECT 7 AS value")
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

    with psycopg.connect(conninfo, autocommit=True) as connection:
        server.restart()

        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert query(url, "SELECT value FROM fact") == [(7,)]


def test_a_named_server_is_used_and_left_running_without_our_databases(server: PostgresServer) -> None:
    named = start_postgres({URL_VARIABLE: server.url("postgres")})
    ours = make_url(named.create_database()).database

    named.stop()

    names = {row[0] for row in query(server.url("postgres"), "SELECT datname FROM pg_database")}
    assert "postgres" in names
    assert ours not in names
    with pytest.raises(PostgresUnavailableError, match=URL_VARIABLE):
        named.restart()


def test_a_server_stops_when_the_process_that_started_it_is_killed() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_SERVER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip())
    assert (folder / "data" / "postmaster.pid").exists()

    owner.send_signal(signal.SIGKILL)
    owner.communicate(timeout=60)  # The server's keeper holds the same standard error until the server is down.

    assert not (folder / "data" / "postmaster.pid").exists()
    shutil.rmtree(folder)


def test_a_machine_without_any_postgresql_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def finds_nothing(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(postgres, "SYSTEM", Path(os.devnull))
    monkeypatch.setattr(postgres, "find_spec", finds_nothing)
    monkeypatch.setenv("PATH", os.devnull)

    with pytest.raises(PostgresUnavailableError, match=f"set {URL_VARIABLE} to the URL of a server"):
        start_postgres({})


def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    binaries = postgres.wheel_binaries()
    assert binaries is not None
    monkeypatch.setattr(postgres, "CONFIGURATION", "max_connections = several\n")

    with pytest.raises(PostgresUnavailableError, match=r'"max_connections".*"several"'):
        serve(binaries)

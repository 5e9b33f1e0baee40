"""`python -m service`: the service and its workers, until SIGTERM or Ctrl+C."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

import uvicorn
from sqlalchemy.exc import ArgumentError, DBAPIError

from service.app import create_app
from service.children import Children
from service.listening import allow_files, config_of
from service.names import is_local, is_loopback
from store import logs
from store.configured import SettingsUnusable, configured
from store.engine import close, connect, sign_of
from store.errors import DatabaseNotCurrent
from store.keys import Keys
from store.migrate import require_current, upgrade
from store.settings import Settings

DRAIN_SECONDS = 25
"""Running requests may take so long to finish; after that, what still computes is answered with 503."""

CUT_SECONDS = 5
"""After that, uvicorn waits so long for the answers to leave, and then drops the connections."""

UNUSABLE = 2
PORT_MAX = 65_535

logger = logging.getLogger("posterity.service")


class UnusableError(Exception):
    """What the process was told cannot be used; the message says what, and why."""


class Server(uvicorn.Server):
    """uvicorn, which says on stdout where it listens, starts the workers once it does, and stops computations."""

    def __init__(
        self, config: uvicorn.Config, children: Children, *, stopping: threading.Event, drain_seconds: float
    ) -> None:
        super().__init__(config)
        self.children = children
        self.stopping = stopping
        self.drain_seconds = drain_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        sys.stdout.write(f"Posterity listens on http://{host}:{port}\n")
        sys.stdout.flush()
        self.children.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A thread cannot be cancelled: the process could not end before a long prediction did.
        timer = asyncio.get_running_loop().call_later(self.drain_seconds, self.stopping.set)
        await super().shutdown(sockets)
        timer.cancel()
        self.stopping.set()  # A second Ctrl+C ends the drain early, and the lifespan's own end is then passed over.


def main(arguments: Sequence[str] | None = None, *, drain_seconds: int = DRAIN_SECONDS) -> int:
    """Serves until told to stop; the exit code: 0 after a drain, 2 when what it was told cannot be used."""
    stated = _stated(arguments)
    try:
        settings = _settings(stated)
        logs.configure(settings)
        for name, value, source in settings.sources():
            logger.info("%s = %s (%s)", name, value, "command line" if name in stated else source)
        _prepare(settings)
        _require_key(settings)
        serve(settings, drain_seconds=drain_seconds)
    except UnusableError as error:
        sys.stderr.write(f"posterity: {error}\n")
        return UNUSABLE
    return 0


def prepare_database(settings: Settings) -> None:
    """The database has the tables of this release; an embedded one is migrated, a PostgreSQL one only looked at.

    Raises:
        DatabaseNotCurrent: somebody has to run `posterity migrate` first.
    """
    engine = connect(settings.database)
    try:
        if settings.is_embedded:
            upgrade(engine)
        else:
            require_current(engine)
    finally:
        close(engine)


def serve(settings: Settings, *, drain_seconds: int = DRAIN_SECONDS) -> None:
    """Answers and keeps the workers running until SIGTERM or SIGINT; running requests are finished first."""
    app = create_app(settings)
    allow_files(settings.connections_max)
    config = config_of(app, settings, graceful_seconds=drain_seconds + CUT_SECONDS)
    children = Children([sys.executable, "-m", "worker", "--child"], count=settings.workers)
    server = Server(config, children, stopping=app.state.house.stopping, drain_seconds=drain_seconds)
    logging.getLogger("uvicorn.error").addFilter(_is_no_cancellation)

    # uvicorn raises the signal again after its drain; this handler makes that, and an early signal, a clean exit.
    def stop(_signal: int, _frame: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        server.run()
    except SystemExit:
        # uvicorn has logged why. Nothing else of it exits: after its start it raises, or returns.
        other = settings.port + 1 if settings.port < PORT_MAX else 0
        raise UnusableError(
            f"port {settings.port} of {settings.host} cannot be listened on; does another service use it? "
            f"Next: stop that, or take another port: `posterity serve --port {other}`."
        ) from None
    finally:
        children.stop()
        app.state.house.close()  # The lifespan does so as well, unless a second Ctrl+C cuts it short.


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """False for the traceback of a request that was cut off, which uvicorn announces in a line of its own."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _stated(arguments: Sequence[str] | None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on, 0 for a free one (default: 8000)")
    parser.add_argument("--workers", help="worker processes to start (default: 1)")
    return {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}


def _settings(stated: dict[str, Any]) -> Settings:
    try:
        return configured(**stated)
    except SettingsUnusable as error:
        raise UnusableError(str(error)) from None


def _prepare(settings: Settings) -> None:
    try:
        prepare_database(settings)
    except DatabaseNotCurrent as error:
        raise UnusableError(str(error)) from None
    except DBAPIError as error:
        raise UnusableError(f"the database cannot be used: {sign_of(error)}") from None
    except (ArgumentError, ImportError) as error:
        raise UnusableError(f"database_url: {error}") from None
    except OSError as error:
        raise UnusableError(f"the data folder cannot be used: {error}") from None


def _require_key(settings: Settings) -> None:
    """Nothing happens where only this machine can call, or a key tells who may.

    Raises:
        UnusableError: the service would be anybody's, or nobody's.
    """
    if is_local(settings):
        return
    engine = connect(settings.database)
    try:
        if Keys(engine).in_force().is_usable():
            return
    except DBAPIError as error:
        raise UnusableError(f"the database cannot be used: {sign_of(error)}") from None
    finally:
        close(engine)
    where, instead = f"host {settings.host} can be reached", "use --host 127.0.0.1"
    if is_loopback(settings.host):
        where, instead = f"a service named {', '.join(sorted(settings.host_names))} is reached", "unset POSTERITY_HOSTS"
    raise UnusableError(
        f"{where} from other machines, and there is no key that tells who may call. Make one here, with the same "
        f"settings, by `posterity keys create NAME --scope admin --local`; or {instead}."
    )


if __name__ == "__main__":
    sys.exit(main())

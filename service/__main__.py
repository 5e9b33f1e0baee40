"""`python -m service`: the service and its workers, until SIGTERM or Ctrl+C."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import uvicorn
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from service.app import create_app
from service.children import Children
from store.engine import connect
from store.errors import DatabaseNotCurrent
from store.migrate import require_current, upgrade
from store.settings import Settings

DRAIN_SECONDS = 30
UNUSABLE = 2

logger = logging.getLogger("posterity.service")


class Server(uvicorn.Server):
    """uvicorn, which says on stdout where it listens and starts the workers once it does."""

    def __init__(self, config: uvicorn.Config, children: Children) -> None:
        super().__init__(config)
        self.children = children

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        sys.stdout.write(f"Posterity listens on http://{host}:{port}\n")
        sys.stdout.flush()
        self.children.start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until told to stop; the exit code: 0 after a drain, 2 when the settings or the database cannot be used."""
    stated = _stated(arguments)
    try:
        settings = Settings(**stated)
    except ValidationError as error:
        return _refuse("; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors(include_url=False)))
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if not (settings.allow_remote or is_loopback(settings.host)):
        return _refuse(
            f"host {settings.host} can be reached from other machines, and callers are not asked who they are. "
            "Set POSTERITY_ALLOW_REMOTE=true to listen there all the same, or use --host 127.0.0.1."
        )
    for name, value, source in settings.sources():
        logger.info("%s = %s (%s)", name, value, "command line" if name in stated else source)
    try:
        prepare_database(settings)
    except DatabaseNotCurrent as error:
        return _refuse(str(error))
    except OperationalError as error:
        return _refuse(f"the database cannot be used: {error.orig}")
    except OSError as error:
        return _refuse(f"the data folder cannot be used: {error}")
    return serve(settings)


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
        engine.dispose()


def serve(settings: Settings) -> int:
    """Answers and keeps the workers running until SIGTERM or SIGINT; running requests are finished first."""
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    children = Children([sys.executable, "-m", "worker", "--child"], count=settings.workers)
    server = Server(config, children)

    # uvicorn raises the signal again after its drain; this handler makes that, and an early signal, a clean exit.
    def stop(_signal: int, _frame: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        server.run()
    finally:
        children.stop()
    return 0


def is_loopback(host: str) -> bool:
    """True when only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _stated(arguments: Sequence[str] | None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on, 0 for a free one (default: 8000)")
    parser.add_argument("--workers", help="worker processes to start (default: 1)")
    return {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}


def _refuse(reason: str) -> int:
    sys.stderr.write(f"posterity: {reason}\n")
    return UNUSABLE


if __name__ == "__main__":
    sys.exit(main())

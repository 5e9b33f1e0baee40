"""`python -m worker`: one worker process, until SIGTERM, SIGINT or (with --child) the end of its standard input."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import NoReturn

import torch
from sqlalchemy.exc import DBAPIError

from bayes.devices import usable
from bayes.errors import DeviceUnusable
from store import logs
from store.blobs import open_blobs
from store.collecting import Collecting
from store.configured import SettingsUnusable, configured
from store.engine import close, connect, sign_of
from store.errors import DatabaseNotCurrent
from store.history import History
from store.leases import Leases
from store.ledger import Ledger
from store.migrate import require_current
from store.retention import Retention
from store.settings import Settings
from store.tracing import open_tracing
from worker.loop import Worker
from worker.meters import Meters, serve
from worker.priority import step_back


def main() -> int:
    parser = argparse.ArgumentParser(prog="posterity worker", description=__doc__)
    parser.add_argument("--child", action="store_true", help="stop when standard input ends: the parent is gone")
    arguments = parser.parse_args()
    settings = configured()
    logs.configure(settings)
    torch.set_num_threads(settings.thread_count)
    step_back(settings.worker_nice)
    stop = threading.Event()
    _stop_on_signals(stop)
    if arguments.child:
        threading.Thread(target=_stop_with_parent, args=(stop,), name="parent", daemon=True).start()
    engine = connect(settings.database)
    require_current(engine)
    blobs = open_blobs(settings)
    device, tracing = usable(settings.device), open_tracing(settings, "worker")
    meters = Meters(device)
    if settings.worker_metrics_port:
        _serve_metrics(meters, settings)
    worker = Worker(
        owner=f"{socket.gethostname()}:{os.getpid()}",
        ledger=Ledger(engine),
        leases=Leases(
            engine,
            lease_seconds=settings.lease_seconds,
            attempts_max=settings.attempts_max,
            retry_seconds=settings.retry_seconds,
        ),
        retention=Retention(engine, Collecting(engine, blobs)),
        history=History(engine),
        blobs=blobs,
        device=device,
        stop=stop,
        meters=meters,
        tracing=tracing,
    )
    logging.getLogger("posterity.worker").info("Worker %s is ready on %s.", worker.owner, worker.device)
    worker.run()
    close(engine)
    tracing.close()
    return 0


def _serve_metrics(meters: Meters, settings: Settings) -> None:
    """Prometheus is answered.

    Raises:
        SettingsUnusable: not where the settings say.
    """
    try:
        serve(meters, settings.worker_metrics_host, settings.worker_metrics_port)
    except OSError as error:
        raise SettingsUnusable(f"worker_metrics_host, worker_metrics_port: {error}") from None


def _stop_on_signals(stop: threading.Event) -> None:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _stop_with_parent(stop: threading.Event) -> None:
    # Not through sys.stdin: its lock, held here, would abort the interpreter when it ends.
    while os.read(sys.stdin.fileno(), 4096):
        continue
    stop.set()


def _leave(status: int) -> NoReturn:
    """The process ends, now: taking torch apart takes a stepped-back process seconds of a busy machine."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    try:
        _leave(main())
    except (DatabaseNotCurrent, DeviceUnusable, SettingsUnusable) as error:
        sys.exit(f"posterity worker: {error}")
    except DBAPIError as error:
        sys.exit(f"posterity worker: the database cannot be used: {sign_of(error)}")

"""Where all models stand, as the ledger has it: the same from every service, and read at most once a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as Late

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from service.telemetry.of_models import families
from store.engine import sign_of
from store.standing import Overview

KEPT_SECONDS = 1.0
"""Whoever asks within this time is told the same, so scrapes cannot load the database."""
PATIENCE_SECONDS = 2.0
"""A scrape waits so long for the ledger; Prometheus gives up after 10 s as it comes."""

logger = logging.getLogger("posterity.service")


def of_ledger(found: tuple[Overview, float] | None) -> Iterator[Metric]:
    """What a look found, and how long it took; None: there is none."""
    up = GaugeMetricFamily(
        "posterity_ledger_up", "Whether the ledger answers in time (1); where it is 0, what it would say is left out."
    )
    up.add_metric([], int(found is not None))
    yield up
    seconds = GaugeMetricFamily("posterity_ledger_read_seconds", "How long the last look at all models took.")
    if found is not None:
        seconds.add_metric([], found[1])
    yield seconds
    yield from families(None if found is None else found[0])


class OfLedger(Collector):
    """Reads by a thread of its own, one at a time: a database that does not answer keeps no scrape."""

    def __init__(
        self,
        read: Callable[[], Overview],
        *,
        kept_seconds: float = KEPT_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._kept_seconds, self._patience_seconds = kept_seconds, patience_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._reading: Future[tuple[Overview, float]] | None = None
        self._read_at = 0.0
        self._is_out = False

    def collect(self) -> Iterator[Metric]:
        yield from of_ledger(self._found())

    def close(self) -> None:
        """Nobody reads any more; what is being read is waited for, for a moment."""
        with self._lock:
            reading = self._reading
        if reading is not None:
            wait([reading], self._patience_seconds)

    def _found(self) -> tuple[Overview, float] | None:
        """The newest look, with how long it took; None: there is none in time."""
        try:
            found = self._look().result(self._patience_seconds)
        except Late:
            self._tell("it does not answer in time")
            return None
        except SQLAlchemyError as error:
            self._tell(sign_of(error))
            return None
        self._is_out = False
        return found

    def _look(self) -> Future[tuple[Overview, float]]:
        with self._lock:
            reading = self._reading
            is_over = reading is None or (reading.done() and self._clock() - self._read_at >= self._kept_seconds)
            if reading is None or is_over:
                self._reading = reading = Future()
                # A daemon: a database that never answers keeps no process.
                threading.Thread(target=self._fill, args=(reading,), name="metrics", daemon=True).start()
            return reading

    def _fill(self, reading: Future[tuple[Overview, float]]) -> None:
        began = self._clock()
        try:
            found = self._read()
        except BaseException as error:  # noqa: BLE001 - Whatever it is: those who wait hear of it.
            self._read_at = self._clock()
            reading.set_exception(error)
            return
        self._read_at = self._clock()
        reading.set_result((found, self._read_at - began))

    def _tell(self, why: str) -> None:
        if not self._is_out:
            logger.warning("metrics do without the ledger: %s", why)
        self._is_out = True

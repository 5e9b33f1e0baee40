"""Keeps a lease while its chunk is absorbed, and stops the work as soon as going on is of no use."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Self

import bayes
from store.engine import DATABASE_DOWN, sign_of
from store.leases import Leases
from store.values import Claim, Progress

log = logging.getLogger("posterity.worker")

RENEWALS_PER_LEASE = 5
BEAT_SECONDS_MAX = 1.0
"""The longest time between two beats, as people watch the progress."""


class Stopping(Exception):  # noqa: N818 - not an error: the worker was told to stop
    """The worker is to stop; its update goes back to the queue."""


class Heartbeat:
    """While entered, renews the claim's lease from a thread of its own, with the newest progress.

    A database that does not answer is asked again at the next beat: the lease may outlive the outage.
    """

    def __init__(self, leases: Leases, claim: Claim, stop: threading.Event) -> None:
        self._leases = leases
        self._claim = claim
        self._stop = stop
        self._newest: Progress | None = None
        self._trouble: Exception | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def progress(self, progress: bayes.Progress) -> None:
        """The progress is told to the ledger at the next beat."""
        self._newest = Progress(step=progress.step, steps=progress.steps, elbo=progress.elbo)

    def check(self) -> None:
        """Going on is of use.

        Raises:
            LeaseLost, HeadMoved: the last beat found that publishing would be refused.
            Stopping: the worker was told to stop.
            Exception: the heart stopped for another reason, and nobody keeps the lease.
        """
        if self._trouble is not None:
            raise self._trouble
        if self._stop.is_set():
            raise Stopping

    def _beat(self) -> None:
        while not self._over.wait(min(BEAT_SECONDS_MAX, self._claim.lease_seconds / RENEWALS_PER_LEASE)):
            try:
                self._leases.renew(self._claim, self._newest)
            except DATABASE_DOWN as error:
                log.warning(
                    "The ledger did not take the heartbeat of update %s: %s", self._claim.update, sign_of(error)
                )
            except Exception as trouble:  # noqa: BLE001 - Whatever it is, the work hears of it.
                self._trouble = trouble
                return

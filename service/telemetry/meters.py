"""What a service counts while it works; each count costs a microsecond or less.

No label has what a client says: a request is counted under the pattern of its call, and what is no call under `other`.
"""

from __future__ import annotations

from typing import Literal, get_args

from prometheus_client import Counter, Histogram

from service.gathering import SHARED_ITEMS_MAX
from service.needs import OTHER, need_of
from store.registry import Registry

METHODS = frozenset({"GET", "POST", "PUT", "DELETE"})
STATUSES = range(100, 600)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
TOGETHER = tuple(2**power for power in range(SHARED_ITEMS_MAX.bit_length()))

Delivered = Literal["taken", "failed", "gone"]


class Meters:
    """The counts of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._requests = Counter(
            "posterity_requests",
            "Requests that were answered, by the pattern of their call; what is no call is other.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "posterity_request_seconds",
            "From the head of a request to the end of its answer.",
            ["method", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._together = Histogram(
            "posterity_predictions_together",
            "How many predictions were computed together.",
            buckets=TOGETHER,
            registry=self.registry,
        )
        self._rows = Histogram(
            "posterity_batch_rows",
            "Rows of the batches that this service has accepted, each batch once.",
            buckets=ROWS,
            registry=self.registry,
        )
        self._deliveries = Counter(
            "posterity_webhook_deliveries",
            "Events that were sent to webhooks: taken, failed (and sent again), or the receiver is gone.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in get_args(Delivered):
            self._deliveries.labels(outcome)
        # To find a series by its labels takes longer than to count in it.
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """A request was answered so, after so long."""
        key = method, need_of(method, path).template, status
        found = self._known.get(key)
        if found is None:
            found = self._series(*key)
            # Few kinds of requests have series; the others share some, and are looked up each time.
            if method in METHODS:
                self._known[key] = found
        requests, latency = found
        requests.inc()
        latency.observe(seconds)

    def computed(self, count: int) -> None:
        """So many predictions were computed together."""
        self._together.observe(count)

    def accepted(self, rows: int) -> None:
        """A batch of so many rows is stored that was not before."""
        self._rows.observe(rows)

    def delivered(self, outcome: Delivered) -> None:
        """An event was sent to a webhook."""
        self._deliveries.labels(outcome).inc()

    def _series(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        method = method if method in METHODS else OTHER
        said = str(status) if status in STATUSES else OTHER
        return self._requests.labels(method, route, said), self._seconds.labels(method, route)

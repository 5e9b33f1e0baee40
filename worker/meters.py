"""What a worker counts, for a Prometheus that asks it; the service tells of what it has published in any case."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from enum import StrEnum

import torch
from prometheus_client import Counter, Gauge, Histogram, Metric, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from store.registry import Registry

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
PORTS_TRIED = 64
"""As many as a service starts workers at most."""

log = logging.getLogger("posterity.worker")


class Outcome(StrEnum):
    """How an attempt ended."""

    PUBLISHED = "published"
    PARKED = "parked"
    GIVEN_BACK = "given-back"
    """Head moved, or the worker stops: the update waits in the queue again."""
    LOST = "lost"
    """The lease was another's by then."""
    FAILED = "failed"
    UNTOLD = "untold"
    """The ledger did not answer: the lease runs out."""


class Meters:
    """The counts of one worker, in a registry of its own."""

    def __init__(self, device: str = "cpu") -> None:
        self.registry = Registry()
        self._attempts = Counter(
            "posterity_worker_attempts",
            "Attempts by how they ended: published, parked, given-back (head moved, or the worker stops), lost (to "
            "another worker), failed, untold (the ledger did not answer).",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in Outcome:
            self._attempts.labels(outcome.value)
        self._seconds = Histogram(
            "posterity_worker_update_seconds",
            "How long attempts took, from the claim to their end.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._steps = Counter("posterity_worker_steps", "Steps of updates that were learned.", registry=self.registry)
        self._pace = Gauge(
            "posterity_worker_steps_per_second", "Steps a second of the update learned last.", registry=self.registry
        )
        self._waiting = Counter(
            "posterity_worker_waiting_seconds", "Time without anything to claim.", registry=self.registry
        )
        self.registry.register(Gpu(device))

    def ended(self, outcome: Outcome, seconds: float) -> None:
        """An attempt ended so, after so long."""
        self._attempts.labels(outcome.value).inc()
        self._seconds.observe(seconds)

    def learned(self, steps: int, seconds: float) -> None:
        """An update took so many steps in this time."""
        self._steps.inc(steps)
        self._pace.set(steps / seconds if seconds else 0.0)

    def waited(self, seconds: float) -> None:
        """There was nothing to claim for so long."""
        self._waiting.inc(seconds)


class Gpu(Collector):
    """The memory of the worker's GPU; without values where it has none."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def collect(self) -> Iterator[Metric]:
        is_there = self._device.type == "cuda"
        texts = {
            "allocated": "GPU memory of this worker's tensors now, where it has a GPU.",
            "peak": "Most GPU memory of this worker's tensors in the newest update, where it has a GPU.",
            "free": "GPU memory that nobody on this machine has taken, where the worker has a GPU.",
        }
        for name, text in texts.items():
            family = GaugeMetricFamily(f"posterity_worker_gpu_{name}_bytes", text)
            if is_there:
                family.add_metric([], self._bytes(name))
            yield family

    def _bytes(self, name: str) -> int:
        if name == "free":
            return torch.cuda.mem_get_info(self._device)[0]
        of = torch.cuda.memory_allocated if name == "allocated" else torch.cuda.max_memory_allocated
        return of(self._device)


def begin_peak(device: str) -> None:
    """The most GPU memory is counted from now."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: str) -> int | None:
    """The most GPU memory of this process's tensors since then; None: the device is no GPU."""
    return torch.cuda.max_memory_allocated(device) if torch.device(device).type == "cuda" else None


def serve(meters: Meters, host: str, port: int) -> int:
    """A thread answers Prometheus at this port, or the next that is free, as other workers may have it; which it is.

    Raises:
        OSError: none of them can be listened on.
    """
    for tried in range(port, min(port + PORTS_TRIED, 65536)):
        try:
            start_http_server(tried, host, meters.registry)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        log.info("Metrics are at http://%s:%s/metrics.", f"[{host}]" if ":" in host else host, tried)
        return tried
    raise OSError(errno.EADDRINUSE, f"no port from {port} on is free for the worker's metrics")

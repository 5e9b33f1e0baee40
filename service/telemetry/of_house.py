"""What waits and what is kept in this service, read when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service.house import House


class OfHouse(Collector):
    """The queues, the versions in memory and the listeners of one service."""

    def __init__(self, house: House) -> None:
        self._house = house

    def collect(self) -> Iterator[Metric]:
        yield self._queues()
        yield from self._loaded()
        listeners = GaugeMetricFamily("posterity_event_listeners", "Connections that listen to events.")
        listeners.add_metric([], self._house.hub.count)
        yield listeners
        bodies = GaugeMetricFamily(
            "posterity_bodies_bytes", "Bytes of requests and answers that count among those of all (bodies_bytes_max)."
        )
        bodies.add_metric([], self._house.bodies.nbytes)
        yield bodies
        yield _gpu()

    def _queues(self) -> Metric:
        house = self._house
        waiting = {
            "predictions": house.predicting.items,
            "batches": house.accepting.items,
            "kept": house.keeping.items,
            "labels": house.labeling.items,
        }
        family = GaugeMetricFamily(
            "posterity_queue_items",
            "What waits that nobody has begun with: predictions, batches, predictions to be kept, labels.",
            labels=["queue"],
        )
        for name, items in waiting.items():
            family.add_metric([name], items)
        return family

    def _loaded(self) -> Iterator[Metric]:
        loaded = self._house.loaded
        gauges = {
            "bytes": ("Memory of the versions that are kept ready to predict.", loaded.nbytes),
            "limit_bytes": ("Most memory of the versions that are kept ready to predict.", loaded.bytes_max),
            "versions": ("Versions that are kept ready to predict, by one method each.", loaded.count),
        }
        for name, (text, value) in gauges.items():
            gauge = GaugeMetricFamily(f"posterity_loaded_{name}", text)
            gauge.add_metric([], value)
            yield gauge
        counters = {
            "hits": ("Versions that were ready when they were asked for.", loaded.hits),
            "misses": ("Versions that had to be made ready, or waited for.", loaded.misses),
            "evictions": ("Versions that made room for others.", loaded.evictions),
        }
        for name, (text, count) in counters.items():
            counter = CounterMetricFamily(f"posterity_loaded_{name}", text)
            counter.add_metric([], count)
            yield counter


def _gpu() -> Metric:
    """To ask how much is allocated makes no context on the GPU, which takes hundreds of megabytes of it."""
    family = GaugeMetricFamily(
        "posterity_gpu_allocated_bytes",
        "GPU memory of this service's tensors, where it has a GPU.",
        labels=["device"],
    )
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            family.add_metric([str(index)], torch.cuda.memory_allocated(index))
    return family

"""What is told at a scrape, of one service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from anyio import CapacityLimiter
from prometheus_client import Metric
from prometheus_client.registry import Collector

from service.house import House
from service.telemetry.of_house import OfHouse
from service.telemetry.of_ledger import OfLedger, of_ledger
from store.overview import overview
from store.registry import table

AT_ONCE = 2

Encode = Callable[[Collector], bytes]


class Scraping(Collector):
    """All of one house: what it has counted, what is in it now, and what the ledger says."""

    def __init__(self, house: House) -> None:
        self.limiter = CapacityLimiter(AT_ONCE)
        self._counted = house.meters.registry
        self._counted.register(OfHouse(house))
        self._of_ledger = OfLedger(partial(overview, house.engine, limit=house.settings.metrics_models_max))

    def collect(self) -> Iterator[Metric]:
        yield from self._counted.collect()
        yield from self._of_ledger.collect()

    def table(self) -> str:
        """What there may be, as a table in Markdown; the ledger is not asked."""
        return table(self._counted, of_ledger(None))

    def close(self) -> None:
        """The ledger is asked no more."""
        self._of_ledger.close()

    def text(self, encode: Encode, *, is_of_models: bool) -> bytes:
        """All of it; of the models nothing, where they are nobody's business, as if the ledger did not answer."""
        return encode(self if is_of_models else _WithoutLedger(self._counted))


class _WithoutLedger(Collector):
    def __init__(self, counted: Collector) -> None:
        self._counted = counted

    def collect(self) -> Iterator[Metric]:
        yield from self._counted.collect()
        yield from of_ledger(None)

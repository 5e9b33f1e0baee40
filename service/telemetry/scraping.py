"""What is told at a scrape, of one service."""

from __future__ import annotations

from functools import partial

from anyio import CapacityLimiter

from service.house import House
from service.telemetry.of_house import OfHouse
from service.telemetry.of_ledger import OfLedger
from store.overview import overview

AT_ONCE = 2


class Scraping:
    """The registry of one house: what it has counted, what is in it now, and what the ledger says."""

    def __init__(self, house: House) -> None:
        self.registry = house.meters.registry
        self.limiter = CapacityLimiter(AT_ONCE)
        self._of_ledger = OfLedger(partial(overview, house.engine, limit=house.settings.metrics_models_max))
        self.registry.register(OfHouse(house))
        self.registry.register(self._of_ledger)

    def close(self) -> None:
        """The ledger is asked no more."""
        self._of_ledger.close()

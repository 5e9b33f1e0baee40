"""What every endpoint works with: the ledger, the blobs and the versions in memory. Nothing else has state."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass

from sqlalchemy import Engine

from service.loaded import Loaded
from service.rejected import Unavailable
from store.aliases import Aliases
from store.blobs import Blobs
from store.engine import connect
from store.history import History
from store.ledger import Ledger
from store.settings import Settings

logger = logging.getLogger("posterity.service")


@dataclass(frozen=True)
class House:
    settings: Settings
    engine: Engine
    ledger: Ledger
    aliases: Aliases
    history: History
    blobs: Blobs
    loaded: Loaded
    computing: threading.BoundedSemaphore
    """Held while predicting: as many at once as there are cores, so that the memory for draws has a bound."""
    stopping: threading.Event
    """Set once the service no longer waits for what it computes; see `must_go_on`."""

    def must_go_on(self) -> None:
        """Nothing happens as long as the service runs; long computations ask again and again.

        Raises:
            Unavailable: the service is stopping, and its process cannot end before this thread does.
        """
        if self.stopping.is_set():
            raise Unavailable(reason="The service is stopping")

    def keep(self, data: bytes) -> str:
        """The bytes are in the store; returns their digest.

        Raises:
            Unavailable: the store cannot be written to.
        """
        try:
            return self.blobs.put(data)
        except OSError as error:
            logger.error("the blobs cannot be written: %s", error)
            raise Unavailable(reason="The store of the blobs cannot be written to") from None


def open_house(settings: Settings) -> House:
    """Everything is connected; the database is asked nothing yet."""
    engine = connect(settings.database)
    blobs = Blobs(settings.blobs)
    return House(
        settings=settings,
        engine=engine,
        ledger=Ledger(engine),
        aliases=Aliases(engine),
        history=History(engine),
        blobs=blobs,
        loaded=Loaded(blobs, bytes_max=settings.loaded_bytes_max),
        computing=threading.BoundedSemaphore(os.cpu_count() or 1),
        stopping=threading.Event(),
    )

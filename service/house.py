"""What every endpoint works with: the ledger, the blobs and the versions in memory. Nothing else has state."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from anyio import CapacityLimiter
from sqlalchemy import Engine

from service.accepting import Accepting
from service.answers import Answered
from service.at_once import AtOnce
from service.bodies_at_once import Bodies
from service.computing import Asked, Computing, Question
from service.delivering import LEASE_SECONDS, Delivering
from service.gathering import counted
from service.hub import Hub
from service.keeping import keep_all
from service.kept import Keeping
from service.known import KnownModels
from service.known_keys import KnownKeys
from service.labeling import Labeling
from service.loaded import Loaded
from service.preload import Preloading
from service.receivers import Receivers
from service.rejected import Unavailable
from service.running_scores import RunningScores
from service.telemetry.meters import Meters
from store.aliases import Aliases
from store.blobs import Blobs, open_blobs
from store.collecting import Collecting
from store.deliveries import Deliveries
from store.dividing import Dividing
from store.engine import close, connect
from store.events import Events
from store.exporting import Exporting
from store.forgetting import Forgetting
from store.history import History
from store.importing import Importing
from store.kept_predictions import KeptPredictions
from store.key_ring import KeyRing
from store.keys import Keys
from store.ledger import Ledger
from store.parking import Parking
from store.resolving import Resolver
from store.retention import Retention
from store.scoring import Scoring
from store.settings import Settings
from store.tracing import Tracing, open_tracing
from store.webhooks import Webhooks

READERS = 2
"""Bodies that are read at once; more would only take the interpreter from each other."""


@dataclass(frozen=True)
class House:
    settings: Settings
    engine: Engine
    ledger: Ledger
    aliases: Aliases
    history: History
    exporting: Exporting
    importing: Importing
    blobs: Blobs
    loaded: Loaded
    known: KnownModels
    resolver: Resolver
    keys: Keys
    known_keys: KnownKeys
    accepting: Accepting
    predicting: AtOnce[Question, Asked, Answered]
    kept: KeptPredictions
    keeping: Keeping
    labeling: Labeling
    preloading: Preloading
    events: Events
    hub: Hub
    webhooks: Webhooks
    receivers: Receivers
    delivering: Delivering
    collecting: Collecting
    retention: Retention
    parking: Parking
    forgetting: Forgetting
    dividing: Dividing
    scoring: Scoring
    running_scores: RunningScores
    bodies: Bodies
    meters: Meters
    tracing: Tracing
    reading: CapacityLimiter
    """Held while a large body is read: its arrays take several times its bytes."""
    computing: threading.BoundedSemaphore
    """Held while a root is made and kept, or a head divided: as many at once as there are cores."""
    comparing: CapacityLimiter
    """Held while the predictions of two versions are compared."""
    stopping: threading.Event
    """Set once the service no longer waits for what it computes; see `must_go_on`."""

    def close(self) -> None:
        """Whoever waits is refused, and no thread is left; nothing is connected any more."""
        self.stopping.set()
        self.accepting.close()
        self.predicting.close()
        self.keeping.close()
        self.labeling.close()
        self.preloading.close()
        self.hub.close()
        self.delivering.close()
        self.loaded.close()
        self.resolver.close()
        self.known_keys.close()
        close(self.engine)
        self.tracing.close()

    def must_go_on(self) -> None:
        """Nothing happens as long as the service runs; long computations ask again and again.

        Raises:
            Unavailable: the service is stopping, and its process cannot end before this thread does.
        """
        must_go_on(self.stopping)

    def keep(self, data: bytes) -> str:
        """The bytes are in the store; returns their digest.

        Raises:
            Unavailable: the store cannot be written to.
        """
        return keep_all(self.blobs, [data])[0]


def must_go_on(stopping: threading.Event) -> None:
    if stopping.is_set():
        raise Unavailable(reason="The service is stopping")


def open_house(settings: Settings) -> House:
    """Everything is connected; the database is asked nothing yet."""
    engine = connect(settings.database)
    blobs, history, cores, stopping = open_blobs(settings), History(engine), os.cpu_count() or 1, threading.Event()
    meters = Meters()
    loaded, resolver = Loaded(blobs, bytes_max=settings.loaded_bytes_max), Resolver(engine)
    preloading = Preloading(engine, resolver, loaded)
    computing = Computing(resolver, loaded, must_go_on=lambda: must_go_on(stopping), remember=preloading.remember)
    predicting = AtOnce(
        counted(computing.answer, meters.computed),
        is_ready=computing.is_ready,
        kind=lambda question: (question.known, question.chosen),
        threads=max(2, cores),
        items_max=settings.queue_max,
        bytes_max=settings.queue_bytes_max,
    )
    collecting, kept = Collecting(engine, blobs), KeptPredictions(engine)
    ledger, keys, most = (
        Ledger(engine),
        Keys(engine),
        {"items_max": settings.queue_max, "bytes_max": settings.queue_bytes_max},
    )
    scoring = Scoring(engine)
    events, known_keys, receivers = Events(engine), KnownKeys(KeyRing(keys)), Receivers(settings)
    return House(
        settings=settings,
        engine=engine,
        ledger=ledger,
        aliases=Aliases(engine),
        history=history,
        exporting=Exporting(engine),
        importing=Importing(engine),
        blobs=blobs,
        loaded=loaded,
        known=KnownModels(history),
        keys=keys,
        known_keys=known_keys,
        resolver=resolver,
        accepting=Accepting(blobs, ledger, history, collecting, **most),
        predicting=predicting,
        kept=kept,
        keeping=Keeping(kept, **most),
        labeling=Labeling(blobs, ledger, collecting, body_bytes_max=settings.body_bytes_max, **most),
        preloading=preloading,
        events=events,
        hub=Hub(engine, events, known_keys, listeners_max=settings.listeners_max),
        webhooks=Webhooks(engine),
        receivers=receivers,
        delivering=Delivering(Deliveries(engine, lease_seconds=LEASE_SECONDS), receivers, meters=meters),
        collecting=collecting,
        retention=Retention(engine, collecting),
        parking=Parking(engine),
        forgetting=Forgetting(engine),
        dividing=Dividing(engine),
        scoring=scoring,
        running_scores=RunningScores(scoring, history),
        bodies=Bodies(settings.bodies_bytes_max),
        meters=meters,
        tracing=open_tracing(settings, "service"),
        reading=CapacityLimiter(READERS),
        comparing=CapacityLimiter(cores),
        computing=threading.BoundedSemaphore(cores),
        stopping=stopping,
    )

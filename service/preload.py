"""Heads that moved are made ready before anybody asks: the first prediction after an update is as quick as the next."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from sqlalchemy import Engine

from service.computing import Question
from service.loaded import Loaded
from store.engine import DATABASE_DOWN, sign_of
from store.resolving import Resolver
from store.waker import Waker, waker_for

REMEMBERED_MAX, OF_AN_ALIAS_MAX = 64, 4
LOOK_SECONDS = 1.0
"""How long nothing is looked at when nobody says that the ledger changed."""
STOP_SECONDS = 0.1
"""How long a stop may wait for this thread."""

logger = logging.getLogger("posterity.service")


class Preloading:
    """A thread that keeps ready what the questions asked last would need now. Safe for many threads at once."""

    def __init__(
        self, engine: Engine, resolver: Resolver, loaded: Loaded, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._resolver = resolver
        self._loaded = loaded
        self._clock = clock
        self._asked: OrderedDict[Question, str | None] = OrderedDict()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._is_out = False
        self._thread = threading.Thread(target=self._run, name="preload", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def remember(self, question: Question) -> None:
        """The version that an alias points at is kept ready for such questions; a version by its number is not."""
        if question.version is not None or question.in_turn:
            return
        with self._lock:
            is_new = question not in self._asked
            self._asked.setdefault(question, None)
            self._asked.move_to_end(question)
            if is_new:
                self._forget(question)

    def _forget(self, new: Question) -> None:
        """What was asked longest ago makes room, first what was asked of the same alias."""
        alike = [known for known in self._asked if (known.name, known.alias) == (new.name, new.alias)]
        if len(alike) > OF_AN_ALIAS_MAX:
            del self._asked[alike[0]]
        elif len(self._asked) > REMEMBERED_MAX:
            self._asked.popitem(last=False)

    def close(self) -> None:
        """The thread ends; it is waited for, where it was started."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def look(self) -> None:
        """Where an alias moved since the last look, what it points at now is ready.

        What has not moved is left alone: where all of it does not fit in memory together, each would drive out others.
        """
        with self._lock:
            asked = list(self._asked.items())
        for question, seen in reversed(asked):
            if self._stopping.is_set():
                return
            try:
                digest = self._resolver.resolve(question.name, alias=question.alias).digest
                if digest == seen:
                    continue
                self._saw(question, digest)
                self._loaded.ready(digest, question.chosen)
            except DATABASE_DOWN:
                raise
            except Exception as error:  # noqa: BLE001 - Nobody asked for it now; whoever does will be told.
                logger.info("%s of %s is not made ready: %s", question.alias, question.name, error)

    def _saw(self, question: Question, digest: str) -> None:
        with self._lock:
            if question in self._asked:
                self._asked[question] = digest

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with waker_for(self._engine) as waker:
                    self._watch(waker)
            except DATABASE_DOWN as error:
                if not self._is_out:
                    logger.warning("heads that move are not made ready until the database answers: %s", sign_of(error))
                self._is_out = True
                self._stopping.wait(LOOK_SECONDS)
            except Exception as error:  # Whatever it was: nobody would start this thread anew.
                logger.error("heads that move are not made ready; trying again in %s s", LOOK_SECONDS, exc_info=error)
                self._stopping.wait(LOOK_SECONDS)

    def _watch(self, waker: Waker) -> None:
        looked = self._clock()
        while not self._stopping.is_set():
            if waker.wait(STOP_SECONDS) or self._clock() - looked > LOOK_SECONDS:
                looked = self._clock()
                self.look()
                self._is_out = False

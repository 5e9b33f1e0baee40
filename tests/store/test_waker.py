"""A sleeping worker hears of new work, and sleeps its time out where there is none."""

from __future__ import annotations

import threading
import time

from sqlalchemy import Engine

from store.ledger import Ledger
from store.waker import waker_for
from tests.store.given import a_model, accept

LONG_SECONDS = 60.0


def test_a_closed_chunk_wakes_a_worker_long_before_its_time_is_out(engine: Engine, ledger: Ledger) -> None:
    a_model(ledger)
    accept(ledger, "a")
    awake = threading.Event()

    with waker_for(engine) as waker:
        waker.wait(0.0)

        def sleep() -> None:
            waker.wait(LONG_SECONDS)
            awake.set()

        sleeper = threading.Thread(target=sleep)
        sleeper.start()
        ledger.close("digits")

        assert awake.wait(LONG_SECONDS / 2)
        sleeper.join()


def test_a_change_before_the_sleep_is_not_missed(engine: Engine, ledger: Ledger) -> None:
    a_model(ledger)
    accept(ledger, "a")

    with waker_for(engine) as waker:
        waker.wait(0.0)
        ledger.close("digits")
        began = time.monotonic()
        waker.wait(LONG_SECONDS)

        assert time.monotonic() - began < LONG_SECONDS / 2


def test_where_nothing_happens_a_worker_sleeps_its_time_out(engine: Engine) -> None:
    with waker_for(engine) as waker:
        waker.wait(0.0)
        began = time.monotonic()
        waker.wait(0.1)

        assert time.monotonic() - began >= 0.1

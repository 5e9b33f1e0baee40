"""Sends to webhooks what is owed to them, in a thread with an event loop of its own: nothing here delays a request.

It looks once a second, and when a place is free again. One receiver that hangs delays nobody else, many that hang
delay only their own model's, and each is asked again ever later.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import TypeVar

import httpx

from service.places import AT_ONCE, OWN, Loop, Place, Places
from service.receivers import Receivers
from service.signing import headers, message, message_id
from service.telemetry.meters import Meters
from store.deliveries import Deliveries, Delivery
from store.engine import DATABASE_DOWN, sign_of
from store.events import EventRow

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 10.0
"""A receiver has so long for its answer, all in all: until its name is looked up, too."""
TURN_SECONDS = 1.0
"""After so long the webhooks that waited longer have their turn, before the next event is sent to this one."""
LEASE_SECONDS = 60.0
"""Well beyond an answer and what the database takes: whoever was not heard of for so long is dead."""
RETRY_SECONDS, RETRY_SECONDS_MAX = 5.0, 3 * 3600.0
"""The pause after a failure, which doubles with each, up to the most."""
JITTER = 0.2
LEDGER_THREADS = 8
"""So many ask the ledger at once, and do nothing else: no receiver holds one of them."""
STOP_SECONDS = 2.0
"""A stop waits so long for answers that are on their way."""
ANSWER_BYTES_MAX = 2**10
"""An answer with a body up to this leaves the connection to the next event; nothing in it is looked at."""
GONE = 410

Answer = TypeVar("Answer")

logger = logging.getLogger("posterity.service")


class FailedError(Exception):
    """The receiver did not take the event; the text says why, without its address."""


class Delivering:
    """The thread."""

    def __init__(
        self,
        deliveries: Deliveries,
        receivers: Receivers,
        *,
        random: Random | None = None,
        meters: Meters | None = None,
    ) -> None:
        self._deliveries, self._receivers = deliveries, receivers
        self._meters = meters or Meters()
        self._random = random or Random()  # noqa: S311 - It spreads the retries of many.
        self._stopping = threading.Event()
        self._is_out = False
        self._asking = ThreadPoolExecutor(LEDGER_THREADS, thread_name_prefix="webhooks-ledger")
        self._wake: Callable[[], object] = int  # Nobody sleeps before the thread runs.
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """The thread ends; it is waited for, where it was started."""
        self._stopping.set()
        with suppress(RuntimeError):  # The thread has ended, and its loop is closed.
            self._wake()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        with self._asking, asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(self._deliver_all())

    async def _deliver_all(self) -> None:
        woken, sending = asyncio.Event(), set[asyncio.Task[None]]()
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, woken.set)
        places = Places(woken.set)
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, follow_redirects=False, limits=limits) as http:
            while not self._stopping.is_set():
                woken.clear()
                claimed = None if places.is_full else await self._claim(places)
                if claimed is None:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), LOOK_SECONDS)
                    continue
                task = asyncio.create_task(self._deliver(http, claimed, places.take(claimed)))
                sending.add(task)
                task.add_done_callback(sending.discard)
            if sending:
                _, late = await asyncio.wait(sending, timeout=STOP_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)

    async def _ask(self, call: Callable[..., Answer], *values: object, **named: object) -> Answer:
        """What the ledger answers."""
        return await asyncio.get_running_loop().run_in_executor(self._asking, partial(call, *values, **named))

    async def _claim(self, places: Places) -> Delivery | None:
        """What is to be sent now; none as well while the database does not answer."""
        try:
            claimed = await self._ask(self._deliveries.claim, but=places.full())
        except Exception as error:  # noqa: BLE001 - Whatever it was: nobody would start this thread anew.
            self._tell_outage(error)
            return None
        self._is_out = False
        return claimed

    async def _deliver(self, http: httpx.AsyncClient, delivery: Delivery, place: Place) -> None:
        """One event after the other is with the receiver, until there is no more, it fails, or its turn is over."""
        OWN.set(place)
        ends = time.monotonic() + TURN_SECONDS
        try:
            while not self._stopping.is_set():
                event = await self._ask(self._deliveries.next, delivery)
                if event is None:
                    break
                if not await self._sent(http, delivery, event):
                    return
                delivery = replace(delivery, failures=0)
                if time.monotonic() >= ends:
                    break
            await self._ask(self._deliveries.release, delivery)
        except asyncio.CancelledError:
            # The answer was not waited for: the event comes once more.
            await self._ask(self._deliveries.release, delivery)
            raise
        except Exception as error:  # noqa: BLE001 - The lease runs out, and somebody takes it up.
            self._tell_outage(error)
        finally:
            place.let_go()

    async def _sent(self, http: httpx.AsyncClient, delivery: Delivery, event: EventRow) -> bool:
        """True where the receiver has taken the event and may be sent the next one."""
        try:
            status = await self._post(http, delivery, event)
        except FailedError as failure:
            self._meters.delivered("failed")
            pause = self.pause_seconds(delivery.failures)
            said = (delivery.webhook, delivery.model, failure, pause)
            logger.warning("webhook %s of model %s failed: %s; again in %.0f s", *said)
            await self._ask(self._deliveries.failed, delivery, str(failure), pause_seconds=pause)
            return False
        self._meters.delivered("gone" if status == GONE else "taken")
        if status == GONE:
            logger.warning("webhook %s of model %s is removed: its receiver is gone", delivery.webhook, delivery.model)
            await self._ask(self._deliveries.gone, delivery)
            return False
        return await self._ask(self._deliveries.took, delivery, event.number)

    async def _post(self, http: httpx.AsyncClient, delivery: Delivery, event: EventRow) -> int:
        """The status of the receiver's answer: a success, or 410.

        Raises:
            FailedError: there was none, or another.
        """
        if (reason := self._receivers.obstacle(delivery.url)) is not None:
            raise FailedError(reason)
        body = message(delivery, event)
        signed = headers(delivery.secret, body, message_id=message_id(delivery, event), now=time.time())
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                http.stream("POST", delivery.url, content=body, headers=signed) as answer,
            ):
                if int(answer.headers.get("Content-Length", ANSWER_BYTES_MAX + 1)) <= ANSWER_BYTES_MAX:
                    async for _ in answer.aiter_raw():
                        pass
        except (TimeoutError, httpx.TimeoutException):
            raise FailedError(f"no answer within {ANSWER_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            raise FailedError(f"no answer: {type(error).__name__}") from None
        if answer.is_success or answer.status_code == GONE:
            return answer.status_code
        redirected = ", and redirects are not followed" if answer.is_redirect else ""
        raise FailedError(f"answered {answer.status_code}{redirected}")

    def pause_seconds(self, failures: int) -> float:
        """The pause after one more failure than these: twice the one before, and a little more or less."""
        plain: float = min(RETRY_SECONDS * 2.0 ** min(failures, 30), RETRY_SECONDS_MAX)
        return plain * self._random.uniform(1 - JITTER, 1 + JITTER)

    def _tell_outage(self, error: Exception) -> None:
        if not self._is_out and not self._stopping.is_set():
            if isinstance(error, DATABASE_DOWN):
                logger.warning("webhooks are told nothing until the database answers: %s", sign_of(error))
            else:
                logger.error("webhooks are told nothing; trying again in %s s", LOOK_SECONDS, exc_info=error)
        self._is_out = True

"""Sends to webhooks what is owed to them, in a thread with an event loop of its own: nothing here delays a request.

It looks once a second. One receiver that hangs delays nobody else, and is asked again ever later.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import replace
from random import Random

import httpx

from service.receivers import Receivers
from service.signing import headers, message, message_id
from store.deliveries import Deliveries, Delivery
from store.engine import DATABASE_DOWN, sign_of
from store.events import EventRow

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 10.0
"""A receiver has so long for its answer, all in all."""
LEASE_SECONDS = 60.0
"""Well beyond an answer and what the database takes: whoever was not heard of for so long is dead."""
RETRY_SECONDS, RETRY_SECONDS_MAX = 5.0, 3 * 3600.0
"""The pause after a failure, which doubles with each, up to the most."""
JITTER = 0.2
AT_ONCE = 16
STOP_SECONDS = 2.0
"""A stop waits so long for answers that are on their way."""
ANSWER_BYTES_MAX = 2**10
"""An answer with a body up to this leaves the connection to the next event; nothing in it is looked at."""
GONE = 410

logger = logging.getLogger("posterity.service")


class FailedError(Exception):
    """The receiver did not take the event; the text says why, without its address."""


class Delivering:
    """The thread."""

    def __init__(self, deliveries: Deliveries, receivers: Receivers, *, random: Random | None = None) -> None:
        self._deliveries, self._receivers = deliveries, receivers
        self._random = random or Random()  # noqa: S311 - It spreads the retries of many.
        self._stopping = threading.Event()
        self._is_out = False
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """The thread ends; it is waited for, where it was started."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._deliver_all())

    async def _deliver_all(self) -> None:
        sending: set[asyncio.Task[None]] = set()
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, follow_redirects=False, limits=limits) as http:
            while not self._stopping.is_set():
                claimed = await self._claim() if len(sending) < AT_ONCE else None
                if claimed is None:
                    await asyncio.to_thread(self._stopping.wait, LOOK_SECONDS)
                    continue
                task = asyncio.create_task(self._deliver(http, claimed))
                sending.add(task)
                task.add_done_callback(sending.discard)
            if sending:
                _, late = await asyncio.wait(sending, timeout=STOP_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)

    async def _claim(self) -> Delivery | None:
        """What is to be sent now; none as well while the database does not answer."""
        try:
            claimed = await asyncio.to_thread(self._deliveries.claim)
        except Exception as error:  # noqa: BLE001 - Whatever it was: nobody would start this thread anew.
            self._tell_outage(error)
            return None
        self._is_out = False
        return claimed

    async def _deliver(self, http: httpx.AsyncClient, delivery: Delivery) -> None:
        """One event after the other is with the receiver, until there is no more, or it fails."""
        try:
            while not self._stopping.is_set():
                event = await asyncio.to_thread(self._deliveries.next, delivery)
                if event is None:
                    break
                if not await self._sent(http, delivery, event):
                    return
                delivery = replace(delivery, failures=0)
            await asyncio.to_thread(self._deliveries.release, delivery)
        except asyncio.CancelledError:
            self._deliveries.release(delivery)  # The answer was not waited for: the event comes once more.
            raise
        except Exception as error:  # noqa: BLE001 - The lease runs out, and somebody takes it up.
            self._tell_outage(error)

    async def _sent(self, http: httpx.AsyncClient, delivery: Delivery, event: EventRow) -> bool:
        """True where the receiver has taken the event and may be sent the next one."""
        try:
            status = await self._post(http, delivery, event)
        except FailedError as failure:
            pause = self.pause_seconds(delivery.failures)
            said = (delivery.webhook, delivery.model, failure, pause)
            logger.warning("webhook %s of model %s failed: %s; again in %.0f s", *said)
            await asyncio.to_thread(self._deliveries.failed, delivery, str(failure), pause_seconds=pause)
            return False
        if status == GONE:
            logger.warning("webhook %s of model %s is removed: its receiver is gone", delivery.webhook, delivery.model)
            await asyncio.to_thread(self._deliveries.gone, delivery)
            return False
        return await asyncio.to_thread(self._deliveries.took, delivery, event.number)

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

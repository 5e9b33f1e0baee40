"""The worker's life: close what is due, claim, absorb, publish, and wait for the next change of the ledger."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from sqlalchemy.exc import SQLAlchemyError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from bayes import BayesError
from store.blobs import Blobs
from store.engine import DATABASE_DOWN, sign_of
from store.errors import BlobBuried, HeadMoved, LeaseLost, Problem
from store.history import History
from store.kept_predictions import KeptPredictions
from store.leases import Leases
from store.ledger import Ledger
from store.publishing import Result
from store.retention import Retention
from store.tracing import OFF, Facts, Tracing, past_span, span
from store.values import Claim, Scored
from store.waker import Waker, waker_for
from worker.absorb import learn
from worker.gate import judge
from worker.heartbeat import Heartbeat, Stopping
from worker.meters import Meters, Outcome
from worker.reading import Reading, score_before_learning
from worker.surprise import PARKED, to_park, weigh

log = logging.getLogger("posterity.worker")

LOOK_SECONDS = 1.0
"""How long an idle worker sleeps when nothing wakes it: chunks grow old and leases run out without a word."""
OUTAGE_SECONDS = 2.0
RETENTION_SECONDS = 10.0
"""How often rows are looked for that have grown too old; those that were just learned from go at once."""


@dataclass(frozen=True)
class Worker:
    """Everything one worker process works with; `stop` ends it."""

    owner: str
    ledger: Ledger
    leases: Leases
    retention: Retention
    history: History
    blobs: Blobs
    device: str
    stop: threading.Event
    meters: Meters = field(default_factory=Meters)
    tracing: Tracing = OFF

    def run(self) -> None:
        """Absorbs whatever can be claimed until `stop` is set; outlives whatever happens to the database meanwhile."""
        while not self.stop.is_set():
            try:
                with waker_for(self.leases.reading) as waker:
                    self._work(waker)
            except DATABASE_DOWN as error:
                log.warning("The ledger does not answer; trying again in %s s: %s", OUTAGE_SECONDS, sign_of(error))
                self.stop.wait(OUTAGE_SECONDS)
            except SQLAlchemyError as error:
                # A file that was replaced, tables that are being restored: it may pass, and nothing was done.
                log.error("The ledger cannot be used; trying again in %s s", OUTAGE_SECONDS, exc_info=error)
                self.stop.wait(OUTAGE_SECONDS)

    def _work(self, waker: Waker) -> None:
        retention_due = 0.0
        while not self.stop.is_set():
            for model, chunk in self.ledger.close_due():
                log.info("Closed chunk %s of model %s: its oldest row reached the age limit.", chunk, model)
            if time.monotonic() >= retention_due:
                self._apply_retention()
                retention_due = time.monotonic() + RETENTION_SECONDS
            began = time.time_ns()
            claim = self.leases.claim(self.owner)
            if claim is None:
                waiting_since = time.perf_counter()
                waker.wait(LOOK_SECONDS)
                self.meters.waited(time.perf_counter() - waiting_since)
            else:
                self.take(claim, began=began)
                retention_due = 0.0

    def take(self, claim: Claim, *, began: int | None = None) -> None:
        """The claim is published, given back, failed, or lost to another; in each case the ledger says so.

        `began`: when it was asked for, in nanoseconds since 1970.
        """
        started, outcome = time.perf_counter(), Outcome.UNTOLD
        facts: Facts = {
            "posterity.model": claim.model,
            "posterity.update": claim.update,
            "posterity.attempt": claim.attempt,
        }
        asked = time.time_ns() if began is None else began
        with self.tracing.work("update", causes=claim.traceparents, began=asked, facts=facts) as work:
            past_span("claim", began=asked)
            try:
                outcome = self._take(claim, started)
            finally:
                work.set_attribute("posterity.outcome", outcome.value)
                self.meters.ended(outcome, time.perf_counter() - started)

    def _take(self, claim: Claim, started: float) -> Outcome:
        name = f"update {claim.update} of model {claim.model} (attempt {claim.attempt})"

        def said(**also: object) -> dict[str, object]:
            """What a line of the log has beside its words."""
            seconds = round(time.perf_counter() - started, 3)
            return {"model": claim.model, "update": claim.update, "attempt": claim.attempt, "seconds": seconds} | also

        log.info("Absorbing: %s, %s rows into version %s.", name, claim.chunk.rows, claim.prior, extra=said())
        try:
            with Heartbeat(self.leases, claim, self.stop) as heartbeat:
                reading = score_before_learning(claim, self.blobs, device=self.device, check=heartbeat.check)
                scored = weigh(claim, reading, self.history)
                surprising = to_park(claim, scored)
                result = None if surprising else self._learn(claim, reading, scored, heartbeat)
            if result is None:
                self.leases.park(claim, surprising, reason=PARKED)
                words = ("Parked %s batches of %s: they surprise version %s.", len(surprising), name, claim.prior)
                log.info(*words, extra=said(batches=[one.batch for one in surprising]))
                return Outcome.PARKED
            version = self._publish(claim, *result)
            log.info("Published: %s is version %s.", name, version, extra=said(version=version))
        except LeaseLost as lost:
            log.warning("Dropped: %s", lost, extra=said())
            return Outcome.LOST
        except (HeadMoved, Stopping) as reason:
            log.info("Given back: %s: %s", name, str(reason) or "the worker stops", extra=said())
            self._release(claim)
            return Outcome.GIVEN_BACK
        except DATABASE_DOWN:
            # The ledger does not answer: nothing can be said to it. The lease runs out, and another attempt follows.
            raise
        except Exception as error:  # Whatever it was: the update must say so, and others must go on.
            log.warning("Failed: %s", name, exc_info=error, extra=said())
            return self._fail(claim, error)
        return Outcome.PUBLISHED

    def _learn(
        self, claim: Claim, reading: Reading, scored: Sequence[Scored], heartbeat: Heartbeat
    ) -> tuple[bytes, Result]:
        """The bytes of the posterior, and what is to be published of it."""
        missing = self.history.missing_labels(claim.model, version=claim.prior, batches=claim.batches)
        with span("absorb", {"posterity.rows": claim.rows}) as absorbing:
            absorbed = learn(
                claim,
                reading,
                self.blobs,
                device=self.device,
                missing_labels=missing,
                progress=heartbeat.progress,
                check=heartbeat.check,
            )
            report = absorbed.report
            facts = {"steps": report["steps"], "elbo": report["elbo"]["elbo"], "kl_nats": absorbed.kl_nats}
            absorbing.set_attributes({f"posterity.{name}": fact for name, fact in facts.items()})
            self.meters.learned(report["steps"], report["seconds"])
        with span("gate") as gating:
            judged = judge(
                claim,
                reading,
                absorbed.posterior,
                history=self.history,
                blobs=self.blobs,
                device=self.device,
                check=heartbeat.check,
            )
            gating.set_attribute("posterity.held", judged is not None and judged.held is not None)
        if judged is not None:
            warnings = [*report["warnings"], *judged.warnings]
            report = report | {"gate": judged.to_json(), "warnings": warnings}
        held = None if judged is None else judged.held
        return absorbed.data, Result(absorbed.digest, absorbed.kl_nats, report, scored, held)

    def _publish(self, claim: Claim, data: bytes, result: Result) -> int:
        # Asking twice is harmless: once published, the lease is gone.
        asking = Retrying(
            retry=retry_if_exception_type(DATABASE_DOWN),
            stop=stop_after_delay(claim.lease_seconds),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            reraise=True,
        )
        with span("publish") as publishing:
            try:
                version = asking(self._name, claim, result)
            except BlobBuried as buried:
                # An attempt that was cut short had written the same bytes, and they were collected as nobody's.
                self.ledger.readmit(buried.digests, settle_seconds=self.blobs.settle_seconds)
                self.blobs.put(data)
                version = asking(self._name, claim, result)
            publishing.set_attribute("posterity.version", version)
            return version

    def _name(self, claim: Claim, result: Result) -> int:
        return self.leases.publish(claim, **vars(result)).number

    def _apply_retention(self) -> None:
        if swept := KeptPredictions(self.ledger.reading, clock=self.ledger.clock).sweep():
            log.info("Removed %s predictions whose time is over.", swept)
        try:
            for model, batch in self.retention.apply():
                log.info("Deleted the rows of batch %s of model %s, as its retention says.", batch, model)
        except OSError as error:
            log.warning("The store of the blobs does not remove rows; trying again later: %s", error)

    def _release(self, claim: Claim) -> None:
        try:
            self.leases.release(claim)
        except LeaseLost:
            log.info("Update %s of model %s was given back already.", claim.update, claim.model)

    def _fail(self, claim: Claim, error: Exception) -> Outcome:
        code, message = explain(error)
        # The same prior, chunk and recipe give the same error; anything else may pass.
        is_final = isinstance(error, BayesError)
        try:
            self.leases.fail(claim, code=code, message=message, is_final=is_final)
        except LeaseLost as lost:
            log.warning("Dropped: %s", lost)
            return Outcome.LOST
        return Outcome.FAILED


def explain(error: Exception) -> tuple[str, str]:
    """A stable code and a readable message for an attempt that failed."""
    if isinstance(error, Problem):
        return error.code, str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return "out-of-memory", f"The worker ran out of memory: {error}. Smaller chunks or batch_rows need less."
    if isinstance(error, OSError):
        return "storage-failed", f"The blobs could not be read or written: {error}."
    if isinstance(error, BayesError):
        return _kebab(type(error).__name__), str(error)
    if isinstance(error, SQLAlchemyError):
        return "ledger-refused", f"The ledger refused the result ({type(error).__name__}); the worker's log says why."
    return "internal", f"{type(error).__name__}: {error}"


def _kebab(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")

"""The calls that set batches aside, let them in and forget them, as rules: the plain ledger is asked the same."""

from __future__ import annotations

from hypothesis.stateful import rule

from store.forgetting import Forgetting
from store.parking import Parking
from store.values import BatchRow, Scored
from tests.promises import asked
from tests.promises.ledger_calls import LedgerCalls, any_claim


class AsideCalls(LedgerCalls):
    """Batches are meant by how far back they are from the newest."""

    def __init__(self) -> None:
        super().__init__()
        self.parking = Parking(self.engine, clock=self.clock)
        self.forgetting = Forgetting(self.engine, clock=self.clock)

    @rule(name=asked.NAMES, backs=asked.BACKS)
    def park(self, name: str, backs: list[int]) -> None:
        numbers = self._batches(name, backs)
        self.tally.agree(
            "park",
            lambda: _aside(self.parking.park(name, numbers, actor="ada")),
            lambda: self.plain.set_aside(name, numbers, "park", by="ada"),
        )

    @rule(name=asked.NAMES, backs=asked.BACKS)
    def discard(self, name: str, backs: list[int]) -> None:
        numbers = self._batches(name, backs)
        self.tally.agree(
            "discard",
            lambda: _aside(self.parking.discard(name, numbers, actor="ada")),
            lambda: self.plain.set_aside(name, numbers, "discard", by="ada"),
        )

    @rule(name=asked.NAMES, backs=asked.BACKS)
    def let_in(self, name: str, backs: list[int]) -> None:
        numbers = self._batches(name, backs)
        self.tally.agree(
            "let in",
            lambda: self.parking.release(name, numbers, actor="ada"),
            lambda: self.plain.let_in(name, numbers, by="ada"),
            *("number", "chunk", "state"),
        )

    @rule(name=asked.NAMES, backs=asked.BACKS)
    def forget(self, name: str, backs: list[int]) -> None:
        numbers = self._batches(name, backs)
        self.tally.agree(
            "forget",
            lambda: self.forgetting.forget(name, numbers, actor="ada"),
            lambda: self.plain.forget(name, numbers, by="ada"),
            *("number", "state", "base", "head"),
        )

    @rule(name=asked.NAMES, back=asked.BACK)
    def cancel_forget(self, name: str, back: int) -> None:
        number = len(self.plain.models[name].forgets) - back if name in self.plain.models else 1
        self.tally.agree(
            "cancel forget",
            lambda: self.forgetting.cancel(name, number),
            lambda: self.plain.cancel_forget(name, number),
            *("number", "state", "base", "head"),
        )

    @any_claim
    @rule(late=asked.LATE)
    def park_as_worker(self, late: int) -> None:
        """The newest batch of the claim is parked by who holds it; they park nothing in a forget."""
        claim = self._claim(late)
        if claim.plain.forget is not None:
            return
        surprising = [Scored(claim.real.batches[-1], None, {"z": 4.0})]
        self.tally.agree(
            "park as worker",
            lambda: self.leases.park(claim.real, surprising, reason="surprising"),
            lambda: self.plain.park(claim.plain, [one.batch for one in surprising]),
        )

    def _batches(self, name: str, backs: list[int]) -> list[int]:
        newest = len(self.plain.models[name].batches) if name in self.plain.models else 1
        return [newest - back for back in backs]


def _aside(answer: list[BatchRow]) -> list[str | None]:
    return [one.aside for one in answer]

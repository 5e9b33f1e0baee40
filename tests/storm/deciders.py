"""The storm's clients who take data back: they park batches and let them in again, and have some forgotten."""

from __future__ import annotations

import time
from functools import partial

from client.client import Client
from client.errors import ServiceProblem
from tests.storm.clients import KEEPING, MODELS, Person

KEPT = tuple(model for model in MODELS if KEEPING[model]["kind"] == "keep")
"""Where rows are deleted, what followed cannot be learned again."""
FINISH_SECONDS = 120.0


class Decider(Person):
    """Parks one of the newest batches, lets one in, or has one of the latest forgotten; in the end none is parked."""

    pause_seconds = 1.5

    def act(self) -> None:
        model = self.choices.choice(MODELS)
        turn = self.choices.choice([self._park, self._park, self._let_in, self._let_in, self._forget])
        try:
            turn(model)
        except ServiceProblem as problem:
            if problem.status not in {404, 409}:
                raise
            self.journal.count(f"refused: {problem.code}")

    def finish(self) -> None:
        until = time.monotonic() + FINISH_SECONDS
        for model in MODELS:
            while (parked := self.ask(partial(Client.parked, model=model))) is None or parked:
                if time.monotonic() > until:
                    raise TimeoutError(f"batches of model {model} are still parked")
                if parked:
                    self._let_in(model)

    def _park(self, model: str) -> None:
        batch = self._newest(model) - self.choices.randint(0, 8)
        if batch > 0 and self.ask(lambda client: client.park(model, batch, reason="the weather")) is not None:
            self.journal.count("batches parked")

    def _let_in(self, model: str) -> None:
        parked = self.ask(lambda client: client.parked(model))
        if parked:
            batch = self.choices.choice(parked).batch
            self.ask(lambda client: client.release(model, batch, reason="fair weather"))
            self.journal.count("batches let in")

    def _forget(self, _: str) -> None:
        model = self.choices.choice(KEPT)
        batch = self._newest(model) - self.choices.randint(4, 30)
        if batch > 0:
            # Also where no answer comes, it may have been heard.
            self.journal.forget(model, batch)
            if self.ask(lambda client: client.forget(model, batch, reason="the weather")) is not None:
                self.journal.count("forgets begun")

    def _newest(self, model: str) -> int:
        shown = self.ask(lambda client: client.model(model))
        return 0 if shown is None else shown.batches


class LastForgetter(Person):
    """When all is quiet, has everything forgotten once more: head may have been moved back to a line with it."""

    def act(self) -> None:
        """Nothing, as long as the storm goes on."""

    def finish(self) -> None:
        for model in KEPT:
            if asked := sorted(batch for name, batch in self.journal.forgotten if name == model):
                self._forget(model, asked)

    def _forget(self, model: str, asked: list[int]) -> None:
        until = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < until:
            try:
                if self.ask(lambda client: client.forget(model, *asked, reason="for good")) is not None:
                    return
            except ServiceProblem as problem:
                if problem.code != "forget-busy":
                    raise
            time.sleep(0.1)
        raise TimeoutError("a forget was never begun")

"""The storm's clients: they post, close, roll back, replay and predict, and try again until they are answered."""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from client.client import Client
from client.errors import ClientProblem, ServiceProblem, UnexpectedAnswer
from tests.storm.journal import Acknowledged, Journal, Moved, Predicted

ROWS = 5
FEATURES = 16
CLASSES = 4
CHUNK_ROWS = 30

MODELS = ("alpha", "beta", "gamma")
KEEPING = {"alpha": {"kind": "keep"}, "beta": {"kind": "keep"}, "gamma": {"kind": "delete-after-absorb"}}
BACKLOG_MAX = 12
"""Posters rest while more updates than this wait; the storm tests what is promised, and not how fast it comes."""

PATIENCE_SECONDS = 2.0
HASTE_SECONDS = 0.02
"""Some requests are given up so early that they are answered to nobody."""

Answer = TypeVar("Answer")


def described(model: str) -> dict[str, Any]:
    return {
        "name": model,
        "net": {"kind": "mlp", "hidden": [6]},
        "input": {"shape": [FEATURES], "dtype": "float32"},
        "output": {"kind": "categorical", "classes": CLASSES},
        "recipe": {"epochs": 2, "batch_rows": 15, "seed": 7},
        "chunk": {"rows": CHUNK_ROWS, "seconds": None},
        "retention": KEEPING[model],
    }


def rows_of(model: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are posted under this key, always the same: float32 [rows, features] and labels [rows]."""
    stream = np.random.default_rng([*model.encode(), *key.encode()])
    labels = stream.integers(0, CLASSES, ROWS)
    return (stream.normal(size=(ROWS, FEATURES)) + labels[:, None]).astype(np.float32), labels


@dataclass
class Storm:
    """What all clients know: where the services are, what was promised, and whether the storm is over."""

    urls: list[str]
    journal: Journal
    over: threading.Event


class Person(threading.Thread, ABC):
    """A client with a will of its own, decided by its seed; it acts until the storm is over."""

    pause_seconds = 0.1

    def __init__(self, storm: Storm, name: str, seed: str) -> None:
        super().__init__(name=name)
        self.storm = storm
        self.journal = storm.journal
        self.choices = random.Random(seed)

    def run(self) -> None:
        try:
            while not self.storm.over.wait(self.pause_seconds * (0.5 + self.choices.random())):
                self.act()
            self.finish()
        except Exception as error:  # noqa: BLE001 - Whatever it is, the books are held to it.
            self.journal.accuse(f"{self.name} met {type(error).__name__}: {error}")

    @abstractmethod
    def act(self) -> None: ...

    def finish(self) -> None:
        """What was begun is brought to its end; the weather is fair by now."""

    def ask(self, question: Callable[[Client], Answer], *, patience: float = PATIENCE_SECONDS) -> Answer | None:
        """One try at one of the services; None where nothing was learned. A refusal is raised.

        Raises:
            ServiceProblem: the service has refused, for good.
        """
        url = self.choices.choice(self.storm.urls)
        try:
            with Client(url, timeout_seconds=patience, attempts_max=1) as client:
                return question(client)
        except ServiceProblem as problem:
            if problem.status == 503:
                self.journal.count(f"503 {problem.code}")
                return None
            if problem.status >= 500:
                self.journal.accuse(f"{self.name} was answered {problem.status}: {problem}")
            raise
        except UnexpectedAnswer as problem:
            self.journal.accuse(f"{self.name}: {problem}")
            return None
        except ClientProblem as problem:
            self.journal.count(f"no answer: {type(problem).__name__}")
            return None


class Poster(Person):
    """Posts batch after batch, each until it is acknowledged, and now and then one again."""

    def __init__(self, storm: Storm, name: str, seed: str) -> None:
        super().__init__(storm, name, seed)
        self.posted = 0
        self.open: tuple[str, str] | None = None

    def act(self) -> None:
        model, key = self.open or self._next()
        self.open = model, key
        self.journal.post(model, key)
        haste = self.choices.random() < 0.1
        if self._post(model, key, patience=HASTE_SECONDS if haste else PATIENCE_SECONDS):
            self.open = None
            if self.choices.random() < 0.15:
                self._post(model, key, patience=PATIENCE_SECONDS)
            if self.choices.random() < 0.05:
                self._cheat(model, key)

    def finish(self) -> None:
        until = time.monotonic() + 60.0
        while self.open is not None:
            if self._post(*self.open, patience=PATIENCE_SECONDS):
                self.open = None
            elif time.monotonic() > until:
                raise TimeoutError(f"{self.open} was never acknowledged")

    def _next(self) -> tuple[str, str]:
        model = self.choices.choice(MODELS)
        while not self.storm.over.is_set():
            waiting = self.ask(lambda client: client.model(model).updates)
            if waiting is not None and waiting.get("queued", 0) < BACKLOG_MAX:
                break
            self.storm.over.wait(0.5)
        self.posted += 1
        return model, f"{self.name}-{self.posted}"

    def _post(self, model: str, key: str, *, patience: float) -> bool:
        x, y = rows_of(model, key)
        stored = self.ask(lambda client: client.ingest(model, x, y, key=key), patience=patience)
        if stored is None:
            return False
        self.journal.acknowledge(Acknowledged(model, key, stored.batch, stored.digest))
        self.journal.count("replays answered" if stored.is_replay else "batches stored")
        return True

    def _cheat(self, model: str, key: str) -> None:
        """Other rows under a key that is taken are refused, whatever happens."""
        x, y = rows_of(model, f"{key}, but not really")
        try:
            taken = self.ask(lambda client: client.ingest(model, x, y, key=key))
        except ServiceProblem as problem:
            if problem.code != "idempotency-key-reused":
                raise
            self.journal.count("other rows refused")
        else:
            if taken is not None:
                self.journal.accuse(f"{model}: key {key} took other rows: {taken}")


class Closer(Person):
    """Closes whatever is pending; there are two of them."""

    pause_seconds = 2.0

    def act(self) -> None:
        self.close(self.choices.choice(MODELS))

    def close(self, model: str) -> None:
        try:
            if self.ask(lambda client: client.update(model)) is not None:
                self.journal.count("chunks closed on demand")
        except ServiceProblem as problem:
            if problem.code != "nothing-pending":
                raise


class LastCloser(Closer):
    """When everybody has finished, closes what is still pending, of each model."""

    def finish(self) -> None:
        until = time.monotonic() + 60.0
        for model in MODELS:
            while (shown := self.ask(partial(Client.model, name=model))) is None or shown.pending.batches:
                if time.monotonic() > until:
                    raise TimeoutError("no service answers any more")
                if shown is not None:
                    self.close(model)
                time.sleep(0.05)


class Mover(Person):
    """Rolls head back, moves it forward again, and has chunks absorbed anew."""

    pause_seconds = 2.5

    def act(self) -> None:
        model = self.choices.choice(MODELS)
        turn = self.choices.choice([self._roll_back, self._move, self._replay])
        try:
            turn(model)
        except ServiceProblem as problem:
            if problem.status not in {404, 409, 412}:
                raise
            self.journal.count(f"refused: {problem.code}")

    def _roll_back(self, model: str) -> None:
        steps = self.choices.randint(1, 3)
        done = self.ask(lambda client: client.rollback(model, steps=steps, reason="the weather"))
        if done is not None:
            self.journal.moved.add(Moved(model, done.seq, done.head))
            self.journal.count("rollbacks")

    def _move(self, model: str) -> None:
        """To the newest version, wherever head is."""
        shown = self.ask(lambda client: client.model(model))
        if shown is None or not shown.versions:
            return
        newest = shown.versions
        done = self.ask(lambda client: client.set_alias(model, "head", newest, reason="the weather"))
        if done is not None:
            self.journal.moved.add(Moved(model, done.seq, done.version))
            self.journal.count("moves")

    def _replay(self, model: str) -> None:
        """One of the latest chunks, which may have been rolled back."""
        shown = self.ask(lambda client: client.model(model))
        if shown is None:
            return
        chunk = max(1, sum(shown.updates.values()) - self.choices.randint(0, 10))
        if self.ask(lambda client: client.replay(model, chunk)) is not None:
            self.journal.count("replays queued")


class Asker(Person):
    """Predicts, and notes which posterior has answered."""

    def act(self) -> None:
        model = self.choices.choice(MODELS)
        x, _ = rows_of(model, "a question")
        answered = self.ask(lambda client: client.predict(model, x))
        if answered is not None:
            self.journal.predicted.add(Predicted(model, answered.version, answered.digest))
            self.journal.count("predictions")

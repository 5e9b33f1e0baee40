"""From rows that wait to the bytes of their answers: which version answers, and what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bayes import Drawn, Draws, InvalidInputs, Posterior, Prediction, Ready, ask, ask_each, predict, predict_each
from bayes.prediction import rows_of
from service.answers import Answered, Write, answer_of
from service.bodies import Array
from service.gathering import Waiting
from service.known import Known
from service.loaded import Chosen, Loaded
from service.rejected import InputTooLarge, PredictionLate
from store.resolving import Resolver
from store.values import Resolved


@dataclass(frozen=True)
class Question:
    """What requests must have in common to be computed together: a model, a version or an alias of it, and a method."""

    known: Known
    name: str
    version: int | None
    alias: str
    chosen: Chosen
    in_turn: bool
    """True where the draws are more than memory is given for, and are made a few at a time."""


@dataclass(frozen=True, eq=False)
class Asked:
    """One request's rows as the model declares them; `level` is that of its intervals, where it has them."""

    rows: Array
    level: float | None
    is_instead: bool
    """True where the ensemble stands for moments that cannot be had."""
    is_kept: bool = False
    """True where the inputs are to be kept for later labels."""
    is_each: bool = False
    """True where what each drawn net says is asked for too; such a request is not shared with others."""
    write: Write | None = None
    """What makes the answer of the prediction, where that is not the JSON of a `PredictionResource`."""


class Computing:
    """Answers questions; `must_go_on` is asked again and again while it does, `remember` told of each."""

    def __init__(
        self,
        resolver: Resolver,
        loaded: Loaded,
        *,
        must_go_on: Callable[[], None],
        remember: Callable[[Question], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = resolver
        self._loaded = loaded
        self._must_go_on = must_go_on
        self._remember = remember
        self._clock = clock

    def answer(
        self, question: Question, waiting: Sequence[Waiting[Asked, Answered]]
    ) -> Sequence[Answered | BaseException]:
        """An answer, or why there is none, for each.

        All are of the version that answers at this moment, after all of them were asked.

        Raises:
            Problem: there is no such version, or its bytes are not there; none of them is answered.
        """
        resolved = self._resolver.resolve(question.name, version=question.version, alias=question.alias)
        self._remember(question)
        using: Ready | Posterior
        if question.in_turn:
            using = self._loaded.posterior(resolved.digest)
        else:
            using = self._loaded.ready(resolved.digest, question.chosen)
        return self._answers(resolved, using, question, waiting)

    def is_ready(self, question: Question) -> bool:
        """True where an answer needs neither the ledger nor the store."""
        resolved = self._resolver.at_hand(question.name, version=question.version, alias=question.alias)
        return resolved is not None and self._loaded.holds(resolved.digest, question.chosen)

    def _answers(
        self,
        resolved: Resolved,
        using: Ready | Posterior,
        question: Question,
        waiting: Sequence[Waiting[Asked, Answered]],
    ) -> Sequence[Answered | BaseException]:
        said = self._said(using, question, waiting)
        return [
            one if isinstance(one, BaseException) else _written(resolved, question, asked.item, one)
            for asked, one in zip(waiting, said, strict=True)
        ]

    def _said(
        self, using: Ready | Posterior, question: Question, waiting: Sequence[Waiting[Asked, Answered]]
    ) -> list[Prediction | Drawn | BaseException]:
        """What each request's rows get: computed together where that is known to change no byte, else by itself."""
        rows = sum(len(asked.item.rows) for asked in waiting)
        steady = question.known.is_steady
        size = (question.chosen.method, question.chosen.samples, rows)
        if len(waiting) == 1 or isinstance(using, Posterior) or steady.get(size) is False:
            return [self._alone(using, question, asked) for asked in waiting]
        try:
            together = ask(using, torch.from_numpy(np.concatenate([asked.item.rows for asked in waiting])), by_row=True)
        except InvalidInputs:
            return [self._alone(using, question, asked) for asked in waiting]
        parts = _split(together, [len(asked.item.rows) for asked in waiting])
        if size in steady:
            return list(parts)
        # Which routine computes a product depends on how many rows it has: the first of each number are proof.
        alone = [self._alone(using, question, asked) for asked in waiting]
        if not any(isinstance(one, BaseException) for one in alone):
            steady[size] = all(_is_same(one, other) for one, other in zip(parts, alone, strict=True))
        return alone

    def _alone(
        self, using: Ready | Posterior, question: Question, asked: Waiting[Asked, Answered]
    ) -> Prediction | Drawn | BaseException:
        def check() -> None:
            self._must_go_on()
            if self._clock() > asked.until:
                raise PredictionLate

        rows, chosen = torch.from_numpy(asked.item.rows), question.chosen
        try:
            if asked.item.is_each:
                return _each(using, rows, chosen, check)
            if isinstance(using, Posterior):
                return predict(using, rows, method=chosen.method, samples=chosen.samples, seed=chosen.seed, check=check)
            return ask(using, rows, check=check)
        except InvalidInputs as error:
            return InputTooLarge(reason=error)
        except Exception as error:  # noqa: BLE001 - It is this request's answer; the others get theirs.
            return error


def _each(using: Ready | Posterior, rows: torch.Tensor, chosen: Chosen, check: Callable[[], None]) -> Drawn:
    """What drawn nets say together and each, or the one of the mean weights."""
    if isinstance(using, Posterior):
        return predict_each(using, rows, samples=chosen.samples, seed=chosen.seed, check=check)
    assert isinstance(using, Draws)
    return ask_each(using, rows, samples=chosen.samples or 1, check=check)


def _written(resolved: Resolved, question: Question, asked: Asked, said: Prediction | Drawn) -> Answered:
    if asked.write is not None:
        return asked.write(resolved, said)
    assert not isinstance(said, Drawn)
    known, chosen = question.known, question.chosen
    return answer_of(resolved, known, chosen, said, level=asked.level, is_instead=asked.is_instead)


def _split(together: Prediction, rows: Sequence[int]) -> list[Prediction]:
    ends = np.cumsum(rows).tolist()
    return [rows_of(together, slice(end - count, end)) for end, count in zip(ends, rows, strict=True)]


def _is_same(one: Prediction, other: Prediction | Drawn | BaseException) -> bool:
    if isinstance(other, BaseException):
        return False
    parts = {name: part for name, part in vars(one).items() if isinstance(part, torch.Tensor)}
    return all(torch.equal(part, getattr(other, name)) for name, part in parts.items())

"""Predictions that are computed together: no byte of an answer says what else was asked meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from service.answers import Answered
from service.computing import Asked as Rows
from service.computing import Computing, Question
from service.gathering import Waiting
from tests.service.crowd import CALLERS, MODELS, at_once, one_by_one, requests, with_versions
from tests.service.live import Json, Live, running

REQUESTS = 3 * CALLERS
ROUNDS_MAX = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def calls() -> Iterator[list[int]]:
    """How many requests each call that computed was for, in the services that are started with it."""
    found: list[int] = []
    answer = Computing.answer

    def counting(
        self: Computing, question: Question, waiting: Sequence[Waiting[Rows, Answered]]
    ) -> Sequence[Answered | BaseException]:
        found.append(len(waiting))
        return answer(self, question, waiting)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Computing, "answer", counting)
        yield found


@pytest.fixture(scope="module")
def busy(folder: Path, calls: list[int]) -> Iterator[Live]:
    with running(folder) as live:
        yield live


@pytest.mark.parametrize("described", MODELS.values(), ids=MODELS.keys())
def test_many_callers_at_once_get_the_bytes_that_each_gets_alone(
    busy: Live, folder: Path, calls: list[int], described: Json
) -> None:
    model = with_versions(busy, described)
    asked = requests(model, described, REQUESTS, seed=1)
    alone = one_by_one(busy, asked)
    assert len(set(alone)) == REQUESTS
    calls.clear()

    for round_ in range(ROUNDS_MAX):
        order = random.Random(round_).sample(range(REQUESTS), REQUESTS)
        answers = at_once(busy, [asked[index] for index in order])
        assert answers == [alone[index] for index in order], f"round {round_}"
        if round_ >= 2 and max(calls) > 1:
            break

    assert max(calls) > 1, "nothing was computed together"
    assert sum(calls) == REQUESTS * (round_ + 1)
    with running(folder) as another:
        assert at_once(another, asked) == alone, "of a service that was never asked before"
    assert one_by_one(busy, asked) == alone

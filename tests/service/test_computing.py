"""Requests that are computed together: by one call where that is known to change no byte, else each by itself."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

import bayes
from service import computing
from service.answers import Answered
from service.computing import Asked, Computing, Question
from service.gathering import Waiting
from service.loaded import Chosen
from service.rejected import InputTooLarge, PredictionLate, Unavailable
from store.kinds import HEAD
from tests.conftest import FakeClock
from tests.service.crowd import MODELS, inputs, learned, with_versions
from tests.service.live import Json, Live, running

ODD = MODELS["an mlp of odd sizes"]
MOMENTS = Chosen("moments")
SIZES = (1, 3, 1, 2, 1)

Requests = list[Waiting[Asked, Answered]]


@dataclass
class Counted:
    """`bayes.ask`, whose calls are counted: how many rows, and whether as if each were alone."""

    nudge: float = 0.0
    """What is added to every probability for each row of a call by row: what a routine that rounds otherwise does."""
    calls: list[tuple[int, bool]] = field(default_factory=list)

    def __call__(self, using: bayes.Ready, rows: torch.Tensor, *, by_row: bool = False, **more: object) -> object:
        self.calls.append((len(rows), by_row))
        said = bayes.ask(using, rows, by_row=by_row, **more)  # type: ignore[arg-type]
        if by_row and self.nudge:
            assert isinstance(said, bayes.CategoricalPrediction)
            said = replace(said, probabilities=said.probabilities + self.nudge * len(rows))
        return said


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service of this file alone, where nothing is queued."""
    with running(tmp_path_factory.mktemp("computing")) as live:
        yield live


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(computing, "ask", counted)
    return counted


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def computing_of(live: Live, clock: FakeClock | None = None) -> Computing:
    clock = clock or FakeClock()
    house = live.house
    return Computing(
        house.resolver,
        house.loaded,
        must_go_on=house.must_go_on,
        remember=lambda _: None,
        clock=lambda: clock.seconds,
    )


def question(live: Live, model: str, chosen: Chosen = MOMENTS) -> Question:
    name = model.removeprefix("/v1/models/")
    return Question(live.house.known.find(name), name, None, HEAD, chosen, in_turn=False)


def asked(loop: asyncio.AbstractEventLoop, described: Json, sizes: Sequence[int] = SIZES, seed: int = 1) -> Requests:
    """Requests of so many rows each, for a model that is described so."""
    chance, dtype = np.random.default_rng(seed), described["input"].get("dtype", "float32")
    level = 0.9 if described["output"]["kind"] == "gaussian" else None
    return [
        Waiting(
            Asked(np.array(inputs(described, rows, chance), dtype), level, False), 1, math.inf, loop.create_future()
        )
        for rows in sizes
    ]


def alone(of: Computing, about: Question, requests: Requests) -> list[Answered | BaseException]:
    return [of.answer(about, [one])[0] for one in requests]


def test_the_first_of_each_number_of_rows_are_proof_and_the_next_are_one_call(
    live: Live, loop: asyncio.AbstractEventLoop, asking: Counted
) -> None:
    model, of = with_versions(live, ODD), computing_of(live)
    about, requests = question(live, model), asked(loop, ODD)
    expected = alone(of, about, requests)

    asking.calls.clear()
    assert of.answer(about, requests) == expected
    assert asking.calls == [(8, True), *((rows, False) for rows in SIZES)]
    assert list(about.known.is_steady.values()) == [True]

    asking.calls.clear()
    assert of.answer(about, requests) == expected
    assert of.answer(about, requests[::-1]) == expected[::-1]
    assert asking.calls == [(8, True)] * 2


def test_other_numbers_of_rows_methods_and_samples_are_proved_for_themselves_but_seeds_are_not(
    live: Live, loop: asyncio.AbstractEventLoop, asking: Counted
) -> None:
    model, of = with_versions(live, ODD), computing_of(live)
    requests = asked(loop, ODD)

    for chosen in (MOMENTS, Chosen("mean"), Chosen("ensemble", 2, 0), Chosen("ensemble", 3, 0)):
        for some in (requests, requests[:2]):
            asking.calls.clear()
            of.answer(question(live, model, chosen), some)
            assert len(asking.calls) == 1 + len(some)
    for seed in range(1, 4):
        asking.calls.clear()
        of.answer(question(live, model, Chosen("ensemble", 3, seed)), requests)
        assert len(asking.calls) == 1

    assert len(question(live, model).known.is_steady) == 8


@pytest.mark.parametrize("chosen", [MOMENTS, Chosen("mean"), Chosen("ensemble", 3, 5)], ids=str)
@pytest.mark.parametrize("described", MODELS.values(), ids=MODELS.keys())
def test_what_is_computed_together_has_the_bytes_of_each_alone(
    live: Live, loop: asyncio.AbstractEventLoop, described: Json, chosen: Chosen
) -> None:
    model, of = with_versions(live, described), computing_of(live)
    about = question(live, model, chosen)

    for sizes in ((1, 1), (2, 4, 1), (1,) * 16, (4,) * 8):
        first, second = (asked(loop, described, sizes, seed) for seed in (1, 2))
        of.answer(about, first)
        assert of.answer(about, second) == alone(of, about, second)

    assert set(about.known.is_steady.values()) == {True}


def test_a_number_of_rows_whose_company_shows_is_computed_alone_from_then_on(
    live: Live, loop: asyncio.AbstractEventLoop, asking: Counted
) -> None:
    model, of = with_versions(live, ODD), computing_of(live)
    about, requests = question(live, model), asked(loop, ODD)
    expected = alone(of, about, requests)

    asking.nudge = 1e-12
    assert of.answer(about, requests) == expected
    assert list(about.known.is_steady.values()) == [False]

    asking.calls.clear()
    assert of.answer(about, requests) == expected
    assert asking.calls == [(rows, False) for rows in SIZES]

    asking.nudge = 0.0
    assert of.answer(about, requests[:2]) == expected[:2]
    assert sorted(about.known.is_steady.values()) == [False, True]


@pytest.mark.parametrize("is_proved", [False, True])
def test_rows_too_large_for_the_net_are_refused_and_the_others_are_answered(
    live: Live, loop: asyncio.AbstractEventLoop, is_proved: bool
) -> None:
    model, of = with_versions(live, ODD), computing_of(live)
    about, requests = question(live, model), asked(loop, ODD)
    expected = alone(of, about, requests)
    if is_proved:
        of.answer(about, requests)
    requests[1].item.rows[2] = 3e38

    found = of.answer(about, requests)

    assert isinstance(found[1], InputTooLarge)
    assert "row 2 holds numbers so large" in str(found[1])
    assert [found[index] for index in (0, 2, 3, 4)] == [expected[index] for index in (0, 2, 3, 4)]
    assert about.known.is_steady == ({("moments", None, 8): True} if is_proved else {})


def test_a_request_that_is_late_proves_nothing_of_the_others(live: Live, loop: asyncio.AbstractEventLoop) -> None:
    clock = FakeClock()
    model, of = with_versions(live, ODD), computing_of(live, clock)
    about, requests = question(live, model), asked(loop, ODD)
    expected = alone(of, about, requests)
    late = replace(requests[3], until=clock.seconds - 1)

    found = of.answer(about, [*requests[:3], late, *requests[4:]])

    assert isinstance(found[3], PredictionLate)
    assert [*found[:3], *found[4:]] == [*expected[:3], *expected[4:]]
    assert about.known.is_steady == {}
    assert of.answer(about, requests) == expected
    assert list(about.known.is_steady.values()) == [True]


def test_a_service_that_stops_computes_nothing_more(
    live: Live, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, of = with_versions(live, ODD), computing_of(live)

    def stop() -> None:
        raise Unavailable(reason="The service is stopping")

    monkeypatch.setattr(of, "_must_go_on", stop)
    found = of.answer(question(live, model), asked(loop, ODD))

    assert [type(one) for one in found] == [Unavailable] * len(SIZES)


def test_all_are_answered_by_the_version_that_head_points_at_when_they_are_computed(
    live: Live, loop: asyncio.AbstractEventLoop
) -> None:
    model, of = with_versions(live, ODD), computing_of(live)
    about, requests = question(live, model), asked(loop, ODD)

    for version in (2, 0, 1):
        live.client.put(f"{model}/aliases/head", json={"version": version}).raise_for_status()
        found = of.answer(about, requests)
        assert {json.loads(one)["version"] for one in found if isinstance(one, bytes)} == {version}


def test_a_question_is_ready_once_it_was_answered_until_head_moves_to_what_is_not_in_memory(
    live: Live, loop: asyncio.AbstractEventLoop
) -> None:
    model, of = live.create(ODD), computing_of(live)
    about, requests = question(live, model), asked(loop, ODD)
    live.publish(model, learned(ODD, 100))

    assert not of.is_ready(about)
    of.answer(about, requests)
    assert of.is_ready(about)
    assert not of.is_ready(question(live, model, Chosen("mean")))

    live.publish(model, learned(ODD, 101))
    assert not of.is_ready(about)
    of.answer(about, requests)
    assert of.is_ready(about)

"""Predictions that are not ready in time: told so in time, whether they waited or were being computed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from bayes import Ready
from service.answers import Answered
from service.computing import Asked, Computing, Question
from service.gathering import Waiting
from service.loaded import Chosen
from tests.service.crowd import LENET
from tests.service.expected import expect_problem
from tests.service.live import INPUTS, Live, running

LONG = save({"x": np.zeros((10_000, 1, 28, 28), np.uint8)})
"""What takes minutes by 256 draws, in some hundred slices."""
LONG_SECONDS = 60.0


@contextmanager
def held_up(live: Live, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """No prediction is computed meanwhile."""
    go_on, kept = threading.Event(), live.house.loaded
    ready = kept.ready

    def waiting(digest: str, chosen: Chosen) -> Ready:
        assert go_on.wait(LONG_SECONDS)
        return ready(digest, chosen)

    patch.setattr(kept, "ready", waiting)
    try:
        yield
    finally:
        go_on.set()


def post_long(live: Live, model: str, **headers: str) -> httpx.Response:
    kind = {"Content-Type": "application/x-safetensors"}
    return live.client.post(f"{model}/predictions?samples=256", content=LONG, headers=kind | headers)


def seconds_since(began: float) -> float:
    return time.monotonic() - began


@pytest.mark.parametrize("rows", [1, 50])
def test_a_prediction_is_given_up_after_the_seconds_that_its_caller_waits_while_others_are_computed(
    live: Live, model: str, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    body = {"inputs": [[1, 2]] * rows}

    with held_up(live, monkeypatch):
        began = time.monotonic()
        answers = [
            live.client.post(f"{model}/predictions", json=body, headers={"Prefer": f"wait={seconds}"})
            for seconds in (0.3, 0.2, 0.1)
        ]
        took = seconds_since(began)

    for answer in answers:
        expect_problem(answer, "prediction-late")
        assert answer.headers["Retry-After"] == "1"
    assert 0.6 <= took < LONG_SECONDS / 2
    assert live.client.post(f"{model}/predictions", json=body).status_code == 200


def test_the_seconds_count_for_every_way_to_ask(live: Live, model: str) -> None:
    never, small = {"Prefer": "wait=0"}, {"inputs": json.dumps(INPUTS["inputs"])}

    for answer in (
        live.client.post(f"{model}/predictions", json=INPUTS, headers=never),
        live.client.post(f"{model}/versions/0/predictions", json=INPUTS, headers=never),
        live.client.get(f"{model}/predictions", params=small, headers=never),
    ):
        expect_problem(answer, "prediction-late")


def test_a_long_prediction_is_given_up_in_time_and_its_thread_stops_at_the_next_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_stopped, answer = threading.Event(), Computing.answer

    def computing(
        self: Computing, question: Question, waiting: Sequence[Waiting[Asked, Answered]]
    ) -> Sequence[Answered | BaseException]:
        try:
            return answer(self, question, waiting)
        finally:
            has_stopped.set()

    monkeypatch.setattr(Computing, "answer", computing)
    with running(tmp_path) as live:
        model = live.create(LENET)
        began = time.monotonic()

        expect_problem(post_long(live, model, Prefer="wait=1"), "prediction-late")

        assert 1 <= seconds_since(began) < LONG_SECONDS / 2
        assert has_stopped.wait(LONG_SECONDS / 2)
        assert seconds_since(began) < LONG_SECONDS / 2


@pytest.mark.parametrize("asked", [{}, {"Prefer": "wait=1000"}, {"Prefer": "wait=999999.5"}], ids=str)
def test_nothing_takes_longer_than_the_service_lets_it(tmp_path: Path, asked: dict[str, str]) -> None:
    with running(tmp_path, predict_seconds=0.5) as live:
        model = live.create(LENET)
        began = time.monotonic()

        expect_problem(post_long(live, model, **asked), "prediction-late")

        assert 0.5 <= seconds_since(began) < LONG_SECONDS / 2


@pytest.mark.parametrize(
    "said",
    [
        "wait",
        "wait=",
        "wait=soon",
        "wait=-1",
        "wait=.0",
        "await=0",
        "x-wait=0",
        "respond-async",
        "",
        "wait:0",
        "0",
        "wait=1e-9",
        "wait=0x1",
        "wait=0.5.1",
    ],
)
def test_a_preference_that_says_no_seconds_is_passed_over(live: Live, model: str, said: str) -> None:
    answer = live.client.post(f"{model}/predictions", json=INPUTS, headers={"Prefer": said})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("said", "is_late"),
    [
        *(("wait=0", True), ("Wait = 0", True), ('wait="0"', True), ("respond-async, wait=0", True)),
        *(
            ("wait=0; x", True),
            ("handling=strict;wait=0.0", True),
            ("wait=30", False),
            ("wait=0030.50", False),
            ("wait=0,x", True),
        ),
    ],
)
def test_the_seconds_are_found_among_other_preferences(live: Live, model: str, said: str, is_late: bool) -> None:
    answer = live.client.post(f"{model}/predictions", json=INPUTS, headers={"Prefer": said})

    assert answer.status_code == (503 if is_late else 200)

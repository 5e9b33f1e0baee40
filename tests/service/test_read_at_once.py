"""Short bodies are read by the event loop where their length bounds the work, else by another thread."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import numpy as np
import pytest

from service import posted
from service.encodings import READ_AT_ONCE_BYTES
from service.json_bounds import MEMBERS_MAX
from service.rows import inputs_of
from tests.service.encoded import Sent, Tensors, image_file, images, lists, npy, npz, raw, safetensors
from tests.service.expected import expect_problem
from tests.service.live import IMAGES, Live

X = np.zeros((1, 1, 2, 2), np.uint8)


def jpeg(tensors: Tensors) -> Sent:
    return image_file(tensors["x"][0, 0], "JPEG"), {"Content-Type": "image/jpeg"}


def png(tensors: Tensors) -> Sent:
    return image_file(tensors["x"][0, 0]), {"Content-Type": "image/png"}


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each body that was read, whether the event loop did."""
    found: list[bool] = []
    monkeypatch.setattr("service.predictions.prediction_posted", told(posted.prediction_posted, found))
    monkeypatch.setattr("service.batches.batch_posted", told(posted.batch_posted, found))
    return found


def told(read: Callable[..., object], found: list[bool]) -> Callable[..., object]:
    """The same, which tells whether the event loop calls it."""

    def reading(*given: object, **named: object) -> object:
        found.append(asyncio._get_running_loop() is not None)
        return read(*given, **named)

    return reading


@pytest.mark.parametrize(
    ("encode", "is_at_once"),
    [
        (lists, True),
        (safetensors, True),
        (raw, True),
        (npy, False),
        (npz, False),
        (png, False),
        (jpeg, False),
        (images, False),
    ],
)
def test_a_prediction_is_read_at_once_where_its_length_bounds_the_work(
    live: Live, places: list[bool], encode: Callable[[Tensors], Sent], is_at_once: bool
) -> None:
    model = live.create(IMAGES)
    content, headers = encode({"x": X})

    answer = live.client.post(f"{model}/predictions", content=content, headers=headers)

    assert answer.status_code == 200, answer.text
    assert places == [is_at_once]


@pytest.mark.parametrize(("blanks", "is_at_once"), [(0, True), (READ_AT_ONCE_BYTES, False)])
def test_inputs_in_a_query_are_read_at_once_where_they_are_short(
    live: Live, monkeypatch: pytest.MonkeyPatch, blanks: int, is_at_once: bool
) -> None:
    model, found = live.create(IMAGES), list[bool]()
    monkeypatch.setattr("service.predictions.inputs_of", told(inputs_of, found))

    answer = live.client.get(f"{model}/predictions", params={"inputs": json.dumps(X.tolist()) + " " * blanks})

    assert len(answer.json()["outputs"]) == 1
    assert found == [is_at_once]


def test_inputs_in_a_query_are_json_as_bounded_as_a_body(live: Live) -> None:
    inputs = json.dumps([{str(number): 0} for number in range(MEMBERS_MAX + 1)])

    answer = live.client.get(f"{live.create(IMAGES)}/predictions", params={"inputs": inputs})

    expect_problem(answer, "json-too-large")


@pytest.mark.parametrize(
    ("encode", "is_at_once"), [(lists, True), (safetensors, True), (raw, True), (npz, False), (images, False)]
)
def test_a_batch_is_read_at_once_where_its_length_bounds_the_work(
    live: Live, places: list[bool], encode: Callable[[Tensors], Sent], is_at_once: bool
) -> None:
    model = live.create(IMAGES)
    content, headers = encode({"x": X, "y": np.array([0])})

    answer = live.client.post(f"{model}/batches", content=content, headers=headers | {"Idempotency-Key": "short"})

    assert answer.status_code == 202, answer.text
    assert places == [is_at_once]

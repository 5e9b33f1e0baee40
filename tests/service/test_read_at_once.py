"""Short bodies are read by the event loop where their length bounds the work, else by another thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from service import posted
from tests.service.encoded import Sent, Tensors, image_file, images, lists, npy, npz, raw, safetensors
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

    def told(read: Callable[..., object]) -> Callable[..., object]:
        def reading(*given: object, **named: object) -> object:
            found.append(asyncio._get_running_loop() is not None)
            return read(*given, **named)

        return reading

    monkeypatch.setattr("service.predictions.prediction_posted", told(posted.prediction_posted))
    monkeypatch.setattr("service.batches.batch_posted", told(posted.batch_posted))
    return found


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

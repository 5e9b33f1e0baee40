"""An update that is told to stop does so at its next step, slice or layer, not at its next progress."""

import pytest

from bayes import Chunk, Model, Progress, absorb, descent, objective, root

STEPS, SLICES, LAYERS = 9, 3, 3


class Told(Exception):  # noqa: N818
    """The work was told to stop."""


class StopAt:
    """Counts its calls, and raises at one of them."""

    def __init__(self, call: int) -> None:
        self.call = call
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self.call:
            raise Told


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "EVALUATION_ROWS", 8)


def test_check_is_called_at_every_step_every_slice_of_the_evaluation_and_every_layer_of_the_kl(
    images: Model, image_chunk: Chunk
) -> None:
    never = StopAt(0)

    absorb(root(images), image_chunk, images.recipe, check=never)

    assert never.calls == STEPS + SLICES + LAYERS


@pytest.mark.parametrize("call", [1, 2, STEPS, STEPS + 1, STEPS + SLICES, STEPS + SLICES + LAYERS])
def test_what_check_raises_stops_the_update_there(images: Model, image_chunk: Chunk, call: int) -> None:
    stop, told = StopAt(call), list[Progress]()

    with pytest.raises(Told):
        absorb(root(images), image_chunk, images.recipe, check=stop, progress=told.append)

    assert stop.calls == call
    assert len(told) == min(call - 1, STEPS)


def test_within_a_step_check_is_called_before_every_long_layer_there_and_back(
    images: Model, image_chunk: Chunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _ = absorb(root(images), image_chunk, images.recipe)
    monkeypatch.setattr(objective, "LONG_NUMBERS", 1)
    never = StopAt(0)

    asked, _ = absorb(root(images), image_chunk, images.recipe, check=never)

    assert never.calls == STEPS * (1 + 2 * LAYERS) + SLICES * (1 + LAYERS) + LAYERS
    assert asked.digest == plain.digest


@pytest.mark.parametrize("call", range(2, 2 + 2 * LAYERS))
def test_what_check_raises_within_a_step_stops_the_update_there(
    images: Model, image_chunk: Chunk, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    monkeypatch.setattr(objective, "LONG_NUMBERS", 1)
    stop = StopAt(call)

    with pytest.raises(Told):
        absorb(root(images), image_chunk, images.recipe, check=stop)

    assert stop.calls == call


def test_being_asked_changes_nothing(images: Model, image_chunk: Chunk) -> None:
    unasked, _ = absorb(root(images), image_chunk, images.recipe)

    asked, _ = absorb(root(images), image_chunk, images.recipe, check=lambda: None, progress=lambda _: None)

    assert asked.digest == unasked.digest

"""Images moved by whole pixels: what comes out, when the automatic recipe asks for it, and that an update does it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes import CategoricalPrediction, Chunk, InvalidDescription, Model, absorb, descent, predict, root
from bayes.objective import Batch
from bayes.posterior import Posterior
from bayes.recipe import OptimizerName
from bayes.shifts import Shift, shifted, shifts

Description = dict[str, object]

LENET: Description = {
    "net": {"kind": "lenet5"},
    "input": {"shape": [1, 28, 28], "dtype": "uint8"},
    "output": {"kind": "categorical", "classes": 10},
}


def cropped_out_of_a_padded_one(image: Tensor, down: int, right: int) -> Tensor:
    """[channels, height, width] moved, by way of padding it with its edges."""
    height, width = image.shape[1:]
    most = max(abs(down), abs(right))
    padded = F.pad(image.float().unsqueeze(0), (most, most, most, most), mode="replicate")[0]
    return padded[:, most - down : most - down + height, most - right : most - right + width]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_an_image_is_moved_as_a_crop_of_it_padded_with_its_edges(dtype: torch.dtype) -> None:
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (9, 3, 5, 7), generator=stream).to(dtype)
    offsets = torch.tensor([[down, right] for down in (-2, 0, 2) for right in (-4, 0, 4)])

    moved = shifted(images, offsets)

    assert moved.dtype == dtype
    for row, (down, right) in enumerate(offsets.tolist()):
        expected = cropped_out_of_a_padded_one(images[row], down, right)
        assert torch.equal(moved[row].float(), expected), (down, right)


def test_offsets_of_every_row_are_uniform_and_independent_in_both_directions() -> None:
    rows, most = 20_000, 2
    images = torch.zeros(rows, 1, 9, 9)
    images[:, :, 4, 4] = 1.0

    moved = shifts(most, torch.Generator().manual_seed(3))(images)

    places = moved.mean(0)[0]
    assert places[2:7, 2:7].sum() == pytest.approx(1.0)
    # A cell of 25 has a mean of 1 / 25 and a standard error of 0.0014.
    torch.testing.assert_close(places[2:7, 2:7], torch.full((5, 5), 1 / 25), rtol=0.0, atol=0.006)


@pytest.mark.parametrize(
    ("net", "shape", "pixels"),
    [
        ({"kind": "lenet5"}, [1, 28, 28], 2),
        ({"kind": "lenet5"}, [1, 16, 60], 1),
        ({"kind": "3conv3fc"}, [3, 32, 32], 2),
        ({"kind": "torchvision", "name": "resnet18"}, [3, 96, 64], 5),
        ({"kind": "mlp", "hidden": [4]}, [1, 28, 28], 0),
        (
            {"kind": "layers", "layers": [{"kind": "conv", "filters": 2, "kernel": 3}, {"kind": "flatten"}]},
            [1, 28, 28],
            0,
        ),
    ],
)
def test_the_automatic_recipe_moves_images_of_named_image_nets_by_a_twelfth_of_their_shorter_side(
    net: Description, shape: list[int], pixels: int
) -> None:
    described = {**LENET, "net": net, "input": {"shape": shape, "dtype": "uint8"}}

    assert Model.from_description(described).recipe.shift_pixels == pixels
    assert Model.from_description({**described, "recipe": {"epochs": 3}}).recipe.shift_pixels == pixels
    assert Model.from_description({**described, "recipe": {"shift_pixels": 0}}).recipe.shift_pixels == 0


def test_numbers_may_be_positions_and_their_images_stay_where_they_are() -> None:
    assert Model.from_description({**LENET, "output": {"kind": "gaussian"}}).recipe.shift_pixels == 0


@pytest.mark.parametrize(
    ("shape", "pixels", "reason"),
    [
        ([784], 1, "must be at most 0 for rows that are no images [channels, height, width], not 1"),
        ([2, 28, 20], 20, "must be at most 19 for images of 20 pixels a side, not 20"),
    ],
)
def test_a_shift_that_the_rows_cannot_have_is_refused_by_its_place(shape: list[int], pixels: int, reason: str) -> None:
    described = {**LENET, "net": {"kind": "mlp", "hidden": []}, "input": {"shape": shape}}

    with pytest.raises(InvalidDescription) as refused:
        Model.from_description({**described, "recipe": {"shift_pixels": pixels}})

    assert str(refused.value) == f"recipe.shift_pixels: {reason}"


def test_an_update_by_a_recipe_of_ones_own_refuses_it_too() -> None:
    model = Model.from_description({**LENET, "net": {"kind": "mlp", "hidden": []}, "input": {"shape": [3]}})

    with pytest.raises(InvalidDescription, match=r"recipe\.shift_pixels"):
        absorb(root(model), Chunk(torch.zeros(2, 3), torch.tensor([0, 1])), replace(model.recipe, shift_pixels=1))


@pytest.mark.parametrize("optimizer", ["adam", "ivon"])
def test_every_step_sees_each_row_anew_and_the_evidence_is_that_of_the_rows_as_they_came(
    images: Model, image_chunk: Chunk, monkeypatch: pytest.MonkeyPatch, optimizer: OptimizerName
) -> None:
    seen: list[Tensor] = []
    evaluated: list[Tensor] = []
    as_it_is = descent.Rows.at

    def at(rows: descent.Rows, index: Tensor | slice, shift: Shift | None = None) -> Batch:
        batch = as_it_is(rows, index, shift)
        (evaluated if isinstance(index, slice) else seen).append(batch.inputs)
        return batch

    monkeypatch.setattr(descent.Rows, "at", at)
    recipe = replace(images.recipe, epochs=2, batch_rows=20, shift_pixels=2, optimizer=optimizer)

    absorb(root(images), image_chunk, recipe)

    whole = images.input.scale(image_chunk.inputs)
    assert torch.equal(torch.cat(evaluated), whole)
    everywhere = {
        (down, right): shifted(whole, torch.tensor([[down, right]]).expand(20, 2))
        for down in range(-2, 3)
        for right in range(-2, 3)
    }
    for batch in seen:
        for row in batch:
            assert any((moved == row).flatten(1).all(1).any() for moved in everywhere.values())
    first, second = (batch.flatten(1).sum(1).sort().values for batch in seen)
    assert not torch.equal(first, second)


def test_a_net_that_saw_images_moved_knows_moved_ones_better() -> None:
    """Bars at one place are learned; the bars of the test lie one pixel further."""
    stream = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (200,), generator=stream)
    images = torch.randint(0, 60, (200, 1, 16, 16), generator=stream, dtype=torch.uint8)
    images[labels == 0, :, 7, 3:12] = 200
    images[labels == 1, :, 3:12, 7] = 200
    described = {**LENET, "net": {"kind": "mlp", "hidden": [16]}, "input": {"shape": [1, 16, 16], "dtype": "uint8"}}
    far = shifted(images, torch.tensor([[1, 1]]).expand(200, 2))

    accuracy = {}
    for pixels in (0, 2):
        model = Model.from_description({**described, "recipe": {"shift_pixels": pixels, "epochs": 40}})
        posterior, _ = absorb(root(model), Chunk(images, labels), model.recipe)
        accuracy[pixels] = float((_labels(posterior, far) == labels).float().mean())

    assert accuracy[2] > 0.95 > accuracy[0]


def _labels(posterior: Posterior, images: Tensor) -> Tensor:
    prediction = predict(posterior, images)
    assert isinstance(prediction, CategoricalPrediction)
    return prediction.probabilities.argmax(1)

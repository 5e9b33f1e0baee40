"""Scales and shifts that no update moves: where they come from, and that they stay."""

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor

from bayes import Chunk, absorb, root
from bayes.fixed import FIXED, calibrated, is_blank, sample, shapes
from bayes.layers import Affine, Run, Weighted, apply, scaled
from bayes.torchvision_nets import trace
from tests.bayes.traced import SMALL, drawn_weights, images, random_chunk, small


@pytest.fixture(scope="module")
def chunk() -> Chunk:
    return random_chunk()


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_calibrated_channels_have_mean_zero_and_variance_one(name: str) -> None:
    network, x = trace(name, (3, 64, 64), 4), images(24, 64)
    weights = drawn_weights(network)
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    fixed = calibrated(network, weights, x)

    def scaling(layer: Affine, x: Tensor) -> Tensor:
        x = scaled(x, fixed[f"{layer.name}.scale"], fixed[f"{layer.name}.shift"])
        seen[layer.name] = torch.var_mean(x, (0, 2, 3), correction=0)
        return x

    network.run(x, lambda layer, x: apply(layer, x, *weights[layer.name]), scaling)
    assert set(fixed) == set(shapes(network))
    for variance, mean in seen.values():
        assert float(mean.abs().max()) < 1e-10
        assert float(variance.max()) < 1 + 1e-10
        assert float((variance - 1).abs().median()) < 1e-10


def test_a_channel_that_hardly_varies_is_scaled_by_a_hundredth_of_the_mean_square_of_all() -> None:
    network = trace("resnet18", (3, 32, 32), 4)
    weights = drawn_weights(network)
    gray, channels = torch.ones(2, 3, 32, 32, dtype=torch.float64), network.affine[0].channels
    seen: list[Tensor] = []

    def linear(layer: Weighted, x: Tensor) -> Tensor:
        outputs = apply(layer, x, *weights[layer.name])
        if layer.name != "conv1":
            return outputs
        seen.append(outputs[:, :, 8:9, 8:9].expand_as(outputs))
        return seen[0]

    in_place = replace(network, run=cast("Run", lambda x, _, scaling: network.run(x, linear, scaling)))
    scale = calibrated(in_place, weights, gray)["bn1.scale"]

    expected = (0.01 * seen[0].square().mean()).rsqrt()
    torch.testing.assert_close(scale, expected.expand(channels))


def test_fixed_numbers_are_set_by_the_first_chunk_and_by_no_other(chunk: Chunk) -> None:
    model = small()
    blank = root(model)
    other = replace(chunk, inputs=255 - chunk.inputs)

    first, _ = absorb(blank, chunk, model.recipe)
    second, _ = absorb(first, other, model.recipe)

    assert is_blank(blank.layer(FIXED))
    assert not is_blank(first.layer(FIXED))
    assert first.layer(FIXED).keys() == blank.layer(FIXED).keys() == shapes(model.network).keys()
    for key, tensor in second.layer(FIXED).items():
        assert torch.equal(tensor, first.layer(FIXED)[key]), key
    assert not torch.equal(second.layer("fc")["weight.mu"], first.layer("fc")["weight.mu"])


@pytest.mark.parametrize("part", [{"family": "point"}, {"recipe": {"optimizer": "ivon", "epochs": 1}}])
def test_other_families_and_optimizers_leave_fixed_numbers_alone_too(chunk: Chunk, part: dict[str, object]) -> None:
    model = small(**part)
    first, _ = absorb(root(model), chunk, model.recipe)

    second, _ = absorb(first, chunk, model.recipe)

    for key, tensor in second.layer(FIXED).items():
        assert torch.equal(tensor, first.layer(FIXED)[key]), key
    assert not torch.equal(second.layer("conv1.0")["weight.mu"], first.layer("conv1.0")["weight.mu"])


def test_calibration_sees_rows_from_the_whole_chunk_and_at_most_512() -> None:
    network = trace(SMALL, (3, 32, 32), 4)

    assert sample(network, torch.arange(5)).tolist() == [0, 1, 2, 3, 4]
    assert sample(network, torch.arange(1024)).tolist() == list(range(0, 1024, 2))

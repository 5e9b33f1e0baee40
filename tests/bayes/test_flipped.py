"""Draws of a large dense layer that share their noise up to signs: each is a draw, and together they are no others."""

from dataclasses import replace

import pytest
import torch

from bayes import Model, Posterior, draw, root
from bayes.draws import evaluate
from bayes.families.parts import WeightMoments
from bayes.flipped import DRAWS_LEAST, GROUP_DRAWS, WEIGHTS_LEAST, Flipped, flipped
from bayes.layers import apply

UNITS, INPUTS = 6, 5


def moments(units: int = UNITS, inputs: int = INPUTS) -> WeightMoments:
    stream = torch.Generator().manual_seed(4)
    mean = torch.randn(units, inputs, generator=stream)
    variance = torch.rand(units, inputs, generator=stream) + 0.1
    return WeightMoments(
        mean, torch.randn(units, generator=stream), variance, torch.rand(units, generator=stream) + 0.1
    )


def drawn(samples: int, seed: int = 0) -> Flipped:
    return flipped(moments(), samples=samples, generator=torch.Generator().manual_seed(seed))


def stack(layer: Flipped) -> torch.Tensor:
    return torch.stack([layer.net(index).weight for index in range(len(layer.units))])


@pytest.fixture
def wide() -> Posterior:
    """A posterior with a large dense layer behind another one, and a small one at the end."""
    described: dict[str, object] = {
        "net": {"kind": "mlp", "hidden": [96, 200]},
        "input": {"shape": [180]},
        "output": {"kind": "categorical", "classes": 3},
    }
    blank, stream = root(Model.from_description(described)), torch.Generator().manual_seed(2)
    tensors = {
        key: 0.1 * torch.randn(t.shape, generator=stream) - (3.0 if key.endswith("log_sigma") else 0.0)
        for key, t in blank.tensors.items()
    }
    return replace(blank, tensors=tensors)


def test_every_weight_has_its_mean_and_variance_in_every_place_of_a_group() -> None:
    known, groups = moments(), 4000
    layer = drawn(GROUP_DRAWS * groups)
    assert known.variance is not None

    weights = stack(layer).view(groups, GROUP_DRAWS, UNITS, INPUTS)

    error = (known.variance / groups).sqrt()
    assert float(((weights.mean(0) - known.mean).abs() / error).max()) < 5
    ratio = (weights - known.mean).square().mean(0) / known.variance
    assert float((ratio - 1).abs().max()) < 5 * (2 / groups) ** 0.5


def test_the_weights_of_different_draws_are_uncorrelated_within_a_group_and_beyond() -> None:
    groups = 4000
    off = (stack(drawn(GROUP_DRAWS * groups)) - moments().mean).view(groups, GROUP_DRAWS, UNITS * INPUTS)
    off = off / off.square().mean((0, 1)).sqrt()

    within = torch.einsum("gaw,gbv->abwv", off, off) / groups
    beyond = torch.einsum("gaw,gav->wv", off[:-1], off[1:]) / (groups - 1) / GROUP_DRAWS

    different = ~torch.eye(GROUP_DRAWS, dtype=torch.bool)
    assert float(within[different].abs().max()) < 6 * groups**-0.5
    assert float(beyond.abs().max()) < 6 * (groups * GROUP_DRAWS) ** -0.5


def test_the_weights_of_one_draw_are_independent() -> None:
    draws = 20_000
    layer = flipped(moments(), samples=GROUP_DRAWS * draws, generator=torch.Generator().manual_seed(1))
    off = torch.stack([layer.net(GROUP_DRAWS * index).weight for index in range(draws)]) - moments().mean
    off = (off / off.square().mean(0).sqrt()).flatten(1)

    correlation = off.T @ off / draws

    assert float((correlation - torch.eye(UNITS * INPUTS)).abs().max()) < 6 * draws**-0.5


@pytest.mark.parametrize("samples", [3, 8, 9, 12, 16])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("by_row", [False, True])
def test_outputs_are_those_of_each_net_by_itself(samples: int, own: bool, by_row: bool) -> None:
    layer = drawn(samples)
    x = torch.randn(7, samples if own else 1, INPUTS, generator=torch.Generator().manual_seed(3))

    outputs = layer.outputs(x, by_row=by_row)

    for index in range(samples):
        weight, bias = layer.net(index)
        expected = x[:, index if own else 0] @ weight.T + bias
        torch.testing.assert_close(outputs[:, index], expected, rtol=1e-4, atol=1e-5)


def test_only_large_dense_layers_of_several_draws_are_flipped(wide: Posterior) -> None:
    assert set(draw(wide, samples=DRAWS_LEAST).flipped) == {"dense1", "dense2"}
    assert not draw(wide, samples=DRAWS_LEAST - 1).flipped
    assert wide.network.weighted[0].fan_in * 96 >= WEIGHTS_LEAST > 3 * 200


def test_nets_side_by_side_say_what_they_say_one_by_one(wide: Posterior) -> None:
    draws = draw(wide, samples=11, seed=5)
    x = torch.randn(5, 180, generator=torch.Generator().manual_seed(1))

    together = evaluate(draws, x)

    for index in range(11):
        h = x
        for layer in wide.network.weighted:
            h = apply(layer, h, *draws.net(layer.name, index))
            h = h if layer.name == "dense3" else h.relu()
        torch.testing.assert_close(together[:, index], h.double(), rtol=1e-4, atol=1e-5)


def test_the_memory_of_draws_that_share_noise_grows_by_groups(wide: Posterior) -> None:
    few, many = draw(wide, samples=8), draw(wide, samples=16)

    matrices = 4 * (96 * 180 + 200 * 96)
    assert matrices < many.nbytes - few.nbytes < 1.5 * matrices

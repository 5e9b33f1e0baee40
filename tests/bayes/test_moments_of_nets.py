"""Predictions from moments beside those of large ensembles: how far the approximations of whole nets carry."""

import math
from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from bayes import Chunk, FamilyName, Model, Posterior, absorb, predict, root
from bayes.draws import evaluate, in_turn
from bayes.fixed import FIXED, calibrated
from bayes.moments import moments as moments_of
from bayes.moments import propagate
from tests.bayes.predictions import classes, numbers

SAMPLES = 2000
LAYERS = {
    "kind": "layers",
    "layers": [
        {"kind": "conv", "filters": 6, "kernel": 3, "padding": 1},
        {"kind": "maxpool", "size": 2},
        {"kind": "relu"},
        {"kind": "conv", "filters": 8, "kernel": 3},
        {"kind": "softplus"},
        {"kind": "flatten"},
        {"kind": "dense", "units": 20},
        {"kind": "relu"},
    ],
}
MLP = {"kind": "mlp", "hidden": [40, 40]}


def digits() -> tuple[Chunk, Tensor]:
    """60 images of digits to learn from, and 60 to ask of, half of them turned, which none learned from."""
    images, labels = load_digits(return_X_y=True)
    inputs = torch.tensor(images[:120], dtype=torch.float32).view(-1, 1, 8, 8)
    turned = torch.cat([inputs[60:90], inputs[90:].mT])
    return Chunk(inputs[:60], torch.tensor(labels[:60])), turned


def taught(net: dict[str, object], family: FamilyName) -> tuple[Posterior, Tensor]:
    model = Model.from_description(
        {
            "net": net,
            "input": {"shape": [1, 8, 8], "mean": 5, "std": 6},
            "output": {"kind": "categorical", "classes": 10},
            "family": family,
            "recipe": {"epochs": 20, "batch_rows": 20, "lr": 0.01, "beta": 0.1, "log_sigma_start": -3.0},
        }
    )
    chunk, asked = digits()
    return absorb(root(model), chunk, model.recipe)[0], asked


@pytest.mark.parametrize("family", ["ffg", "cfg"])
@pytest.mark.parametrize("net", [MLP, LAYERS], ids=["mlp", "layers"])
def test_moments_say_of_classes_nearly_what_a_large_ensemble_says(net: dict[str, object], family: FamilyName) -> None:
    posterior, asked = taught(net, family)

    moments, ensemble = classes(predict(posterior, asked)), classes(predict(posterior, asked, samples=SAMPLES))

    assert (moments.method, ensemble.method) == ("moments", "ensemble")
    assert float(ensemble.mutual_information.mean()) > 0.05
    off = (moments.probabilities - ensemble.probabilities).abs()
    assert float(off.mean()) < 0.02
    assert float(off.max()) < 0.1
    assert float((moments.entropy - ensemble.entropy).abs().mean()) < 0.25
    information = torch.stack([moments.mutual_information, ensemble.mutual_information])
    assert 0.75 < float(information[0].mean() / information[1].mean()) < 1.15
    assert float(torch.corrcoef(information)[0, 1]) > 0.9


@pytest.mark.parametrize("hidden", [[], [30], [30, 30]])
def test_moments_say_of_numbers_nearly_what_a_large_ensemble_says(hidden: list[int]) -> None:
    model = Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": hidden},
            "input": {"shape": [5]},
            "output": {"kind": "gaussian", "dims": 2},
            "recipe": {"epochs": 60, "batch_rows": 20, "lr": 0.01},
        }
    )
    inputs = torch.randn(80, 5, generator=torch.Generator().manual_seed(2))
    labels = 50 + 9 * torch.cat([inputs[:, :1].sin(), inputs[:, 1:2] * inputs[:, 2:3]], 1)
    posterior, _ = absorb(root(model), Chunk(inputs[:40], labels[:40]), model.recipe)
    asked = torch.cat([inputs[40:], 3 * inputs[40:]])

    moments, ensemble = numbers(predict(posterior, asked)), numbers(predict(posterior, asked, samples=SAMPLES))

    assert torch.equal(moments.noise_std, ensemble.noise_std)
    total = moments.epistemic_std.square() + moments.noise_std.square()
    torch.testing.assert_close(moments.std.square(), total)
    ratio = moments.epistemic_std / ensemble.epistemic_std
    off = (moments.mean - ensemble.mean).abs() / ensemble.epistemic_std
    assert 0.8 < float(ratio.min()) <= float(ratio.max()) < 1.1
    assert 0.93 < float(ratio.mean()) < 1.03
    assert float(off.max()) < 0.1


def narrow(name: str, share: float, side: int = 32) -> tuple[Posterior, Tensor]:
    """A net of torchvision with weights drawn as for a start, each with this share of their width for its sigma."""
    model = Model.from_description(
        {
            "net": {"kind": "torchvision", "name": name},
            "input": {"shape": [3, side, side]},
            "output": {"kind": "categorical", "classes": 4},
        }
    )
    posterior, stream = root(model), torch.Generator().manual_seed(0)
    tensors, weights = dict(posterior.tensors), {}
    for layer in posterior.network.weighted:
        width = (2 / layer.fan_in) ** 0.5
        mu = width * torch.randn(layer.weight_shape, generator=stream)
        tensors[f"{layer.name}.weight.mu"] = mu
        tensors[f"{layer.name}.weight.log_sigma"] = torch.full_like(mu, math.log(share * width))
        tensors[f"{layer.name}.bias.log_sigma"] = torch.full(layer.bias_shape, -6.0)
        weights[layer.name] = mu, torch.zeros(layer.bias_shape)
    x = torch.randn(64, 3, side, side, generator=stream)
    fixed = calibrated(posterior.network, weights, x)
    tensors |= {f"{FIXED}.{key}": tensor for key, tensor in fixed.items()}
    return replace(posterior, tensors=tensors), x[:8]


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v2"])
def test_moments_pass_through_a_graph_and_come_near_its_draws(name: str) -> None:
    posterior, asked = narrow(name, 0.05)

    moments, ensemble = classes(predict(posterior, asked)), classes(predict(posterior, asked, samples=60))

    off = (moments.probabilities - ensemble.probabilities).abs()
    assert float(off.mean()) < 0.04
    assert float((moments.entropy - ensemble.entropy).abs().mean()) < 0.06
    assert 0.7 < float(moments.mutual_information.mean() / ensemble.mutual_information.mean()) < 1.3


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "mobilenet_v2"])
def test_behind_a_mean_over_positions_deviations_are_right_within_a_factor_of_two(name: str) -> None:
    posterior, asked = narrow(name, 0.05, side=64)
    x = posterior.input.scale(asked)

    _, variance = propagate(moments_of(posterior), x)

    drawn = torch.cat([evaluate(some, x) for some in in_turn(posterior, samples=60, seed=0)], 1).var(1)
    assert variance is not None
    ratio = float((variance / drawn).sqrt().median())
    assert 0.5 < ratio < 2

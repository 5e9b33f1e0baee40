"""The moments of explicit weight draws, exactly: 2n sigma points have the mean and covariance of n weights."""

import math

import pytest
import torch
from torch import Tensor

from bayes.families import ffg, reparameterization
from bayes.families.reparameterization import VARIANCE_FLOOR
from bayes.layers import Conv, Dense, Weighted, apply

DENSE = Weighted("dense1", Dense(3), inputs=4)
CONV = Weighted("conv1", Conv(3, 2, padding=1, stride=2), inputs=2)


def random_layer(layer: Weighted) -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(3)
    return {key: torch.randn(shape, generator=stream, dtype=torch.float64) for key, shape in ffg.shapes(layer).items()}


def inputs_of(layer: Weighted) -> Tensor:
    shape = (5, 4) if isinstance(layer.layer, Dense) else (5, 2, 5, 5)
    return torch.randn(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def sigma_points(layer: Weighted, q: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Draws (weight, bias), mu +- sqrt(n) sigma_i for each weight i in turn, whose mean and variances are q's."""
    mu = torch.cat([q["weight.mu"].flatten(), q["bias.mu"]])
    sigma = torch.cat([q["weight.log_sigma"].flatten(), q["bias.log_sigma"]]).exp()
    off = torch.diag(math.sqrt(len(mu)) * sigma)
    split = math.prod(layer.weight_shape)
    return [(w[:split].view(layer.weight_shape), w[split:]) for w in torch.cat([mu + off, mu - off])]


@pytest.mark.parametrize("layer", [DENSE, CONV], ids=["dense", "conv"])
def test_mean_and_variance_of_every_output_are_those_of_explicit_weight_draws(layer: Weighted) -> None:
    q, x = random_layer(layer), inputs_of(layer)
    draws = torch.stack([apply(layer, x, weight, bias) for weight, bias in sigma_points(layer, q)])

    mean = ffg.linear(layer, q, x, torch.zeros_like)
    off = ffg.linear(layer, q, x, torch.ones_like) - mean
    variance = off.square()

    torch.testing.assert_close(mean, draws.mean(0), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(variance - VARIANCE_FLOOR, draws.var(0, correction=0), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layer", [DENSE, CONV], ids=["dense", "conv"])
def test_the_second_half_of_the_rows_has_the_noise_of_the_first_negated(layer: Weighted) -> None:
    q, x = random_layer(layer), inputs_of(layer)
    noise = torch.randn(3, *ffg.linear(layer, q, x, torch.zeros_like).shape[1:], dtype=torch.float64)

    mean = ffg.linear(layer, q, x, torch.zeros_like)
    deviation = ffg.linear(layer, q, x, torch.ones_like) - mean

    drawn = ffg.linear(layer, q, x, lambda like: noise[: len(like)].clone())
    torch.testing.assert_close(drawn - mean, deviation * torch.cat([noise, noise[:2]]), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layer", [DENSE, CONV], ids=["dense", "conv"])
def test_gradients_are_those_of_finite_differences(layer: Weighted) -> None:
    q = {key: t.requires_grad_() for key, t in random_layer(layer).items()}
    x = inputs_of(layer).requires_grad_()

    def output(x: Tensor, *tensors: Tensor) -> Tensor:
        return ffg.linear(layer, dict(zip(q, tensors, strict=True)), x, torch.ones_like)

    assert torch.autograd.gradcheck(output, (x, *q.values()))


@pytest.mark.parametrize(
    "layer",
    [Weighted("dense1", Dense(64), inputs=64), Weighted("conv1", Conv(16, 4), inputs=16)],
    ids=["dense", "conv"],
)
def test_half_precision_costs_the_deviation_less_than_a_hundredth(
    layer: Weighted, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = torch.Generator().manual_seed(5)
    q = {key: torch.randn(shape, generator=stream).requires_grad_() for key, shape in ffg.shapes(layer).items()}
    x = torch.randn((6, 64) if isinstance(layer.layer, Dense) else (6, 16, 9, 9), generator=stream)

    found = {}
    for is_half in (False, True):
        monkeypatch.setattr(reparameterization, "IS_HALF_FAST", is_half)
        variance = reparameterization.output_variance(layer, q, x)
        gradients = torch.autograd.grad(variance.sqrt().sum(), [q["weight.log_sigma"], q["bias.log_sigma"]])
        found[is_half] = (variance.detach().sqrt(), *gradients)

    for whole, half in zip(found[False], found[True], strict=True):
        assert half.dtype == torch.float32
        assert not torch.equal(half, whole)
        torch.testing.assert_close(half, whole, rtol=0.01, atol=0.01 * float(whole.abs().mean()))


def test_an_input_of_zeros_and_a_sure_bias_have_finite_gradients() -> None:
    q = {key: t.requires_grad_() for key, t in random_layer(DENSE).items()}
    sure = q | {"bias.log_sigma": torch.full((3,), -400.0, dtype=torch.float64, requires_grad=True)}

    torch.autograd.backward(ffg.linear(DENSE, sure, torch.zeros(2, 4, dtype=torch.float64), torch.ones_like).sum())

    assert all(bool(torch.isfinite(t.grad).all()) for t in sure.values() if t.grad is not None)


def test_drawn_weights_are_mu_plus_sigma_times_the_stream() -> None:
    q = {key: t.float() for key, t in random_layer(DENSE).items()}

    drawn = ffg.draw(q, 6, torch.Generator().manual_seed(8))

    stream = torch.Generator().manual_seed(8)
    weight_noise, bias_noise = torch.randn(6, 3, 4, generator=stream), torch.randn(6, 3, generator=stream)
    torch.testing.assert_close(drawn.weight, q["weight.mu"] + q["weight.log_sigma"].exp() * weight_noise)
    torch.testing.assert_close(drawn.bias, q["bias.mu"] + q["bias.log_sigma"].exp() * bias_noise)

"""The full covariances inside kernels, against torch.distributions and against sums over the columns of L."""

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal
from torch.distributions import kl_divergence as torch_kl

from bayes.families import cfg, ffg
from bayes.families.parts import Tensors
from bayes.layers import Weighted, apply
from tests.bayes.family_layers import CONV, DENSE, GROUPED, Parameters, inputs_of, kl, normal, random_tensors

both = pytest.mark.parametrize("layer", [CONV, GROUPED], ids=["conv", "grouped"])


def factors(layer: Weighted, q: Tensors) -> Tensor:
    """L of every kernel, [kernels, area, area], entry by entry."""
    area = layer.weight_shape[2] ** 2
    factor = torch.diag_embed(q["weight.log_sigma"].exp().reshape(-1, area))
    packed = q[cfg.LOWER].flatten(0, 1)
    for row in range(area):
        for column in range(row):
            sigma = q["weight.log_sigma"].reshape(-1, area)[:, row].exp()
            factor[:, row, column] = sigma * packed[:, row * (row - 1) // 2 + column]
    return factor


def kernels(layer: Weighted, q: Tensors) -> MultivariateNormal:
    factor = factors(layer, q)
    return MultivariateNormal(q["weight.mu"].reshape(factor.shape[:2]), scale_tril=factor)


def exact_variance(layer: Weighted, factor: Tensor, x: Tensor) -> Tensor:
    """Of the layer's output without its bias, one column of one kernel after another."""
    total = torch.zeros_like(apply(layer, x, torch.zeros(layer.weight_shape, dtype=torch.float64), None))
    for kernel, columns in enumerate(factor):
        for column in columns.T:
            weight = torch.zeros(factor.shape[:2], dtype=torch.float64)
            weight[kernel] = column
            total += apply(layer, x, weight.view(layer.weight_shape), None).square()
    return total


def sure_of_biases(q: Parameters) -> Parameters:
    return q | {"bias.log_sigma": torch.full_like(q["bias.log_sigma"], -400.0)}


def slopes_and_noise(layer: Weighted, q: Parameters, x: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes of a loss by the outputs for x, and how far noise of ones takes these from their means."""
    with torch.no_grad():
        output = cfg.linear(layer, cfg.complete(sure_of_biases(q), torch.zeros_like, len(x)), x, torch.ones_like)
        off = output - apply(layer, x, q["weight.mu"], q["bias.mu"])
    return torch.randn(output.shape, generator=torch.Generator().manual_seed(6)).double(), off


def gradients_of_the_factors(layer: Weighted, q: Parameters, x: Tensor, slopes: Tensor) -> tuple[Tensor, ...]:
    """Of a loss with these slopes, by log sigma and U, when the noise is ones."""
    output = cfg.linear(layer, cfg.complete(sure_of_biases(q), torch.zeros_like, len(x)), x, torch.ones_like)
    return torch.autograd.grad((slopes * output).sum(), (q["weight.log_sigma"], q[cfg.LOWER]))


@both
def test_the_kl_is_that_of_torch_distributions(layer: Weighted) -> None:
    q, p = random_tensors("cfg", layer, 0), random_tensors("cfg", layer, 1)

    of_kernels = torch_kl(kernels(layer, q), kernels(layer, p)).sum()
    biases = [Normal(t["bias.mu"], t["bias.log_sigma"].exp()) for t in (q, p)]

    assert float(kl("cfg", q, p)) == pytest.approx(float(of_kernels + torch_kl(*biases).sum()), rel=1e-12)


@both
def test_the_covariance_of_draws_is_that_of_the_factors(layer: Weighted) -> None:
    q = random_tensors("cfg", layer, 0)
    expected = kernels(layer, q).covariance_matrix

    drawn = cfg.draw(q, 40_000, torch.Generator().manual_seed(0)).weight
    off = (drawn - q["weight.mu"]).view(40_000, *expected.shape[:2])
    found = torch.einsum("ski,skj->kij", off, off) / 40_000

    variances = expected.diagonal(dim1=1, dim2=2)
    errors = (variances.unsqueeze(1) * variances.unsqueeze(2) + expected.square()).div(40_000).sqrt()
    assert bool(((found - expected).abs() <= 5 * errors).all())


@both
def test_rows_are_those_of_one_draw_of_the_kernels_but_for_signs(layer: Weighted) -> None:
    q, x = random_tensors("cfg", layer, 0), inputs_of(layer)
    complete = cfg.complete(sure_of_biases(q), torch.zeros_like, 5)

    drawn = cfg.linear(layer, complete, x, torch.ones_like)
    mean = cfg.linear(layer, complete, x, torch.zeros_like)

    weight = q["weight.mu"] + factors(layer, q).sum(2).view(layer.weight_shape)
    torch.testing.assert_close(mean, apply(layer, x, q["weight.mu"], q["bias.mu"]), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(drawn, apply(layer, x, weight, q["bias.mu"]), rtol=1e-10, atol=1e-10)


@both
def test_over_all_orders_of_the_rows_the_gradient_of_the_factors_is_that_of_all_variances(layer: Weighted) -> None:
    q, rows = random_tensors("cfg", layer, 0), 6
    learned = [q[key].requires_grad_() for key in ("weight.log_sigma", cfg.LOWER)]
    x = torch.randn((rows, *inputs_of(layer).shape[1:]), generator=torch.Generator().manual_seed(5)).double()
    slopes, off = slopes_and_noise(layer, q, x)

    found = [gradients_of_the_factors(layer, q, x.roll(by, 0), slopes.roll(by, 0)) for by in range(rows)]

    variance = exact_variance(layer, factors(layer, q), x)
    whole = torch.autograd.grad((slopes * off / (2 * variance.detach()) * variance).sum(), learned)
    for gradients, expected in zip(zip(*found, strict=True), whole, strict=True):
        torch.testing.assert_close(torch.stack(gradients).mean(0), expected, rtol=1e-6, atol=1e-6)


@both
def test_sigma_has_the_gradient_of_all_rows_where_there_is_no_correlation(layer: Weighted) -> None:
    q = random_tensors("cfg", layer, 0)
    q[cfg.LOWER].zero_()
    for key in ("weight.log_sigma", cfg.LOWER):
        q[key].requires_grad_()
    x = torch.randn((6, *inputs_of(layer).shape[1:]), generator=torch.Generator().manual_seed(5)).double()
    slopes, off = slopes_and_noise(layer, q, x)

    found = gradients_of_the_factors(layer, q, x, slopes)[0]

    variance = apply(layer, x.square(), (2 * q["weight.log_sigma"]).exp(), None)
    (expected,) = torch.autograd.grad((slopes * off / (2 * variance.detach()) * variance).sum(), q["weight.log_sigma"])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@both
def test_gradients_of_the_inputs_and_the_means_are_those_of_the_drawn_kernels(layer: Weighted) -> None:
    q, x = random_tensors("cfg", layer, 0), inputs_of(layer).requires_grad_()
    mu = q["weight.mu"].requires_grad_()
    complete = cfg.complete(sure_of_biases(q), torch.zeros_like, 5)

    found = torch.autograd.grad(cfg.linear(layer, complete, x, torch.ones_like).sin().sum(), (x, mu))

    weight = mu + factors(layer, q).sum(2).view(layer.weight_shape).detach()
    expected = torch.autograd.grad(apply(layer, x, weight, q["bias.mu"]).sin().sum(), (x, mu))
    for gradient, other in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-10, atol=1e-10)


@both
def test_kernels_without_correlation_are_those_of_ffg(layer: Weighted) -> None:
    of_ffg, prior = random_tensors("ffg", layer, 0), random_tensors("ffg", layer, 1)
    lower = torch.zeros(cfg.shapes(layer)[cfg.LOWER], dtype=torch.float64)
    q, p = of_ffg | {cfg.LOWER: lower}, prior | {cfg.LOWER: lower}

    forgotten, of_ffg_forgotten = cfg.pool([(0.3, q), (0.7, p)]), ffg.pool([(0.3, of_ffg), (0.7, prior)])

    torch.testing.assert_close(kl("cfg", q, p), kl("ffg", of_ffg, prior), rtol=1e-12, atol=0.0)
    assert not bool(forgotten[cfg.LOWER].any())
    for key, tensor in of_ffg_forgotten.items():
        torch.testing.assert_close(forgotten[key], tensor, rtol=1e-12, atol=1e-12)
    assert cfg.describe(q, p, q) == pytest.approx(ffg.describe(of_ffg, prior, of_ffg))


@both
def test_forgetting_weighs_the_precisions(layer: Weighted) -> None:
    q, root = random_tensors("cfg", layer, 0), random_tensors("cfg", layer, 1)

    one, other = kernels(layer, q), kernels(layer, root)
    blended = kernels(layer, cfg.pool([(0.3, q), (0.7, root)]))

    precision = 0.3 * one.precision_matrix + 0.7 * other.precision_matrix
    pull = 0.3 * (one.precision_matrix @ one.loc.unsqueeze(2)) + 0.7 * (other.precision_matrix @ other.loc.unsqueeze(2))
    torch.testing.assert_close(blended.precision_matrix, precision, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(blended.precision_matrix @ blended.loc.unsqueeze(2), pull, rtol=1e-9, atol=1e-9)


@both
def test_signal_to_noise_is_told_by_the_deviation_of_the_weight_itself(layer: Weighted) -> None:
    q, p = random_tensors("cfg", layer, 0), random_tensors("cfg", layer, 1)

    facts = cfg.describe(q, p, q)

    ratio = kernels(layer, q).mean.abs() / kernels(layer, q).variance.sqrt()
    wider = (kernels(layer, q).variance / kernels(layer, p).variance).sqrt()
    assert facts["snr_median"] == pytest.approx(float(ratio.median()))
    assert facts["sigma_to_prior_median"] == pytest.approx(float(wider.median()))


def test_dense_layers_are_those_of_ffg() -> None:
    q, p, x = random_tensors("cfg", DENSE, 0), random_tensors("cfg", DENSE, 1), inputs_of(DENSE)

    assert cfg.shapes(DENSE) == ffg.shapes(DENSE)
    assert float(kl("cfg", q, p)) == float(kl("ffg", q, p))
    assert torch.equal(cfg.linear(DENSE, q, x, normal(0)), ffg.linear(DENSE, q, x, normal(0)))

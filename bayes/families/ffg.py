"""Fully factorized Gaussian: every weight w ~ N(mu, sigma^2) by itself, stored as mu and log sigma."""

import torch
from torch import Tensor

from bayes.families.gaussian_kl import divergence, sigma_inverses
from bayes.families.natural import Terms, pooled
from bayes.families.parts import Check, Gaussians, LayerWeights, Noise, Rate, Tensors, WeightMoments
from bayes.families.reparameterization import output_variance, perturbed
from bayes.layers import Shape, Weighted, apply

has_moments = True


def shapes(layer: Weighted) -> dict[str, Shape]:
    """The layer's tensors: mu and log sigma of its weight and of its bias."""
    return {
        "weight.mu": layer.weight_shape,
        "weight.log_sigma": layer.weight_shape,
        "bias.mu": layer.bias_shape,
        "bias.log_sigma": layer.bias_shape,
    }


def rate(key: str) -> Rate | None:
    """Means move at `lr`, log standard deviations at `lr_log_sigma`."""
    return "lr" if key.endswith("mu") else "lr_log_sigma"


def root(layer: Weighted, gaussians: Gaussians) -> dict[str, Tensor]:  # noqa: ARG001
    """These Gaussians themselves."""
    return {
        "weight.mu": gaussians.weight_mu,
        "weight.log_sigma": gaussians.weight_log_sigma,
        "bias.mu": gaussians.bias_mu,
        "bias.log_sigma": gaussians.bias_log_sigma,
    }


def start(prior: Tensors, weight: Tensor, log_sigma_start: float) -> dict[str, Tensor]:
    """The given means of the weights, the prior's of the biases, and log sigma at most `log_sigma_start`.

    A net whose weights start as wide as the prior is all noise, and the data cannot be heard through it.
    """
    return {
        "weight.mu": weight,
        "weight.log_sigma": prior["weight.log_sigma"].clamp(max=log_sigma_start),
        "bias.mu": prior["bias.mu"].clone(),
        "bias.log_sigma": prior["bias.log_sigma"].clamp(max=log_sigma_start),
    }


def ready(p: Tensors) -> Tensors:
    """The prior with 1 / sigma of every weight."""
    return {**p, **sigma_inverses(p)}


def complete(q: Tensors, noise: Noise, rows: int) -> Tensors:  # noqa: ARG001
    """The posterior as it is: it has no auxiliary variables."""
    return q


def linear(layer: Weighted, q: Tensors, x: Tensor, noise: Noise) -> Tensor:
    r"""One random output per row (and position) by local reparameterization.

    .. math:: x\mu + \sqrt{x^2 \sigma^2 + 10^{-10}} \; \varepsilon

    Exact for a dense layer. For a convolution every position has the right mean and variance, but positions
    lose the covariance they owe to the kernel they share: fit with this, predict with `draw`.

    Source: Kingma, Salimans, Welling 2015, "Variational Dropout and the Local Reparameterization Trick", eq. 6.
    """
    return perturbed(apply(layer, x, q["weight.mu"], q["bias.mu"]), output_variance(layer, q, x), noise)


def kl(q: Tensors, p: Tensors) -> Tensor:
    r"""KL(q || p) in nats, summed over the layer's weights; a scalar, exactly 0 when q is p.

    .. math:: \sum_i \log\frac{s_i}{\sigma_i} + \frac{\sigma_i^2 + (\mu_i - m_i)^2}{2 s_i^2} - \frac12

    Source: Kochurov et al. 2018, the KL term of the bound for a factorized prior N(m, s^2).
    """
    return divergence(q, p, "weight") + divergence(q, p, "bias")


def kl_in_turn(q: Tensors, p: Tensors, *, noise: Noise, rows: int, check: Check) -> Tensor:  # noqa: ARG001
    """As `kl`: there is nothing to draw."""
    return kl(q, p)


def mean(q: Tensors) -> LayerWeights:
    """The means, stacked as one draw."""
    return LayerWeights(q["weight.mu"].unsqueeze(0), q["bias.mu"].unsqueeze(0))


def moments(q: Tensors, out: Tensor | None = None) -> WeightMoments | None:
    """The means and the squares of the sigmas."""
    weight = torch.mul(q["weight.log_sigma"], 2, out=out).exp_()
    bias = torch.mul(q["bias.log_sigma"], 2).exp_()
    return WeightMoments(q["weight.mu"], q["bias.mu"], weight, bias)


def draw(q: Tensors, samples: int, generator: torch.Generator) -> LayerWeights:
    """Independent draws mu + sigma * epsilon."""
    return LayerWeights(_draw(q, "weight", samples, generator), _draw(q, "bias", samples, generator))


def pool(terms: Terms) -> dict[str, Tensor]:
    """The Gaussians proportional to the product of the terms, weight by weight."""
    return pooled(terms, ("weight", "bias"))


def describe(q: Tensors, p: Tensors, start: Tensors) -> dict[str, float]:
    """Of the layer's weights: the median |mu| / sigma, the median sigma over the prior's, mean |move of log sigma|."""
    log_sigma = q["weight.log_sigma"]
    return {
        "snr_median": float((q["weight.mu"].abs() / log_sigma.exp()).median()),
        "sigma_to_prior_median": float((log_sigma - p["weight.log_sigma"]).exp().median()),
        "log_sigma_moved": float((log_sigma - start["weight.log_sigma"]).abs().mean()),
    }


def _draw(q: Tensors, part: str, samples: int, generator: torch.Generator) -> Tensor:
    mu = q[f"{part}.mu"]
    noise = torch.randn((samples, *mu.shape), generator=generator, device=mu.device, dtype=mu.dtype)
    return noise.mul_(q[f"{part}.log_sigma"].exp()).add_(mu)

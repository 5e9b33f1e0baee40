"""A point: every weight is one number and sure of it. Plain fine-tuning, the baseline that others must beat."""

import torch
from torch import Tensor

from bayes.families.natural import Terms
from bayes.families.parts import Check, Gaussians, LayerWeights, Noise, Rate, Tensors, WeightMoments
from bayes.layers import Shape, Weighted, apply

has_moments = True


def shapes(layer: Weighted) -> dict[str, Shape]:
    """The layer's tensors: its weight and its bias."""
    return {"weight.mu": layer.weight_shape, "bias.mu": layer.bias_shape}


def rate(key: str) -> Rate | None:  # noqa: ARG001
    """Every tensor is a mean."""
    return "lr"


def root(layer: Weighted, gaussians: Gaussians) -> dict[str, Tensor]:  # noqa: ARG001
    """The means; the prior's width means nothing to a point."""
    return {"weight.mu": gaussians.weight_mu, "bias.mu": gaussians.bias_mu}


def start(prior: Tensors, weight: Tensor, log_sigma_start: float) -> dict[str, Tensor]:  # noqa: ARG001
    """The given weights and the prior's biases."""
    return {"weight.mu": weight, "bias.mu": prior["bias.mu"].clone()}


def ready(p: Tensors) -> Tensors:
    """The prior as it is."""
    return p


def complete(q: Tensors, noise: Noise, rows: int) -> Tensors:  # noqa: ARG001
    """The point as it is: it has no auxiliary variables."""
    return q


def linear(layer: Weighted, q: Tensors, x: Tensor, noise: Noise) -> Tensor:  # noqa: ARG001
    """The layer's output; nothing about it is random."""
    return apply(layer, x, q["weight.mu"], q["bias.mu"])


def kl(q: Tensors, p: Tensors) -> Tensor:  # noqa: ARG001
    """0: the prior does not hold a point back."""
    return q["weight.mu"].new_zeros(())


def kl_in_turn(q: Tensors, p: Tensors, *, noise: Noise, rows: int, check: Check) -> Tensor:  # noqa: ARG001
    """0, as `kl`."""
    return kl(q, p)


def mean(q: Tensors) -> LayerWeights:
    """The point, stacked as one draw."""
    return LayerWeights(q["weight.mu"].unsqueeze(0), q["bias.mu"].unsqueeze(0))


def moments(q: Tensors, out: Tensor | None = None) -> WeightMoments | None:  # noqa: ARG001
    """The point, without variances."""
    return WeightMoments(q["weight.mu"], q["bias.mu"])


def draw(q: Tensors, samples: int, generator: torch.Generator) -> LayerWeights:  # noqa: ARG001
    """The point: all its draws are equal, so one stands for all."""
    return mean(q)


def pool(terms: Terms) -> Tensors:
    """The first point as it is: no density holds it."""
    return terms[0][1]


def describe(q: Tensors, p: Tensors, start: Tensors) -> dict[str, float]:  # noqa: ARG001
    """Nothing: a point has no width."""
    return {}

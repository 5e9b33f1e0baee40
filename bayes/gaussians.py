"""Gaussians over one layer's weights: vague ones, and those around weights learned elsewhere."""

import math

import torch
from torch import Tensor

from bayes.families.parts import Gaussians
from bayes.layers import Weighted

BIAS_SIGMA = 0.2


def vague(layer: Weighted, sigma: float | None) -> Gaussians:
    """N(0, sigma^2) for every weight; None: sigma = 2 / sqrt(fan-in), 0.2 for biases."""
    weight_sigma = 2 / math.sqrt(layer.fan_in) if sigma is None else sigma
    bias_sigma = BIAS_SIGMA if sigma is None else sigma
    return Gaussians(
        weight_mu=torch.zeros(layer.weight_shape, dtype=torch.float32),
        weight_log_sigma=torch.full(layer.weight_shape, math.log(weight_sigma), dtype=torch.float32),
        bias_mu=torch.zeros(layer.bias_shape, dtype=torch.float32),
        bias_log_sigma=torch.full(layer.bias_shape, math.log(bias_sigma), dtype=torch.float32),
    )


def around(weight: Tensor, bias: Tensor, sigma: float) -> Gaussians:
    """N(w*, sigma^2) for every weight and bias."""
    log_sigma = math.log(sigma)
    return Gaussians(weight, torch.full_like(weight, log_sigma), bias, torch.full_like(bias, log_sigma))


def with_units_of(known: Gaussians, fresh: Gaussians) -> Gaussians:
    """The known units of a layer, and after them those units of `fresh` that come later."""
    return Gaussians(*(torch.cat([own, other[len(own) :]]) for own, other in zip(known, fresh, strict=True)))


def with_biases_of(known: Gaussians, fresh: Gaussians) -> Gaussians:
    """The known weights, and the fresh biases of as many units."""
    units = len(known.weight_mu)
    return known._replace(bias_mu=fresh.bias_mu[:units], bias_log_sigma=fresh.bias_log_sigma[:units])

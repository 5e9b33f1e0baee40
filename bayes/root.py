"""The posterior before any rows: version 0 of every model."""

import math

import torch

from bayes import likelihoods
from bayes.families import FAMILIES
from bayes.families.parts import Gaussians
from bayes.layers import Weighted
from bayes.model import Model
from bayes.posterior import Posterior, join

BIAS_SIGMA = 0.2


def root(model: Model) -> Posterior:
    """The model's prior as a posterior of no chunks; the same model always gives the same bytes."""
    rules = FAMILIES[model.family]
    layers = {layer.name: rules.root(layer, vague(layer, model.prior.sigma)) for layer in model.network.weighted}
    return Posterior(
        family=model.family,
        net=model.net,
        input=model.input,
        output=model.output,
        tensors=join({**layers, likelihoods.OWN: likelihoods.root(model.output)}),
        chunks=0,
    )


def vague(layer: Weighted, sigma: float | None) -> Gaussians:
    """N(0, sigma^2) for every weight; None: sigma = 2 / sqrt(fan-in), 0.2 for biases."""
    weight_sigma = 2 / math.sqrt(layer.fan_in) if sigma is None else sigma
    bias_sigma = BIAS_SIGMA if sigma is None else sigma
    return Gaussians(
        weight_mu=torch.zeros(layer.weight_shape),
        weight_log_sigma=torch.full(layer.weight_shape, math.log(weight_sigma)),
        bias_mu=torch.zeros(layer.bias_shape),
        bias_log_sigma=torch.full(layer.bias_shape, math.log(bias_sigma)),
    )

"""Priors around weights learned elsewhere: of a given width, or as wide as old rows leave them."""

import math
from collections.abc import Callable

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from bayes import likelihoods
from bayes.determinism import generator
from bayes.errors import InvalidDescription, InvalidInputs
from bayes.families.parts import Gaussians
from bayes.fixed import FIXED
from bayes.gaussians import around, vague, with_biases_of, with_units_of
from bayes.laplace import Likelihood, fisher, log_sigma_after
from bayes.likelihoods import LABEL_UNITS, OWN
from bayes.model import Model
from bayes.outputs import Categorical, Gaussian
from bayes.priors import SIGMA_LEAST, GaussianPrior, LaplacePrior, WeightsPrior
from bayes.recipe import EVIDENCE_MAX
from bayes.weights import BATCH, BLOB, Pretrained, Star, head_of, read_star

MEASURED_ROWS = 512
"""The most rows of a batch that curvature is measured on: it is a mean over rows, and hardly changes with more."""

LOG_SIGMA_LEAST = math.log(SIGMA_LEAST)

Check = Callable[[], None]


Beside = dict[str, dict[str, Tensor]]
"""Tensors of a posterior that are no layer's, under "output" and "fixed"."""


def gaussians(
    model: Model, pretrained: Pretrained | None = None, *, check: Check = lambda: None
) -> tuple[dict[str, Gaussians], Beside]:
    """What the model's prior says of each layer, and the tensors beside them that come with its weights.

    Of several sigmas it is the widest. Units of the output layer that w* does not have, all of them where the head is
    fresh, and biases that it does not have, are vague. `check` is called now and then; what it raises ends the work.

    Raises:
        InvalidDescription: the bytes are not those that the prior names, cannot be read, or do not fit the model.
    """
    prior = model.prior
    layers = model.network.weighted
    if isinstance(prior, GaussianPrior):
        return {layer.name: vague(layer, prior.sigma) for layer in layers}, {FIXED: {}, OWN: {}}
    if pretrained is None or pretrained.digests != prior.digests:
        raise InvalidDescription("prior", f"names its {' and its '.join(prior.digests)}; other bytes came with it")
    is_kept = prior.head == "keep"
    match prior:
        case WeightsPrior(_, sigmas):
            star, widest = read_star(model, pretrained.weights, with_head=is_kept), None
            known = _around(star, max(sigmas))
        case LaplacePrior():
            star, widest = read_star(model, pretrained.weights, with_head=True), prior.sigma
            known = _laplace(model, prior, star, batch=pretrained.batch or b"", check=check)
    head = head_of(star.network)
    if not is_kept:
        known.pop(head.name, None)
    elif (units := head.weight_shape[0]) > model.output.units:
        reason = f"has a tensor '{head.name}.weight' of {units} units; the model has {model.output.units} outputs"
        raise InvalidDescription(BLOB, f"{reason}, and a fresh head leaves it out")
    wide = {layer.name: vague(layer, widest) for layer in layers}
    fitted = {name: with_units_of(known[name], wide[name]) for name in known}
    is_whole = is_kept and head.weight_shape == head_of(model.network).weight_shape
    own = {key: star.own[key] for key in LABEL_UNITS if is_whole and key in star.own}
    return {**wide, **fitted}, {FIXED: star.fixed, OWN: own}


def rows_of(batch_rows: float, beta: float, *, weights: int) -> float:
    """How many rows a batch of so many stands for where the prior does not say: as many as it has, or fewer.

    Each counts 1 / beta times. Together they are not to count more than they are, nor more than one for each weight of
    the net up to 50,000: what w* was learned for is not all that will come.
    """
    return min(batch_rows, beta * max(batch_rows, min(weights, EVIDENCE_MAX)))


def _around(star: Star, sigma: float) -> dict[str, Gaussians]:
    """N(w*, sigma^2) for every weight of w*; vague where it has no bias."""
    known = {}
    for layer in star.network.weighted:
        if layer.name in star.layers:
            weight, bias = star.layers[layer.name]
            if bias is None:
                fresh = vague(layer, None)
                known[layer.name] = with_biases_of(around(weight, fresh.bias_mu, sigma), fresh)
            else:
                known[layer.name] = around(weight, bias, sigma)
    return known


def _laplace(model: Model, prior: LaplacePrior, star: Star, *, batch: bytes, check: Check) -> dict[str, Gaussians]:
    """N(w*, s^2), as wide as the batch leaves it; vague where w* has no bias."""
    x, importance = _read_batch(model, batch)
    measured = _sample(importance)
    wide = {layer.name: vague(layer, prior.sigma) for layer in star.network.weighted}
    biased = {
        name: (weight, wide[name].bias_mu if bias is None else bias) for name, (weight, bias) in star.layers.items()
    }
    try:
        information = fisher(
            star.network,
            biased,
            model.input.scale(x[measured]),
            likelihood=_likelihood(model, star),
            importance=importance[measured],
            fixed=star.fixed,
            generator=generator("cpu", prior.blob, prior.batch, "labels"),
            check=check,
        )
    except InvalidInputs as fault:
        raise InvalidDescription(BATCH, f"does not suit the weights: {fault}") from fault
    if not all(bool(part.isfinite().all()) for parts in information.values() for part in parts):
        raise InvalidDescription(BATCH, "has rows so large that the curvature on them is not finite")
    in_all, seen = (float(rows.sum(dtype=torch.float64)) for rows in (importance, importance[measured]))
    stands_for = prior.rows or rows_of(in_all, model.recipe.beta, weights=model.network.weights)
    beta = model.recipe.beta * seen / stands_for
    known = {}
    for name, (weight, bias) in biased.items():
        by_weight, by_bias = information[name]
        width = log_sigma_after(by_weight, wide[name].weight_log_sigma, beta).clamp(min=LOG_SIGMA_LEAST)
        bias_width = log_sigma_after(by_bias, wide[name].bias_log_sigma, beta).clamp(min=LOG_SIGMA_LEAST)
        known[name] = Gaussians(weight, width, bias, bias_width)
        if star.layers[name][1] is None:
            known[name] = with_biases_of(known[name], wide[name])
    return known


def _likelihood(model: Model, star: Star) -> Likelihood:
    """Where the labels come from that w* was learned on: as many classes or dimensions as its head has units."""
    units = head_of(star.network).weight_shape[0]
    match model.output:
        case Categorical():
            return Likelihood(Categorical(units))
        case Gaussian(_, noise):
            output = Gaussian(units, noise)
            own = {**likelihoods.root(output), **star.own}
            return Likelihood(output, (likelihoods.log_noise(output, own) - own["scale"].log()).exp())


def _read_batch(model: Model, data: bytes) -> tuple[Tensor, Tensor]:
    """The inputs [rows, *shape] of a batch, and how much each row counts, [rows]."""
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as fault:
        raise InvalidDescription(BATCH, f"is not safetensors: {fault}") from fault
    if "x" not in tensors:
        raise InvalidDescription(BATCH, "has no tensor 'x'")
    x = tensors["x"]
    try:
        model.input.check(x)
    except InvalidInputs as fault:
        raise InvalidDescription(BATCH, f"does not fit the model: {fault}") from fault
    if len(x) == 0:
        raise InvalidDescription(BATCH, "has no rows")
    weights = tensors.get("weights", torch.ones(len(x), dtype=torch.float32))
    is_usable = weights.shape == (len(x),) and weights.is_floating_point()
    weights = weights.float()
    if not (is_usable and bool((weights >= 0).all()) and 0 < float(weights.sum()) < torch.inf):
        raise InvalidDescription(BATCH, "has weights that are not one finite number from 0 up per row, not all 0")
    return x, weights


def _sample(importance: Tensor) -> Tensor:
    """The numbers of rows that count, evenly spaced, as many as are measured."""
    counting = importance.nonzero()[:, 0]
    rows = min(MEASURED_ROWS, len(counting))
    return counting[torch.arange(rows) * len(counting) // rows]

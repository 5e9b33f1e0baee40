"""From what nets put out, or from the moments of it, to a prediction; all in float64 on the CPU."""

import math
from functools import lru_cache
from typing import Any, assert_never

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes import likelihoods
from bayes.families.parts import Tensors
from bayes.moment_rules import ONE, PROBIT, Moment
from bayes.outputs import Categorical, Gaussian, Output
from bayes.prediction import CategoricalPrediction, GaussianPrediction, Method, Prediction

LOG2_E = 1 / math.log(2)
EXP2_AT_ONCE = 16
LOGIT_DRAWS = 64
SOBOL_DIMENSIONS_MAX = 21201
PAIRED_CLASSES_MAX = 64
"""Of more classes the pairs are many, and their approximation is poor: the drawn logits' mean stands for it."""


def of_draws(output: Output, own: Tensors, outputs: Tensor, method: Method) -> Prediction:
    """What nets say together that put out [rows, nets, units]."""
    return of_each(output, own, each_of_draws(output, own, outputs), method)


def each_of_draws(output: Output, own: Tensors, outputs: Tensor) -> Tensor:
    """What each net says that put out [rows, nets, units]: probabilities of the classes, or means in label units."""
    match output:
        case Categorical():
            return softmax(outputs)
        case Gaussian():
            return likelihoods.location_of(_double(own), outputs)
        case _:
            assert_never(output)


def of_each(output: Output, own: Tensors, each: Tensor, method: Method) -> Prediction:
    """What nets say together that say this each, as from `each_of_draws`."""
    match output:
        case Categorical():
            return _together(each, method)
        case Gaussian():
            mean = each.mean(1)
            return _gaussian(output, own, Moment(mean, (each - mean.unsqueeze(1)).square_().mean(1)), method)
        case _:
            assert_never(output)


def of_moments(output: Output, own: Tensors, moment: Moment) -> Prediction:
    """What independent Gaussian outputs [rows, units] say."""
    match output:
        case Categorical():
            return _by_moments(moment)
        case Gaussian():
            scale = own["scale"].double()
            variance = torch.zeros_like(moment.mean) if moment.variance is None else moment.variance
            located = Moment(likelihoods.location_of(_double(own), moment.mean), variance * scale.square())
            return _gaussian(output, own, located, "moments")
        case _:
            assert_never(output)


def numbers_per_row(output: Output, nets: int) -> int:
    """The most numbers in a tensor on the way from what so many nets say of a row to the prediction."""
    return max(nets, PAIRED_CLASSES_MAX) * (output.units + -output.units % EXP2_AT_ONCE)


def softmax(outputs: Tensor) -> Tensor:
    """The softmax over the last axis, to float64 rounding; the bytes of a row do not depend on the others.

    torch's own wakes its threads, and so does exp from 128 numbers on; where cores are busy, that takes milliseconds
    even for a single row. And exp2 rounds otherwise what is left of a tensor when it has taken 16 numbers at a time: so
    rows are filled up to that with classes of probability 0.
    """
    fill = (0, -outputs.shape[-1] % EXP2_AT_ONCE)
    return _normalized(F.pad(outputs, fill, value=-math.inf).mul_(LOG2_E))[..., : outputs.shape[-1]]


def _together(each: Tensor, method: Method) -> CategoricalPrediction:
    """What nets say together that give the classes these probabilities, [rows, nets, classes]."""
    probabilities = each.mean(1)
    entropy = torch.special.entr(probabilities).sum(-1)
    aleatoric = torch.special.entr(each).sum(-1).mean(1)
    return CategoricalPrediction(probabilities, entropy, aleatoric, (entropy - aleatoric).clamp(min=0.0), method)


def _by_moments(moment: Moment) -> CategoricalPrediction:
    """Probabilities by the probit approximation, and as mutual information that of logits drawn from the moments."""
    mean, variance = moment
    if variance is None:
        return _together(softmax(mean.unsqueeze(1)), "moments")
    # Classes of probability 0 fill rows up, as `softmax` says; powers are those of 2.
    fill = (0, -mean.shape[1] % EXP2_AT_ONCE)
    mean, spread = F.pad(mean, fill, value=-math.inf).mul_(LOG2_E), F.pad(variance, fill)
    points = _points_of_powers(variance.shape[1])
    each = _normalized(torch.addcmul(mean.unsqueeze(1), spread.sqrt().unsqueeze(1), points))
    if variance.shape[1] > PAIRED_CLASSES_MAX:
        return _together(each[..., : variance.shape[1]], "moments")
    aleatoric = torch.special.entr(each).sum(-1).mean(1)
    information = torch.special.entr(each.mean(1)).sum(-1).sub_(aleatoric).clamp_(min=0.0)
    probabilities = _paired(mean, spread, variance.shape[1])
    entropy = torch.special.entr(probabilities).sum(-1)
    information = torch.minimum(information, entropy)
    return CategoricalPrediction(probabilities, entropy, entropy - information, information, "moments")


def _paired(mean: Tensor, variance: Tensor, classes: int) -> Tensor:
    r"""Class probabilities by a probit approximation of each pair of logits, [rows, classes], of powers of 2.

    .. math:: p_k \propto 1 / \sum_j \exp\left(-(m_k - m_j) / \sqrt{1 + \pi (v_k + v_j) / 8}\right)

    One scale for each class alone would let a doubtful logit lose to a sure one below it.

    Source: MacKay 1992, "The Evidence Framework Applied to Classification Networks", eq. 8, for two classes; taken pair
    by pair as in Daunizeau 2017, "Semi-analytical approximations to statistical moments of sigmoid and softmax
    mappings of normal variables".
    """
    own, others = variance[:, :classes].unsqueeze(2), variance.unsqueeze(1)
    scale = torch.add(ONE, own + others, alpha=PROBIT).sqrt_()
    above = (mean.unsqueeze(1) - mean[:, :classes].unsqueeze(2)).div_(scale)
    # No class is below itself: every sum is at least 1, and where it is infinite the class has no probability.
    odds = above.exp2_().sum(2).reciprocal_()
    return odds.div_(odds.sum(1, keepdim=True))


def _normalized(exponents: Tensor) -> Tensor:
    """Powers of 2 over the sum of those of their last axis."""
    powers = exponents.sub_(exponents.amax(-1, keepdim=True)).exp2_()
    return powers.div_(powers.sum(-1, keepdim=True))


@lru_cache(maxsize=16)
def _points_of_powers(classes: int) -> Tensor:
    """The logit points for powers of 2, filled up with zeros."""
    return F.pad(logit_points(classes), (0, -classes % EXP2_AT_ONCE)).mul_(LOG2_E)


@lru_cache(maxsize=16)
def logit_points(classes: int) -> Tensor:
    """Points [LOGIT_DRAWS, classes] that stand for a standard normal, the same for ever; float64.

    Scrambled Sobol points, shifted and scaled so that in every dimension their mean is 0 and their variance 1.
    """
    dimensions = min(classes, SOBOL_DIMENSIONS_MAX)
    sobol: Any = torch.quasirandom.SobolEngine
    spread: Tensor = sobol(dimensions, scramble=True, seed=0).draw(LOGIT_DRAWS, dtype=torch.float64)
    normal: Tensor = torch.special.ndtri(spread.clamp(1e-9, 1 - 1e-9))
    points = (normal - normal.mean(0)) / normal.std(0, correction=0)
    return points.repeat(1, -(-classes // dimensions))[:, :classes].contiguous()


def _gaussian(output: Gaussian, own: Tensors, moment: Moment, method: Method) -> GaussianPrediction:
    mean, variance = moment
    assert variance is not None
    noise_std = likelihoods.log_noise(output, _double(own)).exp().expand_as(mean)
    std = (variance + noise_std.square()).sqrt()
    return GaussianPrediction(mean, std, variance.sqrt(), noise_std, method)


def _double(own: Tensors) -> Tensors:
    return {key: tensor.double() for key, tensor in own.items()}

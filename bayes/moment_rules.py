r"""What becomes of independent means and variances in the steps of a net that have no weights.

Every step takes its inputs for independent Gaussians; none looks at the rows one by one.
"""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from bayes.by_row import softplus_of
from bayes.layers import Flatten, MaxPool, Relu, Softplus

VARIANCE_FLOOR = 1e-30
"""Keeps the root of a variance of 0 a divisor; too small to be seen beside any other."""
REACH = 10.0
"""Standard deviations from which a Gaussian is taken to lie wholly on one side."""
REACH_OF_SIGMOID = 60.0
"""From here on e^-x is below all rounding, and e^x below infinity."""
SHARED = 1 / 3
"""Of the variances at all positions of an image, the part that moves together; see docs/mathematics.md."""
SIX = 6.0
ROOT_HALF, PROBIT = math.sqrt(0.5), math.pi / 8
ONE = torch.tensor(1.0, dtype=torch.float64)
LOG_DENSITY_AT_0 = torch.tensor(-0.5 * math.log(2 * math.pi), dtype=torch.float64)


class Moment(NamedTuple):
    """Means and variances of equal shape; a variance of None is 0 everywhere."""

    mean: Tensor
    variance: Tensor | None


Rule = Callable[..., Any]


def rule_of(step: object) -> Rule | None:
    """What does the step with moments in place of tensors; None: there is no rule for it."""
    module = getattr(step, "__self__", None)
    if isinstance(step, MaxPool | Relu | Softplus | Flatten):
        return RULES[type(step)]
    return RULES.get(step) or RULES.get(type(module))


def relu(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    r"""Exact moments of max(0, x) for Gaussian x, with a = mean / s.

    .. math:: E = m \Phi(a) + s \varphi(a), \quad Var = s^2 \left( \Phi + h (a - h) \right), \quad h = a \Phi + \varphi

    The variance in this form is right to 10^-5 of s^2 however far the mean is from 0; E[x^2] - E[x]^2 is not.
    """
    deviation = torch.clamp(variance, min=VARIANCE_FLOOR).sqrt_()
    a = (mean / deviation).clamp_(-REACH, REACH)
    twice = torch.mul(a, ROOT_HALF).erf_().add_(1.0)  # 2 Phi
    density = torch.addcmul(LOG_DENSITY_AT_0.to(a.device), a, a, value=-0.5).exp_()
    h = torch.addcmul(density, a, twice, value=0.5)
    location = density.mul_(deviation).addcmul_(mean, twice, value=0.5)
    spread = a.sub_(h).mul_(h).add_(twice, alpha=0.5).clamp_(min=0.0).mul_(variance)
    return location, spread


def relu6(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    r"""Exact moments of y = min(max(0, x), 6) for Gaussian x, from those of max(0, x) and r = max(0, x - 6).

    .. math:: E[y] = E[\max(0, x)] - E[r], \quad Var[y] = Var[\max(0, x)] - Var[r] - 2 E[r] (6 - E[y])

    as y = max(0, x) - r, where max(0, x) is r + 6 wherever r is not 0. Means above 3 are mirrored, 6 - y being to 6 - x
    what y is to x, so that r is small and nothing large is taken off something large.
    """
    is_mirrored = mean > SIX / 2
    near = torch.where(is_mirrored, SIX - mean, mean)
    (location, spread), (beyond, more) = relu(near, variance), relu(near - SIX, variance)
    location = location.sub_(beyond)
    spread = spread.sub_(more).sub_(beyond.mul_(2).mul_(SIX - location)).clamp_(0.0, (SIX / 2) ** 2)
    return torch.where(is_mirrored, SIX - location, location), spread


def softplus(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    r"""Moments of log(1 + e^x) for Gaussian x, by the probit approximation of its slope.

    .. math:: E \approx k\,\mathrm{softplus}(m / k), \quad
        Var \approx v p^2 + \tfrac12 v^2 (p (1 - p) / k)^2, \quad p = \mathrm{sigmoid}(m / k), \quad k^2 = 1 + \pi v / 8

    The slope's mean is E[sigmoid(x)] = p (MacKay 1992), whose integral over m is E. The variance is that of the first
    two Hermite polynomials of x, with the means of the first two derivatives. For v towards 0 it is the delta method;
    for v without bounds the limits are those of max(0, x), up to 9 and 4 percent.
    """
    k = torch.add(ONE, variance, alpha=PROBIT).sqrt_()
    scaled = (mean / k).clamp_(min=-REACH_OF_SIGMOID)
    above = torch.neg(scaled).exp_().add_(1.0)  # 1 / p
    p = above.reciprocal()
    square = p.square()
    bend = p.sub_(square).mul_(variance).div_(k)
    spread = square.mul_(variance).addcmul_(bend, bend, value=0.5)
    return above.log_().add_(scaled).clamp_(min=0.0).mul_(k), spread


def _relu(_step: object, x: Moment, **_: object) -> Moment:
    return Moment(F.relu(x.mean), None) if x.variance is None else Moment(*relu(x.mean, x.variance))


def _relu6(_step: object, x: Moment, **_: object) -> Moment:
    return Moment(F.relu6(x.mean), None) if x.variance is None else Moment(*relu6(x.mean, x.variance))


def _softplus(_step: object, x: Moment) -> Moment:
    return Moment(softplus_of(x.mean), None) if x.variance is None else Moment(*softplus(x.mean, x.variance))


def _max_pool(step: Any, x: Moment, *args: Any, **kwargs: Any) -> Moment:  # noqa: ANN401
    """The greatest mean, and the variance found where that is.

    Clark's exact maximum of independent Gaussians is farther off: neighbours share weights and mostly move together.
    """
    windows = _windows(step, args, kwargs)
    if x.variance is None:
        return Moment(F.max_pool2d(x.mean, **windows), None)
    largest, at = F.max_pool2d(x.mean, **windows, return_indices=True)
    if not x.mean.is_contiguous(memory_format=torch.channels_last):
        found = x.variance.flatten(2).gather(2, at.flatten(2))
        return Moment(largest, found.view_as(largest))
    channels_last = x.variance.permute(0, 2, 3, 1).flatten(1, 2)
    found = channels_last.gather(1, at.permute(0, 2, 3, 1).flatten(1, 2))
    rows, channels, height, width = largest.shape
    return Moment(largest, found.view(rows, height, width, channels).permute(0, 3, 1, 2))


def _windows(step: Any, args: Any, kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
    if isinstance(step, MaxPool):
        return {"kernel_size": step.size, "stride": step.stride}
    module = getattr(step, "__self__", None)
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    if module is not None:
        return {name: getattr(module, name) for name in names}
    return dict(zip(names, args, strict=False)) | {name: kwargs[name] for name in names if name in kwargs}


def _sum(step: Any, x: Any, y: Any, **_: object) -> Any:  # noqa: ANN401
    """A sum of branches, taken for independent; of other things, such as sizes, what the step makes of them."""
    if not isinstance(x, Moment) and not isinstance(y, Moment):
        return step(x, y)
    (one, spread), (other, more) = _as_moment(x), _as_moment(y)
    variance = more if spread is None else spread if more is None else spread + more
    return Moment(one + other, variance)


def _averaged(step: Any, x: Moment, *args: Any, **kwargs: Any) -> Moment:  # noqa: ANN401
    """A mean over positions, which share their weights and so some of their variance.

    Neighbours under a window are taken to share all of it, so that the variance of their mean is the mean of theirs; of
    all positions of an image each has a third in common with the others, and the rest to itself.
    """
    averaged: Moment = _moved(step, x, *args, **kwargs)
    rows, channels = x.mean.shape[:2]
    if averaged.variance is None or averaged.mean.numel() > rows * channels:
        return averaged
    positions = x.mean[0, 0].numel()
    return averaged._replace(variance=averaged.variance * (SHARED + (1 - SHARED) / positions))


def _moved(step: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    """The step done to the means, and to the variances."""
    if isinstance(step, Flatten):
        step, args = torch.flatten, (*args, 1)
    moments = [part for part in _flat(args) if isinstance(part, Moment)]
    means = step(*_parts(args, 0), **kwargs)
    if all(moment.variance is None for moment in moments):
        return _paired(means, None)
    return _paired(means, step(*_parts(args, 1), **kwargs))


def _paired(means: Any, variances: Any) -> Any:  # noqa: ANN401
    if isinstance(means, Tensor):
        return Moment(means, variances)
    if isinstance(means, tuple | list) and means and isinstance(means[0], Tensor):
        spreads = [None] * len(means) if variances is None else variances
        return tuple(Moment(mean, spread) for mean, spread in zip(means, spreads, strict=True))
    return means


def _parts(value: Any, index: int) -> Any:  # noqa: ANN401
    if isinstance(value, Moment):
        return torch.zeros_like(value.mean) if value[index] is None else value[index]
    if isinstance(value, tuple | list):
        return type(value)(_parts(part, index) for part in value) if not isinstance(value, torch.Size) else value
    return value


def _flat(value: Any) -> list[Any]:  # noqa: ANN401
    if isinstance(value, tuple | list) and not isinstance(value, Moment):
        return [found for part in value for found in _flat(part)]
    return [value]


def _as_moment(value: Any) -> Moment:  # noqa: ANN401
    return value if isinstance(value, Moment) else Moment(value, None)


MOVING: tuple[object, ...] = (
    *(torch.flatten, torch.cat, torch.chunk, torch.transpose, torch.permute, torch.reshape),
    *(Tensor.flatten, Tensor.view, Tensor.reshape, Tensor.permute, Tensor.transpose, Tensor.contiguous, Tensor.chunk),
    *(Tensor.size, operator.getitem, operator.floordiv, getattr, F.dropout),
    *(Flatten, nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout2d),
)
"""What moves numbers about, or only looks at their shape."""

RULES: Mapping[object, Rule] = {
    **dict.fromkeys(MOVING, _moved),
    **dict.fromkeys((Relu, F.relu, torch.relu, nn.ReLU), _relu),
    **dict.fromkeys((F.relu6, nn.ReLU6), _relu6),
    **dict.fromkeys((Softplus, F.softplus, nn.Softplus), _softplus),
    **dict.fromkeys((MaxPool, F.max_pool2d, nn.MaxPool2d), _max_pool),
    **dict.fromkeys((operator.add, operator.iadd, torch.add), _sum),
    **dict.fromkeys((F.adaptive_avg_pool2d, nn.AdaptiveAvgPool2d, Tensor.mean), _averaged),
}
"""By the kind of layer, the function, or the kind of module that a step is."""

r"""Means and variances of a net's outputs in one pass, instead of many nets drawn from the posterior.

Source: the moments of a layer with independent inputs and weights as in Frey and Hinton 1999, "Variational Learning in
Nonlinear Gaussian Belief Networks"; of a whole net as in Wu et al. 2019, "Deterministic Variational Inference for
Robust Bayesian Neural Networks", without covariances between units.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.by_row import aligned, apply_by_row, dense_by_row
from bayes.families import Family
from bayes.families.kernels import products_per_row, variance_by
from bayes.families.parts import Tensors, WeightMoments
from bayes.fixed import FIXED
from bayes.inputs import Input
from bayes.layers import Affine, Conv, Dense, Network, Weighted, apply, channels_last, scaled
from bayes.likelihoods import OWN
from bayes.moment_rules import Moment, rule_of
from bayes.outputs import Output
from bayes.packed import packed_kernels, packed_matrix
from bayes.posterior import Posterior
from bayes.survey import survey

NUMBERS_AT_ONCE = 2**19
"""Numbers between two layers, 2 MiB in float32, up to which rows are computed together: they stay in a core's cache."""
LARGE_WEIGHTS_MIN, SQUARES_AT_ONCE = 2**22, 2**18
ROWS_AT_ONCE, NUMBERS_MOST = 8, 2**23
"""Wider nets compute so many rows together nevertheless, unless that makes more numbers than these."""

PRODUCTS_AT_ONCE = 2**22
"""Products of a patch's numbers that are held at once, unless a single row has more: 16 MiB in float32."""


class LayerMoments(NamedTuple):
    """One layer's weights as its outputs need them.

    `variance` [*weight_shape] multiplies squares of inputs that are sure. Where inputs have variances themselves it has
    twice the input channels: the weights' variances for the squared means, and their second moments for the variances.
    Of a large layer it has the former alone, and only the latter where `covariance` stands for the former. All are None
    where the weights are sure.
    """

    mean: Tensor
    bias_mean: Tensor
    variance: Tensor | None
    bias_variance: Tensor | None
    covariance: Tensor | None

    def on(self, device: torch.device | str) -> "LayerMoments":
        """The same on the device, kernels channels last."""
        rest = (None if part is None else _placed(part, device) for part in self[2:])
        return LayerMoments(_placed(self.mean, device), _placed(self.bias_mean, device), *rest)

    def packed(self, layer: Weighted) -> "LayerMoments":
        """The same, packed, and the variances roughly: nobody sees their digits."""
        match layer.layer:
            case Conv(_, _, padding, stride):
                pack = partial(packed_kernels, stride=stride, padding=padding, groups=layer.groups)
                variance = None if self.variance is None else pack(self.variance, is_rough=True)
                return self._replace(mean=pack(self.mean), variance=variance)
            case Dense():
                if self.variance is None or is_large(self.mean):
                    return self
                return self._replace(variance=packed_matrix(self.variance))


@dataclass(frozen=True, eq=False)
class Moments:
    """A posterior whose moments pass through its net, ready to predict."""

    input: Input
    output: Output
    network: Network
    layers: Mapping[str, LayerMoments]
    own: Tensors
    fixed: Tensors

    @property
    def method(self) -> Literal["moments"]:
        return "moments"

    @property
    def rows_at_once(self) -> int:
        """How many rows are best computed together."""
        width = self.network.width
        return max(1, NUMBERS_AT_ONCE // width, min(ROWS_AT_ONCE, NUMBERS_MOST // width))

    @property
    def nbytes(self) -> int:
        """The memory that it holds, in bytes."""
        parts = (part for layer in self.layers.values() for part in layer if part is not None)
        return sum(part.nbytes for part in parts)

    @property
    def device(self) -> torch.device:
        return next(iter(self.layers.values())).mean.device


def moments(posterior: Posterior, *, device: torch.device | str = "cpu", consume: bool = False) -> Moments:
    """The posterior made ready; there must be no `obstacle`. Its own memory is used where it may be consumed."""
    found = survey(posterior.network)
    layers: dict[str, LayerMoments] = {}
    for layer in posterior.network.weighted:
        q, is_sure = posterior.layer(layer.name), layer.name not in found.unsure
        layers[layer.name] = ready_for(posterior.rules, q, is_sure=is_sure, consume=consume).on(device).packed(layer)
    return Moments(
        input=posterior.input,
        output=posterior.output,
        network=posterior.network,
        layers=layers,
        own=posterior.layer(OWN),
        fixed={key: tensor.to(device) for key, tensor in posterior.layer(FIXED).items()},
    )


def propagate(ready: Moments, x: Tensor, *, by_row: bool = False) -> Moment:
    """Mean and variance of every output for rows x, [rows, units] each, float64 on the CPU.

    `by_row` computes each row as if it were alone, to the bit.
    """

    def linear(layer: Weighted, x: Moment) -> Moment:
        return through(layer, ready.layers[layer.name], x, by_row=by_row)

    def scaling(layer: Affine, x: Moment) -> Moment:
        scale, shift = ready.fixed[f"{layer.name}.scale"], ready.fixed[f"{layer.name}.shift"]
        variance = None if x.variance is None else x.variance * scale.square().view(-1, 1, 1)
        return Moment(scaled(x.mean, scale, shift), variance)

    x = channels_last(x) if x.dim() == 4 else x
    mean, variance = ready.network.run(Moment(x, None), linear, scaling, _by_rule)
    return Moment(_double(mean), None if variance is None else _double(variance).clamp_(min=0.0))


def _double(x: Tensor) -> Tensor:
    return x.to("cpu", torch.float64)


def through(layer: Weighted, weights: LayerMoments, x: Moment, *, by_row: bool) -> Moment:
    r"""The moments of the layer's outputs, where inputs, weights and biases are independent.

    .. math:: E = \mu m + \mu_b, \quad Var = \sigma^2 m^2 + (\sigma^2 + \mu^2) v + \sigma_b^2
    """
    linear = apply_by_row if by_row else apply
    mean = linear(layer, x.mean, weights.mean, weights.bias_mean)
    if weights.variance is None:
        return Moment(mean, None)
    if weights.covariance is None:
        square = x.mean.square()
        if x.variance is None:
            return Moment(mean, linear(layer, square, weights.variance, weights.bias_variance))
        if is_large(weights.mean):
            spread = linear(layer, square.add_(x.variance), weights.variance, weights.bias_variance)
            return Moment(mean, spread.add_(_by_squares(x.variance, weights.mean, by_row=by_row)))
        both = _beside(square, x.variance, layer.groups)
        return Moment(mean, linear(layer, both, weights.variance, weights.bias_variance))
    spread = _correlated(layer, weights.covariance, x.mean, by_row=by_row)
    if x.variance is None:
        return Moment(mean, spread.add_(_along_channels(weights.bias_variance)))
    return Moment(mean, spread.add_(linear(layer, x.variance, weights.variance, weights.bias_variance)))


def is_large(weight: Tensor) -> bool:
    """True for a dense layer's weights, so many that memory for their second moments costs more than making these."""
    return weight.dim() == 2 and weight.numel() >= LARGE_WEIGHTS_MIN


def _by_squares(x: Tensor, weight: Tensor, *, by_row: bool) -> Tensor:
    """Rows [rows, inputs] times the squares of a dense layer's weights, of which few are held at once."""
    dense = dense_by_row if by_row else F.linear
    parts = torch.split(weight, max(1, SQUARES_AT_ONCE // weight.shape[1]))
    squares = torch.empty_like(parts[0])
    return torch.cat([dense(x, torch.mul(part, part, out=squares[: len(part)]), None) for part in parts], 1)


def _by_rule(step: object, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    rule = rule_of(step)
    assert rule is not None, step
    return rule(step, *args, **kwargs)


def ready_for(rules: Family, q: Tensors, *, is_sure: bool, consume: bool = False) -> LayerMoments:
    """The weights as a layer's outputs need them, whose inputs are sure or have variances.

    Fresh memory takes longer than what is written into it, so variances are computed where they stay; those of a large
    layer in the place of q, where that may be consumed.
    """
    if is_large(q["weight.mu"]):
        return _layer_moments(rules.moments(q, out=q.get("weight.log_sigma") if consume else None))
    if is_sure:
        return _layer_moments(rules.moments(q))
    rows, inputs, *kernel = q["weight.mu"].shape
    both = q["weight.mu"].new_empty(rows, 2 * inputs, *kernel)
    known = _layer_moments(rules.moments(q, out=both[:, :inputs]))
    if known.variance is None:
        return known
    if known.covariance is not None:
        return known._replace(variance=known.variance + known.mean.square())
    torch.mul(known.mean, known.mean, out=both[:, inputs:]).add_(known.variance)
    return known._replace(variance=both)


def _layer_moments(known: WeightMoments | None) -> LayerMoments:
    assert known is not None
    return LayerMoments(known.mean, known.bias_mean, known.variance, known.bias_variance, known.covariance)


def _correlated(layer: Weighted, covariance: Tensor, x: Tensor, *, by_row: bool) -> Tensor:
    """The variance that the weights alone give, where those of a kernel are correlated; a few rows at once."""
    rows = 1 if by_row else max(1, PRODUCTS_AT_ONCE // products_per_row(layer, x))
    return channels_last(torch.cat([variance_by(layer, covariance, part) for part in torch.split(x, rows)]))


def _beside(squares: Tensor, variance: Tensor, groups: int) -> Tensor:
    """Both along the channels, those of each group of channels together."""
    if groups == 1:
        return torch.cat([squares, variance], 1)
    grouped = (part.view(len(part), groups, -1, *part.shape[2:]) for part in (squares, variance))
    return torch.cat(list(grouped), 2).flatten(1, 2)


def _along_channels(bias: Tensor | None) -> Tensor | float:
    return 0.0 if bias is None or not bias.numel() else bias.view(-1, 1, 1)


def _placed(part: Tensor, device: torch.device | str) -> Tensor:
    part = part.to(device)
    return channels_last(aligned(channels_last(part))) if part.dim() == 4 else aligned(part.contiguous())

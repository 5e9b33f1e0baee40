"""The values that families share."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from torch import Tensor

Tensors = Mapping[str, Tensor]
Noise = Callable[[Tensor], Tensor]
Check = Callable[[], None]
"""Called now and then; what it raises ends the work."""
Rate = Literal["lr", "lr_log_sigma", "lr_correlation"]
"""One of the learning rates of the recipe, or a part of its `lr` for what correlates the weights of a kernel."""


class Gaussians(NamedTuple):
    """Independent Gaussians over one layer's weights [*weight_shape] and biases [*bias_shape]."""

    weight_mu: Tensor
    weight_log_sigma: Tensor
    bias_mu: Tensor
    bias_log_sigma: Tensor


class LayerWeights(NamedTuple):
    """Draws of one layer's weights: weight [draws, *weight_shape], bias [draws, *bias_shape]."""

    weight: Tensor
    bias: Tensor


class WeightMoments(NamedTuple):
    """Means and variances of one layer's weights and biases, shaped as these are; no variances: all are sure.

    `covariance` holds those of the weights within a kernel where they are not independent, packed as
    `kernels.covariance` does.
    """

    mean: Tensor
    bias_mean: Tensor
    variance: Tensor | None = None
    bias_variance: Tensor | None = None
    covariance: Tensor | None = None

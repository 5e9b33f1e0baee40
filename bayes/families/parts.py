"""The values that families share."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

Tensors = Mapping[str, Tensor]
Noise = Callable[[Tensor], Tensor]


class LayerWeights(NamedTuple):
    """Draws of one layer's weights: weight [draws, *weight_shape], bias [draws, *bias_shape]."""

    weight: Tensor
    bias: Tensor

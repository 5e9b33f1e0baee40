"""Layers of every kind, and random tensors of any family for them, in float64."""

from collections.abc import Callable

import torch
from torch import Tensor

from bayes.families import FAMILIES, FamilyName, family_names
from bayes.families.parts import Gaussians
from bayes.layers import Conv, Dense, Weighted

Parameters = dict[str, Tensor]

DENSE = Weighted("dense1", Dense(3), inputs=4)
CONV = Weighted("conv1", Conv(3, 2, padding=1, stride=2), inputs=2)
GROUPED = Weighted("conv2", Conv(4, 2), inputs=4, groups=2, is_biased=False)
POINTWISE = Weighted("conv3", Conv(2, 1), inputs=3)
LAYERS = (DENSE, CONV, GROUPED, POINTWISE)
BAYESIAN: tuple[FamilyName, ...] = tuple(name for name in family_names() if name != "point")
MNF: tuple[FamilyName, ...] = ("mnf", "mnf-filter", "mnf-rank1")


def random_tensors(family: FamilyName, layer: Weighted, seed: int) -> Parameters:
    """Tensors of the layer; all that is learned is random, and what is fixed is as at the root."""
    stream = torch.Generator().manual_seed(seed)
    rules = FAMILIES[family]
    shapes = (layer.weight_shape, layer.weight_shape, layer.bias_shape, layer.bias_shape)
    root = rules.root(layer, Gaussians(*(0.5 * torch.randn(shape, generator=stream) for shape in shapes)))
    return {
        key: tensor.double() + (0 if rules.rate(key) is None else 0.2 * torch.randn(tensor.shape, generator=stream))
        for key, tensor in root.items()
    }


def inputs_of(layer: Weighted, rows: int = 5) -> Tensor:
    shape = (rows, layer.inputs) if isinstance(layer.layer, Dense) else (rows, layer.inputs, 5, 5)
    return torch.randn(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def normal(seed: int) -> Callable[[Tensor], Tensor]:
    """Noise of a stream of its own."""
    stream = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=stream, dtype=like.dtype)


def kl(family: FamilyName, q: Parameters, p: Parameters, draws: int = 64) -> Tensor:
    """As an update computes it, from a posterior complete for so many rows and a prior made ready."""
    rules = FAMILIES[family]
    return rules.kl(rules.complete(q, normal(9), draws), rules.ready(p))

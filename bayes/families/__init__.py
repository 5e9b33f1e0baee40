"""The families of posteriors, by name. Each is a module with the same names in the same order."""

from collections.abc import Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor

from bayes.families import ffg, point
from bayes.families.parts import LayerWeights, Noise, Tensors
from bayes.layers import Shape, Weighted

FamilyName = Literal["ffg", "point"]


class Family(Protocol):
    """What a family says of one weighted layer's tensors; their keys are those of `shapes`."""

    def shapes(self, layer: Weighted) -> dict[str, Shape]:
        """The layer's tensors."""

    def root(self, layer: Weighted, sigma: float | None) -> dict[str, Tensor]:
        """The prior before any rows: every mean 0."""

    def start(self, prior: Tensors, weight: Tensor, log_sigma_start: float) -> dict[str, Tensor]:
        """Where the first update of a line starts, with these means of the weights."""

    def linear(self, layer: Weighted, q: Tensors, x: Tensor, noise: Noise) -> Tensor:
        """One random output of the layer for each row of x, such that gradients reach q."""

    def kl(self, q: Tensors, p: Tensors) -> Tensor:
        """KL(q || p) in nats, a scalar."""

    def mean(self, q: Tensors) -> LayerWeights:
        """The mean weights, stacked as one draw."""

    def draw(self, q: Tensors, samples: int, generator: torch.Generator) -> LayerWeights:
        """Independent draws of the weights, stacked along a new first axis."""

    def describe(self, q: Tensors, p: Tensors, start: Tensors) -> dict[str, float]:
        """What a reader of the update's report should know about the layer."""


FAMILIES: Mapping[FamilyName, Family] = {"ffg": ffg, "point": point}


def family_names() -> tuple[FamilyName, ...]:
    return tuple(FAMILIES)

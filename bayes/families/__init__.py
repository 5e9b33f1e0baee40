"""The families of posteriors, by name. Each is a module with the same names in the same order."""

from collections.abc import Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor

from bayes.families import cfg, ffg, point
from bayes.families.mnf import Mnf
from bayes.families.natural import Terms
from bayes.families.parts import Check, Gaussians, LayerWeights, Noise, Rate, Tensors, WeightMoments
from bayes.layers import Shape, Weighted

FamilyName = Literal["ffg", "cfg", "mnf", "mnf-filter", "mnf-rank1", "point"]


class Family(Protocol):
    """What a family says of one weighted layer's tensors; their keys are those of `shapes`."""

    @property
    def has_moments(self) -> bool:
        """Whether `moments` has an answer."""

    def shapes(self, layer: Weighted) -> dict[str, Shape]:
        """The layer's tensors."""

    def rate(self, key: str) -> Rate | None:
        """The learning rate of the layer's tensor of this key; None: it never changes."""

    def root(self, layer: Weighted, gaussians: Gaussians) -> dict[str, Tensor]:
        """The prior before any rows that says these Gaussians of the weights."""

    def start(self, prior: Tensors, weight: Tensor, log_sigma_start: float) -> dict[str, Tensor]:
        """Where the first update of a line starts, with these means of the weights."""

    def ready(self, p: Tensors) -> Tensors:
        """The prior with what its many KLs share, worked out once."""

    def complete(self, q: Tensors, noise: Noise, rows: int) -> Tensors:
        """The posterior with a draw of its auxiliary variables, where it has any, for so many rows."""

    def linear(self, layer: Weighted, q: Tensors, x: Tensor, noise: Noise) -> Tensor:
        """One random output of the layer for each row of x, such that gradients reach q, which is complete."""

    def kl(self, q: Tensors, p: Tensors) -> Tensor:
        """KL(q || p) in nats, a scalar; with auxiliary variables an unbiased estimate, given the draw in q."""

    def kl_in_turn(self, q: Tensors, p: Tensors, *, noise: Noise, rows: int, check: Check) -> Tensor:
        """KL(q || p) as of q complete for so many rows, few of whose draws are held at once; `check` is called between.

        Whoever asks for gradients takes `kl`.
        """

    def mean(self, q: Tensors) -> LayerWeights:
        """The mean weights, stacked as one draw."""

    def moments(self, q: Tensors, out: Tensor | None = None) -> WeightMoments | None:
        """Mean and variance of every weight, all independent but within a kernel; None unless `has_moments`.

        Variances of independent weights are in `out` where there is one.
        """

    def draw(self, q: Tensors, samples: int, generator: torch.Generator) -> LayerWeights:
        """Independent draws of the weights, stacked along a new first axis."""

    def pool(self, terms: Terms) -> Tensors:
        """The density proportional to the product of these densities, each to its power."""

    def describe(self, q: Tensors, p: Tensors, start: Tensors) -> dict[str, float]:
        """What a reader of the update's report should know about the layer."""


FAMILIES: Mapping[FamilyName, Family] = {
    "ffg": ffg,
    "cfg": cfg,
    "mnf": Mnf("kernel"),
    "mnf-filter": Mnf("filter"),
    "mnf-rank1": Mnf("rank1"),
    "point": point,
}


def family_names() -> tuple[FamilyName, ...]:
    return tuple(FAMILIES)

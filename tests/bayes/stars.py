"""Weights w* of a small net, and priors made of them."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from bayes import Model, Posterior, Pretrained, root
from bayes.families import FamilyName
from bayes.families.parts import Tensors

HIDDEN, INPUTS, CLASSES = 5, 4, 3
VAGUE = {"dense1": 2 / math.sqrt(INPUTS), "dense2": 2 / math.sqrt(HIDDEN)}


def star(classes: int = CLASSES, **changes: Tensor | None) -> dict[str, Tensor]:
    """Weights of a net with one hidden layer; a change to None leaves a tensor out (`dense1_bias` for dense1.bias)."""
    stream = torch.Generator().manual_seed(7)
    shapes = {
        "dense1.weight": (HIDDEN, INPUTS),
        "dense1.bias": (HIDDEN,),
        "dense2.weight": (classes, HIDDEN),
        "dense2.bias": (classes,),
    }
    drawn = {name: torch.randn(shape, generator=stream) for name, shape in shapes.items()}
    changed = drawn | {name.replace("_", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in changed.items() if tensor is not None}


def model(pretrained: Pretrained, *, kind: str = "weights", family: FamilyName = "ffg", **prior: object) -> Model:
    width = {"sigma": 0.03} if kind == "weights" and not prior.keys() & {"sigma", "sigmas"} else {}
    return Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": [HIDDEN]},
            "input": {"shape": [INPUTS]},
            "output": {"kind": "categorical", "classes": CLASSES},
            "family": family,
            "prior": {"kind": kind, **pretrained.digests, **width, **prior},
        }
    )


def made(weights: Mapping[str, Tensor], inputs: Tensor | None = None, **prior: object) -> Posterior:
    pretrained = Pretrained.of(weights, inputs)
    return root(model(pretrained, kind="weights" if inputs is None else "laplace", **prior), pretrained)  # type: ignore[arg-type]


def old_rows(count: int = 40) -> Tensor:
    return torch.randn((count, INPUTS), generator=torch.Generator().manual_seed(1))


def sigma(tensors: Tensors, part: str) -> Tensor:
    return tensors[f"{part}.log_sigma"].exp()

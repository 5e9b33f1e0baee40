"""Objectives in float64, for tests that expect exact answers."""

from collections.abc import Mapping

import torch
from torch import Tensor

from bayes import Categorical, Layers, Mlp, Output
from bayes.families import FAMILIES, FamilyName
from bayes.layers import Conv, Flatten, Network, Relu, Shape
from bayes.likelihoods import OWN
from bayes.likelihoods import shapes as own_shapes
from bayes.nets import network
from bayes.objective import Batch, Objective

Parameters = dict[str, dict[str, Tensor]]

SMALL_NET = Layers((Conv(2, 2), Relu(), Flatten()))
SMALL_SHAPE = (1, 3, 3)
SMALL = network(SMALL_NET, SMALL_SHAPE, 3)


def random_parameters(net: Network, seed: int, family: FamilyName = "ffg", output: Output | None = None) -> Parameters:
    stream = torch.Generator().manual_seed(seed)

    def tensors(shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
        return {key: 0.5 * torch.randn(s, generator=stream, dtype=torch.float64) for key, s in shapes.items()}

    layers = {layer.name: tensors(FAMILIES[family].shapes(layer)) for layer in net.weighted}
    own = own_shapes(output or Categorical(3))
    return {**layers, OWN: {key: torch.full(s, float(key == "scale"), dtype=torch.float64) for key, s in own.items()}}


def objective(
    net: Network,
    prior: Parameters,
    weights: Tensor,
    *,
    batch_rows: int = 4,
    beta: float = 1.0,
    family: FamilyName = "ffg",
    output: Output | None = None,
) -> Objective:
    rules = FAMILIES[family]
    ready = {layer.name: rules.ready(prior[layer.name]) for layer in net.weighted}
    return Objective(
        network=net,
        rules=rules,
        output=output or Categorical(3),
        prior={**prior, **ready},
        beta=beta,
        rows=len(weights),
        weight=float(weights.sum()),
        batch_rows=batch_rows,
    )


def random_rows(rows: int, seed: int) -> Batch:
    """Rows for `SMALL`, with weights."""
    stream = torch.Generator().manual_seed(seed)
    return Batch(
        torch.randn((rows, *SMALL_SHAPE), generator=stream, dtype=torch.float64),
        torch.randint(0, 3, (rows,), generator=stream),
        torch.rand(rows, generator=stream, dtype=torch.float64) + 0.1,
    )


def take(batch: Batch, index: Tensor | slice) -> Batch:
    return Batch(batch.inputs[index], batch.labels[index], batch.weights[index])


def linear_regression(features: int) -> Network:
    return network(Mlp(()), (features,), 1)

"""Nets drawn from a posterior, and what they put out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.determinism import generator
from bayes.families.parts import LayerWeights, Tensors
from bayes.fixed import FIXED
from bayes.inputs import Input
from bayes.layers import Conv, Dense, Network, Weighted, apply, forward
from bayes.likelihoods import OWN
from bayes.outputs import Output
from bayes.posterior import Posterior

WEIGHTS_AT_ONCE = 2**26


@dataclass(frozen=True, eq=False)
class Draws:
    """Nets drawn from a posterior, ready to predict: a stack of each layer's weights."""

    input: Input
    output: Output
    network: Network
    weights: Mapping[str, LayerWeights]
    own: Tensors
    fixed: Tensors

    @property
    def samples(self) -> int:
        return len(next(iter(self.weights.values())).bias)

    @property
    def nbytes(self) -> int:
        """The memory that the draws hold, in bytes."""
        return sum(tensor.nbytes for stack in self.weights.values() for tensor in stack)

    @property
    def device(self) -> torch.device:
        return next(iter(self.weights.values())).bias.device


def draw(posterior: Posterior, *, samples: int = 16, seed: int = 0, device: torch.device | str = "cpu") -> Draws:
    """Nets drawn independently from the posterior; the same posterior, samples and seed give the same ones.

    They are drawn on the CPU, so they do not depend on the device they are put on.
    """
    stacks: dict[str, list[LayerWeights]] = {layer.name: [] for layer in posterior.network.weighted}
    for some in in_turn(posterior, samples=samples, seed=seed, device=device):
        for name, stack in some.weights.items():
            stacks[name].append(stack)
    return replace(some, weights={name: _joined(stacks.pop(name)) for name in list(stacks)})


def in_turn(posterior: Posterior, *, samples: int, seed: int, device: torch.device | str = "cpu") -> Iterator[Draws]:
    """The nets of `draw`, part by part: of a graph only so many at once as have 2^26 weights, at least 2."""
    assert samples > 0
    network, stream = posterior.network, generator("cpu", posterior.digest, str(samples), str(seed))
    most = samples if network.is_chain else max(2, WEIGHTS_AT_ONCE // network.weights)
    for first in range(0, samples, most):
        asked = min(most, samples - first)
        some = _draws(posterior, partial(posterior.rules.draw, samples=asked, generator=stream), device)
        yield some
        # A family whose draws are all equal gives one that stands for all.
        if some.samples < asked:
            return


def mean_draw(posterior: Posterior, *, device: torch.device | str = "cpu") -> Draws:
    """The one net whose weights are the posterior's means."""
    return _draws(posterior, posterior.rules.mean, device)


def evaluate(draws: Draws, x: Tensor) -> Tensor:
    """The outputs of every net for rows x, [rows, draws, units], float64 on the CPU."""
    outputs = _side_by_side(draws, x) if draws.network.is_chain else _one_by_one(draws, x)
    # Contiguous, as sums over the draws of strided outputs round differently for other numbers of rows.
    return outputs.double().cpu().contiguous()


def _one_by_one(draws: Draws, x: Tensor) -> Tensor:
    def outputs(index: int) -> Tensor:
        def linear(layer: Weighted, x: Tensor) -> Tensor:
            weight, bias = draws.weights[layer.name]
            return apply(layer, x, weight[index], bias[index])

        return forward(draws.network, x, linear, draws.fixed)

    return torch.stack([outputs(index) for index in range(draws.samples)], 1)


def _side_by_side(draws: Draws, x: Tensor) -> Tensor:
    """All nets of a chain at once: their activations lie along the channels, [rows, draws * channels, ...]."""

    def linear(layer: Weighted, x: Tensor) -> Tensor:
        weight, bias = draws.weights[layer.name]
        is_shared = x.shape[1] == layer.inputs
        match layer.layer:
            case Dense() if is_shared:
                return F.linear(x, weight.flatten(0, 1), bias.flatten())
            case Dense(units):
                own = x.view(-1, len(weight), layer.inputs).transpose(0, 1)
                return torch.baddbmm(bias.unsqueeze(1), own, weight.mT).transpose(0, 1).reshape(-1, len(weight) * units)
            case Conv(_, _, padding, stride):
                groups = 1 if is_shared else len(weight)
                return F.conv2d(x, weight.flatten(0, 1), bias.flatten(), stride, padding, groups=groups)

    return forward(draws.network, x, linear).view(-1, draws.samples, draws.output.units)


def _draws(posterior: Posterior, stack: Callable[[Tensors], LayerWeights], device: torch.device | str) -> Draws:
    weights = {layer.name: stack(posterior.layer(layer.name)) for layer in posterior.network.weighted}
    return Draws(
        input=posterior.input,
        output=posterior.output,
        network=posterior.network,
        weights={name: LayerWeights(w.to(device), b.to(device)) for name, (w, b) in weights.items()},
        own=posterior.layer(OWN),
        fixed={key: tensor.to(device) for key, tensor in posterior.layer(FIXED).items()},
    )


def _joined(stacks: Sequence[LayerWeights]) -> LayerWeights:
    if len(stacks) == 1:
        return stacks[0]
    return LayerWeights(*(torch.cat(parts) for parts in zip(*stacks, strict=True)))

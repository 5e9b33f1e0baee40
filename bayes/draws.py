"""Nets drawn from a posterior, and what they put out."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.by_row import aligned, apply_by_row, conv_by_row, dense_by_row, steady
from bayes.determinism import generator
from bayes.families.parts import LayerWeights, Tensors
from bayes.fixed import FIXED
from bayes.flipped import Flipped, flipped, is_worth_flipping
from bayes.inputs import Input
from bayes.layers import Conv, Dense, Network, Weighted, apply, channels_last, forward
from bayes.likelihoods import OWN
from bayes.outputs import Output
from bayes.packed import conv2d, packed_kernels
from bayes.posterior import Posterior

WEIGHTS_AT_ONCE = 2**26
SIDE_BY_SIDE_ROWS = 8
"""Up to so many rows the nets of a chain are computed side by side; for more, one after the other is faster."""
SIDE_BY_SIDE_NUMBERS = 2**24
"""Nor are they where all draws of a row make more numbers than these between two layers."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Nets drawn from a posterior, ready to predict: a stack of each layer's weights, or these `flipped`.

    The kernels of a chain's convolutions lie channels last, filters of one net after those of another, and once more
    `packed`, those of all nets together.
    """

    method: Literal["ensemble", "mean"]
    input: Input
    output: Output
    network: Network
    weights: Mapping[str, LayerWeights]
    own: Tensors
    fixed: Tensors
    flipped: Mapping[str, Flipped] = field(default_factory=dict)
    packed: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        return len(self._biases[0])

    @property
    def nbytes(self) -> int:
        """The memory that the draws hold, in bytes."""
        stacked = sum(tensor.nbytes for stack in self.weights.values() for tensor in stack)
        once_more = sum(kernels.nbytes for kernels in self.packed.values())
        return stacked + once_more + sum(layer.nbytes for layer in self.flipped.values())

    def net(self, name: str, index: int) -> LayerWeights:
        """The weights of one net's layer."""
        if name in self.flipped:
            return self.flipped[name].net(index)
        weight, bias = self.weights[name]
        return LayerWeights(weight[index], bias[index])

    def is_side_by_side(self, rows: int) -> bool:
        """True where so many rows are computed by all nets at once."""
        is_small = self.samples * self.network.width <= SIDE_BY_SIDE_NUMBERS
        return self.network.is_chain and (self.samples == 1 or (rows <= SIDE_BY_SIDE_ROWS and is_small))

    @property
    def device(self) -> torch.device:
        return self._biases[0].device

    @property
    def _biases(self) -> list[Tensor]:
        return [of.bias for of in self.weights.values()] + [of.bias for of in self.flipped.values()]


def nbytes_of_a_net(network: Network) -> int:
    """The memory that one net drawn for this network holds, in bytes; in `flipped` layers it is less."""
    kernels = sum(prod(layer.weight_shape) for layer in network.weighted if isinstance(layer.layer, Conv))
    return 4 * (network.weights + (kernels if network.is_chain else 0))


def draw(posterior: Posterior, *, samples: int = 16, seed: int = 0, device: torch.device | str = "cpu") -> Draws:
    """Nets drawn from the posterior, independent but for the large dense layers of a chain (`flipped`).

    The same posterior, samples and seed give the same ones. They are drawn on the CPU, so they do not depend on the
    device they are put on.
    """
    stacks: dict[str, list[LayerWeights]] = defaultdict(list)
    for some in in_turn(posterior, samples=samples, seed=seed, device=device):
        for name, stack in some.weights.items():
            stacks[name].append(stack)
    weights = {name: _joined(stacks.pop(name)) for name in list(stacks)}
    return _laid_out(replace(some, weights=weights))


def in_turn(posterior: Posterior, *, samples: int, seed: int, device: torch.device | str = "cpu") -> Iterator[Draws]:
    """The nets of `draw`, part by part: of a graph only so many at once as have 2^26 weights, at least 2."""
    assert samples > 0
    network, stream = posterior.network, generator("cpu", posterior.digest, str(samples), str(seed))
    most = samples if network.is_chain else max(2, WEIGHTS_AT_ONCE // network.weights)
    for first in range(0, samples, most):
        asked = min(most, samples - first)
        some = _draws(posterior, partial(_drawn, posterior, samples=asked, generator=stream), device)
        yield some
        # A family whose draws are all equal gives one that stands for all.
        if some.samples < asked:
            return


def mean_draw(posterior: Posterior, *, device: torch.device | str = "cpu") -> Draws:
    """The one net whose weights are the posterior's means."""
    mean = _draws(posterior, lambda layer: posterior.rules.mean(posterior.layer(layer.name)), device)
    return _laid_out(replace(mean, method="mean"))


def evaluate(
    draws: Draws,
    x: Tensor,
    *,
    by_row: bool = False,
    of_rows: int | None = None,
    check: Callable[[], None] = lambda: None,
) -> Tensor:
    """The outputs of every net for rows x, [rows, draws, units], float64 on the CPU.

    `by_row` computes each row as if it were alone, to the bit. Some of `of_rows` rows are computed as all would be.
    `check` is called before all nets, or before each where they come one by one.
    """
    rows = len(x) if of_rows is None else of_rows
    x = channels_last(x) if x.dim() == 4 else x
    if draws.is_side_by_side(1 if by_row else rows):
        check()
        outputs = _side_by_side(draws, x, by_row=by_row)
    else:
        outputs = _one_by_one(draws, x, by_row=by_row, check=check)
    # Contiguous, as sums over the draws of strided outputs round differently for other numbers of rows.
    return outputs.double().cpu().contiguous()


def _one_by_one(draws: Draws, x: Tensor, *, by_row: bool, check: Callable[[], None]) -> Tensor:
    def outputs(index: int) -> Tensor:
        check()

        def linear(layer: Weighted, x: Tensor) -> Tensor:
            weight, bias = draws.net(layer.name, index)
            return (apply_by_row if by_row else apply)(layer, x, weight, bias)

        return forward(draws.network, x, linear, draws.fixed, other=steady)

    return torch.stack([outputs(index) for index in range(draws.samples)], 1)


def _side_by_side(draws: Draws, x: Tensor, *, by_row: bool) -> Tensor:
    """All nets of a chain at once: their activations lie along the channels, [rows, draws * channels, ...]."""

    def linear(layer: Weighted, x: Tensor) -> Tensor:
        if (flipped := draws.flipped.get(layer.name)) is not None:
            return flipped.outputs(x.view(len(x), -1, layer.inputs), by_row=by_row).flatten(1)
        weight, bias = draws.weights[layer.name]
        is_shared = x.shape[1] == layer.inputs
        match layer.layer:
            case Dense() if is_shared:
                dense = dense_by_row if by_row else F.linear
                return dense(x, weight.flatten(0, 1), bias.flatten())
            case Dense(units):
                own = x.view(-1, len(weight), layer.inputs).transpose(0, 1)
                rows = torch.split(own, 1, 1) if by_row else [own]
                products = [torch.baddbmm(bias.unsqueeze(1), aligned(row), weight.mT) for row in rows]
                return torch.cat(products, 1).transpose(0, 1).reshape(-1, len(weight) * units)
            case Conv(_, _, padding, stride):
                groups = 1 if is_shared else len(weight)
                conv = conv_by_row if by_row else conv2d
                kernels = draws.packed[layer.name]
                return conv(x, kernels, bias.flatten(), stride=stride, padding=padding, groups=groups)

    return forward(draws.network, x, linear, other=steady).view(-1, draws.samples, draws.output.units)


def _laid_out(draws: Draws) -> Draws:
    """The draws of a chain with kernels channels last, and packed as one convolution of many filters."""
    if not draws.network.is_chain:
        return draws
    weights, kernels = dict(draws.weights), dict[str, Tensor]()
    for index, layer in enumerate(draws.network.weighted):
        if not isinstance(layer.layer, Conv):
            continue
        weight, bias = weights[layer.name]
        together = channels_last(weight.flatten(0, 1))
        # All nets take the rows, and then each what it made of them itself.
        groups, step = 1 if index == 0 else len(weight), layer.layer
        kernels[layer.name] = packed_kernels(together, stride=step.stride, padding=step.padding, groups=groups)
        weights[layer.name] = LayerWeights(together.view(weight.shape), bias)
    return replace(draws, weights=weights, packed=kernels)


def _drawn(
    posterior: Posterior, layer: Weighted, *, samples: int, generator: torch.Generator
) -> LayerWeights | Flipped:
    tensors = posterior.layer(layer.name)
    known = posterior.rules.moments(tensors) if posterior.network.is_chain else None
    if known is not None and is_worth_flipping(layer, known, samples):
        return flipped(known, samples=samples, generator=generator)
    return posterior.rules.draw(tensors, samples, generator)


def _draws(
    posterior: Posterior, stack: Callable[[Weighted], LayerWeights | Flipped], device: torch.device | str
) -> Draws:
    drawn = {layer.name: stack(layer) for layer in posterior.network.weighted}
    weights = {name: of for name, of in drawn.items() if isinstance(of, LayerWeights)}
    return Draws(
        method="ensemble",
        input=posterior.input,
        output=posterior.output,
        network=posterior.network,
        weights={name: LayerWeights(aligned(w.to(device)), aligned(b.to(device))) for name, (w, b) in weights.items()},
        own=posterior.layer(OWN),
        fixed={key: tensor.to(device) for key, tensor in posterior.layer(FIXED).items()},
        flipped={name: of.on(device) for name, of in drawn.items() if isinstance(of, Flipped)},
    )


def _joined(stacks: Sequence[LayerWeights]) -> LayerWeights:
    if len(stacks) == 1:
        return stacks[0]
    return LayerWeights(*(torch.cat(parts) for parts in zip(*stacks, strict=True)))

"""Predictions with their uncertainty, from weights drawn once."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, assert_never

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes import likelihoods
from bayes.determinism import deterministic, generator
from bayes.errors import InvalidInputs
from bayes.families.parts import LayerWeights, Tensors
from bayes.fixed import FIXED
from bayes.inputs import Input
from bayes.layers import Conv, Dense, Network, Weighted, apply, forward
from bayes.likelihoods import OWN
from bayes.outputs import Categorical, Gaussian, Output
from bayes.posterior import Posterior

Method = Literal["ensemble", "mean"]
ACTIVATIONS_MAX = 2**22
"""The most numbers in a tensor made on the way, unless the draws of a single row need more: 32 MiB in float64."""
SLICE_ROWS_MAX = 512
LOG2_E = 1 / math.log(2)


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


@dataclass(frozen=True, eq=False)
class CategoricalPrediction:
    """Float64 on the CPU: probabilities [rows, classes]; in nats [rows], entropy = aleatoric + mutual_information.

    entropy is that of the mean probabilities, aleatoric the mean of the draws' entropies; their difference is what
    more evidence could take away.
    """

    probabilities: Tensor
    entropy: Tensor
    aleatoric: Tensor
    mutual_information: Tensor


@dataclass(frozen=True, eq=False)
class GaussianPrediction:
    """Float64 on the CPU, label units, [rows, dims]: std^2 = epistemic_std^2 (over draws) + noise_std^2."""

    mean: Tensor
    std: Tensor
    epistemic_std: Tensor
    noise_std: Tensor

    def interval(self, level: float = 0.9) -> tuple[Tensor, Tensor]:
        """Where the label lies with this probability above 0 and below 1: lower and upper, [rows, dims] each.

        The central interval of N(mean, std^2). It has the mean and the variance of what the draws and the noise say
        together, and needs no more than those; the tails of a mixture of 16 draws would be those of its farthest draw.
        """
        assert 0 < level < 1
        reach = math.sqrt(2) * torch.erfinv(torch.tensor(level, dtype=torch.float64)) * self.std
        return self.mean - reach, self.mean + reach


Prediction = CategoricalPrediction | GaussianPrediction


def draw(posterior: Posterior, *, samples: int = 16, seed: int = 0, device: torch.device | str = "cpu") -> Draws:
    """Nets drawn independently from the posterior; the same posterior, samples and seed give the same ones.

    They are drawn on the CPU, so they do not depend on the device they are put on.
    """
    assert samples > 0
    stream = generator("cpu", posterior.digest, str(samples), str(seed))
    return _draws(posterior, lambda tensors: posterior.rules.draw(tensors, samples, stream), device)


def mean_draw(posterior: Posterior, *, device: torch.device | str = "cpu") -> Draws:
    """The one net whose weights are the posterior's means."""
    return _draws(posterior, posterior.rules.mean, device)


def predict(
    posterior: Posterior,
    inputs: Tensor,
    *,
    method: Method = "ensemble",
    samples: int = 16,
    seed: int = 0,
    draws: Draws | None = None,
    device: torch.device | str = "cpu",
    check: Callable[[], None] = lambda: None,
) -> Prediction:
    """What the posterior says of each row of inputs [rows, *shape].

    "ensemble" averages the predictions of drawn nets; "mean" asks the one net of the mean weights and so sees no
    uncertainty of the weights. `draws`, made before by `draw` or `mean_draw`, stands for method, samples and seed.
    The same request gives the same bytes.

    Rows are answered in slices, so what all draws say of all rows is never held. `check` is called before every
    slice; what it raises stops the work.

    Raises:
        InvalidInputs: the inputs do not fit the model, or are so large that its outputs overflow.
    """
    posterior.input.check(inputs)
    if draws is None:
        match method:
            case "ensemble":
                draws = draw(posterior, samples=samples, seed=seed, device=device)
            case "mean":
                draws = mean_draw(posterior, device=device)
            case _:
                assert_never(method)
    at_once = draws.samples if draws.network.is_chain else 1
    rows = max(1, min(SLICE_ROWS_MAX, ACTIVATIONS_MAX // (at_once * draws.network.width)))
    answers: list[Prediction] = []
    with torch.inference_mode(), deterministic(draws.device):
        for index, part in enumerate(torch.split(inputs, rows)):
            check()
            outputs = _evaluate(draws, draws.input.scale(part.to(draws.device)))
            _check_finite(outputs, first_row=index * rows)
            answers.append(_reduce(draws, outputs))
        return _join(answers)


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


def _evaluate(draws: Draws, x: Tensor) -> Tensor:
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


def _check_finite(outputs: Tensor, *, first_row: int) -> None:
    is_finite = outputs.isfinite().flatten(1).all(1)
    if not bool(is_finite.all()):
        row = first_row + int(is_finite.logical_not().nonzero()[0])
        raise InvalidInputs(f"row {row} holds numbers so large that the net's outputs for it are not finite")


def _reduce(draws: Draws, outputs: Tensor) -> Prediction:
    match draws.output:
        case Categorical():
            return _categorical(outputs)
        case Gaussian():
            return _gaussian(draws.output, draws.own, outputs)
        case _:
            assert_never(draws.output)


def _join(answers: Sequence[Prediction]) -> Prediction:
    kind = type(answers[0])
    return kind(*(torch.cat([getattr(answer, field.name) for answer in answers]) for field in fields(kind)))


def _categorical(outputs: Tensor) -> CategoricalPrediction:
    each = _softmax(outputs)
    probabilities = each.mean(1)
    entropy = torch.special.entr(probabilities).sum(-1)
    aleatoric = torch.special.entr(each).sum(-1).mean(1)
    return CategoricalPrediction(probabilities, entropy, aleatoric, (entropy - aleatoric).clamp(min=0.0))


def _softmax(outputs: Tensor) -> Tensor:
    """The softmax over the last axis, to float64 rounding.

    torch's own wakes its threads, and so does exp from 128 numbers on; where cores are busy, that takes milliseconds
    even for a single row.
    """
    powers = (outputs - outputs.amax(-1, keepdim=True)).mul_(LOG2_E).exp2_()
    return powers.div_(powers.sum(-1, keepdim=True))


def _gaussian(output: Gaussian, own: Tensors, outputs: Tensor) -> GaussianPrediction:
    own = {key: tensor.double() for key, tensor in own.items()}
    each = likelihoods.location_of(own, outputs)
    epistemic_std = each.std(1, correction=0)
    noise_std = likelihoods.log_noise(output, own).exp().expand_as(epistemic_std)
    std = (epistemic_std.square() + noise_std.square()).sqrt()
    return GaussianPrediction(each.mean(1), std, epistemic_std, noise_std)

"""Predictions with their uncertainty, from drawn weights."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal, assert_never, get_args

import torch
from torch import Tensor

from bayes import likelihoods
from bayes.determinism import deterministic
from bayes.draws import Draws, draw, evaluate, in_turn, mean_draw
from bayes.errors import InvalidInputs
from bayes.families.parts import Tensors
from bayes.outputs import Categorical, Gaussian, Output
from bayes.posterior import Posterior

Method = Literal["ensemble", "mean"]
ACTIVATIONS_MAX = 2**22
"""The most numbers in a tensor made on the way, unless the draws of a single row need more: 32 MiB in float64."""
SLICE_ROWS_MAX = 512
OUTPUTS_MAX = 2**24
"""The most outputs kept while the draws of a graph come in turn: 128 MiB in float64."""
LOG2_E = 1 / math.log(2)


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

    Rows are answered in slices, so what all draws say of all rows is never held; nor are all draws of a graph, unless
    they are given. `check` is called before every slice; what it raises stops the work.

    Raises:
        InvalidInputs: the inputs do not fit the model, or are so large that its outputs overflow; or the method is
            neither.
    """
    if method not in get_args(Method):
        raise InvalidInputs(f"method must be one of {', '.join(get_args(Method))}, not {method!r}")
    posterior.input.check(inputs)
    if draws is None and method == "mean":
        draws = mean_draw(posterior, device=device)
    elif draws is None and posterior.network.is_chain:
        draws = draw(posterior, samples=samples, seed=seed, device=device)
    rows = _slice_rows(posterior, draws)
    numbers = rows * samples * posterior.output.units
    block_rows = rows if draws is not None else rows * max(1, OUTPUTS_MAX // numbers)
    answers: list[Prediction] = []
    with torch.inference_mode(), deterministic(torch.device(device) if draws is None else draws.device):
        for first, block in enumerate(torch.split(inputs, block_rows)):
            nets = [draws] if draws is not None else in_turn(posterior, samples=samples, seed=seed, device=device)
            for index, (own, outputs) in enumerate(_outputs(nets, torch.split(block, rows), check)):
                _check_finite(outputs, first_row=first * block_rows + index * rows)
                answers.append(_reduce(posterior.output, own, outputs))
        return _join(answers)


def _slice_rows(posterior: Posterior, draws: Draws | None) -> int:
    """How many rows are computed at once."""
    side_by_side = draws.samples if draws is not None and draws.network.is_chain else 1
    return max(1, min(SLICE_ROWS_MAX, ACTIVATIONS_MAX // (side_by_side * posterior.network.width)))


def _outputs(
    nets: Iterable[Draws], slices: Sequence[Tensor], check: Callable[[], None]
) -> Iterator[tuple[Tensors, Tensor]]:
    """For each slice of rows the likelihood's own tensors, and what all nets put out, [rows, draws, units]."""
    said: list[list[Tensor]] = [[] for _ in slices]
    own: Tensors = {}
    for some in nets:
        own = some.own
        for part, outputs in zip(slices, said, strict=True):
            check()
            outputs.append(evaluate(some, some.input.scale(part.to(some.device))))
    for outputs in said:
        yield own, torch.cat(outputs, 1)


def _check_finite(outputs: Tensor, *, first_row: int) -> None:
    is_finite = outputs.isfinite().flatten(1).all(1)
    if not bool(is_finite.all()):
        row = first_row + int(is_finite.logical_not().nonzero()[0])
        raise InvalidInputs(f"row {row} holds numbers so large that the net's outputs for it are not finite")


def _reduce(output: Output, own: Tensors, outputs: Tensor) -> Prediction:
    match output:
        case Categorical():
            return _categorical(outputs)
        case Gaussian():
            return _gaussian(output, own, outputs)
        case _:
            assert_never(output)


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

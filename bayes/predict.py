"""Predictions with their uncertainty, from a posterior's moments or from drawn weights."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import assert_never

import torch
from torch import Tensor

from bayes.by_row import aligned
from bayes.determinism import deterministic
from bayes.draws import Draws, draw, evaluate, in_turn
from bayes.errors import InvalidInputs
from bayes.families.parts import Tensors
from bayes.layers import Network
from bayes.moments import Moments, propagate
from bayes.outputs import Output
from bayes.posterior import Posterior
from bayes.prediction import Drawn, Method, Prediction, join
from bayes.ready import Ready, default_method, draws_meant, ready, usable_method
from bayes.reduction import LOGIT_DRAWS, each_of_draws, numbers_per_row, of_draws, of_each, of_moments

ACTIVATIONS_MAX = 2**22
"""The most numbers in a tensor made on the way, unless the draws of a single row need more: 32 MiB in float64."""
SLICE_ROWS_MAX = 512
OUTPUTS_MAX = 2**24
"""The most outputs kept while the draws of a graph come in turn: 128 MiB in float64."""
Said = Iterator[tuple[Tensors, Tensor]]
"""Of each slice of rows the likelihood's own tensors, and what all nets put out for it, [rows, draws, units]."""
ROWS_ALONE_MAX = 4
"""Up to so many rows are always computed as if each were alone: no slower, and their company cannot be told."""


def ask(using: Ready, inputs: Tensor, *, by_row: bool = False, check: Callable[[], None] = lambda: None) -> Prediction:
    """What a posterior that was made `ready` says of each row of inputs [rows, *shape].

    The same rows get the same bytes. With `by_row` each row gets those that it gets alone; so it always is with up to
    4 rows. Rows are answered in slices, so what all draws say of all rows is never held. `check` is called before
    every slice, and before every net of an ensemble that is computed net by net; what it raises stops the work.

    Raises:
        InvalidInputs: the inputs do not fit the model, or are so large that its outputs overflow.
    """
    using.input.check(inputs)
    alone = by_row or len(inputs) <= ROWS_ALONE_MAX
    with torch.inference_mode(), deterministic(using.device):
        match using:
            case Moments():
                return _by_moments(using, inputs, alone, check)
            case Draws():
                return _reduced(using.output, using.method, _by_draws(using, inputs, alone, check))
            case _:
                assert_never(using)


def predict(
    posterior: Posterior,
    inputs: Tensor,
    *,
    method: Method | None = None,
    samples: int | None = None,
    seed: int | None = None,
    device: torch.device | str = "cpu",
    check: Callable[[], None] = lambda: None,
) -> Prediction:
    """What the posterior says of each row of inputs [rows, *shape]; `ready` and `ask` in one.

    "moments" passes mean and variance of every activation through the net once; "ensemble" averages the predictions of
    drawn nets; "mean" asks the one net of the mean weights and so sees no uncertainty of the weights. Where moments
    have no rule (mnf, some nets of torchvision) the ensemble answers; the prediction's `method` is the one that did.
    Without a method it is the ensemble where samples (else 16) or seed (else 0) are stated, and moments otherwise.

    The draws of a graph are not all held at once.

    Raises:
        InvalidInputs: as from `ask` and from `ready`.
    """
    posterior.input.check(inputs)
    method = usable_method(posterior.family, posterior.network, method or default_method(samples, seed))
    samples, seed = draws_meant(samples, seed)
    if method != "ensemble" or posterior.network.is_chain:
        using = ready(posterior, method=method, samples=samples, seed=seed, device=device)
        return ask(using, inputs, check=check)
    turns = partial(in_turn, posterior, samples=samples, seed=seed, device=device)
    alone = len(inputs) <= ROWS_ALONE_MAX
    with torch.inference_mode(), deterministic(torch.device(device)):
        said = _by_turns(turns, posterior, samples, inputs, alone=alone, check=check)
        return _reduced(posterior.output, "ensemble", said)


def ask_each(using: Draws, inputs: Tensor, *, samples: int, check: Callable[[], None] = lambda: None) -> Drawn:
    """The bytes that `ask` gives, and what each of the so many nets says of each row; also nets that are all equal.

    Raises:
        InvalidInputs: as from `ask`.
    """
    using.input.check(inputs)
    alone = len(inputs) <= ROWS_ALONE_MAX
    with torch.inference_mode(), deterministic(using.device):
        return _each(using.output, using.method, _by_draws(using, inputs, alone, check), samples=samples)


def predict_each(
    posterior: Posterior,
    inputs: Tensor,
    *,
    samples: int | None = None,
    seed: int | None = None,
    device: torch.device | str = "cpu",
    check: Callable[[], None] = lambda: None,
) -> Drawn:
    """What `predict` says by the ensemble, to the byte, and what each of its nets says.

    Raises:
        InvalidInputs: as from `predict`.
    """
    posterior.input.check(inputs)
    samples, seed = draws_meant(samples, seed)
    if posterior.network.is_chain:
        using = draw(posterior, samples=samples, seed=seed, device=device)
        return ask_each(using, inputs, samples=samples, check=check)
    turns = partial(in_turn, posterior, samples=samples, seed=seed, device=device)
    alone = len(inputs) <= ROWS_ALONE_MAX
    with torch.inference_mode(), deterministic(torch.device(device)):
        said = _by_turns(turns, posterior, samples, inputs, alone=alone, check=check)
        return _each(posterior.output, "ensemble", said, samples=samples)


def _by_moments(using: Moments, inputs: Tensor, alone: bool, check: Callable[[], None]) -> Prediction:
    logits = numbers_per_row(using.output, LOGIT_DRAWS)
    rows = max(1, min(SLICE_ROWS_MAX, using.rows_at_once, ACTIVATIONS_MAX // logits))
    answers: list[Prediction] = []
    for index, part in enumerate(torch.split(inputs, rows)):
        check()
        moment = propagate(using, _scaled(using, part), by_row=alone)
        sums = moment.mean if moment.variance is None else moment.mean + moment.variance
        _check_finite(sums, index * rows, of="the mean and the variance of the net's outputs")
        answers.append(of_moments(using.output, using.own, moment))
    return join(answers)


def _by_draws(using: Draws, inputs: Tensor, alone: bool, check: Callable[[], None]) -> Said:
    at_once = using.samples if using.is_side_by_side(1 if alone else len(inputs)) else 1
    rows = _slice_rows(using.network, using.output, at_once=at_once, nets=using.samples)
    return _outputs([using], torch.split(inputs, rows), alone, check)


def _by_turns(
    turns: Callable[[], Iterable[Draws]],
    posterior: Posterior,
    samples: int,
    inputs: Tensor,
    *,
    alone: bool,
    check: Callable[[], None],
) -> Said:
    """By nets of which few are held at a time, for as many rows at once as may keep what all of them put out."""
    rows = _slice_rows(posterior.network, posterior.output, at_once=1, nets=samples)
    block_rows = rows * max(1, OUTPUTS_MAX // (rows * samples * posterior.output.units))
    for block in torch.split(inputs, block_rows):
        yield from _outputs(turns(), torch.split(block, rows), alone, check)


def _scaled(using: Ready, rows: Tensor) -> Tensor:
    """The rows as the net sees them; wherever they lay in the memory of a request, the net makes the same of them."""
    return aligned(using.input.scale(rows.to(using.device)))


def _slice_rows(network: Network, output: Output, *, at_once: int, nets: int) -> int:
    """How many rows are computed together by so many nets at once, of so many whose outputs are then put together."""
    numbers = max(at_once * network.width, numbers_per_row(output, nets))
    return max(1, min(SLICE_ROWS_MAX, ACTIVATIONS_MAX // numbers))


def _outputs(
    nets: Iterable[Draws],
    slices: Sequence[Tensor],
    alone: bool,
    check: Callable[[], None],
) -> Said:
    """For each slice of rows the likelihood's own tensors, and what all nets put out, [rows, draws, units]."""
    said: list[list[Tensor]] = [[] for _ in slices]
    own: Tensors = {}
    rows = sum(map(len, slices))
    for some in nets:
        own = some.own
        for part, outputs in zip(slices, said, strict=True):
            outputs.append(evaluate(some, _scaled(some, part), by_row=alone, of_rows=rows, check=check))
    for outputs in said:
        yield own, torch.cat(outputs, 1)


def _reduced(output: Output, method: Method, said: Said) -> Prediction:
    return join([of_draws(output, own, outputs, method) for own, outputs in _finite(said)])


def _each(output: Output, method: Method, said: Said, *, samples: int) -> Drawn:
    answers: list[Prediction] = []
    draws: list[Tensor] = []
    for own, outputs in _finite(said):
        each = each_of_draws(output, own, outputs)
        answers.append(of_each(output, own, each, method))
        draws.append(each.contiguous())  # Classes that fill rows up are given back.
    # A family whose draws are all equal gives one that stands for all.
    return Drawn(join(answers), torch.cat(draws).expand(-1, samples, -1))


def _finite(said: Said) -> Said:
    """The same, as far as the outputs are numbers.

    Raises:
        InvalidInputs: the inputs of a row are so large that its outputs are not.
    """
    first_row = 0
    for own, outputs in said:
        _check_finite(outputs, first_row, of="the net's outputs")
        first_row += len(outputs)
        yield own, outputs


def _check_finite(outputs: Tensor, first_row: int, *, of: str) -> None:
    # Numbers of float32 have a finite sum in float64 if, and only if, all are finite.
    if not math.isfinite(float(outputs.sum())):
        row = first_row + int(outputs.isfinite().flatten(1).all(1).logical_not().nonzero()[0])
        raise InvalidInputs(f"row {row} holds numbers so large that {of} for it are not finite")

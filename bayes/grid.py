"""The sigma of a prior around w*, chosen from a grid by rows of the first chunk."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from bayes.calibration import score
from bayes.chunk import Chunk
from bayes.determinism import generator
from bayes.errors import InvalidInputs, UpdateDiverged
from bayes.model import Model
from bayes.posterior import Posterior
from bayes.predict import predict
from bayes.priors import WeightsPrior
from bayes.report import Choice, Progress, Report
from bayes.root import root
from bayes.update import absorb
from bayes.weights import Pretrained

HELD_OUT = 0.2
"""The part of the first chunk that the sigmas are judged by."""


def absorb_on_grid(
    model: Model,
    pretrained: Pretrained,
    chunk: Chunk,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[Progress], None] | None = None,
    check: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Posterior, Report]:
    """The posterior after the first chunk of a line, from the prior of the best sigma; the report says which.

    Each sigma's prior absorbs four fifths of the rows and predicts the others; the least mean NLL wins, and its prior
    absorbs the whole chunk. `progress` and `check` are as those of `absorb`, over all of this. A sigma whose update
    diverges, or whose predictions are not finite, does not win.

    Raises:
        InvalidDescription: the bytes are not those that the prior names, or do not fit the model.
        InvalidChunk: the chunk's rows do not fit the model.
        UpdateDiverged: the last update diverged, or all of them.
    """
    assert isinstance(model.prior, WeightsPrior)
    chunk.check(model.input, model.output)
    began, sigmas = clock(), model.prior.sigmas
    taught, held_out = split(chunk, generator("cpu", model.prior.blob, chunk.digest, "held out"))
    trial_steps = model.recipe.steps(taught.rows)
    in_all = len(sigmas) * trial_steps + model.recipe.steps(chunk.rows)

    def absorbed(sigma: float, rows: Chunk, done: int) -> tuple[Posterior, Report]:
        def told(step: Progress) -> None:
            if progress is not None:
                progress(Progress(done + step.step, in_all, step.elbo))

        prior = root(_with_sigma(model, sigma), pretrained, check=check)
        return absorb(prior, rows, model.recipe, device=device, progress=told, check=check, clock=clock)

    nll: dict[float, float] = {}
    for index, sigma in enumerate(sigmas):
        try:
            posterior, _ = absorbed(sigma, taught, index * trial_steps)
            prediction = predict(posterior, held_out.inputs, method="ensemble", device=device, check=check)
        except (UpdateDiverged, InvalidInputs):
            continue
        nll[sigma] = score(prediction, held_out.labels)["nll"]
    if not nll:
        raise UpdateDiverged("the update diverges with every sigma of the prior; a lower lr or lr_log_sigma may help")
    best = min(nll, key=lambda sigma: nll[sigma])
    posterior, report = absorbed(best, chunk, len(sigmas) * trial_steps)
    choice = Choice(best, held_out.rows, {f"{sigma:g}": nll.get(sigma) for sigma in sigmas})
    return posterior, replace(report, choice=choice, seconds=clock() - began)


def split(chunk: Chunk, generator: torch.Generator) -> tuple[Chunk, Chunk]:
    """Four fifths and one fifth of the rows that count, drawn at random; a single row is in both parts."""
    counting = torch.arange(chunk.rows) if chunk.weights is None else chunk.weights.nonzero()[:, 0]
    drawn = counting[torch.randperm(len(counting), generator=generator)]
    held_out = max(1, round(HELD_OUT * len(drawn)))
    return _rows(chunk, drawn[held_out:] if len(drawn) > 1 else drawn), _rows(chunk, drawn[:held_out])


def _rows(chunk: Chunk, index: torch.Tensor) -> Chunk:
    return Chunk(chunk.inputs[index], chunk.labels[index], None if chunk.weights is None else chunk.weights[index])


def _with_sigma(model: Model, sigma: float) -> Model:
    assert isinstance(model.prior, WeightsPrior)
    return replace(model, prior=replace(model.prior, sigmas=(sigma,)))

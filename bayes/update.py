"""One step of sequential Bayesian inference: prior and chunk in, posterior out."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bayes import likelihoods
from bayes.chunk import Chunk
from bayes.descent import Rows, descend, evidence
from bayes.determinism import deterministic, generator, standard_normal
from bayes.divergence import kl_divergence
from bayes.errors import UpdateDiverged
from bayes.families.parts import Tensors
from bayes.likelihoods import OWN
from bayes.objective import Objective, Parts
from bayes.posterior import Posterior, join
from bayes.recipe import Recipe
from bayes.report import Bound, Progress, Report, describe, fact_of, warnings_of


@dataclass(frozen=True, eq=False)
class Fit:
    """Where an update started and what it came to, on the CPU; data_nats: what its data say of the latter."""

    start: Parts
    tensors: Tensors
    steps: int
    data_nats: float


def absorb(
    prior: Posterior,
    chunk: Chunk,
    recipe: Recipe,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[Progress], None] | None = None,
    check: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Posterior, Report]:
    """The posterior after the chunk, and how it came about; every number in both is finite.

    The same prior, chunk and recipe give the same bytes on the same kind of device and number of threads.

    `check` is called before every step and every slice of the final evaluation, and must be quick; `progress` is
    told about 50 times. What they raise stops the update and leaves nothing behind.

    Raises:
        InvalidChunk: the chunk's rows do not fit the model.
        UpdateDiverged: the loss, the posterior or a number of its report is not finite, as of a sigma so near 0
            that it is none in float32.

    Source: Kochurov et al. 2018: q_t is the q nearest to q_{t-1}(w) p(D_t | w), made a distribution.
    """
    chunk.check(prior.input, prior.output)
    began, place = clock(), torch.device(device)
    fit = _fit(prior, chunk, recipe, place, progress=progress, check=check)
    posterior = replace(prior, tensors=fit.tensors, chunks=prior.chunks + 1)
    kl_nats, described = kl_divergence(posterior, prior), describe(posterior, prior, fit.start)
    kl_sum = sum(kl_nats.values())
    report = Report(
        elbo=Bound(fit.data_nats - recipe.beta * kl_sum, fit.data_nats, kl_sum, recipe.beta),
        kl_nats=kl_nats,
        snr_median=fact_of(described, "snr_median"),
        log_sigma_moved=fact_of(described, "log_sigma_moved"),
        steps=fit.steps,
        epochs=recipe.epochs,
        rows=chunk.rows,
        seconds=clock() - began,
        device=str(place),
        warnings=warnings_of(described, prior, recipe, fit.steps),
    )
    if not report.is_finite or not all(bool(tensor.isfinite().all()) for tensor in fit.tensors.values()):
        raise UpdateDiverged(
            f"after {fit.steps} steps the posterior or its report is not finite; a lower lr or lr_log_sigma may help"
        )
    return posterior, report


def _fit(
    prior: Posterior,
    chunk: Chunk,
    recipe: Recipe,
    device: torch.device,
    *,
    progress: Callable[[Progress], None] | None,
    check: Callable[[], None],
) -> Fit:
    content = content_of(prior, chunk, recipe)
    start = starting_point(prior, chunk, recipe, generator("cpu", *content, "weights"))
    noise = standard_normal(generator(device, *content, "noise"))
    shuffle = generator("cpu", *content, "shuffle")
    with deterministic(device):
        rows = Rows.of(chunk, prior.input, device)
        objective = _objective(prior, recipe, rows)
        q = _to(start, device)
        steps = descend(q, objective, rows, recipe=recipe, noise=noise, shuffle=shuffle, progress=progress, check=check)
        data_nats = evidence(q, objective, rows, noise, check=check)
    return Fit(start, {name: tensor.detach().cpu() for name, tensor in join(q).items()}, steps, data_nats)


def _objective(prior: Posterior, recipe: Recipe, rows: Rows) -> Objective:
    return Objective(
        network=prior.network,
        rules=prior.rules,
        output=prior.output,
        prior=_to({layer.name: prior.layer(layer.name) for layer in prior.network.weighted}, rows.weights.device),
        beta=recipe.beta,
        rows=len(rows.weights),
        weight=float(rows.weights.sum(dtype=torch.float64)),
        batch_rows=min(recipe.batch_rows, len(rows.weights)),
    )


def content_of(prior: Posterior, chunk: Chunk, recipe: Recipe) -> tuple[str, str, str]:
    """All that the randomness of an update depends on."""
    return prior.digest, chunk.digest, json.dumps(recipe.to_description(), sort_keys=True)


def starting_point(prior: Posterior, chunk: Chunk, recipe: Recipe, generator: torch.Generator) -> dict[str, Tensors]:
    """Where the update of this prior starts: at the prior itself, where the KL is 0.

    A layer whose means are all 0, as a root prior's are, is no place to start from, as equal units stay equal: there
    the weights' means are drawn after He et al. 2015, N(0, 2 / fan-in), and log sigma starts as the recipe says.
    """
    layers: dict[str, Tensors] = {}
    for layer in prior.network.weighted:
        tensors = prior.layer(layer.name)
        if not bool(tensors["weight.mu"].any()):
            weight = torch.randn(layer.weight_shape, generator=generator) * math.sqrt(2 / layer.fan_in)
            layers[layer.name] = prior.rules.start(tensors, weight, recipe.log_sigma_start)
        else:
            layers[layer.name] = tensors
    own = prior.layer(OWN)
    return {**layers, OWN: likelihoods.start(prior.output, own, chunk) if prior.chunks == 0 else own}


def _to(parts: Parts, device: torch.device) -> dict[str, dict[str, Tensor]]:
    return {name: {key: t.to(device, copy=True) for key, t in tensors.items()} for name, tensors in parts.items()}

"""One step of sequential Bayesian inference: prior and chunk in, posterior out."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from bayes import likelihoods
from bayes.chunk import Chunk, check
from bayes.descent import Rows, descend, evidence
from bayes.determinism import deterministic, generator, standard_normal
from bayes.divergence import kl_divergence
from bayes.errors import UpdateDiverged
from bayes.families.parts import Tensors
from bayes.likelihoods import OWN
from bayes.objective import Objective, Parts
from bayes.posterior import Posterior, join
from bayes.recipe import Recipe
from bayes.report import Bound, Progress, Report, describe, warnings_of


def absorb(
    prior: Posterior,
    chunk: Chunk,
    recipe: Recipe,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[Progress], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Posterior, Report]:
    """The posterior after the chunk, and how it came about.

    The same prior, chunk and recipe give the same bytes on the same kind of device and number of threads. What
    `progress` raises stops the update and leaves nothing behind.

    Raises:
        InvalidChunk: the chunk's rows do not fit the model.
        UpdateDiverged: the loss or the result is not finite.

    Source: Kochurov et al. 2018: q_t is the q nearest to q_{t-1}(w) p(D_t | w), made a distribution.
    """
    check(chunk, prior.input, prior.output)
    began, place = clock(), torch.device(device)
    content = content_of(prior, chunk, recipe)
    start = starting_point(prior, chunk, recipe, generator("cpu", *content, "weights"))
    with deterministic(place):
        rows = Rows.of(chunk, prior.input, place)
        objective = Objective(
            network=prior.network,
            rules=prior.rules,
            output=prior.output,
            prior=_to({layer.name: prior.layer(layer.name) for layer in prior.network.weighted}, place),
            beta=recipe.beta,
            rows=chunk.rows,
            weight=float(rows.weights.sum(dtype=torch.float64)),
            batch_rows=min(recipe.batch_rows, chunk.rows),
        )
        noise = standard_normal(generator(place, *content, "noise"))
        shuffle = generator("cpu", *content, "shuffle")
        q = _to(start, place)
        steps = descend(q, objective, rows, recipe=recipe, noise=noise, shuffle=shuffle, progress=progress)
        data_nats = evidence(q, objective, rows, noise)
    tensors = {name: tensor.detach().cpu() for name, tensor in join(q).items()}
    posterior = replace(prior, tensors=tensors, chunks=prior.chunks + 1)
    kl_nats = kl_divergence(posterior, prior)
    described = describe(posterior, prior, start)
    kl_sum = sum(kl_nats.values())
    if not math.isfinite(data_nats - kl_sum) or not all(bool(t.isfinite().all()) for t in tensors.values()):
        raise UpdateDiverged(f"after {steps} steps the posterior or its bound is not finite; a lower lr may help")
    report = Report(
        elbo=Bound(data_nats - recipe.beta * kl_sum, data_nats, kl_sum, recipe.beta),
        kl_nats=kl_nats,
        snr_median={layer: facts["snr_median"] for layer, facts in described.items() if facts},
        log_sigma_moved={layer: facts["log_sigma_moved"] for layer, facts in described.items() if facts},
        steps=steps,
        epochs=recipe.epochs,
        rows=chunk.rows,
        seconds=clock() - began,
        device=str(place),
        warnings=warnings_of(described, prior, recipe, steps),
    )
    return posterior, report


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

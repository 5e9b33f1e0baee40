"""One step of sequential Bayesian inference: prior and chunk in, posterior out."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

import torch
from torch import Tensor

from bayes import fixed, likelihoods
from bayes.adam import Adam
from bayes.chunk import Chunk
from bayes.descent import Optimizer, Rows, descend, evidence
from bayes.determinism import deterministic, generator, standard_normal
from bayes.divergence import kl_divergence
from bayes.errors import FamilyMismatch, UpdateDiverged
from bayes.families import FAMILIES
from bayes.families.parts import Noise, Tensors
from bayes.fixed import FIXED
from bayes.forgetting import forgotten
from bayes.ivon import Ivon
from bayes.likelihoods import OWN
from bayes.objective import Objective, Parts
from bayes.posterior import Posterior, join
from bayes.recipe import Recipe
from bayes.report import Bound, Progress, Report, describe, fact_of, warnings_of
from bayes.shifts import Shift, check_shift, shifts

LATER = ("steps_least", "shift_pixels")
"""Fields that recipes did not always have; 0 is off."""


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
    root: Posterior | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[Progress], None] | None = None,
    check: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Posterior, Report]:
    """The posterior after the chunk, and how it came about; every number in both is finite.

    The same prior, chunk, recipe and root give the same bytes on the same kind of device and number of threads. Only a
    recipe with a `prior_power` below 1 needs the root of the prior's line.

    `check` is called before every step, every slice of the final evaluation and every layer's KL, in between at every
    layer that takes long, and must be quick; `progress` is told about 50 times. What they raise stops the update and
    leaves nothing behind.

    Raises:
        InvalidChunk: the chunk's rows do not fit the model.
        FamilyMismatch: the recipe forgets, and the root is missing or of another family or net; or it asks for ivon,
            and the family is not ffg.
        InvalidDescription: the recipe moves images, and the rows are none or smaller.
        UpdateDiverged: the loss, the posterior or a number of its report is not finite, as of a sigma so near 0
            that it is none in float32.

    Source: Kochurov et al. 2018: q_t is the q nearest to q_{t-1}(w) p(D_t | w), made a distribution.
    """
    chunk.check(prior.input, prior.output)
    began, place = clock(), torch.device(device)
    held = forgotten(prior, root, recipe.prior_power)
    fit = _fit(prior, held, chunk, recipe, device=place, progress=progress, check=check)
    posterior = replace(prior, tensors=fit.tensors, chunks=prior.chunks + 1)
    kl_nats = kl_divergence(posterior, held, check=check)
    described = describe(posterior, held, fit.start)
    kl_sum = sum(kl_nats.values())
    report = Report(
        elbo=Bound(fit.data_nats - recipe.beta * kl_sum, fit.data_nats, kl_sum, recipe.beta),
        kl_nats=kl_nats,
        snr_median=fact_of(described, "snr_median"),
        log_sigma_moved=fact_of(described, "log_sigma_moved"),
        steps=fit.steps,
        epochs=recipe.passes(chunk.rows),
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
    held: Posterior,
    chunk: Chunk,
    recipe: Recipe,
    *,
    device: torch.device,
    progress: Callable[[Progress], None] | None,
    check: Callable[[], None],
) -> Fit:
    content = content_of(prior, chunk, recipe)
    start = starting_point(prior, chunk, recipe, generator("cpu", *content, "weights"))
    noise = standard_normal(generator(device, *content, "noise"))
    shuffle, shift = generator("cpu", *content, "shuffle"), _shift(prior, recipe, generator("cpu", *content, "shift"))
    with deterministic(device), torch.inference_mode(False), torch.enable_grad():
        rows = Rows.of(chunk, prior.input, device)
        objective = _objective(held, recipe, rows, check)
        q = _to(start, device)
        optimizer = _optimizer(q, objective, recipe, noise)
        steps = descend(
            optimizer,
            objective,
            rows,
            recipe=recipe,
            shuffle=shuffle,
            shift=shift,
            progress=progress,
            check=check,
        )
        data_nats = evidence(q, objective, rows, noise, check=check)
    return Fit(start, {name: tensor.detach().cpu().contiguous() for name, tensor in join(q).items()}, steps, data_nats)


def _shift(prior: Posterior, recipe: Recipe, generator: torch.Generator) -> Shift | None:
    check_shift(recipe.shift_pixels, prior.input.shape)
    return shifts(recipe.shift_pixels, generator) if recipe.shift_pixels else None


def _optimizer(q: Parts, objective: Objective, recipe: Recipe, noise: Noise) -> Optimizer:
    match recipe.optimizer:
        case "adam":
            return Adam(q, objective, recipe, noise)
        case "ivon" if objective.rules is not FAMILIES["ffg"]:
            raise FamilyMismatch("ivon is for posteriors of family ffg")
        case "ivon":
            return Ivon(q, objective, recipe, noise)
        case _:
            assert_never(recipe.optimizer)


def _objective(prior: Posterior, recipe: Recipe, rows: Rows, check: Callable[[], None]) -> Objective:
    device = rows.weights.device
    names = [layer.name for layer in prior.network.weighted]
    parts = _to({name: prior.layer(name) for name in (*names, OWN)}, device)
    return Objective(
        network=prior.network,
        rules=prior.rules,
        output=prior.output,
        prior={**parts, **{name: prior.rules.ready(parts[name]) for name in names}},
        beta=recipe.beta,
        rows=len(rows.weights),
        weight=float(rows.weights.sum(dtype=torch.float64)),
        batch_rows=recipe.batch_rows_of(len(rows.weights)),
        check=check,
    )


def content_of(prior: Posterior, chunk: Chunk, recipe: Recipe) -> tuple[str, str, str]:
    """All that the randomness of an update depends on.

    What later recipes may do leaves no trace where they do not, so that earlier updates can be repeated.
    """
    described = {name: value for name, value in recipe.to_description().items() if name not in LATER or value}
    return prior.digest, chunk.digest, json.dumps(described, sort_keys=True)


def starting_point(prior: Posterior, chunk: Chunk, recipe: Recipe, generator: torch.Generator) -> dict[str, Tensors]:
    """Where the update of this prior starts: at the prior itself, where the KL is 0.

    From a root, log sigma starts at most where the recipe says. Layers whose means are all 0 are no place to start
    from, as equal units stay equal: there the weights' means are drawn after He et al. 2015, N(0, 2 / fan-in). A lone
    layer has no units that could be equal, and starts at 0.
    """
    layers: dict[str, Tensors] = {}
    for layer in prior.network.weighted:
        tensors = prior.layer(layer.name)
        weight = tensors["weight.mu"]
        if (is_blank := not bool(weight.any())) and len(prior.network.weighted) > 1:
            weight = torch.randn(layer.weight_shape, generator=generator, dtype=torch.float32) * math.sqrt(
                2 / layer.fan_in
            )
        is_start = is_blank or prior.chunks == 0
        layers[layer.name] = prior.rules.start(tensors, weight, recipe.log_sigma_start) if is_start else tensors
    own = prior.layer(OWN)
    return {
        **layers,
        FIXED: _fixed(prior, layers, chunk),
        OWN: likelihoods.start(prior.output, own, chunk) if prior.chunks == 0 else own,
    }


def _fixed(prior: Posterior, layers: Parts, chunk: Chunk) -> Tensors:
    """The prior's fixed scales and shifts; where they are the root's, those that its start needs on these rows."""
    found = prior.layer(FIXED)
    if not fixed.is_blank(found):
        return found
    means = {name: prior.rules.mean(tensors) for name, tensors in layers.items()}
    weights = {name: (weight[0], bias[0]) for name, (weight, bias) in means.items()}
    counting = chunk.inputs if chunk.weights is None else chunk.inputs[chunk.weights > 0]
    return fixed.calibrated(prior.network, weights, prior.input.scale(fixed.sample(prior.network, counting)))


def _to(parts: Parts, device: torch.device) -> dict[str, dict[str, Tensor]]:
    """Copies on the device; kernels lie with their channels last, as convolutions on CPU and GPU are fastest."""
    return {name: {key: _copied(t, device) for key, t in tensors.items()} for name, tensors in parts.items()}


def _copied(tensor: Tensor, device: torch.device) -> Tensor:
    layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
    return tensor.to(device, copy=True, memory_format=layout)

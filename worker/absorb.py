"""One claim, absorbed: the prior and the chunk read from the blobs and scored, the posterior written to them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import safetensors.torch
import torch

import bayes
from bayes.prediction import rows_of
from store.blobs import Blobs
from store.values import Claim

Clock = Callable[[], float]


@dataclass(frozen=True)
class Scored:
    """What a claim names, read from the blobs, and how well its prior predicts the chunk before it learns from it.

    Attributes:
        prequential: the rows and the scores of the whole chunk; of one that is beyond the numbers of JSON, None.
        scores: of each batch of the claim, in its order; None where the prior predicts nothing finite for it.
        seconds: how long reading and scoring took.
    """

    prior: bayes.Posterior
    chunk: bayes.Chunk
    prequential: dict[str, float | None]
    scores: tuple[bayes.Scores | None, ...]
    seconds: float


@dataclass(frozen=True)
class Absorbed:
    """A posterior that is in the blobs and not yet a version, and what its prior scored on each batch of the claim."""

    digest: str
    data: bytes
    kl_nats: float
    report: dict[str, Any]
    scores: tuple[bayes.Scores | None, ...]


def absorb(
    claim: Claim,
    blobs: Blobs,
    *,
    device: str,
    missing_labels: list[str],
    progress: Callable[[bayes.Progress], None],
    check: Callable[[], None],
    clock: Clock = time.perf_counter,
) -> Absorbed:
    """The posterior of the claim's prior and chunk is in the blobs; before it, the prior was scored on the chunk.

    `check` is called at every step; what it raises stops the work.

    Raises:
        BlobMissing, BlobCorrupt: the bytes of a posterior, a batch or a prior's weights are not what the ledger names.
        bayes.BayesError: the bytes are no posterior, or the update diverged.
    """
    scored = score_before_learning(claim, blobs, device=device, check=check, clock=clock)
    return learn(
        claim,
        scored,
        blobs,
        device=device,
        missing_labels=missing_labels,
        progress=progress,
        check=check,
        clock=clock,
    )


def score_before_learning(
    claim: Claim, blobs: Blobs, *, device: str, check: Callable[[], None], clock: Clock = time.perf_counter
) -> Scored:
    """The claim's prior and chunk, and the prior's scores on rows that it has not learned from (test-then-train).

    They are as the service would predict the rows, in one pass over the chunk. Rows for which the prior predicts
    nothing finite have no scores: whether they can be learned is for the update to find out.

    Raises:
        BlobMissing, BlobCorrupt: the bytes of the prior or of a batch are not what the ledger names.
        bayes.BayesError: the bytes of the prior are no posterior.
    """
    began = clock()
    prior = bayes.Posterior.from_bytes(blobs.get(claim.prior_digest))
    batches = [safetensors.torch.load(blobs.get(digest)) for digest in claim.batch_digests]
    chunk = _joined(batches)
    ends = accumulate((len(batch["y"]) for batch in batches), initial=0)
    slices = [slice(first, end) for first, end in pairwise(ends)]
    prequential: dict[str, float | None] = {"rows": chunk.rows}
    try:
        prediction = bayes.predict(prior, chunk.inputs, device=device, check=check)
    except bayes.InvalidInputs:
        scores = tuple(_scores_alone(prior, chunk, rows, device=device, check=check) for rows in slices)
    else:
        scores = tuple(bayes.Scores.of(rows_of(prediction, rows), chunk.labels[rows]) for rows in slices)
        found = bayes.score(prediction, chunk.labels)
        prequential |= {name: value if math.isfinite(value) else None for name, value in found.items()}
    return Scored(prior, chunk, prequential, scores, seconds=clock() - began)


def learn(
    claim: Claim,
    scored: Scored,
    blobs: Blobs,
    *,
    device: str,
    missing_labels: list[str],
    progress: Callable[[bayes.Progress], None],
    check: Callable[[], None],
    clock: Clock = time.perf_counter,
) -> Absorbed:
    """The posterior of what was scored for this claim is in the blobs.

    Raises:
        As from `absorb`.
    """
    began = clock()
    model, prior, chunk = bayes.Model.from_description(claim.description), scored.prior, scored.chunk
    if prior.chunks == 0 and isinstance(model.prior, bayes.WeightsPrior) and model.is_on_grid:
        pretrained = bayes.Pretrained(blobs.get(model.prior.blob))
        posterior, report = bayes.absorb_on_grid(
            model, pretrained, chunk, device=device, progress=progress, check=check
        )
    else:
        root = bayes.Posterior.from_bytes(blobs.get(claim.root_digest)) if model.recipe.prior_power < 1 else None
        posterior, report = bayes.absorb(
            prior, chunk, model.recipe, root=root, device=device, progress=progress, check=check
        )
    data = posterior.to_bytes()
    digest = blobs.put(data)
    facts: dict[str, Any] = {
        **report.to_dict(),
        "prequential": scored.prequential,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "seconds_in_all": scored.seconds + clock() - began,
    }
    facts["warnings"] = [*_coverage(missing_labels), *report.warnings]
    return Absorbed(digest=digest, data=data, kl_nats=report.elbo.kl_nats, report=facts, scores=scored.scores)


def read_chunk(batches: list[bytes]) -> bayes.Chunk:
    """The rows of these batches (safetensors x, y and, where given, weights) one after the other."""
    return _joined([safetensors.torch.load(data) for data in batches])


def _joined(parts: Sequence[dict[str, torch.Tensor]]) -> bayes.Chunk:
    weights = None
    if any("weights" in part for part in parts):
        weights = torch.cat([part.get("weights", torch.ones(len(part["y"]))) for part in parts])
    return bayes.Chunk(
        inputs=torch.cat([part["x"] for part in parts]),
        labels=torch.cat([part["y"] for part in parts]),
        weights=weights,
    )


def _scores_alone(
    prior: bayes.Posterior, chunk: bayes.Chunk, rows: slice, *, device: str, check: Callable[[], None]
) -> bayes.Scores | None:
    """The scores of some rows of a chunk that has others without a finite prediction, if these have one."""
    try:
        prediction = bayes.predict(prior, chunk.inputs[rows], device=device, check=check)
    except bayes.InvalidInputs:
        return None
    return bayes.Scores.of(prediction, chunk.labels[rows])


def _coverage(missing: list[str]) -> list[str]:
    if not missing:
        return []
    labels = ", ".join(missing)
    return [
        f"The chunk has no row of {'class' if len(missing) == 1 else 'the classes'} {labels}, which the model has "
        "seen before. A sequential prior does not keep a net from forgetting classes that stay away: post rows of "
        "them too, or roll back."
    ]

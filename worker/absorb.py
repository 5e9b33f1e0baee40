"""One claim, absorbed: the prior and the chunk read from the blobs and scored, the posterior written to them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

import bayes
from store.blobs import Blobs
from store.values import Claim
from worker.gate import to_learn
from worker.meters import begin_peak, peak_bytes
from worker.reading import Clock, Reading, score_before_learning


@dataclass(frozen=True)
class Absorbed:
    """A posterior that is in the blobs and not yet a version, and what its prior scored on each batch of the claim."""

    digest: str
    data: bytes
    posterior: bayes.Posterior
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


def learn(
    claim: Claim,
    scored: Reading,
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
    begin_peak(device)
    model, prior, chunk = bayes.Model.from_description(claim.description), scored.prior, to_learn(claim, scored)
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
    if (peak := peak_bytes(device)) is not None:
        facts["gpu_bytes_peak"] = peak
    if chunk.rows < scored.chunk.rows:
        facts["rows_held_out"] = scored.chunk.rows - chunk.rows
    facts["warnings"] = [*_coverage(missing_labels), *report.warnings]
    return Absorbed(
        digest=digest,
        data=data,
        posterior=posterior,
        kl_nats=report.elbo.kl_nats,
        report=facts,
        scores=scored.scores,
    )


def _coverage(missing: list[str]) -> list[str]:
    if not missing:
        return []
    labels = ", ".join(missing)
    return [
        f"The chunk has no row of {'class' if len(missing) == 1 else 'the classes'} {labels}, which the model has "
        "seen before. A sequential prior does not keep a net from forgetting classes that stay away: post rows of "
        "them too, or roll back."
    ]

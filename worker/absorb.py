"""One claim, absorbed: the prior and the chunk read from the blobs, the posterior written to them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch

import bayes
from store.blobs import Blobs
from store.values import Claim

Clock = Callable[[], float]


@dataclass(frozen=True)
class Absorbed:
    """A posterior that is in the blobs and not yet a version."""

    digest: str
    data: bytes
    kl_nats: float
    report: dict[str, Any]


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
    began = clock()
    model = bayes.Model.from_description(claim.description)
    prior = bayes.Posterior.from_bytes(blobs.get(claim.prior_digest))
    chunk = read_chunk([blobs.get(digest) for digest in claim.batch_digests])
    prequential = score_before_learning(prior, chunk, device=device, check=check)
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
        "prequential": prequential,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "seconds_in_all": clock() - began,
    }
    facts["warnings"] = [*_coverage(missing_labels), *report.warnings]
    return Absorbed(digest=digest, data=data, kl_nats=report.elbo.kl_nats, report=facts)


def read_chunk(batches: list[bytes]) -> bayes.Chunk:
    """The rows of these batches (safetensors x, y and, where given, weights) one after the other."""
    parts = [safetensors.torch.load(data) for data in batches]
    weights = None
    if any("weights" in part for part in parts):
        weights = torch.cat([part.get("weights", torch.ones(len(part["y"]))) for part in parts])
    return bayes.Chunk(
        inputs=torch.cat([part["x"] for part in parts]),
        labels=torch.cat([part["y"] for part in parts]),
        weights=weights,
    )


def score_before_learning(
    prior: bayes.Posterior, chunk: bayes.Chunk, *, device: str, check: Callable[[], None]
) -> dict[str, float | None]:
    """The prior's scores on rows that it has not learned from (test-then-train), as the service would predict them.

    A score that is beyond the numbers of JSON is None. Rows for which the prior predicts nothing finite have no scores:
    whether they can be learned is for the update to find out.
    """
    try:
        prediction = bayes.predict(prior, chunk.inputs, device=device, check=check)
    except bayes.InvalidInputs:
        return {"rows": chunk.rows}
    scores = bayes.score(prediction, chunk.labels)
    return {"rows": chunk.rows, **{name: value if math.isfinite(value) else None for name, value in scores.items()}}


def _coverage(missing: list[str]) -> list[str]:
    if not missing:
        return []
    labels = ", ".join(missing)
    return [
        f"The chunk has no row of {'class' if len(missing) == 1 else 'the classes'} {labels}, which the model has "
        "seen before. A sequential prior does not keep a net from forgetting classes that stay away: post rows of "
        "them too, or roll back."
    ]

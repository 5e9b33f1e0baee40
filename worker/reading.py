"""What a claim names, read from the blobs, and scored before anything is learned from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import safetensors.torch
import torch

import bayes
from store.blobs import Blobs
from store.tracing import span
from store.values import Claim
from worker.scoring import predicted

Clock = Callable[[], float]


@dataclass(frozen=True)
class Reading:
    """What a claim names, read from the blobs, and how well its prior predicts the chunk before it learns from it.

    Attributes:
        prequential: the rows and the scores of the whole chunk; of one that is beyond the numbers of JSON, None.
        scores: of each batch of the claim, in its order; None where the prior predicts nothing finite for it.
        rows: how many rows each batch of the claim has.
        seconds: how long reading and scoring took.
    """

    prior: bayes.Posterior
    chunk: bayes.Chunk
    rows: tuple[int, ...]
    prequential: dict[str, float | None]
    scores: tuple[bayes.Scores | None, ...]
    seconds: float


def score_before_learning(
    claim: Claim, blobs: Blobs, *, device: str, check: Callable[[], None], clock: Clock = time.perf_counter
) -> Reading:
    """The claim's prior and chunk, and the prior's scores on rows that it has not learned from (test-then-train).

    Rows for which the prior predicts nothing finite have no scores: whether they can be learned is for the update to
    find out.

    Raises:
        BlobMissing, BlobCorrupt: the bytes of the prior or of a batch are not what the ledger names.
        bayes.BayesError: the bytes of the prior are no posterior.
    """
    began = clock()
    with span("read", {"posterity.batches": len(claim.batches)}):
        prior = bayes.Posterior.from_bytes(blobs.get(claim.prior_digest))
        batches = [safetensors.torch.load(blobs.get(digest)) for digest in claim.batch_digests]
        chunk = _joined(batches)
    ends = accumulate((len(batch["y"]) for batch in batches), initial=0)
    slices = [slice(first, end) for first, end in pairwise(ends)]
    with span("score", {"posterity.rows": chunk.rows}):
        found = predicted(prior, chunk, slices, device=device, check=check)
    rows = tuple(len(batch["y"]) for batch in batches)
    prequential = {"rows": chunk.rows, **found.metrics}
    return Reading(prior, chunk, rows, prequential, found.scores, seconds=clock() - began)


def read_batches(batches: list[bytes]) -> tuple[bayes.Chunk, tuple[int, ...]]:
    """The rows of these batches one after the other, and how many each has."""
    parts = [safetensors.torch.load(data) for data in batches]
    return _joined(parts), tuple(len(part["y"]) for part in parts)


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

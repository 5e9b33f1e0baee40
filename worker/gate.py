"""The gate before head moves: rows that nothing learns from, and what a fresh version is worth on them.

The rows are drawn from the content of each batch, so those of earlier chunks on the line are found again: a chunk that
harms is seen on rows of the chunks before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch

import bayes
from store.blobs import Blobs
from store.history import History
from store.values import Claim, Publication
from worker.reading import Reading, read_chunk

POOL_ROWS_MAX = 1_000
"""The newest rows that were held out count; earlier ones say less about what comes."""


@dataclass(frozen=True)
class Judged:
    """What the gate has found."""

    verdict: bayes.Verdict
    batches: int
    """How many batches the rows come from."""

    @property
    def held(self) -> str | None:
        """Why head does not move; None: it does."""
        return None if self.verdict.is_fit else self.verdict.sentence()

    def to_json(self) -> dict[str, Any]:
        return {"on": "held-out rows of the line", "batches": self.batches, **self.verdict.to_json()}


def gate_of(claim: Claim) -> bayes.Gate | None:
    """The gate of the claim's model; None where it has none."""
    if claim.description.get("publish") != Publication.GATED:
        return None
    return bayes.Gate(**claim.description["gate"])


def to_learn(claim: Claim, scored: Reading) -> bayes.Chunk:
    """The rows that are learned from: all but those held out; all, where none would be left."""
    gate = gate_of(claim)
    if gate is None:
        return scored.chunk
    of_each = zip(claim.batch_digests, scored.rows, strict=True)
    left = ~torch.cat([gate.split(digest, rows, seed=_seed(claim)) for digest, rows in of_each])
    chunk, weights = scored.chunk, scored.chunk.weights
    counted = left if weights is None else left & (weights > 0)
    if not bool(counted.any()):
        return chunk
    return bayes.Chunk(chunk.inputs[left], chunk.labels[left], None if weights is None else weights[left])


def judge(
    claim: Claim,
    scored: Reading,
    fresh: bayes.Posterior,
    *,
    history: History,
    blobs: Blobs,
    device: str,
    check: Callable[[], None],
) -> Judged | None:
    """How the fresh version compares with its parent; None where the model has no gate, or no row was held out.

    A step of a forget is not judged: somebody has asked for it.

    Raises:
        BlobMissing, BlobCorrupt: the rows of an earlier batch are not what the ledger names.
    """
    gate = gate_of(claim)
    if gate is None or claim.forget is not None:
        return None
    held: list[tuple[torch.Tensor, torch.Tensor]] = []
    for digest, inputs, labels in _newest_first(claim, scored, history, blobs):
        chosen = gate.split(digest, len(labels), seed=_seed(claim))
        if bool(chosen.any()):
            held.append((inputs[chosen], labels[chosen]))
        if sum(len(labels) for _, labels in held) >= POOL_ROWS_MAX:
            break
    if not held:
        return None
    inputs, labels = (torch.cat([part[at] for part in held])[:POOL_ROWS_MAX] for at in (0, 1))
    predictions = [bayes.predict(one, inputs, device=device, check=check) for one in (fresh, scored.prior)]
    return Judged(gate.judge(predictions[0], predictions[1], labels), batches=len(held))


def _newest_first(
    claim: Claim, scored: Reading, history: History, blobs: Blobs
) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """The batches of the chunk, then those that its prior has learned from, as far as their rows were kept."""
    ends = list(accumulate(scored.rows, initial=0))
    for digest, (first, end) in reversed(list(zip(claim.batch_digests, pairwise(ends), strict=True))):
        yield digest, scored.chunk.inputs[first:end], scored.chunk.labels[first:end]
    for digest in history.rows_learned_by(claim.model, claim.prior):
        batch = read_chunk([blobs.get(digest)])
        yield digest, batch.inputs, batch.labels


def _seed(claim: Claim) -> int:
    return int(claim.description["recipe"]["seed"])

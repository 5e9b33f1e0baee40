"""The gate before head moves: rows that nothing learns from, and what a fresh version is worth on them.

The rows are drawn from the content of each batch, so those of earlier chunks on the line are found again: a chunk that
harms is seen on rows of the chunks before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import bayes
from store.blobs import Blobs
from store.history import History
from store.kinds import Publication
from store.values import Claim
from worker.reading import Reading, read_batches

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
    gate, chunk = gate_of(claim), scored.chunk
    if gate is None:
        return chunk
    left = ~_held_out(gate, claim, claim.batch_digests, rows=scored.rows, chunk=chunk)
    weights = None if chunk.weights is None else chunk.weights[left]
    return bayes.Chunk(chunk.inputs[left], chunk.labels[left], weights)


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
    batches = 0
    for digests, rows, chunk in _newest_first(claim, scored, history, blobs):
        chosen = _held_out(gate, claim, digests, rows=rows, chunk=chunk)
        if bool(chosen.any()):
            held.append((chunk.inputs[chosen], chunk.labels[chosen]))
            batches += len(digests)
        if sum(len(labels) for _, labels in held) >= POOL_ROWS_MAX:
            break
    if not held:
        return None
    inputs, labels = (torch.cat([part[at] for part in held])[:POOL_ROWS_MAX] for at in (0, 1))
    predictions = [bayes.predict(one, inputs, device=device, check=check) for one in (fresh, scored.prior)]
    return Judged(gate.judge(predictions[0], predictions[1], labels), batches=batches)


def _held_out(
    gate: bayes.Gate, claim: Claim, digests: Sequence[str], *, rows: Sequence[int], chunk: bayes.Chunk
) -> torch.Tensor:
    """True for the rows of these batches that nothing learns from; for none, where no row would be left to learn."""
    seed = int(claim.description["recipe"]["seed"])
    held = torch.cat([gate.split(digest, count, seed=seed) for digest, count in zip(digests, rows, strict=True)])
    left = ~held if chunk.weights is None else ~held & (chunk.weights > 0)
    return held if bool(left.any()) else torch.zeros_like(held)


def _newest_first(
    claim: Claim, scored: Reading, history: History, blobs: Blobs
) -> Iterator[tuple[Sequence[str], Sequence[int], bayes.Chunk]]:
    """The chunk, then what its prior has learned from, part by part, as far as the rows were kept."""
    yield claim.batch_digests, scored.rows, scored.chunk
    for digests in history.parts_kept(claim.model, claim.prior):
        chunk, rows = read_batches([blobs.get(digest) for digest in digests])
        yield digests, rows, chunk

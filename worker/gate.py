"""The gate before head moves: rows that nothing learns from, and what a fresh version is worth on them.

The rows are drawn from the digest of each batch, so those of earlier chunks on the line are found again: a chunk that
harms is seen on rows of the chunks before it, which are judged apart from its own, however many these are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

import bayes
from store.blobs import Blobs
from store.errors import BlobCorrupt, BlobMissing
from store.history import History
from store.kinds import Publication
from store.values import Claim
from worker.reading import Reading, read_chunk

ROWS_MAX = 1_000
"""The newest rows that were held out count; earlier ones say less about what comes. Of the chunk's own, as many."""
BATCHES_READ_MAX = 200
"""So many earlier batches are read for it at most: each is a blob."""

BLIND = (
    "The gate had no rows of the chunks before to compare on, as none that were held out are kept here: wrong labels "
    "throughout this chunk pass it. It has some where the retention keeps rows, if only for days."
)

Rows = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Judged:
    """What the gate has found, on rows of the chunks before and on the chunk's own; None where there are none."""

    earlier: bayes.Verdict | None
    own: bayes.Verdict | None
    warnings: tuple[str, ...] = ()

    @property
    def held(self) -> str | None:
        """Why head does not move; None: it does."""
        said = {"rows of the chunks before": self.earlier, "rows of its own chunk": self.own}
        worse = [f"{verdict.sentence()} ({where})" for where, verdict in said.items() if verdict and not verdict.is_fit]
        return "; ".join(worse) or None

    def to_json(self) -> dict[str, Any]:
        """What was found on each; `worse` names the scores of either."""
        parts = {name: verdict for name, verdict in (("earlier", self.earlier), ("own", self.own)) if verdict}
        worse = sorted({name for verdict in parts.values() for name in verdict.worse})
        found: dict[str, Any] = {"on": "held-out rows of the line", "rows": sum(one.rows for one in parts.values())}
        return found | {"worse": worse} | {name: verdict.to_json() for name, verdict in parts.items()}


@dataclass
class Pool:
    """Rows that were held out of earlier chunks, the newest first."""

    rows: list[Rows] = field(default_factory=list)
    batches: int = 0
    unreadable: int = 0

    @property
    def count(self) -> int:
        return sum(len(labels) for _, labels in self.rows)

    @property
    def is_full(self) -> bool:
        return self.count >= ROWS_MAX or self.batches >= BATCHES_READ_MAX


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
    held = torch.cat(held_out(gate, claim, list(zip(claim.batch_digests, scored.rows, strict=True))))
    if chunk.weights is not None and not bool((chunk.weights[~held] > 0).any()):
        return chunk
    weights = None if chunk.weights is None else chunk.weights[~held]
    return bayes.Chunk(chunk.inputs[~held], chunk.labels[~held], weights)


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
    """
    gate = gate_of(claim)
    if gate is None or claim.forget is not None:
        return None

    def verdict(rows: Rows | None) -> bayes.Verdict | None:
        return None if rows is None else _compared(gate, fresh, scored.prior, rows, device=device, check=check)

    pool = _earlier(gate, claim, history, blobs)
    earlier = (torch.cat([x for x, _ in pool.rows]), torch.cat([y for _, y in pool.rows])) if pool.rows else None
    judged = Judged(verdict(_first(earlier)), verdict(_first(_own(gate, claim, scored))), _warnings(claim, pool))
    return None if judged.earlier is None and judged.own is None and not judged.warnings else judged


def held_out(gate: bayes.Gate, claim: Claim, batches: Sequence[tuple[str, int]]) -> list[torch.Tensor]:
    """Of each batch of a part (digest, rows), True for the rows that nothing learns from; no part is held out whole."""
    seed = int(claim.description["recipe"]["seed"])
    held = [gate.split(digest, rows, seed=seed) for digest, rows in batches]
    return [torch.zeros_like(one) for one in held] if all(bool(one.all()) for one in held) else held


def _own(gate: bayes.Gate, claim: Claim, scored: Reading) -> Rows | None:
    """The held-out rows of the chunk that its prior says anything about."""
    if to_learn(claim, scored).rows == scored.chunk.rows:
        return None
    held = held_out(gate, claim, list(zip(claim.batch_digests, scored.rows, strict=True)))
    known = [one & (scores is not None) for one, scores in zip(held, scored.scores, strict=True)]
    chosen = torch.cat(known)
    return (scored.chunk.inputs[chosen], scored.chunk.labels[chosen]) if bool(chosen.any()) else None


def _earlier(gate: bayes.Gate, claim: Claim, history: History, blobs: Blobs) -> Pool:
    """The held-out rows of what the prior has learned from, as far as they were kept and can be read."""
    pool = Pool()
    for part in history.parts_kept(claim.model, claim.prior):
        for (digest, _), chosen in zip(part, held_out(gate, claim, part), strict=True):
            if not bool(chosen.any()):
                continue
            pool.batches += 1
            try:
                batch = read_chunk([blobs.get(digest)])
            except (BlobMissing, BlobCorrupt):
                # They are not needed to learn; the doctor names them.
                pool.unreadable += 1
                continue
            pool.rows.append((batch.inputs[chosen], batch.labels[chosen]))
            if pool.is_full:
                return pool
    return pool


def _warnings(claim: Claim, pool: Pool) -> tuple[str, ...]:
    """What the gate could not see."""
    if pool.unreadable:
        return (f"The gate could not read the rows of {pool.unreadable} earlier batches; run 'posterity doctor'.",)
    return (BLIND,) if claim.prior and not pool.rows else ()


def _compared(
    gate: bayes.Gate,
    fresh: bayes.Posterior,
    parent: bayes.Posterior,
    rows: Rows,
    *,
    device: str,
    check: Callable[[], None],
) -> bayes.Verdict | None:
    """How the two predict the rows; None where the parent predicts nothing finite, which says nothing of the other."""
    inputs, labels = rows
    try:
        theirs = bayes.predict(parent, inputs, device=device, check=check)
    except bayes.InvalidInputs:
        return None
    try:
        ours = bayes.predict(fresh, inputs, device=device, check=check)
    except bayes.InvalidInputs:
        return bayes.Verdict(differences={}, worse=("finite",), rows=len(labels))
    return gate.judge(ours, theirs, labels)


def _first(rows: Rows | None) -> Rows | None:
    return None if rows is None else (rows[0][:ROWS_MAX], rows[1][:ROWS_MAX])

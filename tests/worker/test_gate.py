"""The rows that a gated model keeps from learning, and what a fresh version is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

import bayes
from store.aliases import Aliases
from store.collecting import Collecting
from store.folder import Folder
from store.history import History
from store.leases import Leases
from store.ledger import Ledger
from store.retention import Retention
from store.values import Claim, Json
from worker import gate
from worker.reading import score_before_learning

DESCRIPTION: Json = {
    "name": "points",
    "net": {"kind": "mlp", "hidden": [4]},
    "input": {"shape": [2]},
    "output": {"kind": "categorical", "classes": 3},
    "recipe": {"epochs": 1, "seed": 5},
    "chunk": {"rows": 100_000, "seconds": None},
    "publish": "gated",
    "gate": {"held_out": 0.5, "accuracy": 0.01, "nll": 0.1, "standard_errors": 1.0},
}
Rows = tuple[torch.Tensor, torch.Tensor]
LEARNING = bayes.Model.from_description(DESCRIPTION | {"recipe": {"epochs": 30, "seed": 5}}).recipe

HELD_ALONE = next(
    number
    for number in range(100)
    if bool(
        bayes.Gate(held_out=0.5).split(
            bayes.digest_of(
                safetensors.torch.save({"x": torch.full((1, 2), float(number)), "y": torch.zeros(1, dtype=torch.long)})
            ),
            1,
            seed=5,
        )[0]
    )
)
"""A row that would be held out, as a batch by itself."""


def nothing() -> None:
    """Going on is of use."""


@pytest.fixture
def blobs(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "blobs")


@pytest.fixture
def gated(ledger: Ledger, blobs: Folder) -> Ledger:
    described = DESCRIPTION | bayes.Model.from_description(DESCRIPTION).to_description()
    model = bayes.Model.from_description(DESCRIPTION)
    ledger.create_model("points", described, blobs.put(bayes.root(model).to_bytes()))
    return ledger


def rows(first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows that are told apart by their first number."""
    numbers = torch.arange(first, first + count, dtype=torch.float32)
    return torch.stack([numbers, numbers], 1), numbers.long() % 3


def claimed(
    ledger: Ledger, leases: Leases, blobs: Folder, batches: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> Claim:
    """An update of these batches, claimed."""
    for inputs, labels in batches:
        digest = blobs.put(safetensors.torch.save({"x": inputs, "y": labels}))
        ledger.accept("points", key=f"{float(inputs[0, 0])}", digest=digest, rows=len(labels), label_counts={})
    ledger.close("points")
    claim = leases.claim("worker")
    assert claim is not None
    return claim


def one_after_the_other(gated: Ledger, leases: Leases, blobs: Folder) -> tuple[Claim, Claim]:
    """A claim whose version is published, and the next one, of another chunk."""
    first = claimed(gated, leases, blobs, [rows(0, 30)])
    published(leases, first, first.prior_digest)
    return first, claimed(gated, leases, blobs, [rows(100, 30)])


def published(leases: Leases, claim: Claim, digest: str) -> None:
    leases.publish(claim, digest=digest, kl_nats=0.0, report={})


def test_what_is_learned_and_what_is_judged_on_are_all_rows_and_have_none_in_common(
    gated: Ledger, leases: Leases, history: History, blobs: Folder
) -> None:
    """Three chunks of two batches each; the last is judged on what neither was learned from."""
    learned: list[float] = []
    for first in (0, 100, 200):
        claim = claimed(gated, leases, blobs, [rows(first, 20), rows(first + 20, 10)])
        reading = score_before_learning(claim, blobs, device="cpu", check=nothing)
        learned += gate.to_learn(claim, reading).inputs[:, 0].tolist()
        pool = gate._earlier(bayes.Gate(0.5), claim, history, blobs)
        own = gate._own(bayes.Gate(0.5), claim, reading)
        judged = gate.judge(claim, reading, reading.prior, history=history, blobs=blobs, device="cpu", check=nothing)
        published(leases, claim, claim.prior_digest)

    assert own is not None
    judged_on = [number for inputs, _ in [*pool.rows, own] for number in inputs[:, 0].tolist()]
    assert sorted(learned + judged_on) == [*range(30), *range(100, 130), *range(200, 230)]
    assert judged is not None
    assert judged.earlier is not None
    assert judged.own is not None
    assert judged.earlier.rows + judged.own.rows == len(judged_on) == judged.to_json()["rows"]
    assert judged.held is None


def test_a_large_chunk_that_teaches_otherwise_is_held_back_by_rows_of_the_chunks_before(
    gated: Ledger, leases: Leases, history: History, blobs: Folder
) -> None:
    """What it says is consistent, so its own held-out rows, more than all the others, speak for it. Seed 0."""
    draws = torch.Generator().manual_seed(0)
    centres = torch.tensor([[4.0, 0.0], [-4.0, 0.0], [0.0, 4.0]])

    def points(count: int, *, is_turned: bool = False) -> Rows:
        labels = torch.randint(0, 3, (count,), generator=draws)
        inputs = centres[labels] + torch.randn(count, 2, generator=draws)
        return inputs, (labels + 1) % 3 if is_turned else labels

    for _ in range(3):
        claim = claimed(gated, leases, blobs, [points(200)])
        reading = score_before_learning(claim, blobs, device="cpu", check=nothing)
        knows, _ = bayes.absorb(reading.prior, gate.to_learn(claim, reading), LEARNING)
        published(leases, claim, blobs.put(knows.to_bytes()))
    claim = claimed(gated, leases, blobs, [points(3000, is_turned=True)])
    reading = score_before_learning(claim, blobs, device="cpu", check=nothing)
    fresh, _ = bayes.absorb(reading.prior, gate.to_learn(claim, reading), LEARNING)

    judged = gate.judge(claim, reading, fresh, history=history, blobs=blobs, device="cpu", check=nothing)

    assert judged is not None
    assert judged.own is not None
    assert judged.own.is_fit
    assert judged.earlier is not None
    assert "accuracy" in judged.earlier.worse
    assert "rows of the chunks before" in str(judged.held)


def test_an_earlier_batch_that_cannot_be_read_is_told_and_keeps_nobody_from_learning(
    gated: Ledger, leases: Leases, history: History, blobs: Folder
) -> None:
    first, claim = one_after_the_other(gated, leases, blobs)
    reading = score_before_learning(claim, blobs, device="cpu", check=nothing)
    blobs.delete(first.batch_digests[0])

    judged = gate.judge(claim, reading, reading.prior, history=history, blobs=blobs, device="cpu", check=nothing)

    assert judged is not None
    assert judged.earlier is None
    assert len(judged.warnings) == 1


def test_a_gate_that_has_no_rows_of_earlier_chunks_says_that_it_sees_no_wrong_labels(
    gated: Ledger, leases: Leases, history: History, blobs: Folder
) -> None:
    retention = Retention(gated.engine, Collecting(gated.engine, blobs))
    told = []
    for first in (0, 100):
        claim = claimed(gated, leases, blobs, [rows(first, 30)])
        reading = score_before_learning(claim, blobs, device="cpu", check=nothing)
        judged = gate.judge(claim, reading, reading.prior, history=history, blobs=blobs, device="cpu", check=nothing)
        assert judged is not None
        assert judged.own is not None
        told.append((claim.prior, judged.earlier is None, judged.warnings))
        published(leases, claim, claim.prior_digest)
        retention.delete("points", claim.batches[0], actor="anna")

    assert told == [(0, True, ()), (1, True, (gate.BLIND,))]


def test_a_gate_that_has_rows_of_earlier_chunks_warns_of_nothing(
    gated: Ledger, leases: Leases, history: History, blobs: Folder
) -> None:
    _, claim = one_after_the_other(gated, leases, blobs)
    reading = score_before_learning(claim, blobs, device="cpu", check=nothing)

    judged = gate.judge(claim, reading, reading.prior, history=history, blobs=blobs, device="cpu", check=nothing)

    assert judged is not None
    assert judged.earlier is not None
    assert judged.warnings == ()


def test_a_fresh_version_that_predicts_nothing_finite_is_held_back(
    gated: Ledger, leases: Leases, history: History, blobs: Folder
) -> None:
    claim = claimed(gated, leases, blobs, [rows(0, 30)])
    reading = score_before_learning(claim, blobs, device="cpu", check=nothing)
    broken = {name: torch.full_like(tensor, 1e30) for name, tensor in reading.prior.tensors.items()}
    fresh = replace(reading.prior, tensors=broken)

    judged = gate.judge(claim, reading, fresh, history=history, blobs=blobs, device="cpu", check=nothing)

    assert judged is not None
    assert "nothing finite" in str(judged.held)


def test_few_earlier_batches_are_read_where_each_has_a_row(
    gated: Ledger, leases: Leases, history: History, blobs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BATCHES_READ_MAX", 5)
    first = claimed(gated, leases, blobs, [rows(number, 1) for number in range(40)])
    published(leases, first, first.prior_digest)
    claim = claimed(gated, leases, blobs, [rows(100, 1)])

    pool = gate._earlier(bayes.Gate(0.5), claim, history, blobs)

    assert (pool.batches, pool.count) == (5, 5)


def test_a_chunk_whose_every_row_would_be_held_out_is_learned_whole_and_judges_nobody(
    gated: Ledger, leases: Leases, history: History, blobs: Folder
) -> None:
    claim = claimed(gated, leases, blobs, [(rows(HELD_ALONE, 1)[0], torch.zeros(1, dtype=torch.long))])
    reading = score_before_learning(claim, blobs, device="cpu", check=nothing)

    assert gate.to_learn(claim, reading).rows == 1
    assert gate.judge(claim, reading, reading.prior, history=history, blobs=blobs, device="cpu", check=nothing) is None

    published(leases, claim, claim.prior_digest)
    later = claimed(gated, leases, blobs, [rows(200, 40)])
    again = score_before_learning(later, blobs, device="cpu", check=nothing)
    judged = gate.judge(later, again, again.prior, history=history, blobs=blobs, device="cpu", check=nothing)
    assert judged is not None
    assert judged.earlier is None
    assert judged.own is not None
    assert judged.own.rows == 40 - gate.to_learn(later, again).rows


def test_rows_of_another_line_judge_nobody(
    gated: Ledger, leases: Leases, history: History, blobs: Folder, aliases: Aliases
) -> None:
    first = claimed(gated, leases, blobs, [rows(0, 30)])
    published(leases, first, first.prior_digest)
    aliases.rollback("points", to=0, actor="anna")
    claim = claimed(gated, leases, blobs, [rows(100, 30)])
    reading = score_before_learning(claim, blobs, device="cpu", check=nothing)

    judged = gate.judge(claim, reading, reading.prior, history=history, blobs=blobs, device="cpu", check=nothing)

    assert judged is not None
    assert judged.earlier is None
    assert judged.own is not None
    assert judged.own.rows == 30 - gate.to_learn(claim, reading).rows


def test_a_model_without_a_gate_learns_every_row_and_judges_nothing(
    ledger: Ledger, leases: Leases, history: History, blobs: Folder
) -> None:
    described = {**DESCRIPTION, "publish": "always"}
    ledger.create_model("points", described, blobs.put(bayes.root(bayes.Model.from_description(described)).to_bytes()))
    claim = claimed(ledger, leases, blobs, [rows(0, 30)])
    reading = score_before_learning(claim, blobs, device="cpu", check=nothing)

    assert gate.to_learn(claim, reading).rows == 30
    assert gate.judge(claim, reading, reading.prior, history=history, blobs=blobs, device="cpu", check=nothing) is None

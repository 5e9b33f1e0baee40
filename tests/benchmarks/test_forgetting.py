"""The benchmark of forgetting tells the exact forget from the division, and what each is measured against."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import bayes
from benchmarks import forgetting
from benchmarks.forgetting import ASKED, DIVISION, FULL, REPLAY, claims, gathered, least_precise_share, measure
from benchmarks.mnist import Rows

MODEL = bayes.Model.from_description(
    {
        "net": {"kind": "mlp", "hidden": [4]},
        "input": {"shape": [1, 2, 2], "dtype": "uint8"},
        "output": {"kind": "categorical", "classes": 3},
        "family": "ffg",
        "chunk": {"rows": 20},
        "recipe": {"epochs": 2},
    }
)


def rows(count: int, seed: int) -> Rows:
    draws = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 2, 2), dtype=torch.uint8, generator=draws)
    return Rows(images, torch.randint(0, 3, (count,), generator=draws))


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return measure(MODEL, [rows(20, seed) for seed in range(3)], rows(30, 9), forgotten=2)


def test_everything_is_measured_of_each_posterior(measured: dict[str, Any]) -> None:
    assert set(measured["test"]) == set(measured["forgotten_nll"]) == set(measured["distance"]) == set(ASKED)
    assert measured["distance"][REPLAY] == 0.0
    assert min(measured["distance"][name] for name in (FULL, DIVISION)) > 0.0
    assert 0.0 <= measured["least_precise_share"] <= 1.0


def test_the_exact_forget_is_the_line_that_never_saw_the_chunk(measured: dict[str, Any]) -> None:
    first, second, third = (rows(20, seed) for seed in range(3))
    clean = forgetting.learned([bayes.root(MODEL)], [first, third], MODEL.recipe)[-1]

    assert measured["test"][REPLAY] == forgetting.scored(clean, rows(30, 9))
    assert measured["forgotten_nll"][REPLAY] == forgetting.scored(clean, second)["nll"]


def test_distances_are_parts_of_the_heads(measured: dict[str, Any]) -> None:
    found = gathered([measured, measured])

    assert found["distance_to_exact"][FULL] == [1.0, 1.0]
    assert found["distance_to_exact"][REPLAY] == [0.0, 0.0]


def test_a_line_that_lost_precision_is_seen() -> None:
    root = bayes.root(MODEL)
    narrow, between, wide = (shifted(root, by) for by in (-1.0, -0.5, 1.0))

    assert least_precise_share(root, root, narrow) == 1.0
    assert least_precise_share(narrow, root, between) == 0.0
    assert least_precise_share(wide, root, root) == 0.0


def shifted(posterior: bayes.Posterior, by: float) -> bayes.Posterior:
    moved = {key: of + by if key.endswith("log_sigma") else of for key, of in posterior.tensors.items()}
    return bayes.Posterior(
        posterior.family, posterior.net, posterior.input, posterior.output, moved, posterior.chunks + 1
    )


def test_the_claims_say_each_figure(measured: dict[str, Any]) -> None:
    result = {"forgotten": 2, "chunks": 3, **gathered([measured])}

    said = claims(result)

    assert len(said) == 4
    assert all(name in said[0].figure for name in ASKED)
    assert said[0].figure.startswith(f"head {100 * measured['test'][FULL]['accuracy']:.2f}")

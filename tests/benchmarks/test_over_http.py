from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import bayes
from benchmarks import over_http, while_training
from benchmarks.live import digits, versions
from benchmarks.over_http import BARE, QUERIES, bare, compare_answers
from tests.benchmarks.served import serving


def test_a_contender_that_answers_with_another_net_is_noticed(tmp_path: Path) -> None:
    images, _ = digits.rows(2, 0)
    with serving(tmp_path) as (_, server, client):
        versions.publish(client, tmp_path, digits.LENET, 2, seed=0)
        right, wrong = (bayes.Posterior.from_bytes(client.posterior(digits.NAME, version)) for version in (1, 2))
        client.set_alias(digits.NAME, "head", 1)
        ours = {method: f"{server.url}{over_http.PREDICTIONS}{query}" for method, query in QUERIES.items()}

        with bare(right, tmp_path) as route:
            compare_answers({BARE: f"{route.url}/predict", **ours}, images)
        with bare(wrong, tmp_path) as route, pytest.raises(AssertionError, match="not close"):
            compare_answers({BARE: f"{route.url}/predict", **ours}, images)


def measured(p50: float, p99: float, rates: Mapping[str, float]) -> dict[str, Any]:
    """Ten rounds alike, but for one that was disturbed; the bare route's median is 1 ms, its rate 1,000 a second."""
    own = {name: (p50, p99) if name == "moments" else (1.0, 2.0) for name in (BARE, *QUERIES)}
    return {
        name: {
            count: {
                "p50_ms": [middle] * 9 + [80.0],
                "p99_ms": [tail] * 9 + [90.0],
                "per_second": [rates.get(name, 1_000.0)] * 9 + [1.0],
            }
            for count in ("1", "32")
        }
        for name, (middle, tail) in own.items()
    }


def test_each_bound_is_one_on_the_medians_over_the_rounds() -> None:
    good = measured(2.0, 6.0, {"moments": 1_200.0, "mean": 2_000.0})
    bad = measured(2.1, 6.5, {"moments": 1_190.0, "mean": 1_990.0})

    assert [claim.holds for claim in over_http.claims({"measured": good})] == [True, True, True, True, None]
    assert [claim.holds for claim in over_http.claims({"measured": bad})] == [False, False, False, False, None]


@pytest.mark.parametrize(("tail", "holds"), [(6.0, True), (6.1, False)])
def test_training_is_held_to_the_tail_without_it_at_the_default_setting(tail: float, holds: bool) -> None:
    of = {"idle_p50_ms": [1.0], "idle_p99_ms": [2.0], "training_p50_ms": [1.5], "steps_per_second": [20.0]}
    settings = {str(setting): {**of, "training_p99_ms": [90.0]} for setting in while_training.SETTINGS}
    settings[str(while_training.DEFAULT)]["training_p99_ms"] = [tail]

    assert [claim.holds for claim in while_training.claims({"measured": settings})] == [holds]
    headings, *rows = while_training.table({"measured": settings})
    assert len(rows) == len(while_training.SETTINGS)
    assert {len(row) for row in rows} == {len(headings)}

"""What asks for versions that are not in memory: the first answer of one, and the answers of thousands."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import first_prediction, many_versions
from benchmarks.live import digits, versions
from benchmarks.many_versions import Seen, summary
from tests.benchmarks.served import MODEL, SMALL, serving

TINY: dict[str, Any] = {**digits.LENET, "net": {"kind": "mlp", "hidden": [2]}}
LARGE: dict[str, Any] = {**digits.LENET, "name": "large", "net": {"kind": "mlp", "hidden": [3]}}


def test_versions_are_made_as_a_worker_makes_them_and_differ(tmp_path: Path) -> None:
    with serving(tmp_path) as (live, _, client):
        versions.publish(client, tmp_path, SMALL, 3, seed=0)

        answers = [
            live.client.post(f"{MODEL}/versions/{version}/predictions", json={"inputs": [[[[1, 2], [3, 4]]]]})
            for version in (1, 2, 3)
        ]
        states = [update.state for update in client.updates(digits.NAME)]

    assert states == ["published"] * 3
    assert len({str(answer.json()["outputs"]) for answer in answers}) == 3


def test_every_version_is_asked_twice_and_large_ones_from_the_cache_and_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_prediction, "LARGE_NET", LARGE)
    with serving(tmp_path) as (_, server, client):
        versions.publish(client, tmp_path, TINY, 3, seed=0)
        versions.publish(client, tmp_path, LARGE, 4, seed=0)

        files = first_prediction.large_files(server.url, tmp_path)
        seen = asyncio.run(first_prediction.measure(server.port, files, small=2))

    assert [len(seen["small_first"]), len(seen["small_second"])] == [2, 2]
    assert {name: len(of) for name, of in seen["cached"].items()} == {"read": 2, "first": 2, "second": 2}
    assert {name: len(of) for name, of in seen["dropped"].items()} == {"read": 1, "first": 1, "second": 1}


def test_first_answers_are_held_to_the_second_ones_and_to_reading() -> None:
    def result(first: float, large: float) -> dict[str, Any]:
        of = {"read": [30.0], "first": [large], "second": [5.0]}
        small = {"small_first": [first, first, 900.0], "small_second": [2.0, 2.0, 2.0]}
        return {"milliseconds": {**small, "cached": of, "dropped": of}, "large_bytes": 1e8}

    assert [claim.holds for claim in first_prediction.claims(result(52.0, 60.0))] == [True, True, True]
    assert [claim.holds for claim in first_prediction.claims(result(52.1, 60.1))] == [False, False, False]


def test_versions_drawn_at_random_answer_as_hits_and_misses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_versions, "SAMPLE_SECONDS", 0.05)
    with serving(tmp_path) as (_, server, client):
        versions.publish(client, tmp_path, TINY, 3, seed=0)

        seen = asyncio.run(many_versions.watch(server.port, os.getpid(), count=3, seconds=0.5, clients=2))

    found = summary(seen, minute=0.2)
    assert seen.asked == {1, 2, 3}
    assert found["miss"]["count"] == 3
    assert found["hit"]["count"] == found["answers"] - 3


@pytest.mark.parametrize(("last", "holds"), [(1_050.0, True), (1_060.0, False)])
def test_memory_that_grows_is_told_by_its_last_minute_and_its_slope(last: float, holds: bool) -> None:
    samples = [(after, 1_000.0 if after < 60 else last, 10.0 * after / 60) for after in np.arange(0.0, 180.5, 0.5)]
    seen = Seen(hits_ms=[1.0, 2.0], misses_ms=[5.0], memory=samples)

    found = summary(seen, minute=60.0)

    assert (found["rss_mib"]["first_minute"], found["rss_mib"]["last_minute"]) == (1_000, last)
    assert found["own_mib"]["slope_per_minute"] == pytest.approx(10.0)
    around = {"versions": 3, "seconds": 180.0, "clients": 2, "budget_mib": 256, "memory_before": {"rss_mib": 500}}
    assert [claim.holds for claim in many_versions.claims({**found, **around})] == [holds, None]

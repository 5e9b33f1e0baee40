"""A tree written in bulk is one that the ledger could have written, and what it is asked is timed and bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from benchmarks import ten_thousand_versions
from benchmarks.live.tree import Shape, grow, planned
from benchmarks.ten_thousand_versions import claims, measured, summary
from store.history import History
from store.invariants import violations
from store.leases import Leases
from store.ledger import Ledger
from tests.conftest import FakeClock
from tests.store.given import a_model, a_published_version, digest


def test_a_tree_written_in_bulk_is_sound_and_goes_on_as_any_other(
    engine: Engine, ledger: Ledger, leases: Leases, history: History, clock: FakeClock
) -> None:
    a_model(ledger)

    with engine.begin() as connection:
        tree = grow(connection, "digits", Shape(20, branches=8, branch_versions=4), posteriors=[digest("any")])
        assert violations(connection) == []
    clock.pass_by(1.0)
    version = a_published_version(ledger, leases, "next")

    assert (version.parent, version.depth, version.branch) == (20, 21, 0)
    with engine.begin() as connection:
        assert violations(connection) == []
    branches = history.branches("digits")
    assert [row.tip for row in branches[1:]] == tree.tips
    assert {row.parent_branch for row in branches[1:]} > {0}


def test_the_whole_tree_has_its_line_and_its_branches() -> None:
    tree = planned(ten_thousand_versions.SHAPE)

    assert tree.end == 10_000
    assert len(tree.tips) == 100
    assert any(birth.chunk <= 10_000 for birth in tree.births if birth.branch), "some branches replay chunks"


def test_every_call_is_timed_at_the_store_and_over_http(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ten_thousand_versions, "ROUNDS", 1)

    found = measured(tmp_path, database_url, Shape(30, branches=4, branch_versions=3), times=2)

    at_store_alone = {name for name, of in found.items() if of["http"] is None}
    assert at_store_alone == {
        "lineage check at claim",
        "lineage check at claim, a replay",
        "labels seen before, once an update",
    }
    places = [place for of in found.values() for place in of.values() if place is not None]
    assert all(place["p95_ms"] >= place["median_ms"] > 0 for place in places)


@pytest.mark.parametrize(("slow", "holds"), [(19.9, True), (20.0, False)])
def test_the_slowest_of_each_kind_is_held_to_the_bound(slow: float, holds: bool) -> None:
    def of(took: float) -> dict[str, Any]:
        return summary([[took] * 3] * 3, 0.01)

    calls: dict[str, dict[str, Any]] = {
        kind: {"store": of(1.0), "http": of(2.0)} for kind in ten_thousand_versions.BOUNDED
    }
    calls["compare, slow"] = {"store": of(1.0), "http": of(slow)}
    calls["aliases"] = {"store": of(99.0), "http": None}

    found = claims({"versions": 10_000, "branches": 100, "engines": {"sqlite": calls}})

    assert [claim.holds for claim in found] == [True, True, True, True, holds, None]
    assert "compare, slow" in found[4].figure

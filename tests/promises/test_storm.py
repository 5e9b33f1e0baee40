"""The house under fire for a few seconds on each engine, and its books afterwards; `make storm` does it for long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.storm.run import ENGINES, storm

SECONDS = float(os.environ.get("POSTERITY_TEST_STORM_SECONDS", "12"))
SEED = int(os.environ.get("POSTERITY_TEST_SEED", "1"))


@pytest.mark.parametrize("engine", ENGINES)
def test_after_a_storm_the_books_are_as_everybody_was_told(tmp_path: Path, engine: str) -> None:
    report = storm(tmp_path, engine=engine, seconds=SECONDS, seed=SEED)

    assert report["wrong"] == [], f"seed {SEED}: {report}"
    assert report["sigkills"] >= SECONDS / 4, report
    assert report["acknowledged_batches"] > 0
    assert report["posteriors_recomputed"] == report["books"]["versions"] - 3
    assert report["posteriors_recomputed"] > 0

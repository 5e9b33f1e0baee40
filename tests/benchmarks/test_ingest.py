from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ingest
from benchmarks.ingest import BATCH, BATCHES_OF_FOUR, SINGLE, bodies, claims, measure
from tests.benchmarks.served import serving


def test_every_row_that_was_accepted_is_in_the_ledger(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, server, _):
        rates, limits = measure(server, tmp_path, rounds=1, seconds=0.2)

    assert all(rate > 0 for of in (rates, limits) for (rate,) in of.values())


def test_rows_that_are_accepted_twice_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def always_the_same(rows: int) -> Iterator[bytes]:
        return repeat(next(bodies(rows)))

    monkeypatch.setattr(ingest, "bodies", always_the_same)

    with serving(tmp_path) as (_, server, _), pytest.raises(AssertionError, match="rows were accepted, and 257 are in"):
        measure(server, tmp_path, rounds=0, seconds=0.2)


def test_single_rows_are_held_to_what_the_disk_makes_durable_if_that_is_less() -> None:
    def result(single: float, commits: float, files: float = 9000.0) -> dict[str, Any]:
        rates = {str(BATCH): [20_000.0], str(BATCHES_OF_FOUR): [19_000.0], str(SINGLE): [single]}
        return {"rows_per_second": rates, "disk_per_second": {"commit": [commits], "file_by_threads": [files]}}

    assert [claim.holds for claim in claims(result(1_000, 8_000))] == [True, False, True]
    assert [claim.holds for claim in claims(result(999, 8_000))] == [True, False, False]
    assert [claim.holds for claim in claims(result(400, 300))] == [True, False, True]
    assert [claim.holds for claim in claims(result(400, 8_000, 300))] == [True, False, True]

"""Damaged files: every reading of every kind of file says so, and the script would notice one that does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.corruption import DAMAGES, KINDS, claims, measure
from store.folder import Folder, OpenFile


def test_no_damaged_posterior_batch_or_weights_file_is_taken_for_whole(tmp_path: Path) -> None:
    result = asyncio.run(measure(tmp_path, trials=200, seed=7))

    assert set(result["damaged"]) == {f"{kind} {damage}" for kind in KINDS for damage in DAMAGES}
    assert sum(result["damaged"].values()) == result["readings"]["store: get"] == 200
    assert len(result["readings"]) == 10
    assert set(result["silent"].values()) == {0}
    assert [claim.holds for claim in claims({"runs": [result]})] == [False], "10,000 trials are due"
    assert [claim.holds for claim in claims({"runs": [result] * 50})] == [True]


def test_readings_that_verify_nothing_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenFile, "verify", lambda _: None)
    monkeypatch.setattr(Folder, "get", lambda self, digest: self.path(digest).read_bytes())

    result = asyncio.run(measure(tmp_path, trials=60, seed=7))

    assert all(result["silent"][name] > 0 for name in result["readings"])
    assert [claim.holds for claim in claims({"runs": [result] * 200})] == [False]

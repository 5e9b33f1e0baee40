"""How far a version's confidence can be believed, by the client and the command line, against a real service."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from client import AsyncClient, Calibration, Client, ServiceProblem
from client.cli import app
from tests.client.given import CHUNK_ROWS, rows

X, Y = rows(CHUNK_ROWS)
MORE = rows(CHUNK_ROWS, seed=1)


@pytest.fixture
def learned(client: Client, model: str) -> str:
    """A model with two batches: the root predicted the first, version 1 the second."""
    for x, y in ((X, Y), MORE):
        client.ingest(model, x, y)
        client.settle(model, timeout_seconds=60)
    return model


def run(url: str, *words: str) -> str:
    result = CliRunner().invoke(app, ["calibration", *words, "--url", url])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_kept_scores_a_batch_and_the_same_rows_agree_about_a_version(client: Client, learned: str) -> None:
    kept = client.calibration(learned, version=1)
    of_batch = client.calibration(learned, version=1, batch=2)
    own = client.calibration(learned, *MORE, version=1)

    assert isinstance(kept, Calibration)
    assert [found.source for found in (kept, of_batch, own)] == ["kept", "batches", "rows"]
    assert of_batch.batches is not None
    assert [(one.batch, one.rows, one.learned) for one in of_batch.batches] == [(2, CHUNK_ROWS, False)]
    assert own.bins == of_batch.bins
    assert own.bins is not None
    assert sum(one.rows for one in own.bins) == kept.rows == CHUNK_ROWS
    assert kept.metrics == pytest.approx(own.metrics)
    assert kept.standard_errors is not None
    assert kept.standard_errors.keys() == {"accuracy", "nll", "ece", "brier"}
    assert (kept.method, own.method, own.levels) == (None, "moments", None)


def test_several_batches_are_asked_about_at_once_and_head_where_no_version_is_named(
    client: Client, learned: str
) -> None:
    found = client.calibration(learned, batch=[2, 1], method="ensemble", samples=3, seed=7)

    assert found.version == 2
    assert found.batches is not None
    assert [(one.batch, one.learned) for one in found.batches] == [(2, True), (1, True)]
    assert (found.rows, found.method, found.samples, found.seed) == (2 * CHUNK_ROWS, "ensemble", 3, 7)


def test_the_awaited_client_gets_the_same_and_metrics_have_their_standard_errors(
    client: Client, url: str, learned: str
) -> None:
    async def ask() -> Calibration:
        async with AsyncClient(url) as awaited:
            return await awaited.calibration(learned, version=0)

    found, metrics = asyncio.run(ask()), client.metrics(learned)

    assert found == client.calibration(learned, version=0)
    first = metrics.batches[0]
    assert found.standard_errors == first.standard_errors == first.running_standard_errors
    assert metrics.batches[1].windowed_standard_errors == metrics.standard_errors


def test_inputs_and_labels_go_together(client: Client, learned: str) -> None:
    for x, y in ((X, None), (None, Y)):
        with pytest.raises(ServiceProblem) as refused:
            client.calibration(learned, x, y)
        assert refused.value.code == "body-invalid"


def test_the_command_line_shows_the_bins_and_says_when_they_are_no_fair_test(
    client: Client, url: str, learned: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "rows.npz", x=X, y=Y)

    kept = run(url, learned, "--version", "1")
    of_batches = run(url, learned, "--version", "1", "--batch", "1", "--batch", "2")
    own = run(url, learned, str(tmp_path / "rows.npz"))
    nothing = run(url, learned)
    raw = json.loads(run(url, learned, "--version", "1", "--json"))

    assert f"version 1: {CHUNK_ROWS} rows that it predicted as head, before anything learned from them" in kept
    assert "20 rows of batches 1, 2, moments; it has learned from 1, so this is no fair test" in of_batches
    assert f"version 2: {CHUNK_ROWS} rows, moments" in own
    found = client.calibration(learned, version=1)
    assert found.bins is not None
    assert found.metrics is not None
    shown = [line.split()[:4] for line in kept.splitlines() if line[:2] in ("0.", "1.") and len(line.split()) == 7]
    held = [one for one in found.bins if one.rows]
    assert shown == [[f"{one.lower:.3f}", f"{one.upper:.3f}", str(one.rows), f"{one.confidence:.4f}"] for one in held]
    assert f"{found.metrics['ece']:.4f}" in kept
    assert "predicted no batch as head" in nothing
    assert raw == found.raw


def test_the_command_line_shows_the_levels_of_numbers(client: Client, url: str, model: str) -> None:
    name = f"{model}-numbers"
    client.create_model(
        {
            "name": name,
            "net": {"kind": "mlp", "hidden": [4]},
            "input": {"shape": [2]},
            "output": {"kind": "gaussian"},
            "chunk": {"rows": 1000, "seconds": None},
        }
    )
    batch = client.ingest(name, X, X[:, :1])

    shown = run(url, name, "--batch", str(batch.batch))

    levels = client.calibration(name, batch=1).levels
    assert levels is not None
    for one in levels:
        row = next(line.split() for line in shown.splitlines() if line.split()[:1] == [f"{one.level:g}"])
        assert row == [f"{one.level:g}", f"{one.share:.4f}", f"{one.low:.4f}", f"{one.high:.4f}"]

"""Versions compared and drawn as a tree, by the client and the command line, against a real service."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from client import Branch, Client, Comparison
from client.cli import app
from client.trees import tree_of
from tests.client.given import CHUNK_ROWS, rows

X, Y = rows(CHUNK_ROWS)


@pytest.fixture
def learned(client: Client, model: str) -> str:
    """A model with versions 1 and 2 on one branch, and 3 on another that starts from 1."""
    for seed, back in ((0, None), (1, 1), (2, None)):
        client.ingest(model, *rows(CHUNK_ROWS, seed=seed))
        client.settle(model, timeout_seconds=60)
        if back is not None:
            client.rollback(model, to=back)
    return model


def run(url: str, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--url", url])
    assert result.exit_code == 0, result.output
    return result.output


def test_two_versions_are_compared_with_rows_with_labels_and_with_a_batch(client: Client, learned: str) -> None:
    plain = client.compare(learned, 2, 3)
    rowed = client.compare(learned, 2, 3, x=X, most=3)
    labeled = client.compare(learned, 2, 3, x=X, y=Y, method="ensemble", samples=3, seed=1)
    batch = client.compare(learned, 2, 3, batch=2)

    assert isinstance(plain, Comparison)
    assert (plain.common_ancestor, plain.batches_only_in_version, plain.batches_only_in_other) == (1, (2,), (3,))
    assert plain.predictions is None
    assert rowed.predictions is not None
    assert (rowed.predictions.rows, len(rowed.predictions.most), rowed.predictions.metrics) == (CHUNK_ROWS, 3, None)
    assert labeled.predictions is not None
    assert labeled.predictions.metrics is not None
    assert labeled.predictions.metrics.keys() == {"accuracy", "nll", "brier"}
    assert batch.predictions is not None
    assert (batch.predictions.learned_by_version, batch.predictions.learned_by_other) == (True, False)


def test_the_command_line_says_what_differs_and_draws_the_tree(
    client: Client, url: str, learned: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "rows.npz", x=X, y=Y)

    said = run(url, "compare", learned, "2", "3", str(tmp_path / "rows.npz"), "--labeled", "--most", "2")
    of_batch = run(url, "compare", learned, "2", "3", "--batch", "2")
    raw = json.loads(run(url, "compare", learned, "2", "3", "--json"))
    drawn = run(url, "versions", learned, "--tree")

    assert "KL(2 || 3) of" in said
    assert "both were learned from version 1" in said
    assert f"predictions of the same {CHUNK_ROWS} rows" in said
    assert "the rows that differ most; mean distance" in said
    assert "of batch 2, which 2 has learned from" in of_batch
    assert raw == client.compare(learned, 2, 3).raw
    assert drawn.splitlines() == ["versions 0 to 2 (3)", "└── from version 1: version 3, head at 3"]


def test_a_tree_is_drawn_with_every_branch_below_the_one_that_it_starts_from() -> None:
    def branch(number: int, parent: int | None, fork: int | None, first: int, tip: int) -> Branch:
        count = tip - first + 1
        return Branch(
            raw={}, branch=number, parent_branch=parent, fork=fork, first=first, tip=tip, versions=count,
            is_on_head=False, aliases={},
        )  # fmt: skip

    tree = tree_of([branch(0, None, None, 0, 4), branch(1, 0, 3, 5, 6), branch(2, 1, 5, 7, 7), branch(3, 0, 1, 8, 9)])

    assert [str(child.label) for child in tree.children] == [
        "from version 1: versions 8 to 9 (2)",
        "from version 3: versions 5 to 6 (2)",
    ]
    assert [str(child.label) for child in tree.children[1].children] == ["from version 5: version 7"]

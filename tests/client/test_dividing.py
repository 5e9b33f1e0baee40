"""Forgetting by division, from Python and from the command line, against a real service."""

from __future__ import annotations

import pytest

from client import Client, ServiceProblem
from tests.client.given import CHUNK_ROWS, rows
from tests.client.test_cli import answer, run


def learned(client: Client, model: str, *, chunks: int) -> None:
    """Each batch is a chunk, and was learned from."""
    for seed in range(chunks):
        client.ingest(model, *rows(CHUNK_ROWS, seed=seed))
        client.settle(model)


def test_a_division_is_told_with_what_was_measured_of_it(client: Client, model: str) -> None:
    learned(client, model, chunks=3)

    done = client.forget(model, 2, method="approximate")

    assert (done.state, done.method, done.base, done.head, done.divided) == ("done", "approximate", 3, 4, (2,))
    assert done.approximation is not None
    assert done.approximation["kept"]["rows"] == 2 * CHUNK_ROWS
    assert "no deletion" in done.warnings[0]
    version = client.version(model, 4)
    assert (version.publication, version.evidence.divided) == ("approximate", (2,))
    assert version.evidence.batches == (1, 2, 3)
    assert client.wait_forget(model, done.forget) == done


def test_a_replay_has_divided_nothing(client: Client, model: str) -> None:
    learned(client, model, chunks=2)

    done = client.wait_forget(model, client.forget(model, 2, method="replay").forget)

    assert (done.method, done.head, done.divided, done.approximation, done.warnings) == ("replay", 1, (), None, ())


def test_the_command_line_shows_what_was_measured(client: Client, url: str, model: str) -> None:
    learned(client, model, chunks=3)

    shown = run(url, "forget", model, "2", "--approximate")

    assert shown.exit_code == 0, shown.stderr
    for said in ("KL(new || old), nats", "accuracy, new less old, rows kept", "nll of version 1, rows divided out"):
        assert said in shown.stdout
    assert "not exact, and no deletion" in shown.stdout
    told = answer(url, "forget", model, "3", "--approximate", "--reason", "asked")
    assert (told["divided"], told["reason"], told["base"]) == ([3], "asked", 4)


def test_what_cannot_be_divided_is_refused(client: Client, model: str) -> None:
    learned(client, model, chunks=1)

    with pytest.raises(ServiceProblem) as refused:
        client.forget(model, 1, method="approximate")

    assert refused.value.code == "approximation-impossible"

"""Ten batches over HTTP to a service and its worker, the seventh with shuffled labels; seed 0.

Scikit-learn's digits, 150 rows in a batch. With the gate on, head never serves a version that lost more than 2 points
on rows that were held out, and forgetting the seventh gives the head of a run that never saw it, to the byte. With the
gate off the seventh surprises more than all others. On MNIST, `python -m benchmarks.poisoned_stream` shows the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from client.client import Client
from tests.promises.house import DIGITS, House, digits

BATCHES, ROWS, POISONED = 10, 150, 7
Rows = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Stream:
    batches: list[Rows]
    left: Rows
    """Rows that no batch has."""


@pytest.fixture(scope="module")
def stream() -> Stream:
    images, labels = digits()
    draws = np.random.default_rng(0)
    order = draws.permutation(len(labels))
    parts = [(images[order[at : at + ROWS]], labels[order[at : at + ROWS]]) for at in range(0, BATCHES * ROWS, ROWS)]
    images_of, labels_of = parts[POISONED - 1]
    parts[POISONED - 1] = (images_of, draws.permutation(labels_of))
    rest = order[BATCHES * ROWS :]
    return Stream(parts, (images[rest], labels[rest]))


def posted(client: Client, name: str, stream: Stream, *, publish: str, without: int | None = None) -> list[float]:
    """Every batch is posted and learned, one after the other; head's accuracy on the rows left over after each."""
    client.create_model(DIGITS | {"name": name, "publish": publish, "chunk": {"rows": ROWS, "seconds": None}})
    found = []
    for number, (images, labels) in enumerate(stream.batches, start=1):
        if number != without:
            client.ingest(name, images, labels)
            client.settle(name)
            found.append(float((client.predict(name, stream.left[0]).labels == stream.left[1]).mean()))
    return found


def head_of(client: Client, name: str) -> tuple[str, tuple[int, ...]]:
    """The digest of head, and the batches in its evidence."""
    version = client.version(name, client.model(name).head)
    assert version.evidence.batches is not None
    return version.digest, version.evidence.batches


def test_with_the_gate_on_no_head_has_lost_more_than_two_points_and_the_seventh_is_no_part_of_it(
    embedded: House, stream: Stream
) -> None:
    _, url = embedded.serve(workers=1)
    with Client(url) as client:
        accuracies = posted(client, "gated", stream, publish="gated")
        posted(client, "clean", stream, publish="gated", without=POISONED)

        versions = {version.version: version for version in client.versions("gated")}
        served = [versions[move.version] for move in client.history("gated") if move.version]
        lost = [
            -version.report["gate"]["earlier"]["differences"]["accuracy"]["mean"]
            for version in served
            if version.report is not None and version.report.get("gate", {}).get("earlier", {"rows": 0})["rows"] >= 100
        ]
        assert max(lost) <= 0.02
        poisoned = next(version for version in versions.values() if version.chunk == POISONED)
        assert (poisoned.publication, "challenger" in poisoned.aliases) == ("gated", True)
        assert poisoned.report is not None
        assert "accuracy" in poisoned.report["gate"]["worse"]
        assert poisoned.version in {one.version for one in client.metrics("gated").notices if one.kind == "held"}
        # Nobody notices the seventh: the rows left over are some 300, so a point is less than their noise.
        assert accuracies[POISONED - 1] == accuracies[POISONED - 2]
        assert accuracies[-1] > 0.85

        forgotten = client.wait_forget("gated", client.forget("gated", POISONED).forget, timeout_seconds=60)
        assert (forgotten.state, forgotten.steps.all) == ("done", 0)
        digest, batches = head_of(client, "gated")
        assert digest == head_of(client, "clean")[0]
        assert POISONED not in batches


def test_with_the_gate_off_the_seventh_surprises_most_and_forgetting_it_undoes_it(
    installation: House, stream: Stream
) -> None:
    _, url = installation.serve(workers=1)
    with Client(url) as client:
        accuracies = posted(client, "open", stream, publish="always")
        posted(client, "clean", stream, publish="always", without=POISONED)

        of = {one.batch: one.surprise["z"] for one in client.metrics("open").batches if one.surprise is not None}
        assert of.pop(POISONED) > max(of.values())
        assert accuracies[POISONED - 1] < accuracies[POISONED - 2] - 0.05
        before = head_of(client, "open")
        assert POISONED in before[1]

        asked = client.forget("open", POISONED, reason="its labels are shuffled")
        assert head_of(client, "open") == before
        done = client.wait_forget("open", asked.forget, timeout_seconds=60)

        assert (done.base, done.steps.all) == (POISONED - 1, BATCHES - POISONED)
        digest, batches = head_of(client, "open")
        assert digest == head_of(client, "clean")[0]
        assert batches == tuple(number for number in range(1, BATCHES + 1) if number != POISONED)
        assert [move.kind for move in client.history("open")].count("forget") == 1

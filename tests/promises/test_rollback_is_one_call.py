"""A rollback is visible to the next request of every service, without a restart; versions answer the same for ever."""

from __future__ import annotations

import httpx

from client.client import Client
from tests.promises.house import DIGITS, House, digits, stop


def served(installation: House) -> str:
    """The URL of a service whose model has learned three versions, one after the other."""
    images, labels = digits()
    _, url = installation.serve(workers=1)
    with Client(url) as client:
        client.create_model(DIGITS | {"recipe": {"epochs": 20}})
        for first in (0, 100, 200):
            client.ingest("digits", images[first : first + 100], labels[first : first + 100])
        client.settle("digits")
        assert client.model("digits").head == 3
    return url


def ask(url: str, version: int | None = None) -> bytes:
    images, _ = digits()
    path = "predictions" if version is None else f"versions/{version}/predictions"
    response = httpx.post(f"{url}/v1/models/digits/{path}", json={"inputs": images[300:310].tolist(), "samples": 8})
    response.raise_for_status()
    return response.content


def test_the_next_request_after_a_rollback_is_answered_by_the_earlier_version(installation: House) -> None:
    url = served(installation)
    _, replica = installation.serve(workers=0)
    first, head = ask(url, 1), ask(url)
    assert ask(replica) == head
    assert first != head

    with Client(url) as client:
        client.rollback("digits", to=1, reason="the test says so")

    assert ask(url) == first
    assert ask(replica) == first
    assert ask(url, 3) == head


def test_a_version_answers_bit_identically_before_and_after_a_rollback_and_a_restart(embedded: House) -> None:
    url = served(embedded)
    before = [ask(url, version) for version in range(4)]
    with Client(url) as client:
        client.rollback("digits", steps=2)
    assert [ask(url, version) for version in range(4)] == before

    assert stop(embedded.processes[0]) == 0
    _, restarted = embedded.serve(workers=0)

    assert [ask(restarted, version) for version in range(4)] == before
    assert ask(restarted) == before[1]


def test_learning_goes_on_from_the_version_rolled_back_to(embedded: House) -> None:
    images, labels = digits()
    with Client(served(embedded)) as client:
        for version in client.versions("digits")[1:]:
            assert version.parent is not None
            evidence = set(client.version("digits", version.version).evidence.batches or ())
            parents = set(client.version("digits", version.parent).evidence.batches or ())
            assert evidence > parents

        client.rollback("digits", to=1)
        client.ingest("digits", images[300:400], labels[300:400])
        client.settle("digits")

        version = client.version("digits", 4)
    assert (version.parent, version.evidence.batches) == (1, (1, 4))

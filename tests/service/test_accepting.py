"""Batches that are posted at the same time: written together, and each answered as if it had come alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.accepting import Accepting
from store.accepting import Posted
from store.values import Accepted
from tests.service.expected import expect_problem
from tests.service.live import Json, Live, running

CLIENTS = 12
WAIT_SECONDS = 30.0


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Live]:
    with running(tmp_path) as live:
        yield live


class Gate:
    """In the place of `Ledger.accept_all`: notes every group, and lets none pass before it is open."""

    def __init__(self, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
        self._accept = live.house.ledger.accept_all
        self.groups: list[tuple[str, list[str]]] = []
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        monkeypatch.setattr(live.house.ledger, "accept_all", self)

    def __call__(self, name: str, posted: Sequence[Posted]) -> Sequence[Accepted | Exception]:
        self.groups.append((name, [one.key for one in posted]))
        self.entered.release()
        assert self.opened.wait(WAIT_SECONDS)
        return self._accept(name, posted)


def rows(number: int) -> Json:
    return {"inputs": [[number, 1], [2, number]], "labels": [number % 3, 0]}


def post(live: Live, model: str, number: int, *, key: str | None = None) -> Json:
    return live.post_rows(model, rows(number), key=key or f"key-of-{number}")


def waiting(live: Live, count: int) -> None:
    """Returns once so many wait."""
    pause = threading.Event()
    for _ in range(1000):
        if live.house.accepting.items == count:
            return
        pause.wait(WAIT_SECONDS / 1000)
    raise AssertionError(f"{live.house.accepting.items} wait, not {count}")


def test_what_comes_while_another_is_written_is_written_together(own: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    model = own.create()
    gate = Gate(own, monkeypatch)

    with ThreadPoolExecutor(CLIENTS) as clients:
        first = clients.submit(post, own, model, 0)
        assert gate.entered.acquire(timeout=WAIT_SECONDS)
        others = [clients.submit(post, own, model, number) for number in range(1, CLIENTS)]
        waiting(own, CLIENTS - 1)
        gate.opened.set()
        answers = [first.result(), *(other.result() for other in others)]

    assert [len(keys) for _, keys in gate.groups] == [1, CLIENTS - 1]
    assert sorted(answer["batch"] for answer in answers) == list(range(1, CLIENTS + 1))
    for number, answer in enumerate(answers):
        assert answer["key"] == f"key-of-{number}"
        stored = own.client.get(f"{model}/batches/{answer['batch']}").json()
        assert (stored["key"], stored["digest"]) == (answer["key"], answer["digest"])
        assert own.house.blobs.get(answer["digest"])


def test_models_are_not_mixed_and_do_not_wait_for_each_other(own: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = own.create(), own.create()
    gate = Gate(own, monkeypatch)

    with ThreadPoolExecutor(2) as clients:
        asked = [clients.submit(post, own, model, number) for number, model in enumerate((one, other))]
        for _ in range(2):
            assert gate.entered.acquire(timeout=WAIT_SECONDS)
        gate.opened.set()
        answers = [future.result() for future in asked]

    assert sorted(name for name, _ in gate.groups) == sorted(model.rpartition("/")[2] for model in (one, other))
    assert [answer["batch"] for answer in answers] == [1, 1]


def test_a_key_twice_in_one_group_is_one_batch_or_a_conflict_for_the_later_one(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = own.create()
    gate = Gate(own, monkeypatch)

    def send(number: int, key: str) -> tuple[int, Json, bool]:
        answer = own.client.post(f"{model}/batches", json=rows(number), headers={"Idempotency-Key": key})
        return answer.status_code, answer.json(), "Idempotent-Replayed" in answer.headers

    with ThreadPoolExecutor(CLIENTS) as clients:
        held = clients.submit(send, 9, "held")
        assert gate.entered.acquire(timeout=WAIT_SECONDS)
        asked = []
        for count, (number, key) in enumerate([(1, "a"), (1, "a"), (2, "a"), (3, "b")], start=1):
            asked.append(clients.submit(send, number, key))
            waiting(own, count)
        gate.opened.set()
        (first, again, other, next_), _ = [future.result() for future in asked], held.result()

    assert (first[0], first[2]) == (202, False)
    assert (again[0], again[1], again[2]) == (202, first[1], True)
    assert (other[0], other[1]["code"]) == (422, "idempotency-key-reused")
    assert (next_[0], next_[1]["batch"]) == (202, first[1]["batch"] + 1)
    named = {batch["digest"] for batch in own.client.get(f"{model}/batches").json()["batches"]}
    assert {one.digest for one in own.folder.listed()} == {
        *named,
        own.client.get(f"{model}/versions/0").json()["digest"],
    }


def test_rows_that_are_being_removed_are_refused_alone(own: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a store that may carry a removal out much later, so that nobody may write them again yet."""
    model = own.create()
    own.learn(model, rows(CLIENTS))
    own.client.delete(f"{model}/batches/1").raise_for_status()
    monkeypatch.setattr(type(own.house.blobs), "settle_seconds", 3600.0)
    gate = Gate(own, monkeypatch)

    with ThreadPoolExecutor(CLIENTS) as clients:
        first = clients.submit(post, own, model, 0)
        assert gate.entered.acquire(timeout=WAIT_SECONDS)
        keyed = {"Idempotency-Key": "again"}
        buried = clients.submit(own.client.post, f"{model}/batches", json=rows(CLIENTS), headers=keyed)
        others = [clients.submit(post, own, model, number) for number in range(1, 5)]
        waiting(own, 5)
        gate.opened.set()
        answers = [first.result(), *(other.result() for other in others)]

    expect_problem(buried.result(), "blob-buried")
    assert sorted(answer["batch"] for answer in answers) == [2, 3, 4, 5, 6]
    assert own.client.get(model).json()["pending"]["batches"] == 5


def test_a_group_whose_bytes_cannot_be_written_is_refused_whole_and_nothing_is_counted(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = own.create()

    def full(_: Sequence[bytes]) -> list[str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(own.house.blobs, "put_all", full)
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(
            clients.map(
                lambda n: own.client.post(f"{model}/batches", json=rows(n), headers={"Idempotency-Key": f"k{n}"}),
                range(CLIENTS),
            )
        )
    monkeypatch.undo()

    for answer in answers:
        expect_problem(answer, "unavailable")
        assert answer.headers["Retry-After"] == "1"
    assert own.client.get(model).json()["rows"] == 0
    assert post(own, model, 0, key="k0")["batch"] == 1


def test_no_more_wait_than_the_bound_and_the_next_one_is_told_when_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, queue_max=2) as live, ThreadPoolExecutor(CLIENTS) as clients:
        model = live.create()
        gate = Gate(live, monkeypatch)
        held = [clients.submit(post, live, model, 0)]
        assert gate.entered.acquire(timeout=WAIT_SECONDS)
        held += [clients.submit(post, live, model, number) for number in (1, 2)]
        waiting(live, 2)

        refused = live.client.post(f"{model}/batches", json=rows(3), headers={"Idempotency-Key": "k3"})

        gate.opened.set()
        assert sorted(future.result()["batch"] for future in held) == [1, 2, 3]
        expect_problem(refused, "overloaded")
        assert refused.headers["Retry-After"] == "1"
        assert post(live, model, 3, key="k3")["batch"] == 4


def test_a_closed_one_takes_no_more_and_leaves_no_thread(own: Live) -> None:
    before, house = _threads(), own.house
    accepting = Accepting(house.blobs, house.ledger, house.history, house.collecting, items_max=10, bytes_max=10**6)

    accepting.close()

    assert _threads() <= before


def _threads() -> set[threading.Thread]:
    """All but those of the live service's event loop, which makes them as it needs them."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}

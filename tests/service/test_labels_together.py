"""Labels that are posted at the same time: written together, and each request answered as if it had come alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from store.errors import BlobBuried
from store.invariants import violations
from store.labeling import LabeledBatch
from store.values import BatchRow
from tests.service.expected import expect_problem
from tests.service.keyed import make_key, shown
from tests.service.live import INPUTS, TINY, Json, Live, running, serving

CLIENTS = 8
WAIT_SECONDS = 30.0


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Live]:
    with running(tmp_path) as live:
        yield live


class Gate:
    """In the place of `Labeling.record` of a service: notes every group, and lets none pass before it is open."""

    def __init__(self, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
        recording = live.house.labeling._recording
        self._record = recording.record
        self.groups: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        monkeypatch.setattr(recording, "record", self)

    def __call__(self, model: str, labeled: Sequence[LabeledBatch]) -> list[BatchRow]:
        self.groups.append([len(one.places) for one in labeled])
        self.entered.release()
        assert self.opened.wait(WAIT_SECONDS)
        return self._record(model, labeled)


def keep(live: Live, model: str, count: int) -> list[str]:
    asked = {"inputs": [[1, 2]], "keep": True}
    return [live.client.post(f"{model}/predictions", json=asked).json()["prediction"] for _ in range(count)]


def post(live: Live, model: str, labels: dict[str, int], key: str | None = None) -> httpx.Response:
    body = [{"prediction": id_, "label": label} for id_, label in labels.items()]
    return live.client.post(f"{model}/labels", json=body, headers={} if key is None else {"Idempotency-Key": key})


def waiting(live: Live, count: int) -> None:
    """Returns once so many wait."""
    pause = threading.Event()
    for _ in range(1000):
        if live.house.labeling._gathering.items == count:
            return
        pause.wait(WAIT_SECONDS / 1000)
    raise AssertionError(f"{live.house.labeling._gathering.items} wait, not {count}")


def all_at_once(
    live: Live, model: str, gate: Gate, requests: Sequence[tuple[dict[str, int], str | None]]
) -> list[Json]:
    """The answers to these, which come while another request is written, in this order."""
    [first] = keep(live, model, 1)
    with ThreadPoolExecutor(CLIENTS) as clients:
        held = clients.submit(post, live, model, {first: 0})
        assert gate.entered.acquire(timeout=WAIT_SECONDS)
        asked: list[Future[httpx.Response]] = []
        for count, request in enumerate(requests, 1):
            asked.append(clients.submit(post, live, model, *request))
            waiting(live, count)
        gate.opened.set()
        assert held.result().status_code == 202
        return [one.result().json() for one in asked]


def sound(live: Live) -> bool:
    """Nothing is wrong with the books."""
    with live.house.engine.begin() as connection:
        return violations(connection) == []


def blobs_of(live: Live, model: str) -> set[str]:
    batches = live.client.get(f"{model}/batches").json()["batches"]
    return {*(one["digest"] for one in batches), live.client.get(f"{model}/versions/0").json()["digest"]}


def test_requests_that_come_together_are_one_transaction_and_see_each_others_labels(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = own.create()
    a, b, c = keep(own, model, 3)
    gate = Gate(own, monkeypatch)

    first, second, third, fourth = all_at_once(
        own, model, gate, [({a: 0, b: 1}, None), ({b: 1, c: 2}, None), ({a: 1}, None), ({"never": 0}, None)]
    )

    assert gate.groups == [[1], [2, 1]]
    assert (first["labeled"], first["batch"]) == ([a, b], 2)
    assert (second["labeled"], second["already"], second["batch"]) == ([c], [b], 3)
    assert (third["conflicting"], third["batch"]) == ([a], None)
    assert fourth["unknown"] == ["never"]
    assert sound(own)


def test_one_that_is_refused_leaves_the_others_theirs_and_its_rows_to_them(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = own.create()
    own.post_rows(model, key="used")
    a, b, *many = keep(own, model, 6)
    monkeypatch.setattr(own.house.labeling, "_bytes_max", 24)
    gate = Gate(own, monkeypatch)

    used, other, large, last = all_at_once(
        own, model, gate, [({a: 0}, "used"), ({a: 1, b: 1}, None), (dict.fromkeys(many, 0), None), ({many[0]: 2}, None)]
    )

    assert used["code"] == "idempotency-key-reused"
    assert other["labeled"] == [a, b]
    assert large["code"] == "labels-too-large"
    assert last["labeled"] == [many[0]]
    assert sound(own)
    assert {one.digest for one in own.folder.listed()} == blobs_of(own, model)


def test_rows_whose_bytes_are_being_removed_are_refused_alone(own: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    model = own.create()
    a, b = keep(own, model, 2)
    recording = own.house.labeling._recording
    record = recording.record

    def buried(name: str, labeled: Sequence[LabeledBatch]) -> list[BatchRow]:
        if any(place[0] == a for one in labeled for place in one.places):
            raise BlobBuried(digests=[])
        return record(name, labeled)

    monkeypatch.setattr(recording, "record", buried)
    gate = Gate(own, monkeypatch)

    first, second = all_at_once(own, model, gate, [({a: 0}, None), ({b: 0}, None)])

    assert first["code"] == "blob-buried"
    assert second["labeled"] == [b]


def test_two_services_that_have_looked_at_the_same_moment_label_a_row_once(
    own: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = own.create()
    a, b = keep(own, model, 2)
    with serving(create_app(own.house.settings)) as other:
        gates = [Gate(live, monkeypatch) for live in (own, other)]
        with ThreadPoolExecutor(2) as clients:
            asked = [
                clients.submit(post, live, model, labels)
                for live, labels in ((own, {a: 0, b: 0}), (other, {b: 0, a: 1}))
            ]
            for gate in gates:
                assert gate.entered.acquire(timeout=WAIT_SECONDS)
            for gate in gates:
                gate.opened.set()
            answers = [one.result().json() for one in asked]

    won, lost = sorted(answers, key=lambda answer: answer["rows"], reverse=True)
    assert (won["rows"], won["batch"]) == (2, 1)
    assert (lost["rows"], lost["batch"]) == (0, None)
    assert (lost["already"], lost["conflicting"]) == ([b], [a])
    assert sound(own)
    assert {one.digest for one in own.folder.listed()} == blobs_of(own, model)


def test_who_predicted_is_kept_by_the_name_of_the_key_on_both_ways_to_an_answer(own: Live) -> None:
    operator, reader = make_key(own, "operator", "admin"), make_key(own, "reader", "predict")
    with shown(own, operator):
        model = own.create(TINY | {"predictions": {"keep": True}})
    with shown(own, reader):
        for body, query in ((INPUTS, {}), (INPUTS, {}), (INPUTS, {"samples": "2"})):
            id_ = own.client.post(f"{model}/predictions", json=body, params=query).json()["prediction"]
            assert own.client.get(f"{model}/predictions/{id_}").json()["predicted_by"] == "reader"
        expect_problem(own.client.post(f"{model}/labels", json=[{"prediction": id_, "label": 0}]), "key-not-allowed")


def test_a_stopped_service_keeps_and_labels_nothing_more(tmp_path: Path) -> None:
    with running(tmp_path) as live:
        model = live.create()
        live.client.post(f"{model}/predictions", json=INPUTS).raise_for_status()
        live.house.keeping.close()
        live.house.labeling.close()

        expect_problem(live.client.post(f"{model}/predictions", json=INPUTS | {"keep": True}), "unavailable")
        expect_problem(live.client.post(f"{model}/labels", json=[{"prediction": "a", "label": 0}]), "unavailable")
        assert live.client.post(f"{model}/predictions", json=INPUTS).status_code == 200

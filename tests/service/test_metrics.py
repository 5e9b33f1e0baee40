"""Test-then-train over HTTP: each batch is scored by head before it is learned, in a running and a windowed series."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bayes
from store.leases import Leases
from store.values import Scored
from tests.service.live import REAL, TINY, Json, Live


def rows(draws: np.random.Generator, count: int) -> Json:
    inputs = draws.normal(size=(count, 2)).round(3)
    return {"inputs": inputs.tolist(), "labels": draws.integers(0, 3, count).tolist()}


def scored(live: Live, model: str, version: int, *posted: Json) -> dict[str, float]:
    """What the version makes of these rows, by the functions of `bayes`."""
    digest = live.client.get(f"{model}/versions/{version}").json()["digest"]
    posterior = bayes.Posterior.from_bytes(live.house.blobs.get(digest))
    inputs = torch.tensor([row for one in posted for row in one["inputs"]])
    labels = torch.tensor([label for one in posted for label in one["labels"]])
    return bayes.score(bayes.predict(posterior, inputs), labels)


def test_each_batch_is_scored_by_the_version_that_was_head_when_it_came(live: Live) -> None:
    draws = np.random.default_rng(0)
    model, posted = live.create(), [rows(draws, count) for count in (5, 7, 4)]
    for one in posted[:2]:
        live.post_rows(model, one)
    live.close(model)
    live.work()
    live.post_rows(model, posted[2])
    live.close(model)
    live.work()

    found = live.client.get(f"{model}/metrics").json()

    assert [(one["batch"], one["version"], one["rows"]) for one in found["batches"]] == [
        (1, 0, 5),
        (2, 0, 7),
        (3, 1, 4),
    ]
    for one, version, of in zip(found["batches"], (0, 0, 1), posted, strict=True):
        assert one["metrics"] == pytest.approx(scored(live, model, version, of))
    assert found["batches"][1]["running"] == pytest.approx(scored(live, model, 0, *posted[:2]))
    assert found["rows"] == 16
    assert [(one["version"], one["batches"], one["rows"]) for one in found["versions"]] == [(0, 2, 12), (1, 1, 4)]
    assert found["versions"][0]["metrics"] == pytest.approx(scored(live, model, 0, *posted[:2]))


def test_next_to_every_metric_is_its_standard_error(live: Live) -> None:
    draws = np.random.default_rng(2)
    model, posted = live.create(), [rows(draws, count) for count in (12, 9, 1)]
    for one in posted:
        live.post_rows(model, one)
    live.close(model)
    live.work()
    root = bayes.Posterior.from_bytes(live.client.get(f"{model}/versions/0/posterior").content)

    def errors(*of: Json) -> dict[str, float | None]:
        inputs = torch.tensor([row for one in of for row in one["inputs"]])
        labels = torch.tensor([label for one in of for label in one["labels"]])
        return bayes.Scores.of(bayes.predict(root, inputs), labels).standard_errors()

    found = live.client.get(f"{model}/metrics", params={"window": 2}).json()

    for number, one in enumerate(found["batches"]):
        assert one["standard_errors"] == pytest.approx(errors(posted[number]))
        assert one["running_standard_errors"] == pytest.approx(errors(*posted[: number + 1]))
        assert one["windowed_standard_errors"] == pytest.approx(errors(*posted[max(0, number - 1) : number + 1]))
        assert one["standard_errors"].keys() == one["metrics"].keys()
    assert found["batches"][2]["standard_errors"]["nll"] is None
    assert found["standard_errors"] == found["versions"][0]["standard_errors"] == pytest.approx(errors(*posted))


def test_the_window_is_of_the_last_batches_and_the_list_goes_on(live: Live) -> None:
    draws = np.random.default_rng(1)
    model, posted = live.create(), [rows(draws, 6) for _ in range(4)]
    for one in posted:
        live.post_rows(model, one)
    live.close(model)
    live.work()

    first = live.client.get(f"{model}/metrics", params={"window": 2, "limit": 3}).json()
    rest = live.client.get(f"{model}/metrics", params={"window": 2, "limit": 3, "cursor": first["next_cursor"]}).json()

    assert [one["batch"] for one in first["batches"]] == [1, 2, 3]
    assert [one["batch"] for one in rest["batches"]] == [4]
    assert rest["next_cursor"] is None
    assert rest["batches"][0]["windowed"] == pytest.approx(scored(live, model, 0, *posted[2:]))
    assert rest["batches"][0]["running"] == pytest.approx(scored(live, model, 0, *posted))
    assert rest["metrics"] == first["metrics"] == pytest.approx(scored(live, model, 0, *posted))


def test_numbers_are_scored_by_their_errors_and_intervals(live: Live) -> None:
    model = live.create(REAL)
    live.post_rows(model, {"inputs": [[1, 2], [3, 4.5]], "labels": [[0.5, 1.0], [2.0, -1.0]]})
    live.close(model)
    live.work()

    (one,) = live.client.get(f"{model}/metrics").json()["batches"]

    assert set(one["metrics"]) == {"rmse", "nll", "coverage"}


def test_warnings_and_versions_that_were_held_back_are_in_the_same_place(live: Live) -> None:
    model = live.create(TINY | {"publish": "manual"})
    live.post_rows(model)
    live.close(model)
    live.work()
    live.client.put(f"{model}/aliases/head", json={"version": 1})
    live.post_rows(model, {"inputs": [[1, 2]], "labels": [0]})
    live.close(model)
    live.work()

    notices = live.client.get(f"{model}/metrics").json()["notices"]

    of_first, of_second = ([one for one in notices if one["update"] == update] for update in (1, 2))
    assert [one["kind"] for one in of_first][-1] == [one["kind"] for one in of_second][-1] == "held"
    assert any(one["kind"] == "warning" and "no row of class 2" in one["message"] for one in of_second)


def test_a_surprise_is_told_with_the_version_that_its_update_published(live: Live, model: str) -> None:
    live.post_rows(model)
    live.close(model)
    leases = Leases(live.house.engine, lease_seconds=60.0, attempts_max=1, retry_seconds=0.0)
    claim = leases.claim("worker")
    assert claim is not None
    surprise = {"is_surprising": True, "z": 9.0}
    told = [Scored(1, None, surprise)]

    leases.publish(claim, digest=f"sha256:{'0' * 64}", kl_nats=0.0, report={}, scores=told)

    [notice] = live.client.get(f"{model}/metrics").json()["notices"]
    assert (notice["kind"], notice["update"], notice["version"], notice["batch"]) == ("surprise", claim.update, 1, 1)


def test_head_that_is_moved_by_hand_waits_and_so_do_updates(live: Live) -> None:
    model = live.create(TINY | {"publish": "manual"})
    for _ in range(2):
        live.post_rows(model)
        live.close(model)
    leases = Leases(live.house.engine, lease_seconds=60.0, attempts_max=1, retry_seconds=0.0)

    assert live.work() == 1
    found = live.client.get(model).json()
    assert (found["head"], found["aliases"]["challenger"], found["updates"]["queued"]) == (0, 1, 1)
    assert live.client.get(f"{model}/versions/1").json()["publication"] == "manual"
    assert leases.claim("another") is None

    live.client.put(f"{model}/aliases/head", json={"version": 1, "reason": "passed the review"})
    assert live.work() == 1
    assert live.client.get(f"{model}/versions/2").json()["parent"] == 1

    live.post_rows(model)
    live.close(model)
    live.client.put(f"{model}/aliases/head", json={"version": 1, "reason": "declined"})
    assert live.work() == 1
    third = live.client.get(f"{model}/versions/3").json()
    assert (third["parent"], third["branch"], third["fork"]) == (1, 1, 1)

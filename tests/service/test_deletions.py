"""DELETE of a batch: its rows go, what was learned from them stays, and both are said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from store.errors import BlobMissing
from tests.service.expected import expect_problem
from tests.service.live import INPUTS, ROWS, TINY, Json, Live


def test_deleting_a_batch_removes_its_bytes_and_says_what_has_learned_from_it(live: Live, model: str) -> None:
    version = live.learn(model, ROWS | {"inputs": [[31, 2], [3, 4.25]]})
    before = live.client.post(f"{model}/predictions", json=INPUTS).content
    digest = live.client.get(f"{model}/batches/1").json()["digest"]

    answer = live.client.delete(f"{model}/batches/1?reason=its owner asked")

    said = answer.raise_for_status().json()
    assert (said["learned_by"], said["bytes_removed"]) == ([version], True)
    assert (said["kind"], said["deleted_by"], said["reason"]) == ("demand", "client", "its owner asked")
    with pytest.raises(BlobMissing):
        live.house.blobs.get(digest)
    shown = live.client.get(f"{model}/batches/1").json()
    assert (shown["deleted_at"], shown["state"], shown["rows"]) == (said["deleted_at"], "absorbed", 2)
    assert live.client.post(f"{model}/predictions", json=INPUTS).content == before
    assert live.client.delete(f"{model}/batches/1").json() == said


def test_rows_that_were_deleted_may_come_again_as_another_batch(live: Live, model: str) -> None:
    live.learn(model)
    live.client.delete(f"{model}/batches/1").raise_for_status()

    again = live.post_rows(model, key="the same rows, another key")

    assert again["batch"] == 2
    assert live.house.blobs.get(again["digest"])
    assert live.client.get(f"{model}/batches/2").json()["deleted_at"] is None


@pytest.mark.parametrize("prepare", [Live.post_rows, lambda live, model: (live.post_rows(model), live.close(model))])
def test_rows_that_wait_are_not_deleted(live: Live, model: str, prepare: Callable[[Live, str], object]) -> None:
    prepare(live, model)

    expect_problem(live.client.delete(f"{model}/batches/1"), "batch-waiting")

    assert live.client.get(f"{model}/batches/1").json()["deleted_at"] is None


@pytest.mark.parametrize(
    "retention", [{"kind": "keep"}, {"kind": "delete-after-absorb"}, {"kind": "delete-after-days", "days": 0.5}]
)
def test_retention_is_kept_as_it_was_described(live: Live, retention: Json) -> None:
    path = live.create(TINY | {"retention": retention})

    assert live.client.get(path).json()["retention"] == retention


@pytest.mark.parametrize(
    ("retention", "where"),
    [
        ({"kind": "delete-after-days"}, "retention.days"),
        ({"kind": "delete-after-days", "days": 0}, "retention.days"),
        ({"kind": "delete-after-absorb", "days": 3}, "retention.days"),
        ({"kind": "never"}, "retention"),
    ],
)
def test_retention_that_means_nothing_is_refused(live: Live, retention: Json, where: str) -> None:
    answer = live.client.post("/v1/models", json=TINY | {"name": "odd", "retention": retention})

    problem = expect_problem(answer, "description-invalid")
    assert [fault["where"] for fault in problem["errors"]] == [where]


def test_a_retry_of_deleted_rows_is_answered_as_the_first_time(live: Live, model: str) -> None:
    live.learn(model, ROWS)
    key = live.client.get(f"{model}/batches/1").json()["key"]
    live.client.delete(f"{model}/batches/1").raise_for_status()

    late = live.client.post(f"{model}/batches", json=ROWS, headers={"Idempotency-Key": key})

    assert (late.status_code, late.headers["Idempotent-Replayed"], late.json()["batch"]) == (202, "true", 1)

"""Parking over HTTP: batches set aside, released or discarded; surprising ones parked by the worker."""

from __future__ import annotations

import numpy as np

from tests.service.expected import expect_problem
from tests.service.live import TINY, Json, Live

OTHER: Json = {"inputs": [[5, 1], [0, 2]], "labels": [1, 1]}


def evidence(live: Live, model: str) -> list[int]:
    head = live.client.get(model).json()["head"]
    return list(live.client.get(f"{model}/versions/{head}").json()["evidence"]["batches"])


def decide(live: Live, model: str, batch: int, how: str, reason: str = "") -> tuple[int, Json]:
    answer = live.client.post(f"{model}/batches/{batch}/{how}", json={"reason": reason})
    return answer.status_code, dict(answer.json())


def test_a_parked_batch_is_left_out_until_it_is_released(live: Live, model: str) -> None:
    live.post_rows(model)
    live.post_rows(model, OTHER)

    status, batch = decide(live, model, 1, "park", "looks odd")
    assert (status, batch["state"]) == (200, "parked")
    assert live.client.get(model).json()["pending"] == {"batches": 1, "rows": 2}
    live.close(model)
    live.work()
    assert evidence(live, model) == [2]
    (parked,) = live.client.get(f"{model}/parked").json()["parked"]
    assert (parked["batch"], parked["reason"], parked["surprise"]) == (1, "looks odd", None)

    status, released = decide(live, model, 1, "release")
    assert (status, released["update"]["batches"], released["update"]["omitted"]) == (202, [1], [2])
    live.work()

    assert evidence(live, model) == [1, 2]
    assert live.client.get(f"{model}/batches/1").json()["state"] == "absorbed"
    assert live.client.get(f"{model}/parked").json()["parked"] == []


def test_a_decision_needs_no_reason_and_so_no_body(live: Live, model: str) -> None:
    live.post_rows(model)

    answers = [live.client.post(f"{model}/batches/1/{how}") for how in ("park", "discard", "release")]

    assert [answer.status_code for answer in answers] == [200, 200, 202]
    decisions = live.client.get(f"{model}/batches/1/decisions").json()["decisions"]
    assert [(one["kind"], one["reason"]) for one in decisions] == [("park", ""), ("discard", ""), ("release", "")]
    expect_problem(live.client.post(f"{model}/batches/1/park", content=b"why"), "media-type-unsupported")


def test_a_discarded_batch_is_never_learned_and_its_rows_can_be_deleted(live: Live, model: str) -> None:
    live.post_rows(model)
    live.post_rows(model, OTHER)
    assert decide(live, model, 1, "discard")[1]["state"] == "discarded"
    live.close(model)
    live.work()
    assert evidence(live, model) == [2]

    deleted = live.client.delete(f"{model}/batches/1")

    assert (deleted.status_code, deleted.json()["learned_by"]) == (200, [])
    assert decide(live, model, 1, "release")[1]["code"] == "rows-deleted"


def test_what_head_has_learned_from_cannot_be_set_aside_and_what_is_not_parked_not_be_released(
    live: Live, model: str
) -> None:
    live.post_rows(model)
    live.close(model)
    live.work()

    status, problem = decide(live, model, 1, "park")
    assert (status, problem["code"]) == (409, "batch-absorbed")
    assert "/forget" in problem["detail"]
    assert decide(live, model, 1, "release")[1]["code"] == "batch-not-parked"
    assert decide(live, model, 7, "park")[1]["code"] == "batch-not-found"


def test_head_waits_for_the_decision_about_a_batch_that_a_held_version_has_learned_from(live: Live) -> None:
    model = live.create(TINY | {"publish": "manual"})
    held = live.learn(model)
    decide(live, model, 1, "park")

    problem = expect_problem(live.client.put(f"{model}/aliases/head", json={"version": held}), "version-parked")
    assert "batch 1" in problem["detail"]
    update = decide(live, model, 1, "release")[1]["update"]["update"]
    live.client.put(f"{model}/aliases/head", json={"version": held}).raise_for_status()
    live.work()

    ended = live.client.get(f"{model}/updates/{update}").json()
    assert (ended["state"], ended["error"]["code"]) == ("cancelled", "already-absorbed")
    batch = live.client.get(f"{model}/batches/1").json()
    assert (batch["state"], batch["on_head"], evidence(live, model)) == ("absorbed", True, [1])


def test_a_chunk_of_which_nothing_is_left_ends_its_update(live: Live, model: str) -> None:
    live.post_rows(model)
    update = live.close(model)
    decide(live, model, 1, "park")

    live.work()

    found = live.client.get(f"{model}/updates/{update}").json()
    assert (found["state"], found["error"]["code"]) == ("cancelled", "set-aside")


def test_a_surprising_batch_is_parked_and_the_rest_of_its_chunk_is_learned(live: Live) -> None:
    """Three blobs in the plane; labels drawn at random surprise whoever knows them. Seed 0."""
    draws = np.random.default_rng(0)
    model = live.create(
        TINY | {"net": {"kind": "mlp", "hidden": [16]}, "recipe": {"epochs": 60}, "surprise": {"park": True}}
    )
    centres = np.array([[4.0, 0.0], [-4.0, 0.0], [0.0, 4.0]])

    def rows(*, is_poisoned: bool = False) -> Json:
        labels = draws.integers(0, 3, 60)
        inputs = centres[labels] + draws.normal(size=(60, 2))
        told = draws.integers(0, 3, 60) if is_poisoned else labels
        return {"inputs": inputs.round(3).tolist(), "labels": told.tolist()}

    for _ in range(5):
        live.post_rows(model, rows())
        live.close(model)
        live.work()
    live.post_rows(model, rows())
    live.post_rows(model, rows(is_poisoned=True))
    live.close(model)

    live.work()

    assert evidence(live, model) == [1, 2, 3, 4, 5, 6]
    (parked,) = live.client.get(f"{model}/parked").json()["parked"]
    assert (parked["batch"], parked["parked_by"]) == (7, "worker")
    assert parked["surprise"]["z"] > parked["surprise"]["threshold"]
    series = live.client.get(f"{model}/metrics").json()["batches"]
    assert max(one["surprise"]["z"] for one in series) < parked["surprise"]["z"]
    decide(live, model, 7, "release", "it is true")
    live.work()
    assert evidence(live, model) == [1, 2, 3, 4, 5, 6, 7]

"""Forgetting over HTTP: head's line learned anew without some batches, and head moved once."""

from __future__ import annotations

from tests.service.live import Json, Live

OTHER: Json = {"inputs": [[5, 1], [0, 2]], "labels": [1, 1]}
THIRD: Json = {"inputs": [[-1, 0.5], [2, 2]], "labels": [2, 0]}


def learned(live: Live, *rows: Json) -> str:
    """A model that has learned each of these, one after the other."""
    model = live.create()
    for one in rows:
        live.post_rows(model, one)
        live.close(model)
        live.work()
    return model


def digest_of_head(live: Live, model: str) -> str:
    head = live.client.get(model).json()["head"]
    return str(live.client.get(f"{model}/versions/{head}").json()["digest"])


def forget(live: Live, model: str, *batches: int, reason: str = "") -> Json:
    answer = live.client.post(f"{model}/forget", json={"batches": list(batches), "reason": reason})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"{model}/forgets/{answer.json()['forget']}"
    return dict(answer.json())


def test_a_forgotten_batch_leaves_a_head_that_never_saw_it_to_the_byte(live: Live) -> None:
    model, clean = learned(live, OTHER, {**OTHER, "labels": [0, 2]}, THIRD), learned(live, OTHER, THIRD)
    assert digest_of_head(live, model) != digest_of_head(live, clean)

    asked = forget(live, model, 2, reason="mislabeled")
    live.work()

    done = live.client.get(f"{model}/forgets/{asked['forget']}").json()
    assert (done["state"], done["base"], done["steps"]["published"], done["steps"]["all"]) == ("done", 1, 1, 1)
    assert digest_of_head(live, model) == digest_of_head(live, clean)
    version = live.client.get(f"{model}/versions/{done['head']}").json()
    assert version["evidence"]["batches"] == [1, 3]
    assert version["evidence"]["rows"] == 4


def test_clients_see_the_old_head_until_the_last_step_is_published(live: Live) -> None:
    model = learned(live, OTHER, THIRD, OTHER | {"labels": [2, 2]})
    before = digest_of_head(live, model)

    asked = forget(live, model, 1)

    assert (asked["state"], asked["head"], asked["steps"]["all"]) == ("running", None, 2)
    assert digest_of_head(live, model) == before
    live.work()
    assert digest_of_head(live, model) != before
    move = live.client.get(f"{model}/aliases/head/history").json()["moves"][-1]
    assert (move["kind"], move["previous"]) == ("forget", 3)


def test_what_arrives_meanwhile_is_learned_on_the_new_line(live: Live) -> None:
    model = learned(live, OTHER, THIRD)
    forget(live, model, 1)
    live.post_rows(model, OTHER)
    live.close(model)

    live.work()

    head = live.client.get(model).json()["head"]
    assert live.client.get(f"{model}/versions/{head}").json()["evidence"]["batches"] == [2, 3]


def test_a_forgotten_batch_says_so_and_which_old_versions_learned_from_it(live: Live) -> None:
    model = learned(live, OTHER, THIRD)
    forget(live, model, 1, reason="asked by its owner")
    live.work()

    batch = live.client.get(f"{model}/batches/1").json()

    assert (batch["state"], batch["absorbed_in"], batch["on_head"]) == ("forgotten", [1], False)
    (decision,) = live.client.get(f"{model}/batches/1/decisions").json()["decisions"]
    assert (decision["kind"], decision["reason"]) == ("forget", "asked by its owner")


def test_a_forget_that_needs_deleted_rows_says_what_is_possible(live: Live) -> None:
    model = learned(live, OTHER, THIRD)
    live.client.delete(f"{model}/batches/2")

    answer = live.client.post(f"{model}/forget", json={"batches": [1]})

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "rows-missing")
    assert "roll back to version 0" in problem["detail"]
    assert live.client.get(f"{model}/forgets").json()["forgets"] == []
    assert live.client.get(f"{model}/batches/1").json()["state"] == "absorbed"


def test_a_cancelled_forget_leaves_head_where_it_is(live: Live) -> None:
    model = learned(live, OTHER, THIRD)
    asked = forget(live, model, 1)

    cancelled = live.client.delete(f"{model}/forgets/{asked['forget']}").json()
    again = live.client.delete(f"{model}/forgets/{asked['forget']}")

    assert (cancelled["state"], cancelled["head"], cancelled["error"]["code"]) == ("cancelled", None, "cancelled")
    assert (again.status_code, again.json()["code"]) == (409, "update-finished")
    assert live.work() == 0
    assert live.client.get(model).json()["head"] == 2


def test_batches_that_do_not_exist_and_a_second_forget_at_once_are_refused(live: Live) -> None:
    model = learned(live, OTHER, THIRD)
    missing = live.client.post(f"{model}/forget", json={"batches": [9]})
    forget(live, model, 1)

    second = live.client.post(f"{model}/forget", json={"batches": [2]})

    assert (missing.status_code, missing.json()["code"]) == (404, "batch-not-found")
    assert (second.status_code, second.json()["code"]) == (409, "forget-busy")
    live.work()

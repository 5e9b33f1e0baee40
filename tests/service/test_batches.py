"""Batches over HTTP: stored once per key, in any encoding, and followed to the versions that learned from them."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from safetensors.numpy import load, save

from tests.service.live import INPUTS, ROWS, Live

SAFETENSORS = {"Content-Type": "application/x-safetensors"}


def post(live: Live, model: str, key: str | None, **body: object) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return live.client.post(f"{model}/batches", json=body or ROWS, headers=headers)


def test_an_accepted_batch_says_where_it_is_and_what_it_holds(live: Live, model: str) -> None:
    answer = post(live, model, "first")

    batch = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{model}/batches/1"
    assert (batch["batch"], batch["rows"], batch["state"], batch["key"]) == (1, 2, "accepted", "first")
    stored = load(live.house.blobs.get(batch["digest"]))
    assert stored["x"].tolist() == INPUTS["inputs"]
    assert stored["y"].tolist() == [0, 2]


def test_posting_the_same_batch_twice_stores_it_once_and_answers_the_same(live: Live, model: str) -> None:
    first = post(live, model, "k")
    again = post(live, model, "k")

    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.status_code == first.status_code
    assert again.content == first.content
    assert again.headers["Location"] == first.headers["Location"]
    assert live.client.get(model).json()["batches"] == 1


def test_the_same_rows_in_another_encoding_under_the_same_key_are_the_same_batch(live: Live, model: str) -> None:
    first = post(live, model, "k")
    body = save({"x": np.array(ROWS["inputs"], "float64"), "y": np.array(ROWS["labels"], "int8")})

    again = live.client.post(f"{model}/batches", content=body, headers={"Idempotency-Key": "k"} | SAFETENSORS)

    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.content == first.content


def test_the_answer_to_a_replayed_key_stays_the_same_after_the_rows_were_absorbed(live: Live, model: str) -> None:
    first = post(live, model, "k")
    live.learn(model)

    assert post(live, model, "k").content == first.content


def test_other_rows_under_a_used_key_are_refused_and_change_nothing(live: Live, model: str) -> None:
    post(live, model, "k")

    answer = post(live, model, "k", inputs=[[1, 2]], labels=[1])

    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency-key-reused"
    assert live.client.get(model).json()["rows"] == 2


def test_a_key_of_one_model_is_free_in_another(live: Live, model: str) -> None:
    post(live, model, "k")

    assert "Idempotent-Replayed" not in post(live, live.create(), "k").headers


@pytest.mark.parametrize(
    ("sent", "understood"),
    [('"a b"', "a b"), ("a b", "a b"), (r'"say \"hi\" \\"', r'say "hi" \ '.strip()), ("a" * 255, "a" * 255)],
)
def test_a_key_may_be_bare_or_a_quoted_string(live: Live, model: str, sent: str, understood: str) -> None:
    assert post(live, model, sent).json()["key"] == understood


@pytest.mark.parametrize("key", ['"', '"a', '""', '"a"b"', "a" * 256, "caf\u00e9", '" a"'])
def test_a_key_that_is_no_string_of_printable_characters_is_refused(live: Live, model: str, key: str) -> None:
    answer = live.client.post(f"{model}/batches", json=ROWS, headers={b"Idempotency-Key": key.encode("latin-1")})

    assert answer.status_code == 400
    assert answer.json()["code"] == "idempotency-key-invalid"


@pytest.mark.parametrize("key", [None, ""])
def test_a_batch_without_a_key_is_refused(live: Live, model: str, key: str | None) -> None:
    answer = post(live, model, key)

    assert answer.status_code == 400
    assert answer.json()["code"] == "idempotency-key-missing"


def test_a_batch_can_be_followed_into_its_chunk_and_into_the_versions_that_absorbed_it(live: Live, model: str) -> None:
    batch = f"{model}/batches/{live.post_rows(model)['batch']}"

    accepted = live.client.get(batch).json()
    live.close(model)
    in_chunk = live.client.get(batch).json()
    live.learn(model)
    absorbed = live.client.get(batch).json()
    live.client.post(f"{model}/rollback", json={"to": 0}).raise_for_status()
    forgotten = live.client.get(batch).json()

    followed = [
        (seen["state"], seen["chunk"], seen["absorbed_in"], seen["on_head"])
        for seen in (accepted, in_chunk, absorbed, forgotten)
    ]
    assert followed == [
        ("accepted", None, [], False),
        ("in-chunk", 1, [], False),
        ("absorbed", 1, [1], True),
        ("absorbed", 1, [1], False),
    ]


def test_a_chunk_closes_by_itself_when_its_rows_are_enough(live: Live) -> None:
    model = live.create({**TINY_CHUNK})

    live.post_rows(model)
    live.post_rows(model)

    updates = live.client.get(f"{model}/updates").json()["updates"]
    assert [(update["batches"], update["rows"], update["state"]) for update in updates] == [([1, 2], 4, "queued")]


TINY_CHUNK = {
    "net": {"kind": "mlp", "hidden": []},
    "input": {"shape": [2]},
    "output": {"kind": "categorical", "classes": 3},
    "chunk": {"rows": 3, "seconds": None},
}


def test_batches_are_listed_in_pages(live: Live, model: str) -> None:
    for _ in range(3):
        live.post_rows(model)

    first = live.client.get(f"{model}/batches", params={"limit": 2}).json()
    rest = live.client.get(f"{model}/batches", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [batch["batch"] for batch in first["batches"]] == [1, 2]
    assert [batch["batch"] for batch in rest["batches"]] == [3]
    assert rest["next_cursor"] is None

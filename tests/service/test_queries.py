"""The query: only what a call takes, once; and HEAD, compressed bodies and clients that hang up."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import time

import pytest

from tests.service.expected import expect_problem
from tests.service.live import INPUTS, NAMED, ROWS, TINY, Live


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/predictions?inputs=[[1,2]]&sample=3", "takes alias, inputs, interval, method, samples, seed, version"),
        ("/versions?limits=3", "'limits' is no query parameter of this call, which takes after, cursor, limit"),
        ("?x=", "takes no query parameters"),
        ("/versions?limit=1&limit=2", "limit: given 2 times"),
        ("/predictions?inputs=[[1,2]]&version=0&alias=head", "name one of the two"),
    ],
)
def test_a_query_that_would_be_passed_over_is_refused(live: Live, model: str, path: str, words: str) -> None:
    assert words in expect_problem(live.client.get(model + path), "query-invalid")["detail"]


def test_every_kind_of_call_looks_at_its_query(live: Live, model: str) -> None:
    answers = [
        live.client.post(f"{model}/predictions?sample=3", json=INPUTS),
        live.client.post(f"{model}/versions/0/predictions?alias=head", json=INPUTS),
        live.client.post(f"{model}/batches?weights=1", json=ROWS, headers={"Idempotency-Key": "k"}),
        live.client.put(f"{model}/aliases/review?version=0", json={"version": 0}),
        live.client.delete(f"{model}/updates/1?force=true"),
        live.client.get("/livez?x=1"),
    ]

    for answer in answers:
        expect_problem(answer, "query-invalid")
    assert live.client.get(model).json()["batches"] == 0


def test_a_head_request_is_answered_as_a_get_without_the_body(live: Live, model: str) -> None:
    for path in (model, f"{model}/versions/0/posterior", "/livez", f"{model}/predictions?inputs=[[1,2]]"):
        whole, head = live.client.get(path), live.client.head(path)

        assert (head.status_code, head.content) == (200, b"")
        theirs = {"date": "", "x-request-id": ""}
        assert {**head.headers, **theirs} == {**whole.headers, **theirs}
    assert live.client.head(f"{model}/versions/9").status_code == 404
    assert live.client.head(f"{model}/rollback").status_code == 405
    assert live.client.get(model).status_code == 200


def test_a_compressed_body_is_refused_by_its_encoding(live: Live, model: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    answer = live.client.post(
        f"{model}/predictions", content=gzip.compress(json.dumps(INPUTS).encode()), headers=headers
    )
    plain = live.client.post(f"{model}/predictions", json=INPUTS, headers={"Content-Encoding": "identity"})

    assert "Content-Encoding: gzip" in expect_problem(answer, "media-type-unsupported")["detail"]
    assert plain.status_code == 200


@pytest.mark.parametrize("name", ["x" * 201, "a\nb", "\u0000", "\u0085", ""])
def test_a_class_with_a_name_that_cannot_be_shown_is_refused(live: Live, name: str) -> None:
    output = {"kind": "categorical", "classes": ["cat", name]}

    answer = live.client.post("/v1/models", json=TINY | {"name": "shown", "output": output})

    assert expect_problem(answer, "description-invalid")["errors"][0]["where"] == "output.classes.1"
    assert live.client.post(f"{live.create(NAMED)}/batches", json=ROWS, headers={"Idempotency-Key": "k"}).is_success


def test_a_client_that_hangs_up_in_the_middle_of_its_body_is_no_error(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    url = live.client.base_url

    with socket.create_connection((url.host, url.port or 0)) as line:
        head = ("POST /v1/models HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Content-Length: 9")
        line.sendall("\r\n".join((*head, "", "{")).encode())

    until = time.monotonic() + 30
    while "went away" not in caplog.text and time.monotonic() < until:
        time.sleep(0.01)
    assert "the client went away before its request to /v1/models was complete" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

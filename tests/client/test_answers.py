"""What is sent, and what the answers become."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load

from client import AsyncClient, Client, ClientProblem, ServiceProblem, UnexpectedAnswer
from client.tensors import inputs_array
from tests.client.line import Json, Line, accepted, answered, batch, problem

PREDICTED: Json = {
    **{"model": "m", "version": 1, "digest": "sha256:0", "method": "moments", "samples": None, "seed": None},
    "outputs": [{"label": 0, "probabilities": [1.0]}],
}


def test_a_page_of_a_proxy_is_a_problem_with_its_status() -> None:
    line = Line(lambda _: httpx.Response(404, text="<html>no such host</html>"))

    with line.client() as client, pytest.raises(ServiceProblem) as caught:
        client.models()

    assert (caught.value.code, caught.value.detail) == ("http-404", "<html>no such host</html>")


def test_an_answer_of_another_shape_is_named_and_not_passed_on() -> None:
    line = Line(*answered({**batch("k"), "batch": "one"}))

    with line.client() as client, pytest.raises(UnexpectedAnswer, match=r"GET /v1/models/m/batches/1.*batch"):
        client.batch("m", 1)


def test_a_list_is_followed_to_its_last_page() -> None:
    pages = {None: ([1, 2], "b"), "b": ([3, 4], "c"), "c": ([5], None)}

    def page(request: httpx.Request) -> httpx.Response:
        numbers, cursor = pages[request.url.params.get("cursor")]
        return httpx.Response(200, json={"batches": [batch("k", batch=n) for n in numbers], "next_cursor": cursor})

    with Line(page, page, page).client() as client:
        assert [one.batch for one in client.batches("m")] == [1, 2, 3, 4, 5]


def test_a_name_cannot_reach_another_path() -> None:
    line = Line(lambda _: problem(404, "model-not-found", "no"))

    with line.client() as client, pytest.raises(ServiceProblem):
        client.model("../versions/1?x=#")

    assert line.asked[0].url.raw_path == b"/v1/models/..%2Fversions%2F1%3Fx%3D%23"


def test_a_service_that_is_not_ready_is_an_answer_and_no_error() -> None:
    line = Line(lambda _: problem(503, "unavailable", "The database does not answer."))

    with line.client() as client:
        readiness = client.ready()

    assert not readiness.is_ready
    assert readiness.raw["detail"] == "The database does not answer."


def test_whole_numbers_travel_as_uint8_where_they_fit_and_floats_as_float32() -> None:
    line = Line(accepted, accepted, accepted)

    with line.client() as client:
        client.ingest("m", [[0, 255]], [3])
        client.ingest("m", [[-1, 300]], [3])
        client.ingest("m", [[0.5, 1.0]], [0.25], weights=[2])

    sent = [{name: array.dtype.name for name, array in load(request.content).items()} for request in line.asked]
    assert sent == [
        {"x": "uint8", "y": "int64"},
        {"x": "int64", "y": "int64"},
        {"x": "float32", "y": "float32", "weights": "uint8"},
    ]


@pytest.mark.parametrize(
    ("x", "dtype"),
    [
        ([[0.0, 16.0, 255.0]], "uint8"),
        ([[0.0, 16.5]], "float32"),
        ([[-0.0]], "float32"),
        ([[-1.0]], "float32"),
        ([[256.0]], "float32"),
        ([[float("nan")]], "float32"),
        ([[float("inf")]], "float32"),
    ],
)
def test_floats_travel_as_uint8_where_it_holds_each_of_them_exactly(x: list[list[float]], dtype: str) -> None:
    assert inputs_array(np.array(x)).dtype == dtype


def test_arrays_of_words_are_refused_before_anything_is_sent() -> None:
    line = Line()

    with line.client() as client, pytest.raises(ClientProblem, match="not numbers"):
        client.ingest("m", [["a"]], [0])

    assert line.asked == []


def test_fields_left_out_are_not_sent() -> None:
    moved = {"model": "m", "head": 1, "previous": 2, "seq": 3}
    line = Line(*answered(moved))

    with line.client() as client:
        client.rollback("m", steps=1)

    assert json.loads(line.asked[0].content) == {"steps": 1}


@pytest.mark.parametrize(
    ("how", "sent"),
    [
        ({}, {}),
        ({"seed": 0}, {"seed": "0"}),
        ({"method": "ensemble", "samples": 4}, {"method": "ensemble", "samples": "4"}),
    ],
    ids=str,
)
def test_a_way_to_predict_is_sent_as_far_as_it_is_said(how: dict[str, Any], sent: dict[str, str]) -> None:
    line = Line(*answered(PREDICTED))

    with line.client() as client:
        client.predict("m", [[1.0]], **how)

    assert dict(line.asked[0].url.params) == sent


def test_what_an_answer_does_not_say_of_its_making_is_none() -> None:
    without = {name: said for name, said in PREDICTED.items() if name not in {"samples", "seed"}}
    line = Line(*answered(PREDICTED, without, PREDICTED | {"instead_of": "moments", "because": "no rule"}))

    with line.client() as client:
        found = [client.predict("m", [[1.0]]) for _ in range(3)]

    said = [(one.method, one.samples, one.seed, one.instead_of, one.because) for one in found]
    assert said == [("moments", None, None, None, None)] * 2 + [("moments", None, None, "moments", "no rule")]


def test_both_clients_make_the_same_calls() -> None:
    made, awaited = ({name for name in vars(kind) if not name.startswith("_")} for kind in (Client, AsyncClient))

    assert made == awaited

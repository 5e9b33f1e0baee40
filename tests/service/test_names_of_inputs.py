"""Models whose inputs have names: what is computed does not depend on them, and tables are matched by them."""

from __future__ import annotations

import itertools

import httpx
import pytest

from tests.service.expected import expect_problem
from tests.service.live import TINY, Json, Live

CALLED = TINY | {"input": {"shape": [2], "mean": [1.0, 2.0], "names": ["height", "width, in mm"]}}
UNCALLED = TINY | {"input": {"shape": [2], "mean": [1.0, 2.0]}}
HEADER = 'height,"width, in mm"'


@pytest.fixture(scope="module")
def called(live: Live) -> str:
    return live.create(CALLED)


def invoke(live: Live, model: str, body: Json) -> httpx.Response:
    return live.client.post("/invocations", json=body, params={"model": model.removeprefix("/v1/models/")})


def invoke_csv(live: Live, model: str, text: str) -> httpx.Response:
    query = {"model": model.removeprefix("/v1/models/")}
    return live.client.post("/invocations", params=query, content=text, headers={"Content-Type": "text/csv"})


def predictions(answer: httpx.Response) -> object:
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_the_names_are_told_and_the_same_description_is_the_same_model(live: Live, called: str) -> None:
    name = called.removeprefix("/v1/models/")

    again = live.client.post("/v1/models", json={"name": name} | CALLED)
    other = live.client.post("/v1/models", json={"name": name} | UNCALLED)

    assert live.client.get(called).json()["input"]["names"] == ["height", "width, in mm"]
    assert again.status_code == 200
    expect_problem(other, "model-exists")


def test_names_do_not_reach_the_net(live: Live) -> None:
    asked = {"inputs": [[0.5, 1.5], [3.0, -1.0]], "method": "moments"}

    answers = [live.client.post(f"{live.create(one)}/predictions", json=asked).json() for one in (CALLED, UNCALLED)]

    assert answers[0]["outputs"] == answers[1]["outputs"]
    assert answers[0]["digest"] != answers[1]["digest"]


@pytest.mark.parametrize(
    ("shape", "names", "where"),
    [
        ([2], ["a"], "input.names"),
        ([2], ["a", "a"], "input.names.1"),
        ([2], ["a", ""], "input.names.1"),
        ([2], ["a", "b\n"], "input.names.1"),
        ([2], ["a", 3], "input.names.1"),
        ([2], ["a", "b" * 201], "input.names.1"),
        ([1, 1, 2], ["a", "b"], "input.names"),
    ],
)
def test_names_that_name_nothing_are_refused(live: Live, shape: list[int], names: list[object], where: str) -> None:
    answer = live.client.post(
        "/v1/models", json={"name": "misnamed"} | TINY | {"input": {"shape": shape, "names": names}}
    )

    assert [fault["where"] for fault in expect_problem(answer, "description-invalid")["errors"]] == [where]
    assert live.client.get("/v1/models/misnamed").status_code == 404


def test_columns_of_a_table_are_found_by_their_names(live: Live, called: str) -> None:
    expected = predictions(invoke(live, called, {"inputs": [[0.5, -1.0], [2.0, 0.25]]}))
    columns = {"height": [0.5, 2.0], "width, in mm": [-1.0, 0.25], "remark": [7.0, 8.0]}

    for order in itertools.permutations(columns):
        data = [list(row) for row in zip(*(columns[name] for name in order), strict=True)]
        records = [dict(zip(order, row, strict=True)) for row in data]
        assert predictions(invoke(live, called, {"dataframe_split": {"columns": order, "data": data}})) == expected
        assert predictions(invoke(live, called, {"dataframe_records": records})) == expected
    assert predictions(invoke_csv(live, called, f"{HEADER}\n0.5,-1\n2,0.25\n")) == expected
    assert predictions(invoke_csv(live, called, '"width, in mm",height\r\n-1,0.5\r\n0.25,2\r\n')) == expected


def test_a_table_without_names_is_taken_in_its_order(live: Live, called: str) -> None:
    expected = predictions(invoke(live, called, {"inputs": [[0.5, -1.0]]}))

    assert predictions(invoke(live, called, {"dataframe_split": {"columns": [0, 1], "data": [[0.5, -1]]}})) == expected
    assert predictions(invoke(live, called, {"dataframe_split": {"data": [[0.5, -1]]}})) == expected


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["height", "depth"], "data": [[0.5, -1.0]]}},
        {"dataframe_split": {"columns": ["height", "width, in mm", "height"], "data": [[0.5, -1.0, 3.0]]}},
        {"dataframe_split": {"columns": ["height", "width, in mm"], "data": [[0.5, -1.0], [2.0]]}},
        {"dataframe_records": [{"height": 0.5, "Width": -1.0}]},
    ],
)
def test_a_table_that_lacks_a_column_is_refused(live: Live, called: str, body: Json) -> None:
    answer = invoke(live, called, body)

    assert (answer.status_code, answer.headers["Posterity-Code"]) == (422, "body-invalid"), answer.text


def test_a_csv_with_other_columns_is_refused(live: Live, called: str) -> None:
    answer = invoke_csv(live, called, "height,depth\n0.5,-1\n")

    assert "no column 'width, in mm'" in answer.json()["message"]

"""What was sent to MLflow's scoring server may be sent here, and is answered in its shape."""

from __future__ import annotations

import json
from importlib.metadata import version

import httpx
import numpy as np
import pandas as pd
import pytest

from tests.service.expected import all_problems
from tests.service.keyed import make_key
from tests.service.live import INPUTS, Json, Live, running
from tests.service.tensors import CLASSES, LEARNED, MODELS, PIXELS, Array, outputs_of, rows, with_a_version


@pytest.fixture(scope="module")
def models(live: Live) -> dict[str, str]:
    return {kind: with_a_version(live, described) for kind, described in MODELS.items()}


def invoke(live: Live, model: str | None, body: object, **query: object) -> httpx.Response:
    params = {name: str(value) for name, value in ({"model": model} | query).items() if value is not None}
    return live.client.post("/invocations", json=body, params=params)


def invoke_csv(live: Live, model: str, text: str) -> httpx.Response:
    headers = {"Content-Type": "text/csv"}
    return live.client.post("/invocations", params={"model": model}, content=text.encode(), headers=headers)


def expect_mlflow_error(answer: httpx.Response, code: str, error_code: str) -> str:
    kind = next(kind for kind in all_problems() if kind.code == code)
    assert (answer.status_code, answer.headers["Posterity-Code"]) == (kind.status, code), answer.text
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"error_code", "message"}
    assert body["error_code"] == error_code
    return str(body["message"])


def table_of(array: Array) -> pd.DataFrame:
    flat = array.reshape(len(array), -1)
    return pd.DataFrame(flat, columns=[f"column {number}" for number in range(flat.shape[1])])


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("count", [1, 70])
def test_every_shape_of_rows_is_answered_with_what_v1_answers(
    live: Live, models: dict[str, str], kind: str, count: int
) -> None:
    asked = rows(MODELS[kind], count)
    table = table_of(asked)
    split = table.to_dict(orient="split")
    bodies: list[Json] = [
        {"dataframe_split": split},
        {"dataframe_split": {"data": split["data"]}},
        {"dataframe_records": table.to_dict(orient="records")},
        {"instances": asked.tolist()},
        {"instances": [{"x": row} for row in asked.tolist()]},
        {"inputs": asked.tolist()},
        {"inputs": {"x": asked.tolist()}},
    ]

    answers = [invoke(live, models[kind], body) for body in bodies]
    answers.append(invoke_csv(live, models[kind], table.to_csv(index=False)))

    of_v1 = live.client.post(f"/v1/models/{models[kind]}/predictions", json={"inputs": asked.tolist()}).json()
    for answer in answers:
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body.pop("predictions") == of_v1["outputs"]
        assert body == {name: value for name, value in of_v1.items() if name != "outputs"}
        assert set(outputs_of(MODELS[kind])) <= of_v1["outputs"][0].keys()


def test_params_say_how_to_predict(live: Live, models: dict[str, str]) -> None:
    of_v1 = live.client.post(f"/v1/models/{models['classes']}/predictions?samples=3&seed=5", json=INPUTS).json()

    for params in ({"samples": 3, "seed": 5}, {"num_samples": 3, "seed": 5, "method": "ensemble"}):
        answer = invoke(live, models["classes"], INPUTS | {"params": params}).json()
        assert (answer["predictions"], answer["samples"], answer["seed"]) == (of_v1["outputs"], 3, 5)
    narrow = invoke(live, models["numbers"], INPUTS | {"params": {"interval": 0.5}}).json()
    assert narrow["interval"] == 0.5


def test_the_query_names_a_version_or_an_alias(live: Live, models: dict[str, str]) -> None:
    model = models["classes"]
    live.client.put(f"/v1/models/{model}/aliases/before", json={"version": 0}).raise_for_status()

    head, by_number, by_alias = (
        invoke(live, model, INPUTS, **query).json() for query in ({}, {"version": 0}, {"alias": "before"})
    )

    assert (head["version"], by_number["version"], by_alias["version"]) == (1, 0, 0)
    assert by_number["predictions"] == by_alias["predictions"] != head["predictions"]


def test_the_only_model_needs_no_name_and_several_need_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("one")) as one:
        assert "there is none" in expect_mlflow_error(
            invoke(one, None, INPUTS), "query-invalid", "INVALID_PARAMETER_VALUE"
        )
        first = with_a_version(one, CLASSES)
        assert invoke(one, None, INPUTS).json()["model"] == first
        second = with_a_version(one, CLASSES)
        several = invoke(one, None, INPUTS)
        assert "there are several" in expect_mlflow_error(several, "query-invalid", "INVALID_PARAMETER_VALUE")

        reader = make_key(one, "reader", "predict", models=second)
        assert one.client.post("/invocations", json=INPUTS, headers=reader).json()["model"] == second
        of_others = one.client.post("/invocations", json=INPUTS, headers=reader, params={"model": first})
        expect_mlflow_error(of_others, "key-not-allowed", "PERMISSION_DENIED")
        expect_mlflow_error(one.client.post("/invocations", json=INPUTS), "key-missing", "UNAUTHENTICATED")
        writer = make_key(one, "writer", "ingest")
        refused = one.client.post("/invocations", json=INPUTS, headers=writer)
        expect_mlflow_error(refused, "key-not-allowed", "PERMISSION_DENIED")
        assert one.client.get("/ping").status_code == 200


REFUSED: list[tuple[object, str, str, str]] = [
    (
        {},
        "body-invalid",
        "INVALID_PARAMETER_VALUE",
        "exactly one of dataframe_split, dataframe_records",
    ),
    (INPUTS | {"instances": [[1, 2]]}, "body-invalid", "INVALID_PARAMETER_VALUE", "it has instances and inputs"),
    ({"columns": [], "data": []}, "body-invalid", "INVALID_PARAMETER_VALUE", "columns: Extra"),
    (INPUTS | {"params": {"temperature": 1}}, "body-invalid", "INVALID_PARAMETER_VALUE", "params.temperature: Extra"),
    (INPUTS | {"params": {"samples": 1, "num_samples": 1}}, "body-invalid", "INVALID_PARAMETER_VALUE", "of samples"),
    (INPUTS | {"params": {"samples": 999}}, "samples-too-many", "INVALID_PARAMETER_VALUE", "999 draws"),
    ({"inputs": {"y": [[1, 2]]}}, "body-invalid", "INVALID_PARAMETER_VALUE", "just the model's input, 'x'"),
    ({"instances": [{"x": [1, 2]}, [3, 4]]}, "body-invalid", "INVALID_PARAMETER_VALUE", "instances.1 must have just"),
    ({"instances": [{"y": [1, 2]}]}, "body-invalid", "INVALID_PARAMETER_VALUE", "instances.0 must have just"),
    ({"dataframe_records": [{"a": 1, "b": 2}, {"a": 1}]}, "body-invalid", "INVALID_PARAMETER_VALUE", "other columns"),
    ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "body-invalid", "INVALID_PARAMETER_VALUE", "1 columns"),
    ({"dataframe_split": {"data": [[1, 2, 3]]}}, "input-shape", "INVALID_PARAMETER_VALUE", "got [1, 3]"),
    ({"dataframe_records": [{"a": "one", "b": 2}]}, "input-dtype", "INVALID_PARAMETER_VALUE", "strings"),
    ({"dataframe_records": []}, "batch-empty", "INVALID_PARAMETER_VALUE", "no rows"),
    ({"instances": []}, "batch-empty", "INVALID_PARAMETER_VALUE", "no rows"),
]


@pytest.mark.parametrize(("body", "code", "error_code", "words"), REFUSED)
def test_a_body_that_cannot_be_answered_is_refused_with_the_reason(
    live: Live, models: dict[str, str], body: object, code: str, error_code: str, words: str
) -> None:
    assert words in expect_mlflow_error(invoke(live, models["classes"], body), code, error_code)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", "batch-empty", "no rows"),
        ("a,b\n", "batch-empty", "no rows"),
        ("a,b\n1,2\n3\n", "body-invalid", "is no CSV of numbers behind a line of names"),
        ("a,b\n1,two\n", "body-invalid", "two"),
        ("a,b\n1,\n", "body-invalid", "is no CSV of numbers"),
        ("a\n1\n", "input-shape", "got [1, 1]"),
        ("a,b,c\n1,2,3\n", "body-invalid", "more columns than the 2 numbers of the model's input"),
        ("a,b\n1,2\n1,2,3\n", "body-invalid", "more columns than the 2 numbers"),
        ("a,b\n1\n1,2,3\n", "body-invalid", "is no CSV of numbers"),
        ("a,b\n1,2é\n", "body-invalid", "is no CSV of numbers"),
        ("a,b\n1,nan\n", "input-not-finite", "holds nan"),
        ("a,b\n" + "not,read\n" * 10_001, "batch-too-large", "10001 rows"),
    ],
)
def test_a_csv_that_cannot_be_answered_is_refused_with_the_reason(
    live: Live, models: dict[str, str], text: str, code: str, words: str
) -> None:
    error_code = "BAD_REQUEST" if code == "batch-too-large" else "INVALID_PARAMETER_VALUE"
    assert words in expect_mlflow_error(invoke_csv(live, models["classes"], text), code, error_code)


def test_a_csv_of_images_must_hold_whole_numbers(live: Live, models: dict[str, str]) -> None:
    answer = invoke_csv(live, models["pixels"], "a,b,c,d\n1,2,3,4.5\n")

    assert "whole numbers" in expect_mlflow_error(answer, "input-dtype", "INVALID_PARAMETER_VALUE")
    quoted = invoke_csv(live, models["pixels"], 'a,b,c,d\r\n"1",2,3,4\r\n')
    same = invoke(live, models["pixels"], {"inputs": [[[[1, 2], [3, 4]]]]})
    assert quoted.json() == same.json()


def test_other_calls_are_refused_in_the_form_of_mlflow(live: Live, models: dict[str, str]) -> None:
    model = models["classes"]
    headers = {"Content-Type": "application/x-parquet"}
    parquet = live.client.post("/invocations", params={"model": model}, content=b"PAR1", headers=headers)
    broken = live.client.post(
        "/invocations", params={"model": model}, content=b"{", headers={"Content-Type": "application/json"}
    )

    expect_mlflow_error(invoke(live, "nobody", INPUTS), "model-not-found", "RESOURCE_DOES_NOT_EXIST")
    expect_mlflow_error(invoke(live, model, INPUTS, version=9), "version-not-found", "RESOURCE_DOES_NOT_EXIST")
    expect_mlflow_error(invoke(live, model, INPUTS, alias="never"), "alias-not-found", "RESOURCE_DOES_NOT_EXIST")
    expect_mlflow_error(invoke(live, model, INPUTS, stage="prod"), "query-invalid", "INVALID_PARAMETER_VALUE")
    expect_mlflow_error(live.client.get("/invocations"), "method-not-allowed", "BAD_REQUEST")
    expect_mlflow_error(parquet, "media-type-unsupported", "BAD_REQUEST")
    expect_mlflow_error(broken, "json-invalid", "BAD_REQUEST")


def test_rows_with_several_axes_may_be_a_table_of_their_numbers(live: Live, models: dict[str, str]) -> None:
    asked = rows(LEARNED, 2)

    as_table = invoke(live, models["learned"], {"dataframe_split": {"data": asked.reshape(2, 6).tolist()}})

    assert as_table.json() == invoke(live, models["learned"], {"inputs": asked.tolist()}).json()
    wrong = {"dataframe_split": {"data": [[1, 2], [3, 4]]}}
    message = expect_mlflow_error(invoke(live, models["learned"], wrong), "input-shape", "INVALID_PARAMETER_VALUE")
    assert "[rows, 3, 2]; got [2, 2]" in message


def test_more_records_than_a_body_may_have_members_are_refused(live: Live, models: dict[str, str]) -> None:
    records = [{"a": 1, "b": 2}] * 10_001

    answer = invoke(live, models["classes"], {"dataframe_records": records})

    expect_mlflow_error(answer, "json-too-large", "BAD_REQUEST")
    assert len(invoke(live, models["classes"], {"dataframe_records": records[:9000]}).json()["predictions"]) == 9000


def test_probes_answer_with_an_empty_line_and_the_version_is_that_of_the_service(live: Live) -> None:
    for path in ("/ping", "/health"):
        answer = live.client.get(path)
        assert (answer.status_code, answer.text) == (200, "\n")
    assert live.client.get("/version").text == version("posterity")


def test_a_long_answer_is_as_pandas_reads_it(live: Live, models: dict[str, str]) -> None:
    asked = rows(PIXELS, 300)

    answer = pd.DataFrame(invoke(live, models["pixels"], {"inputs": asked.tolist()}).json()["predictions"])

    assert list(answer["label"]) == [int(np.argmax(row)) for row in answer["probabilities"]]
    assert len(json.dumps({"inputs": asked.tolist()})) > 2**12

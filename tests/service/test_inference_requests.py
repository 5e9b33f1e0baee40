"""Requests of the Open Inference Protocol byte by byte: what is taken, and what is refused in the protocol's form."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import httpx
import numpy as np
import pytest

from service.answers import Written
from service.computing import Asked, Question
from service.raw_tensors import DTYPES
from tests.service.expected import expect_error
from tests.service.keyed import make_key
from tests.service.live import INPUTS, Json, Live, running
from tests.service.tensors import (
    CLASSES,
    OF_CLASSES,
    PIXELS,
    array_in,
    described,
    infer,
    rows,
    told_by_v1,
    with_a_version,
    with_bytes,
)
from tests.service.wire import answer_in, head, line_to, rest_of

X: Json = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4.5]}
OF_BYTES: Json = {"name": "x", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
DATA = np.array([[1, 2], [3, 4.5]], "<f4").tobytes()
LISTS = ["BOOL", *(datatype for datatype in DTYPES if datatype != "FP16")]


@pytest.fixture(scope="module")
def classes(live: Live) -> str:
    return with_a_version(live, CLASSES)


@pytest.fixture(scope="module")
def pixels(live: Live) -> str:
    return with_a_version(live, PIXELS)


def asking(**change: object) -> Json:
    return {"inputs": [X | change]}


def test_an_answer_says_all_it_takes_to_get_the_same_again(live: Live, classes: str) -> None:
    answer = infer(live, classes, {"id": "", "parameters": {"samples": 3, "seed": 5}} | asking())

    body, of_v1 = answer.json(), live.client.post(f"/v1/models/{classes}/predictions?samples=3&seed=5", json=INPUTS)
    assert answer.headers["Content-Type"] == "application/json"
    assert "Inference-Header-Content-Length" not in answer.headers
    assert list(body) == ["model_name", "model_version", "id", "parameters", "outputs"]
    assert (body["model_name"], body["model_version"], body["id"]) == (classes, "1", "")
    told = of_v1.json()
    assert body["parameters"] == {name: told[name] for name in ("digest", "method", "samples", "seed")}
    assert [output["name"] for output in body["outputs"]] == list(OF_CLASSES)
    assert body["outputs"][0].keys() == {"name", "datatype", "shape", "data"}
    assert len(body["outputs"][0]["data"]) == 2 * 3


def test_the_data_may_be_flat_or_nested(live: Live, classes: str, pixels: str) -> None:
    nested = infer(live, classes, asking(data=[[1, 2], [3, 4.5]])).json()
    flat = infer(live, classes, asking()).json()
    images = rows(PIXELS, 3)

    assert nested == flat
    of_images = infer(live, pixels, {"inputs": [described(images)]}).json()
    assert of_images == infer(live, pixels, {"inputs": [described(images, data=images.ravel().tolist())]}).json()
    expected = told_by_v1(live, pixels, images, ["probabilities"])["probabilities"]
    assert array_in(of_images, "probabilities").tolist() == expected.tolist()


@pytest.mark.parametrize("datatype", LISTS)
def test_lists_of_every_type_are_the_numbers_that_they_hold(live: Live, classes: str, datatype: str) -> None:
    data: list[object] = [True, False, False, True] if datatype == "BOOL" else [1, 0, 0, 1]

    answer = infer(live, classes, asking(datatype=datatype, data=data))

    expected = told_by_v1(live, classes, np.array([[1, 0], [0, 1]]), ["probabilities"])["probabilities"]
    assert array_in(answer.json(), "probabilities").tolist() == expected.tolist()


@pytest.mark.parametrize("datatype", ["BF16", *LISTS, "FP16"])
def test_bytes_of_every_type_are_the_numbers_that_they_hold(live: Live, classes: str, datatype: str) -> None:
    truths = np.array([[1, 0], [0, 1]])
    held = {of: truths.astype(dtype) for of, dtype in DTYPES.items()}
    array = (held | {"BOOL": truths.astype("u1"), "BF16": (truths * 0x3F80).astype("<u2")})[datatype]
    x = OF_BYTES | {"datatype": datatype, "parameters": {"binary_data_size": array.nbytes}}

    answer = with_bytes(live, classes, {"inputs": [x]}, array.tobytes())

    expected = told_by_v1(live, classes, truths, ["probabilities"])["probabilities"]
    assert array_in(answer.json(), "probabilities").tolist() == expected.tolist()


def test_bytes_may_be_asked_for_of_each_output_or_of_all_but_some(live: Live, classes: str) -> None:
    plain = infer(live, classes, asking()).json()
    outputs = [{"name": "label"}, {"name": "entropy", "parameters": {"binary_data": False}}, {"name": "probabilities"}]

    answer = infer(live, classes, asking() | {"parameters": {"binary_data_output": True}, "outputs": outputs})

    assert answer.headers["Content-Type"] == "application/octet-stream"
    length = int(answer.headers["Inference-Header-Content-Length"])
    label, entropy, probabilities = json.loads(answer.content[:length])["outputs"]
    data = answer.content[length:]
    assert entropy["data"] == array_in(plain, "entropy").tolist()
    assert (label["parameters"]["binary_data_size"], probabilities["parameters"]["binary_data_size"]) == (16, 48)
    assert np.frombuffer(data[:16], "<i8").tolist() == array_in(plain, "label").tolist()
    assert np.frombuffer(data[16:], "<f8").tolist() == array_in(plain, "probabilities").ravel().tolist()


def test_a_body_may_say_json_nothing_or_bytes_and_means_the_same(live: Live, classes: str) -> None:
    path, body = f"/v2/models/{classes}/infer", json.dumps(asking()).encode()
    kinds: list[dict[str, str]] = [
        {},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "application/octet-stream"},
        {"Content-Type": "application/json", "Inference-Header-Content-Length": str(len(body))},
    ]

    answers = [live.client.post(path, content=body, headers=headers).content for headers in kinds]

    assert answers == [infer(live, classes, asking()).content] * len(kinds)


def test_a_body_that_is_read_by_a_thread_is_answered_the_same(live: Live, classes: str) -> None:
    many = rows(CLASSES, 3000)

    answer = infer(live, classes, {"inputs": [described(many)]}).json()

    expected = told_by_v1(live, classes, many, ["probabilities"])["probabilities"]
    assert array_in(answer, "probabilities").tolist() == expected.tolist()


REFUSED: list[tuple[object, str, str]] = [
    ([], "body-invalid", "should be an object"),
    ({}, "body-invalid", "inputs: Field required"),
    ({"inputs": []}, "body-invalid", "at least 1 item"),
    ({"inputs": [X, X]}, "body-invalid", "x is described twice"),
    ({"inputs": [X, X | {"name": "y"}]}, "body-invalid", "y is no tensor of this call"),
    (asking() | {"seed": 1}, "body-invalid", "seed: Extra"),
    (asking() | {"id": 7}, "body-invalid", "id: "),
    (asking() | {"model_name": "another"}, "body-invalid", "model_name is another than that of the path"),
    (asking() | {"parameters": {"samples": 2.0}}, "body-invalid", "parameters.samples: "),
    (asking() | {"parameters": {"samples": 0}}, "body-invalid", "parameters.samples: "),
    (asking() | {"parameters": {"samples": 257}}, "samples-too-many", "257 draws"),
    (asking() | {"outputs": [{"name": "label"}, {"name": "label"}]}, "body-invalid", "asked for twice"),
    (asking() | {"outputs": [{"name": "label", "data": []}]}, "body-invalid", "outputs.0.data: Extra"),
    (asking(data=None), "body-invalid", "x.data is missing, and so is binary_data_size"),
    (asking(data=[1, 2, 3]), "body-invalid", "of FP32 [2, 2] is 4 numbers, flat or nested; got the shape [3]"),
    (asking(data=[[1, 2, 3, 4]]), "body-invalid", "got the shape [1, 4]"),
    (asking(data=[[1, 2], [3]]), "body-invalid", "lists of 1 and of 2 entries"),
    (asking(data=["1", "2", "3", "4"]), "body-invalid", "of FP32 holds strings"),
    (asking(data=[True, False, True, False]), "body-invalid", "of FP32 holds booleans"),
    (asking(datatype="BOOL"), "body-invalid", "of BOOL holds numbers"),
    (asking(datatype="FP16"), "body-invalid", "of FP16 comes as binary data only"),
    (asking(datatype="BF16"), "body-invalid", "of BF16 comes as binary data only"),
    (asking(datatype="BYTES", data=["a", "b", "c", "d"]), "body-invalid", "inputs.0.datatype: "),
    (asking(datatype="INT8"), "body-invalid", "x.data holds 4.5, which is no INT8"),
    (asking(datatype="UINT8", data=[1, 2, 3, -4]), "body-invalid", "x.data holds -4, which is no UINT8"),
    (asking(datatype="UINT8", data=[1, 2, 3, 256]), "body-invalid", "x.data holds 256, which is no UINT8"),
    (asking(datatype="INT64", data=[1, 2, 3, 2**64]), "body-invalid", "which is no INT64"),
    (asking(data=[1, 2, 3, 1e39]), "input-not-finite", "Row 1 of the inputs holds inf"),
    (asking(shape=[2, -2]), "body-invalid", "inputs.0.shape.1: "),
    (asking(shape=[2**40] * 16), "body-invalid", "numbers, flat or nested; got the shape [4]"),
    (asking(shape=[0, 2**40, 2**40], data=[]), "body-invalid", "got "),
    (asking(shape=[0, 2], data=[]), "batch-empty", "no rows"),
    (asking(shape=[1, 4]), "input-shape", "must have the shape [rows, 2]; got [1, 4]"),
    (asking(shape=[4]), "input-shape", "got [4]"),
    (asking(parameters={"binary_data_size": 16}), "body-invalid", "send one of both"),
    (asking(parameters={"shared_memory_region": "a"}), "body-invalid", "shared_memory_region: Extra"),
]


@pytest.mark.parametrize(("body", "code", "words"), REFUSED)
def test_a_body_that_cannot_be_answered_is_refused_with_the_reason(
    live: Live, classes: str, body: object, code: str, words: str
) -> None:
    assert words in expect_error(infer(live, classes, body), code)


BYTES_REFUSED: list[tuple[Json, bytes, str | None, str, str]] = [
    ({"inputs": [OF_BYTES]}, DATA[:-1], None, "body-invalid", "x ends at byte 16 of 15 bytes of tensors"),
    ({"inputs": [OF_BYTES]}, DATA + b"1", None, "body-invalid", "has 1 bytes behind the last tensor"),
    ({"inputs": [OF_BYTES | {"shape": [2, 1]}]}, DATA, None, "body-invalid", "but binary_data_size holds 16"),
    ({"inputs": [OF_BYTES | {"datatype": "FP64"}]}, DATA, None, "body-invalid", "is 32 bytes, but binary_data_size"),
    ({"inputs": [OF_BYTES, X]}, DATA, None, "body-invalid", "x is described twice"),
    ({"inputs": [OF_BYTES | {"name": "z"}]}, DATA, None, "body-invalid", "z is no tensor of this call"),
    ({"inputs": [X]}, DATA, None, "body-invalid", "has 16 bytes behind the last tensor"),
    ({"inputs": [OF_BYTES]}, DATA, "-1", "query-invalid", "Inference-Header-Content-Length"),
    ({"inputs": [OF_BYTES]}, DATA, "9999", "query-invalid", "9999 bytes of JSON cannot begin a body of"),
    ({"inputs": [OF_BYTES]}, DATA, "5", "json-invalid", "cannot be read as JSON"),
]


@pytest.mark.parametrize(("head", "data", "length", "code", "words"), BYTES_REFUSED)
def test_a_size_that_lies_is_refused(
    live: Live, classes: str, head: Json, data: bytes, length: str | None, code: str, words: str
) -> None:
    assert words in expect_error(with_bytes(live, classes, head, data, length=length), code)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v2/nothing", "not-found"),
        ("GET", "/v2/", "not-found"),
        ("GET", "/v2/models", "not-found"),
        ("GET", "/v2/models/nobody", "model-not-found"),
        ("GET", "/v2/models/nobody/ready", "model-not-found"),
        ("GET", "/v2/models/{model}/versions/9", "version-not-found"),
        ("GET", "/v2/models/{model}/versions/9/ready", "version-not-found"),
        ("GET", "/v2/models/{model}/versions/a", "not-found"),
        ("GET", "/v2/models/{model}/infer", "method-not-allowed"),
        ("POST", "/v2", "method-not-allowed"),
        ("POST", "/v2/models/nobody/infer", "model-not-found"),
        ("POST", "/v2/models/{model}/versions/9/infer", "version-not-found"),
        ("GET", "/v2?x=1", "query-invalid"),
        ("POST", "/v2/models/{model}/infer?alias=head", "query-invalid"),
        ("POST", "/v2/repository/index", "body-invalid"),
    ],
)
def test_a_call_that_is_none_is_refused_in_the_form_of_the_protocol(
    live: Live, classes: str, method: str, path: str, code: str
) -> None:
    answer = live.client.request(method, path.format(model=classes), json=asking() if method == "POST" else None)

    expect_error(answer, code)
    assert (answer.headers.get("Allow") is not None) == (code == "method-not-allowed")


def test_bodies_that_are_no_json_of_another_type_or_too_large_are_refused_in_the_form_of_the_protocol(
    narrow: Live,
) -> None:
    path = f"/v2/models/{with_a_version(narrow, CLASSES)}/infer"

    def post(content: bytes, kind: str = "application/json") -> httpx.Response:
        return narrow.client.post(path, content=content, headers={"Content-Type": kind})

    expect_error(post(b'{"inputs": '), "json-invalid")
    expect_error(post(b'{"inputs": [], "inputs": []}'), "body-invalid")
    expect_error(post(json.dumps(asking()).encode()[:-1] + b', "id": "a", "id": "b"}'), "json-invalid")
    expect_error(post(b"{}", "text/plain"), "media-type-unsupported")
    expect_error(post(b" " * 4001), "body-too-large")
    five = np.ones((5, 2), np.float32)
    assert "5 rows; of this model the call accepts 4" in expect_error(
        post(json.dumps({"inputs": [described(five)]}).encode()), "batch-too-large"
    )


def test_answers_with_samples_have_as_many_numbers_as_any_answer_may(
    live: Live, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(tmp_path_factory.mktemp("few"), numbers_predict_max=60) as few:
        model = with_a_version(few, CLASSES)
        asked: Json = {"outputs": [{"name": "samples"}], "parameters": {"samples": 10}}

        fits = infer(few, model, asked | {"inputs": [described(rows(CLASSES, 2))]})
        too_many_rows = infer(few, model, asked | {"inputs": [described(rows(CLASSES, 3))]})
        too_many_draws = infer(few, model, asked | asking() | {"parameters": {"samples": 21}})

        assert array_in(fits.json(), "samples").shape == (2, 10, 3)
        assert "accepts 2 at once" in expect_error(too_many_rows, "batch-too-large")
        assert "makes at most 20" in expect_error(too_many_draws, "samples-too-many")
        assert infer(few, model, {"inputs": [described(rows(CLASSES, 3))]}).status_code == 200


def test_who_shows_no_key_or_the_wrong_one_is_refused_in_the_form_of_the_protocol(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running(tmp_path_factory.mktemp("keyed")) as keyed:
        mine, other = with_a_version(keyed, CLASSES), with_a_version(keyed, CLASSES)
        reader = make_key(keyed, "reader", "predict", models=mine)
        writer = make_key(keyed, "writer", "ingest")

        def ask(path: str, headers: dict[str, str]) -> httpx.Response:
            return keyed.client.post(path, json=asking(), headers=headers)

        without = ask(f"/v2/models/{mine}/infer", {})
        expect_error(without, "key-missing")
        assert without.headers["WWW-Authenticate"] == "Bearer"
        expect_error(ask(f"/v2/models/{mine}/infer", {"Authorization": "Bearer posterity_x"}), "key-invalid")
        expect_error(ask(f"/v2/models/{mine}/infer", writer), "key-not-allowed")
        expect_error(ask(f"/v2/models/{other}/infer", reader), "key-not-allowed")
        expect_error(keyed.client.get(f"/v2/models/{other}", headers=reader), "key-not-allowed")
        assert ask(f"/v2/models/{mine}/infer", reader).status_code == 200
        assert keyed.client.get("/v2/health/ready").json() == {"live": True, "ready": True}
        index = keyed.client.post("/v2/repository/index", headers=reader).json()
        assert [entry["name"] for entry in index] == [mine]


def test_a_model_whose_bytes_are_gone_is_not_ready(tmp_path: Path) -> None:
    with running(tmp_path) as own:
        model = with_a_version(own, CLASSES)
        own.folder.delete(own.client.get(f"/v1/models/{model}/versions/1").json()["digest"])

        expect_error(own.client.get(f"/v2/models/{model}/ready"), "blob-missing")
        assert own.client.get(f"/v2/models/{model}/versions/0/ready").json() == {"name": model, "ready": True}


def test_what_ends_a_connection_is_told_in_the_form_of_the_protocol(live: Live, classes: str) -> None:
    path = f"/v2/models/{classes}/infer"
    with line_to(live) as line:
        line.sendall(head("POST", path, "Transfer-Encoding: chunked") + b"no length\r\n")
        answer = answer_in(rest_of(line), path)

    expect_error(answer, "request-invalid")
    assert answer.headers["Connection"] == "close"


def test_pages_of_others_and_faults_of_the_service_are_told_in_the_form_of_the_protocol(
    live: Live, classes: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    foreign = live.client.get(f"/v2/models/{classes}", headers={"Origin": "https://page.example"})
    with patch.object(live.house.history, "version_numbers", fail):
        failed = live.client.get(f"/v2/models/{classes}")
    with patch.object(live.house.predicting, "ask", fail):
        failed_too = infer(live, classes, asking())

    expect_error(foreign, "origin-foreign")
    expect_error(failed, "internal")
    expect_error(failed_too, "internal")


def test_requests_that_come_together_get_what_each_gets_alone(live: Live, classes: str) -> None:
    of_rows = [{"inputs": [described(rows(CLASSES, 1 + index % 3, seed=index))]} for index in range(8)]
    ways: list[Json] = [
        {"parameters": {"samples": 3}},
        {"parameters": {"samples": 3}, "outputs": [{"name": "samples"}]},
        {"parameters": {"samples": 3, "binary_data_output": True}},
    ]
    bodies = [body | way for body in of_rows for way in ways]
    alone = [infer(live, classes, body).content for body in bodies]

    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda body: infer(live, classes, body).content, bodies * 3))

    assert together == alone * 3


def test_a_small_request_is_shared_with_others_but_not_where_it_asks_for_samples(live: Live, classes: str) -> None:
    shared, ask = list[bool](), live.house.predicting.ask

    async def watched(
        question: Question, asked: Asked, *, is_shared: bool, nbytes: int, seconds: float
    ) -> bytes | Written:
        shared.append(is_shared)
        return await ask(question, asked, is_shared=is_shared, nbytes=nbytes, seconds=seconds)

    with patch.object(live.house.predicting, "ask", watched):
        for outputs in ([], [{"name": "samples"}]):
            assert infer(live, classes, asking() | {"outputs": outputs}).status_code == 200

    assert shared == [True, False]


def test_samples_of_a_graph_whose_nets_are_not_held_come_in_turn(tmp_path: Path) -> None:
    net = {"kind": "torchvision", "name": "squeezenet1_1"}
    with running(tmp_path, loaded_bytes_max=2 * 4 * 1_000_000) as small:
        model = small.create(CLASSES | {"net": net, "input": {"shape": [3, 32, 32]}}).removeprefix("/v1/models/")
        images = np.random.default_rng(1).standard_normal((2, 3, 32, 32)).astype(np.float32)
        outputs = [{"name": "samples"}, {"name": "probabilities"}]
        body = {"inputs": [described(images)], "outputs": outputs, "parameters": {"samples": 4}}

        answer = infer(small, model, body).json()

        samples, together = array_in(answer, "samples"), array_in(answer, "probabilities")
        assert samples.shape == (2, 4, 3)
        np.testing.assert_allclose(samples.mean(1), together, rtol=1e-14)
        of_v1 = told_by_v1(small, model, images, ["probabilities"], samples=4)
        assert together.tolist() == of_v1["probabilities"].tolist()

"""NVIDIA's own client of the Open Inference Protocol, against the service as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import pytest
import tritonclient.http.aio
from tritonclient.http import InferenceServerClient, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from tests.service.live import Json, Live
from tests.service.tensors import (
    CLASSES,
    MODELS,
    NUMBERS,
    OF_CLASSES,
    PIXELS,
    Array,
    named,
    names_in,
    outputs_of,
    rows,
    tensor,
    told_by_v1,
    triton,
    with_a_version,
)


@pytest.fixture
def client(live: Live) -> Iterator[InferenceServerClient]:
    with triton(live) as client:
        yield client


@pytest.fixture(scope="module")
def models(live: Live) -> dict[str, str]:
    """The name of a model of each kind, with version 0 and version 1, which is head."""
    return {kind: with_a_version(live, described) for kind, described in MODELS.items()}


def test_the_server_is_alive_and_ready_and_says_what_it_is(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata() == {
        "name": "posterity",
        "version": version("posterity"),
        "extensions": ["binary_tensor_data", "parameters"],
    }


def test_a_model_is_ready_with_and_without_a_version_and_one_that_is_not_there_is_not(
    client: InferenceServerClient, models: dict[str, str]
) -> None:
    assert client.is_model_ready(models["classes"])
    assert client.is_model_ready(models["classes"], "1")
    assert not client.is_model_ready(models["classes"], "2")
    assert not client.is_model_ready("nobody")


def test_the_metadata_of_a_model_of_classes_name_its_tensors_and_all_versions(
    client: InferenceServerClient, models: dict[str, str]
) -> None:
    metadata = client.get_model_metadata(models["pixels"])

    assert metadata == client.get_model_metadata(models["pixels"], "0")
    assert metadata == {
        "name": models["pixels"],
        "versions": ["0", "1"],
        "platform": "posterity_safetensors",
        "inputs": [{"name": "x", "datatype": "UINT8", "shape": [-1, 1, 2, 2]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]},
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "entropy", "datatype": "FP64", "shape": [-1]},
            {"name": "aleatoric", "datatype": "FP64", "shape": [-1]},
            {"name": "mutual_information", "datatype": "FP64", "shape": [-1]},
            {"name": "samples", "datatype": "FP64", "shape": [-1, -1, 3]},
        ],
    }


def test_the_metadata_of_a_model_of_numbers_name_its_tensors(
    client: InferenceServerClient, models: dict[str, str]
) -> None:
    metadata = client.get_model_metadata(models["numbers"], "1")

    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    names = ("mean", "std", "epistemic_std", "noise_std", "lower", "upper")
    assert metadata["outputs"] == [
        *({"name": name, "datatype": "FP64", "shape": [-1, 2]} for name in names),
        {"name": "samples", "datatype": "FP64", "shape": [-1, -1, 2]},
    ]


@pytest.mark.parametrize("count", [1, 3, 70])
@pytest.mark.parametrize("is_binary", [True, False])
@pytest.mark.parametrize("kind", MODELS)
def test_the_numbers_are_those_of_v1_to_the_last_bit(
    live: Live, client: InferenceServerClient, models: dict[str, str], kind: str, is_binary: bool, count: int
) -> None:
    model, names, asked = models[kind], outputs_of(MODELS[kind]), rows(MODELS[kind], count)
    ways: list[Json] = [{}, {"method": "mean"}, {"samples": 3, "seed": 2}]

    for way in ways:
        outputs = None if is_binary else named(*names, is_binary=False)
        result = client.infer(model, [tensor(asked, is_binary=is_binary)], outputs=outputs, parameters=way)

        expected = told_by_v1(live, model, asked, names, **way)
        assert names_in(result) == list(names)
        for name in names:
            found = result.as_numpy(name)
            assert found.dtype == (np.int64 if name == "label" else np.float64)
            assert found.shape == expected[name].shape
            assert found.tolist() == expected[name].tolist()


def test_any_version_answers_by_its_number(live: Live, client: InferenceServerClient, models: dict[str, str]) -> None:
    model, asked = models["classes"], rows(CLASSES, 2)

    answers = {number: client.infer(model, [tensor(asked)], model_version=str(number)) for number in (0, 1)}

    for number, result in answers.items():
        assert result.get_response()["model_version"] == str(number)
        answer = live.client.post(f"/v1/models/{model}/versions/{number}/predictions", json={"inputs": asked.tolist()})
        expected = [row["probabilities"] for row in answer.json()["outputs"]]
        assert result.as_numpy("probabilities").tolist() == expected
    assert answers[0].as_numpy("entropy").tolist() != answers[1].as_numpy("entropy").tolist()


def test_after_a_rollback_the_next_request_without_a_version_is_answered_by_the_other(
    live: Live, client: InferenceServerClient
) -> None:
    model, asked = with_a_version(live, CLASSES), tensor(rows(CLASSES, 2))
    by_number = [client.infer(model, [asked], model_version=number).as_numpy("entropy") for number in ("0", "1")]

    before = client.infer(model, [asked])
    live.client.post(f"/v1/models/{model}/rollback", json={"to": 0}).raise_for_status()
    after = client.infer(model, [asked])

    assert (before.get_response()["model_version"], after.get_response()["model_version"]) == ("1", "0")
    assert before.as_numpy("entropy").tolist() == by_number[1].tolist()
    assert after.as_numpy("entropy").tolist() == by_number[0].tolist()


def test_only_the_outputs_that_are_asked_for_come_in_their_order_and_as_asked(
    client: InferenceServerClient, models: dict[str, str]
) -> None:
    outputs = [InferRequestedOutput("entropy", binary_data=False), InferRequestedOutput("probabilities")]

    result = client.infer(models["named"], [tensor(rows(CLASSES, 2))], outputs=outputs)

    assert names_in(result) == ["entropy", "probabilities"]
    in_json, in_bytes = result.get_response()["outputs"]
    assert len(in_json["data"]) == 2
    assert in_bytes.keys() == {"name", "datatype", "shape", "parameters"}
    assert in_bytes["parameters"] == {"binary_data_size": 2 * 3 * 8}
    assert result.as_numpy("probabilities").sum(1) == pytest.approx(1)
    assert (result.as_numpy("entropy") > 0).all()


def test_all_outputs_come_but_the_samples_where_none_is_named(
    client: InferenceServerClient, models: dict[str, str]
) -> None:
    result = client.infer(models["classes"], [tensor(rows(CLASSES, 2))])

    assert names_in(result) == list(OF_CLASSES)
    assert all("binary_data_size" in output["parameters"] for output in result.get_response()["outputs"])


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("count", [1, 70])
def test_samples_are_what_each_drawn_net_says_and_their_mean_is_the_prediction(
    client: InferenceServerClient, models: dict[str, str], kind: str, count: int
) -> None:
    asked = rows(MODELS[kind], count)
    together = outputs_of(MODELS[kind])[0]

    result = client.infer(
        models[kind], [tensor(asked)], outputs=named("samples", together), parameters={"num_samples": 5, "seed": 3}
    )

    units = result.as_numpy(together).shape[1]
    samples = result.as_numpy("samples")
    assert samples.shape == (count, 5, units)
    np.testing.assert_allclose(samples.mean(1), result.as_numpy(together), rtol=1e-14)
    assert len({tuple(draw) for draw in samples[0].tolist()}) == 5
    same = client.infer(models[kind], [tensor(asked)], parameters={"method": "ensemble", "samples": 5, "seed": 3})
    assert same.as_numpy(together).tolist() == result.as_numpy(together).tolist()
    parameters = result.get_response()["parameters"]
    assert (parameters["method"], parameters["samples"], parameters["seed"]) == ("ensemble", 5, 3)
    assert "instead_of" not in parameters


@pytest.mark.parametrize("way", [{}, {"method": "moments"}])
def test_asking_for_samples_by_moments_is_answered_by_the_ensemble_which_says_so(
    client: InferenceServerClient, models: dict[str, str], way: dict[str, object]
) -> None:
    result = client.infer(models["numbers"], [tensor(rows(NUMBERS, 2))], outputs=named("samples"), parameters=way)

    parameters = result.get_response()["parameters"]
    assert (parameters["method"], parameters["samples"], parameters["instead_of"]) == ("ensemble", 16, "moments")
    assert "samples" in parameters["because"]
    assert result.as_numpy("samples").shape == (2, 16, 2)


def test_the_net_of_the_mean_weights_is_the_one_sample_where_it_is_asked(
    client: InferenceServerClient, models: dict[str, str]
) -> None:
    result = client.infer(
        models["classes"],
        [tensor(rows(CLASSES, 2))],
        outputs=named("samples", "probabilities"),
        parameters={"method": "mean"},
    )

    assert result.as_numpy("samples")[:, 0].tolist() == result.as_numpy("probabilities").tolist()
    assert result.as_numpy("samples").shape == (2, 1, 3)
    assert result.get_response()["parameters"]["method"] == "mean"


def test_the_interval_is_as_wide_as_its_level_says(client: InferenceServerClient, models: dict[str, str]) -> None:
    asked = tensor(rows(NUMBERS, 2))

    narrow = client.infer(models["numbers"], [asked], parameters={"interval": 0.5})
    wide = client.infer(models["numbers"], [asked])

    assert (narrow.get_response()["parameters"]["interval"], wide.get_response()["parameters"]["interval"]) == (
        0.5,
        0.9,
    )
    assert (narrow.as_numpy("upper") < wide.as_numpy("upper")).all()
    assert (narrow.as_numpy("lower") > wide.as_numpy("lower")).all()


def test_the_answer_has_the_id_of_the_request_and_none_where_that_has_none(
    client: InferenceServerClient, models: dict[str, str]
) -> None:
    asked = tensor(rows(CLASSES, 1))

    assert client.infer(models["classes"], [asked], request_id="row 7 é").get_response()["id"] == "row 7 é"
    assert "id" not in client.infer(models["classes"], [asked]).get_response()


def test_a_timeout_is_kept_to(client: InferenceServerClient, models: dict[str, str]) -> None:
    asked = tensor(rows(CLASSES, 1))

    with pytest.raises(InferenceServerException, match="No answer was ready in time") as late:
        client.infer(models["classes"], [asked], parameters={"samples": 7, "seed": 99}, timeout=1)
    assert late.value.status() == "503"
    assert client.infer(models["classes"], [asked], timeout=30_000_000).as_numpy("label").shape == (1,)


def test_the_index_of_the_repository_has_every_model_with_the_version_of_head(
    client: InferenceServerClient, models: dict[str, str]
) -> None:
    index = client.get_model_repository_index()

    entry = {"name": models["named"], "version": "1", "state": "READY", "reason": ""}
    assert entry in index
    assert len({model["name"] for model in index}) == len(index) >= len(models)


WRONG: list[tuple[str, Array, dict[str, str], str, str]] = [
    ("nobody", rows(CLASSES, 1), {}, "404", "There is no model named 'nobody'"),
    ("classes", rows(CLASSES, 1), {"version": "7"}, "404", "has no version 7"),
    ("classes", rows(CLASSES, 1), {"version": "latest"}, "404", "There is nothing at"),
    ("classes", rows(CLASSES, 1), {"name": "input0"}, "422", "input0 is no tensor of this call, which takes x"),
    ("classes", rows(PIXELS, 1), {}, "422", r"must have the shape \[rows, 2\]; got \[1, 1, 2, 2\]"),
    ("classes", rows(CLASSES, 1)[0], {}, "422", r"must have the shape \[rows, 2\]; got \[2\]"),
    ("classes", rows(CLASSES, 0), {}, "422", "has no rows"),
    ("classes", rows(CLASSES, 1) + np.inf, {}, "422", "Row 0 of the inputs holds inf"),
    ("pixels", rows(PIXELS, 1).astype(np.float32), {}, "422", "must be whole numbers from 0 to 255"),
    ("pixels", rows(PIXELS, 1).astype(np.int16) - 300, {}, "422", "must be whole numbers from 0 to 255"),
    ("classes", np.array([[b"a", b"b"]], np.object_), {}, "422", "inputs.0.datatype"),
    ("classes", rows(CLASSES, 1), {"output": "logits"}, "422", "'logits' is no output of this model, which has prob"),
    ("numbers", rows(NUMBERS, 1), {"output": "probabilities"}, "422", "which has mean, std"),
]


@pytest.mark.parametrize("is_binary", [True, False])
@pytest.mark.parametrize(("kind", "asked", "how", "status", "message"), WRONG)
def test_a_request_that_cannot_be_answered_raises_with_the_reason(
    client: InferenceServerClient,
    models: dict[str, str],
    kind: str,
    asked: Array,
    how: dict[str, str],
    status: str,
    message: str,
    is_binary: bool,
) -> None:
    outputs = named(how["output"]) if "output" in how else None
    inputs = [tensor(asked, is_binary=is_binary, name=how.get("name", "x"))]

    with pytest.raises(InferenceServerException, match=message) as refused:
        client.infer(models.get(kind, kind), inputs, model_version=how.get("version", ""), outputs=outputs)

    assert refused.value.status() == status


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_body_is_refused_and_says_so(
    client: InferenceServerClient, models: dict[str, str], coding: str
) -> None:
    asked = [tensor(rows(CLASSES, 1))]

    with pytest.raises(InferenceServerException, match=f"not compressed; the request says Content-Encoding: {coding}"):
        client.infer(models["classes"], asked, request_compression_algorithm=coding)
    answered = client.infer(models["classes"], asked, response_compression_algorithm=coding)

    assert answered.as_numpy("probabilities").shape == (1, 3)


def test_what_the_service_has_no_sense_for_is_refused(client: InferenceServerClient, models: dict[str, str]) -> None:
    asked = [tensor(rows(CLASSES, 1))]

    with pytest.raises(InferenceServerException, match=r"parameters.temperature: Extra"):
        client.infer(models["classes"], asked, parameters={"temperature": 2})
    with pytest.raises(InferenceServerException, match=r"parameters.priority: Extra"):
        client.infer(models["classes"], asked, priority=1)
    with pytest.raises(InferenceServerException, match=r"outputs.0.parameters.classification: Extra"):
        client.infer(models["classes"], asked, outputs=[InferRequestedOutput("probabilities", class_count=2)])
    with pytest.raises(InferenceServerException, match="An interval was asked for"):
        client.infer(models["classes"], asked, parameters={"interval": 0.5})
    with pytest.raises(InferenceServerException, match="another name of samples"):
        client.infer(models["classes"], asked, parameters={"samples": 2, "num_samples": 2})


def test_the_asynchronous_client_gets_the_same(live: Live, models: dict[str, str]) -> None:
    model, asked, url = models["pixels"], rows(PIXELS, 2), live.client.base_url

    async def ask() -> tuple[bool, list[object], list[object]]:
        async with tritonclient.http.aio.InferenceServerClient(f"{url.host}:{url.port}") as client:
            in_bytes = await client.infer(model, [tensor(asked)])
            in_json = await client.infer(
                model, [tensor(asked, is_binary=False)], outputs=named("probabilities", is_binary=False)
            )
            with pytest.raises(InferenceServerException, match="no version 9"):
                await client.infer(model, [tensor(asked)], model_version="9")
            return (
                await client.is_server_ready(),
                in_bytes.as_numpy("probabilities").tolist(),
                in_json.as_numpy("probabilities").tolist(),
            )

    is_ready, in_bytes, in_json = asyncio.run(ask())

    expected = told_by_v1(live, model, asked, ["probabilities"])["probabilities"].tolist()
    assert is_ready
    assert in_bytes == in_json == expected

"""The OpenAPI document says everything a client needs: names, examples, problems and bodies."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from service.app import create_app
from service.problem_forms import form_at
from service.rejected import IdempotencyKeyInvalid, IdempotencyKeyMissing
from service.requests import key_of
from store.settings import Settings
from tests.service.expected import all_problems
from tests.service.live import Live

Json = dict[str, Any]
DOCUMENT: Json = create_app(Settings()).openapi()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def refs(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(refs(value) for value in node.values()))
    return set().union(*(refs(value) for value in node)) if isinstance(node, list) else set()


@pytest.mark.parametrize(("call", "operation"), OPERATIONS, ids=[call for call, _ in OPERATIONS])
def test_an_operation_has_a_name_a_tag_a_description_and_its_problems_with_examples(call: str, operation: Json) -> None:
    assert operation["operationId"].islower()
    assert operation["tags"]
    assert operation["description"]
    problems = {status: response for status, response in operation["responses"].items() if int(status) >= 400}
    form = form_at(call.partition(" ")[2])
    kinds = {kind.code: kind for kind in all_problems()}
    assert {"500", "503"} <= problems.keys()
    for status, response in problems.items():
        content = response["content"][form.media_type]
        assert content["schema"] == {"$ref": f"#/components/schemas/{form.schema.__name__}"}
        assert {str(kinds[code].status) for code in content["examples"]} == {status}
        for code, example in content["examples"].items():
            assert example["value"] == form.example(kinds[code])
        if "code" not in form.schema.model_fields:
            assert response["headers"]["Posterity-Code"]["schema"]["examples"] == list(content["examples"])


@pytest.mark.parametrize(("call", "operation"), OPERATIONS, ids=[call for call, _ in OPERATIONS])
def test_a_success_has_a_schema(call: str, operation: Json) -> None:
    successes = {status: response for status, response in operation["responses"].items() if status.startswith("2")}

    assert successes
    for status, response in successes.items():
        assert status == "204" or all(content["schema"] for content in response["content"].values())


def test_a_body_has_a_schema_and_examples() -> None:
    bodies = {call: operation["requestBody"] for call, operation in OPERATIONS if "requestBody" in operation}
    blob = bodies.pop("POST /v1/blobs")["content"]

    assert set(blob) == {"application/x-safetensors", "application/octet-stream"}
    assert set(bodies.pop("POST /v1/imports")["content"]) == {"application/zip", "application/octet-stream"}
    assert len(bodies) == 20
    for body in bodies.values():
        as_json = body["content"]["application/json"]
        assert as_json["schema"]["$ref"].removeprefix("#/components/schemas/") in DOCUMENT["components"]["schemas"]
        assert as_json["examples"]
    binary = {call for call, body in bodies.items() if "application/x-safetensors" in body["content"]}
    assert binary == {
        "POST /v1/models/{model}/batches",
        "POST /v1/models/{model}/predictions",
        "POST /v1/models/{model}/versions/{version}/calibration",
        "POST /v1/models/{model}/versions/{version}/compare/{other}",
        "POST /v1/models/{model}/versions/{version}/predictions",
    }


def test_operation_names_are_unique_and_references_lead_somewhere() -> None:
    names = [operation["operationId"] for _, operation in OPERATIONS]

    assert len(names) == len(set(names))
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert refs(DOCUMENT) <= schemas


def test_headers_that_matter_are_declared() -> None:
    headers = {
        operation["operationId"]: {
            parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "header"
        }
        for _, operation in OPERATIONS
    }

    assert headers["post_batch"] == {"Idempotency-Key", "Inference-Header-Content-Length"}
    assert headers["post_labels"] == {"Idempotency-Key"}
    assert headers["move_alias"] == {"If-Match", "If-None-Match"}
    assert headers["remove_alias"] == headers["roll_back"] == {"If-Match"}
    assert headers["predict"] == headers["predict_with_version"] == {"Inference-Header-Content-Length", "Prefer"}
    assert headers["predict_small"] == {"If-None-Match", "Prefer"}
    assert headers["download_posterior"] == {"If-None-Match"}


def test_no_parameter_is_null_for_nothing_in_a_url_or_a_header_is() -> None:
    schemas = [
        parameter.get("schema") or parameter["content"]["application/json"]["schema"]
        for _, operation in OPERATIONS
        for parameter in operation.get("parameters", [])
    ]

    assert schemas
    assert {"type": "null"} not in [option for schema in schemas for option in schema.get("anyOf", [schema])]


@pytest.mark.parametrize(
    ("key", "is_valid"),
    [
        ("2026-11-23T10:00/17", True),
        ("two words", True),
        ('"quoted \\" and \\\\"', True),
        ("x" * 255, True),
        ("x" * 256, False),
        ("", False),
        (" blank", False),
        ('"', False),
        ('""', False),
        ('"open', False),
        ('"un\\escaped"', False),
        ("schlüssel", False),
    ],
)
def test_the_pattern_of_a_key_takes_what_the_service_takes(key: str, is_valid: bool) -> None:
    parameters = DOCUMENT["paths"]["/v1/models/{model}/batches"]["post"]["parameters"]
    [described] = [parameter for parameter in parameters if parameter["name"] == "Idempotency-Key"]
    schema = described["schema"]

    assert described["required"]
    assert (len(key) <= schema["maxLength"] and re.search(schema["pattern"], key) is not None) == is_valid
    if is_valid:
        assert key_of(key)
    elif key == key.strip():
        with pytest.raises((IdempotencyKeyInvalid, IdempotencyKeyMissing)):
            key_of(key)


def test_the_examples_go_together(live: Live) -> None:
    """Each call's first example is a success on the model that the first example makes."""
    bodies = {
        operation["operationId"]: operation["requestBody"]["content"]["application/json"]["examples"]["example 1"]
        for _, operation in OPERATIONS
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    described = bodies["create_model"]["value"]
    [small] = [operation for _, operation in OPERATIONS if operation["operationId"] == "predict_small"]
    [inputs] = [parameter for parameter in small["parameters"] if parameter["name"] == "inputs"]
    model = f"/v1/models/{described['name']}"
    assert {parameter["schema"].get("examples", [None])[0] for parameter in small["parameters"][:1]} == {"pairs"}

    assert live.client.post("/v1/models", json=described).status_code == 201
    posted = live.client.post(f"{model}/batches", json=bodies["post_batch"]["value"], headers={"Idempotency-Key": "1"})
    predicted = live.client.post(f"{model}/predictions", json=bodies["predict"]["value"])
    rows = json.dumps(inputs["content"]["application/json"]["example"])

    assert (posted.status_code, predicted.status_code) == (202, 200)
    assert live.client.get(f"{model}/predictions", params={"inputs": rows}).status_code == 200

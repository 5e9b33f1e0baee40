"""The OpenAPI document says everything a client needs: names, examples, problems and bodies."""

from __future__ import annotations

from typing import Any

import pytest

from service.app import create_app
from service.problems import MEDIA_TYPE
from store.settings import Settings

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
    assert {"500", "503"} <= problems.keys()
    for status, response in problems.items():
        content = response["content"][MEDIA_TYPE]
        assert content["schema"] == {"$ref": "#/components/schemas/ProblemBody"}
        for code, example in content["examples"].items():
            assert (example["value"]["code"], str(example["value"]["status"])) == (code, status)


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
    assert len(bodies) == 8
    for body in bodies.values():
        json = body["content"]["application/json"]
        assert json["schema"]["$ref"].removeprefix("#/components/schemas/") in DOCUMENT["components"]["schemas"]
        assert json["examples"]
    binary = {call for call, body in bodies.items() if "application/x-safetensors" in body["content"]}
    assert binary == {
        "POST /v1/models/{model}/batches",
        "POST /v1/models/{model}/predictions",
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
    assert headers["move_alias"] == {"If-Match", "If-None-Match"}
    assert headers["remove_alias"] == headers["roll_back"] == {"If-Match"}
    assert headers["predict"] == headers["predict_with_version"] == {"Inference-Header-Content-Length", "Prefer"}
    assert headers["predict_small"] == {"If-None-Match", "Prefer"}
    assert headers["download_posterior"] == {"If-None-Match"}

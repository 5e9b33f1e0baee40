"""The OpenAPI document beyond what FastAPI writes by itself: bodies that endpoints read raw, and binary ones."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.description import ModelBody
from service.problems import ProblemBody
from service.requests import BYTES, JSON, SAFETENSORS
from service.schemas import AliasBody, BatchBody, PredictionBody, ReplayBody, RollbackBody

REF = "#/components/schemas/{model}"
READ_RAW: tuple[type[BaseModel], ...] = (
    ModelBody,
    BatchBody,
    PredictionBody,
    AliasBody,
    RollbackBody,
    ReplayBody,
    ProblemBody,
)
"""Schemas that FastAPI does not see, because the service reads these bodies itself."""


def takes(body: type[BaseModel], *, tensors: str | None = None) -> dict[str, Any]:
    """The request body of an operation: JSON of this schema, or safetensors with these tensors."""
    content: dict[str, Any] = {JSON: {"schema": {"$ref": REF.format(model=body.__name__)}, "examples": _examples(body)}}
    if tensors is not None:
        binary = {"type": "string", "contentMediaType": SAFETENSORS, "description": f"The tensors {tensors}."}
        content[SAFETENSORS] = {"schema": binary}
    return {"requestBody": {"required": True, "content": content}}


def takes_tensors(description: str) -> dict[str, Any]:
    """The request body of an operation: a safetensors file and nothing else."""
    binary = {"type": "string", "contentMediaType": SAFETENSORS, "description": description}
    return {"requestBody": {"required": True, "content": {media: {"schema": binary} for media in (SAFETENSORS, BYTES)}}}


def document(app: FastAPI) -> dict[str, Any]:
    """The document, made once; every schema it refers to is in it."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        _, definitions = models_json_schema([(body, "validation") for body in READ_RAW], ref_template=REF)
        made["components"]["schemas"] |= definitions["$defs"]
        _drop_fastapi_errors(made)
        app.openapi_schema = made
    return app.openapi_schema


def _drop_fastapi_errors(made: dict[str, Any]) -> None:
    """FastAPI's own shape of a 422 is gone: the service answers problems instead."""
    theirs = made["components"]["schemas"].pop("HTTPValidationError", None)
    made["components"]["schemas"].pop("ValidationError", None)
    for operations in made["paths"].values() if theirs else ():
        for operation in operations.values():
            if JSON in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]


def _examples(body: type[BaseModel]) -> dict[str, Any]:
    extra = body.model_config.get("json_schema_extra")
    assert isinstance(extra, dict)
    examples = extra["examples"]
    assert isinstance(examples, list)
    return {f"example {number}": {"value": value} for number, value in enumerate(examples, 1)}

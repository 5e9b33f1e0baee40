"""The OpenAPI document beyond what FastAPI writes by itself: bodies that endpoints read raw, and binary ones."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.description import ModelBody
from service.encodings import HEADER_LENGTH, Encoding
from service.inference.schemas import IndexRequest, InferenceRequest
from service.inference.tables import InvocationBody
from service.label_bodies import LabelsBody
from service.links import link
from service.needs import need_of
from service.parameters import tidy_parameters
from service.problem_forms import InferenceErrorBody, InvocationErrorBody, ProblemBody
from service.requests import BYTES, JSON, SAFETENSORS, ZIP
from service.schemas import (
    AliasBody,
    BatchBody,
    CalibrationBody,
    ComparisonBody,
    ForgetBody,
    KeyBody,
    PredictionBody,
    ReasonBody,
    ReplayBody,
    RollbackBody,
    WebhookBody,
)

REF = "#/components/schemas/{model}"
READ_RAW: tuple[type[BaseModel], ...] = (
    ModelBody,
    BatchBody,
    CalibrationBody,
    ComparisonBody,
    PredictionBody,
    AliasBody,
    ForgetBody,
    ReasonBody,
    RollbackBody,
    ReplayBody,
    KeyBody,
    LabelsBody,
    WebhookBody,
    InferenceRequest,
    IndexRequest,
    InvocationBody,
    ProblemBody,
    InferenceErrorBody,
    InvocationErrorBody,
)
"""Schemas that FastAPI does not see, because the service reads these bodies itself."""


def takes(body: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The request body of an operation: JSON of this schema."""
    content = {JSON: {"schema": {"$ref": REF.format(model=body.__name__)}, "examples": _examples(body)}}
    return {"requestBody": {"required": required, "content": content}}


def takes_rows(body: type[BaseModel], encodings: tuple[Encoding, ...], *, tensors: str) -> dict[str, Any]:
    """The request body of an operation on rows: JSON of this schema, or the tensors in another of these encodings."""
    content = {
        encoding: {"schema": _form(body) if encoding is Encoding.FORM else _binary(encoding, tensors)}
        for encoding in encodings
        if encoding is not Encoding.JSON
    }
    taken = takes(body)
    taken["requestBody"]["content"] |= content
    header = {
        "name": HEADER_LENGTH,
        "in": "header",
        "required": False,
        "description": f"With {Encoding.RAW}: how many bytes of JSON begin the body.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**12 - 1},
        "example": 256,
    }
    return taken | {"parameters": [header]}


def takes_tensors(description: str) -> dict[str, Any]:
    """The request body of an operation: a safetensors file and nothing else."""
    binary = {"type": "string", "contentMediaType": SAFETENSORS, "description": description}
    return {"requestBody": {"required": True, "content": {media: {"schema": binary} for media in (SAFETENSORS, BYTES)}}}


def takes_archive(description: str) -> dict[str, Any]:
    """The request body of an operation: an exported version and nothing else."""
    binary = {"type": "string", "contentMediaType": ZIP, "description": description}
    return {"requestBody": {"required": True, "content": {media: {"schema": binary} for media in (ZIP, BYTES)}}}


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
        _say_who_may(made)
        tidy_parameters(made)
        link(made)
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


def _say_who_may(made: dict[str, Any]) -> None:
    """Each operation names the scopes of which a key has to have one; probes ask for no key."""
    made["components"]["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "From the first key on, every request but the probes needs one. Before, nobody is "
            "asked, and the service listens on loopback only.",
        }
    }
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            scopes = sorted(need_of(method.upper(), path).scopes)
            operation["security"] = [{"key": [scope]} for scope in scopes]


def _binary(encoding: Encoding, tensors: str) -> dict[str, Any]:
    match encoding:
        case Encoding.NPY:
            says = "The array x, as numpy.save writes it."
        case Encoding.NPZ:
            says = f"The arrays {tensors}, as numpy.savez writes them."
        case Encoding.RAW:
            says = f"JSON that describes the tensors {tensors}, then their bytes, one behind the other."
        case Encoding.PNG | Encoding.JPEG:
            says = "One image, of the height and width that the model declares."
        case _:
            says = f"The tensors {tensors}."
    return {"type": "string", "contentMediaType": encoding, "description": says}


def _form(body: type[BaseModel]) -> dict[str, Any]:
    """Images, and where the body has more than inputs and a way, its other fields as JSON lists."""
    images = {"type": "string", "contentMediaType": "image/*"}
    fields = {
        name: {"type": "string", "contentMediaType": JSON, "description": field.description}
        for name, field in body.model_fields.items()
        if name in {"labels", "weights"}
    }
    required = ["images", *(name for name in fields if body.model_fields[name].is_required())]
    properties = {"images": {"type": "array", "items": images}, **fields}
    return {"type": "object", "properties": properties, "required": required}


def _examples(body: type[BaseModel]) -> dict[str, Any]:
    extra = body.model_config.get("json_schema_extra")
    assert isinstance(extra, dict)
    examples = extra["examples"]
    assert isinstance(examples, list)
    return {f"example {number}": {"value": value} for number, value in enumerate(examples, 1)}

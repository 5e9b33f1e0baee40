"""In which form a call tells of a problem: as RFC 9457 has it, or as the protocol that the call is part of has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, Field

from service.faults import DETAIL_MAX, FAULTS_MAX, shortened
from service.rejected import Rejected
from store.errors import Problem

TYPE_PREFIX = "urn:posterity:problem:"
CODE = "Posterity-Code"
"""The header with our code, where the body has no place for it."""
JSON = "application/json"
MEDIA_TYPE = "application/problem+json"


class FaultBody(BaseModel):
    where: str = Field(examples=["labels[7]"])
    message: str = Field(examples=["is 12, the model has classes 0 to 9"])


class ProblemBody(BaseModel):
    """What went wrong (RFC 9457). Programs branch on `code`, people read `detail`."""

    type: str = Field(description="`code` as a URI.", examples=[f"{TYPE_PREFIX}model-not-found"])
    title: str = Field(description="The kind of problem, the same text every time.", examples=["No such model"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What happened, to which thing, and what to do next.")
    instance: str = Field(description="The path that was asked.", examples=["/v1/models/digits"])
    code: str = Field(description="Stable name of the kind of problem.", examples=["model-not-found"])
    errors: list[FaultBody] | None = Field(
        None, description=f"What is wrong where, of at most {FAULTS_MAX} things; `detail` counts the others."
    )


class InferenceErrorBody(BaseModel):
    """What went wrong, as the Open Inference Protocol has it. Programs branch on the header `Posterity-Code`."""

    error: str = Field(description="What happened, to which thing, and what to do next.")


class InvocationErrorBody(BaseModel):
    """What went wrong, as MLflow's scoring server has it. The header `Posterity-Code` says it more exactly."""

    error_code: str = Field(description="One of MLflow's names.", examples=["RESOURCE_DOES_NOT_EXIST"])
    message: str = Field(description="What happened, to which thing, and what to do next.")


class Form(ABC):
    """One form of bodies, which has this media type and this schema."""

    media_type: ClassVar[str] = JSON
    schema: ClassVar[type[BaseModel]]

    @abstractmethod
    def body(self, problem: Problem, instance: str) -> dict[str, object]:
        """The problem, met at this path."""

    @abstractmethod
    def example(self, kind: type[Problem]) -> dict[str, object]:
        """What such problems look like, for the OpenAPI document."""

    def headers(self, code: str) -> dict[str, str]:
        """Those that say what the body does not."""
        return {CODE: code}


class AsProblem(Form):
    """RFC 9457."""

    media_type = MEDIA_TYPE
    schema = ProblemBody

    def body(self, problem: Problem, instance: str) -> dict[str, object]:
        body = _problem(type(problem), _detail(problem), instance)
        if isinstance(problem, Rejected) and problem.faults:
            body["errors"] = [{"where": fault.where, "message": fault.message} for fault in problem.faults]
        return body

    def example(self, kind: type[Problem]) -> dict[str, object]:
        return _problem(kind, kind.message, "/v1/…")

    def headers(self, code: str) -> dict[str, str]:  # noqa: ARG002 - The body has it.
        return {}


class AsInferenceError(Form):
    """The Open Inference Protocol: `{"error": "…"}`."""

    schema = InferenceErrorBody

    def body(self, problem: Problem, instance: str) -> dict[str, object]:  # noqa: ARG002 - It has no place there.
        return {"error": _detail(problem)}

    def example(self, kind: type[Problem]) -> dict[str, object]:
        return {"error": kind.message}


class AsInvocationError(Form):
    """MLflow's scoring server: `{"error_code": "…", "message": "…"}`."""

    schema = InvocationErrorBody

    def body(self, problem: Problem, instance: str) -> dict[str, object]:  # noqa: ARG002 - It has no place there.
        return {"error_code": _named_by_mlflow(type(problem)), "message": _detail(problem)}

    def example(self, kind: type[Problem]) -> dict[str, object]:
        return {"error_code": _named_by_mlflow(kind), "message": kind.message}


AS_PROBLEM, AS_INFERENCE_ERROR, AS_INVOCATION_ERROR = AsProblem(), AsInferenceError(), AsInvocationError()

OF_MLFLOW = frozenset({"/invocations", "/ping", "/health", "/version"})
MLFLOW_NAMES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    422: "INVALID_PARAMETER_VALUE",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}
"""By status; of others it is BAD_REQUEST or INTERNAL_ERROR."""


def form_at(path: str) -> Form:
    """The form in which calls at this path tell of problems, also where nothing is there."""
    if path.startswith("/v2") and path[3:4] in {"", "/"}:
        return AS_INFERENCE_ERROR
    return AS_INVOCATION_ERROR if path in OF_MLFLOW else AS_PROBLEM


def _detail(problem: Problem) -> str:
    return shortened(str(problem), DETAIL_MAX)


def _problem(kind: type[Problem], detail: str, instance: str) -> dict[str, object]:
    return {
        "type": f"{TYPE_PREFIX}{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": instance,
        "code": kind.code,
    }


def _named_by_mlflow(kind: type[Problem]) -> str:
    return MLFLOW_NAMES.get(kind.status, "INTERNAL_ERROR" if kind.status >= 500 else "BAD_REQUEST")

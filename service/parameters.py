"""What FastAPI writes of parameters that is not so, put right in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from service.requests import JSON, KEY_HEADER

Json = dict[str, Any]


def tidy_parameters(made: Json) -> None:
    """The parameters of every call are what the service takes: none is null, and one that must be there says so."""
    for path in made["paths"].values():
        for call in path.values():
            for parameter in call.get("parameters", ()):
                _tidy(parameter, needs_key=call["operationId"] == "post_batch")


def _tidy(parameter: Json, *, needs_key: bool) -> None:
    schema = parameter["schema"]
    if "anyOf" in schema:
        # `X | None` says that it may be absent, for which there is `required`; nothing in a URL or a header is null.
        [stated] = [option for option in schema.pop("anyOf") if option != {"type": "null"}]
        parameter["schema"] = stated | schema
    if parameter["name"] == KEY_HEADER and needs_key:
        # FastAPI would refuse a batch without a key in words of its own, so to it the key may be absent.
        parameter["required"] = True
    if schema.get("contentMediaType") == JSON:
        examples = {"example": schema["examples"][0]} if "examples" in schema else {}
        parameter["content"] = {JSON: {"schema": {"type": "array"}, **examples}}
        del parameter["schema"]

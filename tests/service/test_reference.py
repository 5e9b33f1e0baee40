"""The pages that are made from the service are as it is; `make docs` writes them anew."""

from __future__ import annotations

import json
import re

import pytest

from service.advice import ADVICE, BEFORE_ANY_CALL, OF_WORKERS
from service.reference import DOCS, PAGES, RENEW, calls_by_code
from tests.service.expected import all_problems

OPENAPI = json.loads((DOCS / "openapi.json").read_text())
ERRORS = (DOCS / "errors.md").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_the_service_would_write_now(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), f"docs/{name} is of an older service. {RENEW}"


def test_the_catalogue_has_every_code_with_its_status_and_meaning() -> None:
    listed = re.findall(r"^\| \[`([a-z-]+)`\]\(#\1\) \| (\d{3}) \| (.+?) \|$", ERRORS, flags=re.MULTILINE)

    assert listed == [(kind.code, str(kind.status), kind.title) for kind in all_problems()]
    assert re.findall(r"^## `([a-z-]+)`$", ERRORS, flags=re.MULTILINE) == [code for code, _, _ in listed]


def test_every_problem_has_advice_and_no_advice_is_of_none() -> None:
    assert set(ADVICE) == {kind.code for kind in all_problems()}


def test_what_no_call_declares_is_said_where_it_is_met() -> None:
    undeclared = {kind.code for kind in all_problems()} - calls_by_code(OPENAPI).keys()

    assert undeclared == BEFORE_ANY_CALL | OF_WORKERS.keys()


def test_the_committed_document_is_openapi_of_which_every_example_and_reference_is_whole() -> None:
    text = json.dumps(OPENAPI)
    schemas = OPENAPI["components"]["schemas"]

    assert OPENAPI["openapi"].startswith("3.1")
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= schemas.keys()
    assert not [name for name, schema in schemas.items() if isinstance(schema.get("default"), dict)]


def test_bytes_are_declared_as_bytes() -> None:
    """So that generated clients send and give bytes: as 3.1 says it (contentMediaType), and as 3.0 did (format)."""
    found = [
        content["schema"]
        for operations in OPENAPI["paths"].values()
        for operation in operations.values()
        for place in (operation.get("requestBody", {}), *operation["responses"].values())
        for media, content in place.get("content", {}).items()
        if media.startswith(("image/", "application/x-", "application/zip", "application/octet-stream"))
    ]

    assert len(found) > 20
    assert all(schema["format"] == "binary" and "/" in schema["contentMediaType"] for schema in found)

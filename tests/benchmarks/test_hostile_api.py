"""The service under a few hundred requests of Schemathesis, on each engine; and that what is wrong would be counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis import Case, GenerationMode, HookContext
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import (
    CaseMetadata,
    ComponentInfo,
    CoveragePhaseData,
    CoverageScenario,
    GenerationInfo,
    PhaseInfo,
    TestPhase,
)

from benchmarks import hostile_api
from benchmarks.hostile import hooks
from benchmarks.hostile.counts import Counts
from benchmarks.hostile.reasons import REASONS
from benchmarks.hostile.run import attack
from benchmarks.live.processes import service
from store.errors import Problem
from tests.service.expected import all_problems

CASES, EXAMPLES = 300, 6
PHASES = {"sqlite": ("examples", "coverage"), "postgresql": ("examples", "fuzzing", "stateful")}
"""Every phase on one of the two: a run of all is a minute for each engine, and `make hostile` makes it."""
DOCUMENT: dict[str, Any] = {"paths": {"/v1/models": {"get": {"responses": {"200": {}}}}}}


def test_no_request_fails_the_service_or_is_answered_otherwise_than_the_document_says(
    database_url: str, tmp_path: Path
) -> None:
    engine = database_url.partition(":")[0].partition("+")[0]
    headers = hostile_api.with_a_key(tmp_path / "data", database_url=database_url)
    with service(tmp_path / "data", workers=1, database_url=database_url, **hostile_api.SETTINGS) as server:
        counts = attack(
            server.url, tmp_path, cases=CASES, seed=1, examples=EXAMPLES, headers=headers, phases=PHASES[engine]
        )

    assert not counts.failures
    assert not counts.undocumented
    assert counts.server_errors == 0
    assert counts.cases >= CASES
    assert set(PHASES[engine]) <= set(counts.phases)
    calls = {f"{method.upper()} {path}" for path, of in counts.document["paths"].items() for method in of}
    # Nobody asks for the stream of events: its answer has no end.
    assert calls - {"GET /v1/models/{model}/events"} <= counts.statuses.keys()
    assert {"not_a_server_error", "status_code_conformance", "refused_for_a_reason", "is_a_problem"} <= set(
        counts.checks
    )
    assert all(set(of) == {"success"} for of in counts.checks.values())


def test_every_code_with_a_reason_is_one_of_the_service() -> None:
    codes: dict[str, type[Problem]] = {kind.code: kind for kind in all_problems()}

    assert REASONS.keys() <= codes.keys()
    assert all(codes[code].status < 500 for code in REASONS)


def event(status: int, *, check: str = "success", method: str = "GET") -> str:
    answer = {"status_code": status, "content": json.dumps({"code": "any"})}
    recorder = {
        "label": "GET /v1/models",
        "cases": {"a": {"value": {"method": method, "path": "/v1/models"}}},
        "interactions": {"a": {"response": answer}},
        "checks": {"a": [{"name": "some_check", "status": check}]},
    }
    return json.dumps({"ScenarioFinished": {"phase": "fuzzing", "recorder": recorder}})


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (event(200), (0, 0, 0)),
        (event(500), (1, 1, 0)),
        (event(418), (0, 1, 0)),
        (event(405, method="TRACE"), (0, 0, 0)),
        (event(200, method="TRACE"), (0, 1, 0)),
        (event(200, check="failure"), (0, 0, 1)),
        (json.dumps({"NonFatalError": {"label": "any"}}), (0, 0, 1)),
    ],
    ids=["right", "500", "undocumented", "no method", "a method that should not be", "failed check", "no run"],
)
def test_what_is_wrong_is_counted(line: str, wrong: tuple[int, int, int], tmp_path: Path) -> None:
    (tmp_path / "events").write_text(f"{line}\n")
    counts = Counts(DOCUMENT)

    counts.read(tmp_path / "events")

    assert (counts.server_errors, counts.undocumented.total(), len(counts.failures)) == wrong
    [claim] = hostile_api.claims({"database": "sqlite", **counts.figures()})
    assert claim.holds == (wrong == (0, 0, 0))


def case_with(headers: dict[str, str], *, wrong: set[ParameterLocation]) -> Case[Any]:
    """A call that knows one header, which is a number, with parts that Schemathesis means to be wrong."""
    length = {"name": "Length", "in": "header", "schema": {"type": "integer"}}
    calls = {"/rows": {"post": {"parameters": [length], "responses": {"200": {"description": "Read."}}}}}
    document = {"openapi": "3.1.0", "info": {"title": "Rows", "version": "1"}, "paths": calls}
    data = CoveragePhaseData(
        CoverageScenario.OBJECT_UNEXPECTED_PROPERTIES, "", location=None, parameter=None, parameter_location=None
    )
    modes = {part: ComponentInfo(GenerationMode.NEGATIVE) for part in wrong}
    meta = CaseMetadata(GenerationInfo(0.0, GenerationMode.NEGATIVE), modes, PhaseInfo(TestPhase.COVERAGE, data))
    return schemathesis.openapi.from_dict(document)["/rows"]["POST"].Case(headers=headers, _meta=meta)


HEADER, QUERY = ParameterLocation.HEADER, ParameterLocation.QUERY


@pytest.mark.parametrize(
    ("headers", "wrong", "is_valid"),
    [
        ({"X-Other": "42"}, {HEADER}, True),
        ({"X-Other": "42", "length": "7"}, {HEADER}, True),
        ({"X-Other": "42", "length": "x"}, {HEADER}, False),
        ({"X-Other": "42", "length": "7"}, {HEADER, QUERY}, False),
        ({"length": "7"}, {HEADER}, False),
    ],
)
def test_headers_that_the_document_does_not_know_make_no_request_wrong_and_none_right(
    headers: dict[str, str], wrong: set[ParameterLocation], is_valid: bool
) -> None:
    case = case_with(headers, wrong=wrong)

    hooks.before_call(HookContext(operation=case.operation), case, {})

    assert case.meta is not None
    assert case.meta.generation.mode.is_positive == is_valid
    assert dict(case.headers) == headers

"""One trace leads from the request that posted a batch to the version that learned from it, through real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from store.engine import connect
from store.migrate import upgrade
from store.settings import Settings
from store.tracing import OFF, open_tracing
from tests.postgres import PostgresServer
from tests.service.live import INPUTS, ROWS, TINY, Json, running
from tests.service.otlp import Collector, Span, collecting
from tests.service.test_logged import process

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
UNSAMPLED = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-00"
PARTS = {"claim", "read", "score", "absorb", "gate", "publish"}
POST = "POST /v1/models/{model}/batches"
QUICK = {"Idempotency-Key": "quick", "Content-Type": "application/json"}


class Traced:
    """A real service with a real worker, whose traces a real collector takes, and their logs."""

    def __init__(self, collector: Collector, client: httpx.Client, log: Path) -> None:
        self.collector, self.client, self.log = collector, client, log

    def model(self, name: str, rows: int) -> str:
        chunk = {"chunk": {"rows": rows, "seconds": None}}
        self.client.post("/v1/models", json=TINY | chunk | {"name": name}).raise_for_status()
        return f"/v1/models/{name}"

    def post(self, model: str, key: str, **headers: str) -> None:
        said = {"Idempotency-Key": key} | headers
        self.client.post(f"{model}/batches", json=ROWS, headers=said).raise_for_status()

    def updates(self, model: str, count: int = 1) -> list[Span]:
        """The spans of the model's updates, as soon as there are so many."""
        name = model.rpartition("/")[2]

        def found(spans: list[Span]) -> list[Span] | None:
            mine = [one for one in spans if one.name == "update" and one.facts["posterity.model"] == name]
            return mine if len(mine) >= count else None

        return list(self.collector.wait_for(found))

    def posts(self, model: str, count: int) -> list[Span]:
        path = f"{model}/batches"

        def found(spans: list[Span]) -> list[Span] | None:
            mine = [one for one in spans if one.facts.get("url.path") == path and one.name == POST]
            return mine if len(mine) >= count else None

        return list(self.collector.wait_for(found))

    def lines(self) -> list[Json]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    settings = {"LOG_FORMAT": "json"}
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        settings["DATABASE_URL"] = server.create_database()
        upgrade(engine := connect(settings["DATABASE_URL"]))
        engine.dispose()
    with pytest.MonkeyPatch.context() as patch, collecting() as collector:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        settings["OTLP_ENDPOINT"] = f"{collector.url}/"
        with process(folder, **settings) as (client, log):
            yield Traced(collector, client, log)


@pytest.mark.parametrize("way", ["shortcut", "router"])
def test_one_trace_leads_from_the_clients_span_to_the_version(traced: Traced, way: str) -> None:
    model = traced.model(f"one-{way}", 2)
    others = {} if way == "shortcut" else {"X-Other": "the shortcut does not know this header"}

    traced.post(model, "first", traceparent=TRACEPARENT, **others)

    [update] = traced.updates(model)
    [posted] = traced.posts(model, 1)
    assert (posted.process, posted.trace, posted.parent) == ("posterity-service", TRACE, CALLER)
    assert posted.facts["http.route"] == "/v1/models/{model}/batches"
    assert posted.facts["http.response.status_code"] == 202
    assert (update.process, update.trace, update.parent) == ("posterity-worker", TRACE, posted.id)
    assert update.facts["posterity.outcome"] == "published"
    parts = {one.name: one for one in traced.collector.spans if one.parent == update.id}
    assert parts.keys() == PARTS
    assert {one.trace for one in parts.values()} == {TRACE}
    assert parts["absorb"].facts["posterity.rows"] == 2
    version = traced.client.get(f"{model}/versions/1").json()
    assert parts["publish"].facts == {"posterity.version": 1}
    assert parts["absorb"].facts["posterity.steps"] == version["report"]["steps"]
    assert parts["absorb"].facts["posterity.kl_nats"] == version["kl_nats"]
    assert parts["absorb"].facts["posterity.elbo"] == version["report"]["elbo"]["elbo"]
    assert posted.began <= update.began <= parts["claim"].began <= parts["read"].began < parts["publish"].ended


def test_an_update_of_several_traces_is_linked_to_the_request_of_each_batch(traced: Traced) -> None:
    model = traced.model("several", 6)

    for key in ("first", "second", "third"):
        traced.post(model, key)

    [update] = traced.updates(model)
    posted = traced.posts(model, 3)
    assert len({one.trace for one in posted}) == 3
    assert update.trace not in {one.trace for one in posted}
    assert update.parent == ""
    assert sorted(update.links) == sorted((one.trace, one.id) for one in posted)


def test_batches_of_one_trace_are_learned_in_that_trace(traced: Traced) -> None:
    model = traced.model("together", 4)

    for key in ("first", "second"):
        traced.post(model, key, traceparent=TRACEPARENT)

    [update] = traced.updates(model)
    first, second = sorted(traced.posts(model, 2), key=lambda one: one.began)
    assert (update.trace, update.parent, update.links) == (TRACE, first.id, [(TRACE, second.id)])


def test_what_the_caller_does_not_want_traced_is_not(traced: Traced) -> None:
    quiet, loud = traced.model("quiet", 2), traced.model("loud", 2)

    traced.post(quiet, "first", traceparent=UNSAMPLED)
    traced.post(loud, "first")

    traced.updates(loud)
    assert not [one for one in traced.collector.spans if one.facts.get("posterity.model") == "quiet"]
    assert UNSAMPLED[3:35] not in {one.trace for one in traced.collector.spans}


def test_predictions_are_named_after_their_call_and_probes_are_not_traced(traced: Traced) -> None:
    model = traced.model("asked", 100)
    # The first one finds the model, which the shortcut then knows.
    for _ in range(2):
        traced.client.post(f"{model}/predictions", json=INPUTS).raise_for_status()
    traced.client.get(f"{model}/predictions", params={"inputs": "[[31337.5,1]]"}).raise_for_status()
    for path in ("/livez", "/readyz", "/metrics"):
        traced.client.get(path).raise_for_status()
    traced.client.get("/nowhere/at/all")

    def found(spans: list[Span]) -> list[str] | None:
        names = [one.name for one in spans if one.facts.get("url.path", "").startswith((model, "/nowhere"))]
        return names if len(names) == 4 else None

    names = traced.collector.wait_for(found)
    call = "/v1/models/{model}/predictions"
    assert sorted(names) == ["GET", f"GET {call}", f"POST {call}", f"POST {call}"]
    paths = {one.facts.get("url.path") for one in traced.collector.spans}
    assert not paths & {"/livez", "/readyz", "/metrics"}


def test_a_trace_holds_nothing_of_a_query_and_no_key(traced: Traced) -> None:
    model, key = traced.model("discreet", 100), f"posterity_{'m4rk3d_' * 6}A"

    traced.client.get(f"{model}/predictions", params={"inputs": "[[31337.5,1]]"})
    traced.client.get(f"/v1/models/{key}")

    traced.collector.wait_for(lambda spans: [one for one in spans if "posterity_***" in one.facts.get("url.path", "")])
    sent = b"".join(traced.collector.bodies)
    assert b"31337" not in sent
    assert b"m4rk3d_m4rk3d" not in sent


def test_lines_of_the_log_bear_the_trace_of_their_request_and_of_their_update(traced: Traced) -> None:
    model = traced.model("logged", 2)

    traced.post(model, "first", traceparent=TRACEPARENT)

    [update] = traced.updates(model)
    [posted] = traced.posts(model, 1)
    lines = traced.lines()
    [answered] = [line for line in lines if line.get("path") == f"{model}/batches"]
    assert (answered["trace_id"], answered["span_id"]) == (TRACE, posted.id)
    [published] = [line for line in lines if line["event"].startswith("Published") and line["model"] == "logged"]
    assert (published["trace_id"], published["update"], published["version"]) == (TRACE, 1, 1)
    assert published["span_id"] == update.id
    assert 0 < published["seconds"] < 60


def test_a_failed_attempt_is_told_as_one_without_the_words_of_its_error(traced: Traced) -> None:
    description = TINY | {"chunk": {"rows": 2, "seconds": None}, "recipe": {"epochs": 50, "lr": 1e30}}
    traced.client.post("/v1/models", json=description | {"name": "fails"}).raise_for_status()

    traced.post("/v1/models/fails", "first")

    [update] = traced.updates("/v1/models/fails")
    assert update.facts["posterity.outcome"] == "failed"
    [absorb] = [one for one in traced.collector.spans if one.parent == update.id and one.name == "absorb"]
    assert absorb.is_error
    assert absorb.facts["error.type"] == "UpdateDiverged"


def test_nothing_is_traced_and_no_sdk_imported_where_nobody_takes_it(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "POSTERITY_"))}
    program = (
        "import sys; from service.app import create_app; from store.settings import Settings; import worker.__main__;"
        "app = create_app(Settings()); app.state.house.close();"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=clean,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("variables", "is_on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_variables_of_opentelemetry_say_where_traces_go(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, is_on: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    tracing = open_tracing(Settings(), "service")

    assert (tracing is not OFF) == is_on
    tracing.close()


@pytest.mark.parametrize("endpoint", ["ftp://somewhere", "127.0.0.1:4318", "http://", "http://a/?x=1"])
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="traces go to"):
        Settings(otlp_endpoint=endpoint)


def test_a_collector_that_is_not_there_costs_the_service_its_last_seconds_and_nothing_else(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"otlp_endpoint": "http://127.0.0.1:9"}

    with running(tmp_path, **settings) as live:
        model = live.create()
        live.post_rows(model)
        answer = live.client.post(f"{model}/predictions", json=INPUTS)
        assert answer.status_code == 200
        stopped_at = time.monotonic()

    assert time.monotonic() - stopped_at < 20

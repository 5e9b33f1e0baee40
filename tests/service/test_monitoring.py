"""A real Prometheus scrapes a real service and its worker, and every query of the dashboard has an answer."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from tests.service.keyed import bearer
from tests.service.live import Json
from tests.service.prometheus import Prometheus, free_port, program, scraping, until
from tests.service.test_logged import process

Array = np.ndarray[Any, Any]

MONITORING = Path(__file__).parents[2] / "monitoring"
DASHBOARD: Json = json.loads((MONITORING / "grafana-dashboard.json").read_text())
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
NAME = re.compile(r"\b(?:posterity|process)_[a-z_]+")
OF_GPUS = {
    *(f"posterity_worker_gpu_{what}_bytes" for what in ("allocated", "peak", "free")),
    "posterity_gpu_allocated_bytes",
    "posterity_update_gpu_peak_bytes",
}
"""Without a GPU these have no values."""

BATCHES, ROWS, PREDICTIONS = 6, 40, 20
ANSWERED = 'posterity_requests_total{route="/v1/models/{model}/predictions", status="200"}'

MODEL: Json = {
    "net": {"kind": "mlp", "hidden": [8]},
    "input": {"shape": [2]},
    "recipe": {"epochs": 20},
    "chunk": {"rows": 40, "seconds": None},
}
CLASSES = MODEL | {"output": {"kind": "categorical", "classes": 2}, "surprise": {"park": True}}
NUMBERS = MODEL | {"output": {"kind": "gaussian", "dims": 1, "noise": 0.5}}


def queries() -> list[tuple[str, str]]:
    """Every query of the dashboard, as Grafana asks it of all models and of the last seconds."""
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "20s").replace("$model", ".*"))
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    ]


@dataclass
class Monitored:
    """A service in which much has happened, its worker's port, and the Prometheus that has seen it."""

    client: httpx.Client
    worker_port: int
    prometheus: Prometheus

    def texts(self) -> dict[str, str]:
        """What the service and its worker tell."""
        of_worker = httpx.get(f"http://127.0.0.1:{self.worker_port}/metrics")
        return {"service": self.client.get("/metrics").text, "worker": of_worker.text}


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    folder, port = tmp_path_factory.mktemp("monitored"), free_port()
    with process(folder, WORKER_METRICS_PORT=str(port), LOG_LEVEL="info") as (client, _):
        client.headers.update(bearer(key_of(client, "ada", "admin")))
        key = key_of(client, "prometheus", "predict")
        # The first scrape of a process is slow for reasons that pass.
        until(lambda: is_up(port) and client.get("/metrics").is_success)
        beside = {"key": key, "alerts.yml": (MONITORING / "alerts.yml").read_text()}
        with scraping(folder, configuration(client, port), beside) as prometheus:
            demo(client, prometheus)
            yield Monitored(client, port, prometheus)


def configuration(client: httpx.Client, worker_port: int) -> str:
    """The file of the composition, with this service and its worker in the place of the containers."""
    read = YAML(typ="safe").load(MONITORING / "prometheus.yml")
    read["global"] = {"scrape_interval": "5s", "scrape_timeout": "5s", "evaluation_interval": "5s"}
    of_service, of_workers = read["scrape_configs"]
    of_service["static_configs"] = [{"targets": [f"{client.base_url.host}:{client.base_url.port}"]}]
    del of_workers["dns_sd_configs"]
    of_workers["static_configs"] = [{"targets": [f"127.0.0.1:{worker_port}"]}]
    return json.dumps(read)


def key_of(client: httpx.Client, name: str, scope: str) -> str:
    answer = client.post("/v1/keys", json={"name": name, "scopes": [scope]})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


def is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
    except httpx.TransportError:
        return False


def demo(client: httpx.Client, prometheus: Prometheus) -> None:
    """Models learn, predict and are rolled back; a batch surprises; a request is refused.

    Half way Prometheus has seen all until then, so that it sees everything grow.
    """
    draws = np.random.default_rng(0)
    for name, description in (("classes", CLASSES), ("numbers", NUMBERS)):
        client.post("/v1/models", json=description | {"name": name}).raise_for_status()
    for number in range(BATCHES):
        for name in ("classes", "numbers"):
            post(client, name, number, draws.integers(0, 2, ROWS), noise=draws.normal(size=(ROWS, 2)))
            until(partial(has_head, client, name, number + 1))
            for _ in range(PREDICTIONS):
                inputs = {"inputs": draws.normal(size=(1, 2)).tolist()}
                client.post(f"/v1/models/{name}/predictions", json=inputs).raise_for_status()
        if number == 0:
            assert client.get("/v1/models/none").status_code == 404
            prometheus.until(lambda: prometheus.now("sum(posterity_worker_attempts_total)") == [2])
            prometheus.until(lambda: prometheus.now(f"sum({ANSWERED})") == [2 * PREDICTIONS])
    labels = draws.integers(0, 2, ROWS)
    post(client, "classes", BATCHES, labels, noise=draws.normal(size=(ROWS, 2)), told=1 - labels)
    until(lambda: client.get("/v1/models/classes/parked").json()["parked"])
    client.post("/v1/models/numbers/rollback", json={"to": 2, "reason": "to see it"}).raise_for_status()
    assert client.get("/v1/models/none").status_code == 404


def post(
    client: httpx.Client, name: str, number: int, labels: Array, *, noise: Array, told: Array | None = None
) -> None:
    """Rows around (-1, -1) and (1, 1), under these labels or, where others are told, under those."""
    said = labels if told is None else told
    rows = {"inputs": (noise * 0.3 + 2 * labels[:, None] - 1).tolist()}
    rows["labels"] = said.tolist() if name == "classes" else said[:, None].astype(float).tolist()
    answer = client.post(f"/v1/models/{name}/batches", json=rows, headers={"Idempotency-Key": f"batch-{number}"})
    assert answer.status_code == 202, answer.text


def has_head(client: httpx.Client, name: str, version: int) -> bool:
    return bool(client.get(f"/v1/models/{name}").json()["head"] == version)


def test_both_targets_are_up_and_prometheus_has_nothing_to_complain_of(monitored: Monitored) -> None:
    prometheus = monitored.prometheus
    prometheus.until(lambda: prometheus.now("up") == [1.0, 1.0])

    targets = prometheus.ask("targets")["activeTargets"]

    assert {one["labels"]["job"] for one in targets} == {"posterity", "posterity-workers"}
    assert [(one["health"], one["lastError"]) for one in targets] == [("up", "")] * 2
    assert min(prometheus.values("up")) == 1.0
    assert prometheus.complaints() == []
    assert [rule["health"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]] == ["ok"] * 9


@pytest.mark.parametrize(("panel", "query"), queries())
def test_every_query_of_the_dashboard_has_an_answer(monitored: Monitored, panel: str, query: str) -> None:
    assert_answered(monitored.prometheus, query)


def assert_answered(prometheus: Prometheus, query: str) -> None:
    if set(NAME.findall(query)) & OF_GPUS and not torch.cuda.is_available():
        assert prometheus.values(query) == []
    else:
        prometheus.until(lambda: any(math.isfinite(value) for value in prometheus.values(query)))


def test_what_prometheus_has_is_what_has_happened(monitored: Monitored) -> None:
    now = monitored.prometheus.now
    expected = {
        'posterity_head_version{model="classes"}': [6],
        'posterity_head_version{model="numbers"}': [2],
        'posterity_head_moves_total{model="numbers"}': [8],
        'posterity_parked_batches{model="classes"}': [1],
        'posterity_surprising_batches{model="numbers"}': [0],
        'posterity_pending_rows{model="classes"}': [0],
        f"sum({ANSWERED})": [2 * BATCHES * PREDICTIONS],
        "posterity_batch_rows_sum": [13 * ROWS],
        'posterity_worker_attempts_total{outcome="published"}': [12],
        'posterity_worker_attempts_total{outcome="parked"}': [1],
        "posterity_worker_update_seconds_count": [13],
    }

    monitored.prometheus.until(lambda: {query: now(query) for query in expected} == expected)
    steps = sum(monitored.prometheus.now("posterity_worker_steps_total"))
    reports = [
        monitored.client.get(f"/v1/models/{name}/versions/{version}").json()["report"]
        for name in ("classes", "numbers")
        for version in range(1, 7)
    ]
    assert steps == sum(report["steps"] for report in reports)


@pytest.mark.parametrize("told_by", ["service", "worker"])
def test_promtool_finds_no_fault_in_what_is_told(monitored: Monitored, told_by: str) -> None:
    text = monitored.texts()[told_by]

    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert text.count("# HELP") == text.count("# TYPE") > 10


@pytest.mark.parametrize("told_by", ["service", "worker"])
def test_memory_of_gpus_is_told_where_there_is_one(monitored: Monitored, told_by: str) -> None:
    told = {line.split("{")[0].split()[0] for line in monitored.texts()[told_by].splitlines() if line[0] != "#"}

    assert bool(told & OF_GPUS) == torch.cuda.is_available()


def test_promtool_finds_no_fault_in_the_configuration_and_the_rules(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "alerts.yml"):
        (tmp_path / name).write_text((MONITORING / name).read_text())
    (tmp_path / "key").write_text("a key")

    for what, name in (("config", "prometheus.yml"), ("rules", "alerts.yml")):
        done = subprocess.run(
            [program("promtool"), "check", what, str(tmp_path / name)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_dashboard_and_alerts_ask_for_metrics_that_there_are(monitored: Monitored) -> None:
    there = set(NAME.findall(" ".join(line for text in monitored.texts().values() for line in text.splitlines())))
    alerts = YAML(typ="safe").load(MONITORING / "alerts.yml")["groups"][0]["rules"]
    variable = DASHBOARD["templating"]["list"][1]["definition"]

    for query in [*(query for _, query in queries()), *(rule["expr"] for rule in alerts), variable]:
        assert set(NAME.findall(query)) <= there, query


def test_the_dashboard_takes_its_source_from_a_variable_and_has_no_identity_of_its_own() -> None:
    def sources(node: object) -> Iterator[object]:
        if isinstance(node, dict):
            if "datasource" in node:
                yield node["datasource"]
            node = list(node.values())
        if isinstance(node, list):
            for one in node:
                yield from sources(one)

    found = list(sources(DASHBOARD))

    assert len(found) > len(DASHBOARD["panels"])
    assert all(one == SOURCE for one in found)
    assert not {"uid", "id"} & DASHBOARD.keys()
    assert (
        DASHBOARD["templating"]["list"][0] | {"type": "datasource", "query": "prometheus", "name": "datasource"}
        == (DASHBOARD["templating"]["list"][0])
    )
    assert DASHBOARD["schemaVersion"] >= 39


def test_the_panels_have_numbers_titles_and_places_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    places = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24

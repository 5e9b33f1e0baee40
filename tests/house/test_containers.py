"""What the container files promise, read from the files: no engine is needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from client.cli import app
from store.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = YAML(typ="safe").load(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "service", "worker", "worker-gpu")
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
PACKAGING = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions(name: str) -> list[str]:
    """The arguments of every such instruction, in the order of the file."""
    return re.findall(rf"^{name}\s+(.*)$", DOCKERFILE, flags=re.MULTILINE)


def variables_of_the_image() -> dict[str, str]:
    return dict(re.findall(r"(POSTERITY_\w+)=(\S+)", " ".join(instructions("ENV"))))


@pytest.mark.parametrize("name", ["service", "worker", "worker-gpu"])
def test_service_and_workers_start_after_the_migrations_and_these_after_a_healthy_database(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["postgres"]["healthcheck"]["test"][0] == "CMD"


def test_service_worker_and_migrations_share_one_image_and_the_blobs() -> None:
    shared = [(SERVICES[name]["image"], SERVICES[name]["build"], SERVICES[name]["volumes"]) for name in OURS]

    assert shared == [("posterity", ".", ["blobs:/data"])] * len(OURS)
    assert variables_of_the_image()["POSTERITY_DATA_DIR"] == "/data"


@pytest.mark.parametrize(
    ("name", "module"),
    [("migrate", "store"), ("service", "service"), ("worker", "worker"), ("worker-gpu", "worker")],
)
def test_every_container_becomes_the_process_that_it_is_named_after(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def execv(_program: str, words: list[str]) -> NoReturn:
        started.append(words)
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", execv)
    command = [str(word) for word in SERVICES[name]["command"]]

    done = CliRunner().invoke(app, command)

    assert (done.exit_code, done.output) == (0, "")
    assert [words[1:3] for words in started] == [["-m", module]]
    assert set(command[1:]) <= set(started[0])


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_the_containers_is_a_setting_with_a_value_that_it_takes(name: str) -> None:
    variables = variables_of_the_image() | SERVICES[name]["environment"]
    given = {key.removeprefix("POSTERITY_").lower(): value for key, value in variables.items()}

    settings = Settings(**given)

    assert set(given) <= set(Settings.model_fields)
    assert not settings.is_embedded
    assert str(settings.blob_folder) == "/data/blobs"


def test_the_password_is_asked_for_and_never_written_here() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{POSTGRES_PASSWORD(.)(.)", text)

    assert used == [(":", "?")] * 2
    assert SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")


def test_only_this_host_reaches_the_service_and_nobody_the_database() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}

    on_loopback = {"service": 8000, "prometheus": 9090, "grafana": 3000}
    for name, port in on_loopback.items():
        assert published.pop(name) == [f"127.0.0.1:{port}:{port}"]
    assert not any(published.values())


def test_workers_can_be_multiplied_and_one_kind_reserves_a_gpu_only_when_asked() -> None:
    reserved = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]

    assert reserved == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert [name for name, service in SERVICES.items() if "profiles" in service] == [
        "worker-gpu",
        "prometheus",
        "grafana",
    ]
    assert not any("container_name" in service for service in SERVICES.values())


def test_what_watches_is_there_only_when_asked_for_and_reads_files_that_are_there() -> None:
    for name in ("prometheus", "grafana"):
        assert SERVICES[name]["profiles"] == ["monitoring"]
        here = [volume.split(":")[0] for volume in SERVICES[name]["volumes"] if volume.startswith("./")]
        assert here
        assert all((ROOT / path).exists() for path in here)
    jobs = YAML(typ="safe").load(ROOT / "monitoring" / "prometheus.yml")["scrape_configs"]
    assert jobs[0]["static_configs"] == [{"targets": ["service:8000"]}]
    of_workers = jobs[1]["dns_sd_configs"][0]
    assert of_workers["names"] == ["worker", "worker-gpu"]
    for name in of_workers["names"]:
        assert SERVICES[name]["environment"]["POSTERITY_WORKER_METRICS_PORT"] == of_workers["port"]


def test_everything_long_lived_restarts_and_has_time_to_drain() -> None:
    for name in set(SERVICES) - {"migrate"}:
        assert SERVICES[name]["restart"] == "unless-stopped"
        assert SERVICES[name]["stop_grace_period"] == "60s"


def test_the_image_runs_as_a_fixed_user_who_is_not_root_and_owns_the_data() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert "useradd --system --uid 10001 --gid posterity" in DOCKERFILE
    assert "install --directory --owner posterity --group posterity /data" in DOCKERFILE
    assert instructions("VOLUME") == ["/data"]


def test_the_image_is_built_on_a_python_that_the_project_supports() -> None:
    stages = instructions("FROM")
    minors = {re.fullmatch(r"python:3\.(\d+)-slim( AS build)?", stage) for stage in stages}

    assert len(stages) == 2
    assert None not in minors
    assert {int(found[1]) >= 11 for found in minors if found} == {True}


def test_the_image_holds_every_package_of_the_project_and_nothing_else_gets_in() -> None:
    packages = {name.rstrip("*") for name in PACKAGING["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = {words.split()[0] for words in instructions("COPY") if words.split()[0] in packages}
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignore if line.startswith("!")}

    assert copied == packages
    assert let_in == packages | {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"}
    assert "*" in ignore
    assert all((ROOT / name).exists() for name in let_in)


def test_the_image_starts_the_service_without_a_shell_between() -> None:
    assert [json.loads(words) for words in instructions("ENTRYPOINT")] == [["posterity"]]
    assert [json.loads(words) for words in instructions("CMD")] == [["serve", "--host", "0.0.0.0"]]  # noqa: S104
    assert instructions("STOPSIGNAL") == ["SIGTERM"]


@pytest.mark.parametrize(("status", "is_healthy"), [(200, True), (503, False)])
def test_the_health_check_asks_whether_the_service_is_ready(status: int, is_healthy: bool) -> None:
    words = re.search(r"CMD (\[.*\])$", instructions("HEALTHCHECK")[0])
    assert words is not None
    program, *arguments = json.loads(words[1])
    assert program == "python"

    with answering(status) as (port, paths):
        done = subprocess.run(
            [sys.executable, *arguments],
            env={"POSTERITY_PORT": str(port)},
            capture_output=True,
            check=False,
            timeout=60,
        )

    assert (done.returncode == 0) is is_healthy
    assert paths == ["/readyz"]


@contextmanager
def answering(status: int) -> Iterator[tuple[int, list[str]]]:
    """A server on a free port that gives every request this status; its port and the paths asked for."""
    paths: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, paths
        finally:
            server.shutdown()
            thread.join()

"""What a real process logs at its loudest: a line for each request, and nothing of what clients sent in any of them."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from tests.service.encoded import form, image_file
from tests.service.live import INPUTS, ROWS, TINY, Json
from tests.service.wire import answer_in, in_time

NUMBER = 31337.0625
"""An input that is nowhere else."""
WORD = "m4rk3d-w0rd"
KEY = f"posterity_{'m4rk3d_' * 6}A"
SECRETS = [str(NUMBER), "31337", WORD, "m4rk3d_m4rk3d"]
DATABASE_PASSWORD = "m4rk3d-p4ss"  # noqa: S105
LISTENS = "Posterity listens on "


@contextmanager
def process(folder: Path, **settings: str) -> Iterator[tuple[httpx.Client, Path]]:
    """A service with a worker, and where it logs."""
    said = {"DATA_DIR": str(folder), "PORT": "0", "WORKERS": "1", "LOG_LEVEL": "debug", "CHUNK": ""} | settings
    environment = os.environ | {f"POSTERITY_{name}": value for name, value in said.items() if value}
    log = folder / "log"
    with (
        log.open("w") as stream,
        subprocess.Popen(
            [sys.executable, "-m", "service"], env=environment, stdout=subprocess.PIPE, stderr=stream, text=True
        ) as service,
    ):
        try:
            assert service.stdout is not None
            url = service.stdout.readline().removeprefix(LISTENS).strip()
            with httpx.Client(base_url=url, timeout=60.0) as client:
                yield client, log
        finally:
            service.send_signal(signal.SIGTERM)
            assert service.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Json]]:
    """The log of a service on which everything was tried, and its lines."""
    folder = tmp_path_factory.mktemp("logged")
    with process(folder, LOG_FORMAT="json", PREDICT_SECONDS="0.5") as (client, log):
        client.post("/v1/models", json=TINY | {"name": "logged"}).raise_for_status()
        try_everything(client)
        damage(client, folder)
    text = log.read_text()
    return text, [json.loads(line) for line in text.splitlines()]


def try_everything(client: httpx.Client) -> None:
    """Marked inputs, labels, keys and headers, on ways that succeed and ways that fail."""
    model = "/v1/models/logged"
    rows = {"inputs": [[NUMBER, 1]], "labels": [0]}
    json_bodies: list[Any] = [
        *(rows, rows | {"labels": [NUMBER]}, rows | {"labels": [WORD]}, rows | {"labels": [31337]}, {WORD: [NUMBER]}),
        *({"inputs": [[NUMBER]]}, {"inputs": WORD}, {"inputs": [[WORD, NUMBER]]}, {"inputs": [[3e38, NUMBER]]}),
        *(
            rows | {"weights": [-NUMBER]},
            [WORD],
            WORD,
            NUMBER,
            {"inputs": {"b64": WORD, "dtype": "uint8", "shape": [1]}},
        ),
        *({"inputs": [[NUMBER, 1]], "samples": NUMBER}, {"inputs": [[NUMBER, 1]], "method": WORD}),
        *({"to": 31337, "reason": WORD}, {"version": 31337, "reason": WORD}, {"chunks": [31337]}, {"steps": WORD}),
        *(TINY | {"name": WORD, "net": {"kind": WORD}}, TINY | {"name": "logged", "prior": WORD}),
    ]
    key = {"Idempotency-Key": WORD, "Authorization": f"Bearer {WORD}", "Cookie": WORD, "X-Any": WORD}
    paths = ("/batches", "/predictions", "/predictions?method=mean", "/rollback", "/replays", "")
    bodies: list[tuple[bytes, str]] = [(json.dumps(body).encode(), "application/json") for body in json_bodies]
    bodies += [
        (json.dumps(rows).encode()[:-2], "application/json"),
        (b'{"inputs": [[31337.0625, ' + WORD.encode(), "application/json"),
        (save({"x": np.full((1, 2), NUMBER, np.float32), "y": np.array([31337])}), "application/x-safetensors"),
        (save({WORD: np.full((1, 2), NUMBER, np.float32)}), "application/x-safetensors"),
        (WORD.encode() * 100, "application/x-npz"),
        (npz(x=np.full((1, 2), NUMBER), y=np.array([WORD])), "application/x-npz"),
        (base64.b64encode(WORD.encode()), f"application/{WORD}"),
        (form([(WORD, WORD.encode()), ("labels", WORD.encode())])[0], f"multipart/form-data; boundary={WORD}"),
        (
            form([("images", image_file(np.zeros((2, 2), np.uint8))), ("labels", b"[31337]")])[0],
            "multipart/form-data; boundary=the-boundary",
        ),
    ]
    for body, kind in bodies:
        for path in paths:
            target = f"{model}{path}" if path else "/v1/models"
            client.post(target, content=body, headers=key | {"Content-Type": kind})
        client.put(f"{model}/aliases/head", content=body, headers=key | {"Content-Type": kind})
    for query in (
        f"inputs=[[{NUMBER}, 1]]",
        f"inputs=[[{NUMBER}]]",
        f"inputs={WORD}",
        f"{WORD}={NUMBER}",
        f"method={WORD}",
    ):
        client.get(f"{model}/predictions?{query}", headers=key)
    for path in (f"/v1/keys/{KEY}", f"/v1/models/{KEY}/predictions", f"/{'a' * 150}{KEY}"):
        client.delete(path, headers={"X-Request-Id": KEY})
    client.get(f"{model}/batches?cursor={WORD}", headers=key | {"If-Match": WORD})
    client.post(f"{model}/updates").raise_for_status()
    assert in_time(lambda: client.get(f"{model}/updates/1").json()["state"] == "published", seconds=60)
    half_a_body(client, model)


def npz(**arrays: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def half_a_body(client: httpx.Client, model: str) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as line:
        head = f"POST {model}/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        line.sendall(f"{head}Content-Length: 999\r\n\r\n{WORD}".encode())
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as line:
        line.sendall(f"{WORD} {NUMBER}\r\n\r\n".encode())
        assert answer_in(line.recv(65536)).status_code == 400


def damage(client: httpx.Client, folder: Path) -> None:
    """The service meets faults of its own, with marked requests in its hands."""
    with sqlite3.connect(folder / "ledger.sqlite", timeout=60) as ledger:
        ledger.execute("ALTER TABLE batches RENAME TO elsewhere")
    headers = {"Idempotency-Key": WORD}
    for body in (ROWS | {"inputs": [[NUMBER, 1], [2, 3]]}, INPUTS):
        client.post("/v1/models/logged/batches", json=body, headers=headers)
    client.post("/v1/models", json=TINY | {"name": "other"})


def test_nothing_that_a_client_sent_is_in_the_log(logged: tuple[str, list[Json]]) -> None:
    text, _ = logged

    assert not [secret for secret in SECRETS if secret in text]
    assert "the database does not answer" in text


def test_there_is_one_line_for_each_request_and_it_says_what_happened(logged: tuple[str, list[Json]]) -> None:
    lines = [line for line in logged[1] if line["logger"] == "posterity.requests"]

    created = lines[0]
    assert (created["method"], created["path"], created["status"]) == ("POST", "/v1/models", 201)
    assert created["bytes_in"] > 0 < created["bytes_out"]
    assert created["ms"] > 0
    asked = [line for line in lines if line["path"].startswith("/v1/models/logged")]
    assert {line["model"] for line in asked} == {"logged"}
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert {200, 202, 400, 404, 415, 422} <= {line["status"] for line in lines}
    assert {line["level"] for line in lines} == {"info"}


def test_the_worker_the_server_and_the_service_log_alike(logged: tuple[str, list[Json]]) -> None:
    _, lines = logged

    assert {"posterity.service", "posterity.worker", "posterity.requests", "uvicorn.error"} <= {
        line["logger"] for line in lines
    }
    assert all({"timestamp", "level", "logger", "event"} <= line.keys() for line in lines)


def test_a_path_cannot_write_a_line_of_its_own(tmp_path: Path) -> None:
    forged = "\n2026-01-01 info posterity.service: all is well"
    with process(tmp_path, LOG_FORMAT="plain", WORKERS="0") as (client, log):
        client.get("/v1/models/a" + quote(forged))
        client.get("/nothing/%0d%0a%1b[2Jforged%e2%80%a8forged", headers={"X-Request-Id": "forged it"})
    lines = log.read_text().split("\n")[:-1]

    assert not [line for line in lines if line.startswith("2026-01-01") or "\x1b" in line]
    assert all(line.isprintable() for line in lines)
    assert len([line for line in lines if "forged" in line and "status=404" in line]) == 1


def test_a_password_of_the_database_is_in_no_line(tmp_path: Path) -> None:
    environment = os.environ | {
        "POSTERITY_DATABASE_URL": f"postgresql+psycopg://me:{DATABASE_PASSWORD}@127.0.0.1:1/none",
        "POSTERITY_LOG_LEVEL": "debug",
    }
    command = [sys.executable, "-m", "service", "--port", "0"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 2
    assert DATABASE_PASSWORD not in done.stderr + done.stdout

"""A real Prometheus on a free port, which scrapes often."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

WAIT_SECONDS = 60.0


def program(name: str) -> str:
    """Where the program is; without it the test fails."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"There is no {name} here: install Debian's package prometheus, which has it.")
    return found


def free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def until(holds: Callable[[], object]) -> None:
    """It holds, within a minute."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@dataclass
class Prometheus:
    client: httpx.Client
    log: Path
    began: float = field(default_factory=time.time)

    def ask(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - any JSON
        answer = self.client.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def values(self, query: str) -> list[float]:
        """Every value that the query had since the start, of each of its series."""
        span = {"start": f"{self.began:.3f}", "end": f"{time.time():.3f}", "step": "1"}
        found = self.ask("query_range", query=query, **span)["result"]
        return [float(value) for series in found for _, value in series["values"]]

    def now(self, query: str) -> list[float]:
        return [float(one["value"][1]) for one in self.ask("query", query=query)["result"]]

    def until(self, holds: Callable[[], object]) -> None:
        """It holds, soon."""
        until(holds)

    def complaints(self) -> list[str]:
        """What the log has of errors, warnings and scrapes that failed."""
        signs = ("level=warn", "level=error", "Scrape failed")
        return [line for line in self.log.read_text().splitlines() if any(sign in line for sign in signs)]


@contextmanager
def scraping(folder: Path, configuration: str, beside: Mapping[str, str]) -> Iterator[Prometheus]:
    """It runs with this configuration, and the files beside it, and is stopped at the end."""
    file = folder / "prometheus.yml"
    file.write_text(configuration)
    for name, text in beside.items():
        (folder / name).write_text(text)
    port, log = free_port(), folder / "log"
    flags = (
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=debug",
    )
    with log.open("w") as stream, subprocess.Popen([program("prometheus"), *flags], stderr=stream) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
                prometheus = Prometheus(client, log)
                prometheus.until(lambda: _is_ready(client, process))
                yield prometheus
        finally:
            process.terminate()
            process.wait(WAIT_SECONDS)


def _is_ready(client: httpx.Client, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False

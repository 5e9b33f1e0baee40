"""The real product in processes of its own: a service on a free port, workers, and a way to kill either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from client.client import Client

WAIT_SECONDS = 60.0
LISTENS = "Posterity listens on "

DIGITS: dict[str, Any] = {
    "name": "digits",
    "net": {"kind": "mlp", "hidden": [32]},
    "input": {"shape": [64], "dtype": "uint8", "std": 16.0},
    "output": {"kind": "categorical", "classes": 10},
    "chunk": {"rows": 100, "seconds": None},
}


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's 1,797 handwritten digits, uint8 [rows, 64] in 0..16, and their labels."""
    images, labels = load_digits(return_X_y=True)
    return images.astype(np.uint8), labels.astype(np.int64)


@dataclass
class House:
    """Where the processes of one installation keep their state."""

    data_dir: Path
    database_url: str
    lease_seconds: float = 15.0
    blob_url: str = ""
    """Where the blobs are; empty: in the data directory."""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
        return inherited | {
            "POSTERITY_DATA_DIR": str(self.data_dir),
            "POSTERITY_DATABASE_URL": self.database_url,
            "POSTERITY_LEASE_SECONDS": str(self.lease_seconds),
            "POSTERITY_BLOB_URL": self.blob_url,
            "POSTERITY_DEVICE": "cpu",
            "POSTERITY_THREADS": "1",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        log = (self.data_dir / f"{arguments[0]}-{len(self.processes)}.log").open("w")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.processes.append(process)
        return process

    def serve(self, *, workers: int = 1) -> tuple[subprocess.Popen[str], str]:
        """The service's process, and the URL it listens on."""
        process = self.start("service", "--port", "0", "--workers", str(workers))
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(LISTENS), f"the service said {line!r}"
        return process, line.removeprefix(LISTENS).strip()

    def work(self) -> subprocess.Popen[str]:
        return self.start("worker")

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


@contextmanager
def house(data_dir: Path, database_url: str, *, lease_seconds: float = 15.0, blob_url: str = "") -> Iterator[House]:
    """An installation whose processes are all gone afterwards."""
    data_dir.mkdir(parents=True, exist_ok=True)
    installation = House(data_dir, database_url, lease_seconds, blob_url)
    try:
        yield installation
    finally:
        installation.close()


def stop(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(WAIT_SECONDS)


def until_too_late(what: str) -> Iterator[None]:
    """Turns of a loop that waits for something; raises when it takes too long."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    raise AssertionError(f"{what}: still not so after {WAIT_SECONDS} s")


def connected(url: str) -> Client:
    return Client(url)

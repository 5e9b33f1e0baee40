"""The service that the demo starts: its failures are told, and it never outlives the demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from client.demo.process import ServiceNotStarted, running_service


def living_on(directory: Path) -> list[str]:
    """The processes whose data directory this is."""
    mark = f"POSTERITY_DATA_DIR={directory}\0".encode()
    return [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and mark in environment_of(entry)]


def environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def test_an_interrupted_demo_says_so_and_leaves_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "client.demo", "--data-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        assert any(line.startswith("      1 ") for line in demo.stdout)
        started = living_on(tmp_path)
        demo.send_signal(signal.SIGINT)
        said = demo.stderr.read()

    assert len(started) == 2
    assert demo.returncode == 130
    assert "stopped" in said
    assert living_on(tmp_path) == []


def test_a_service_that_cannot_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    environment = os.environ | {"POSTERITY_DATA_DIR": str(tmp_path), "POSTERITY_DATABASE_URL": "oracle://nowhere"}

    with (
        pytest.raises(ServiceNotStarted, match=r"(?s)ended before it listened.*sqlite"),
        running_service(environment, log=tmp_path / "service.log"),
    ):
        raise AssertionError

    assert living_on(tmp_path) == []

"""The Makefile on a machine that it has not seen: it installs by itself, or says what it lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKE = shutil.which("make") or "make"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what `make` reads before it installs."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = [MAKE, "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_make_alone_lists_the_targets_and_installs_nothing(checkout: Path) -> None:
    done = make(checkout)

    assert done.returncode == 0
    targets = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("make ")}
    assert targets >= {"demo", "test", "check", "serve", "format", "clean"}
    assert not (checkout / ".venv").exists()


def test_an_interpreter_that_is_too_old_is_refused_by_its_version(checkout: Path) -> None:
    pretend = 'import sys; sys.version_info = (3, 10, 13, "final", 0); exec(sys.argv[1])'
    old = script(checkout / "python3.10", f"exec {sys.executable} -c '{pretend}' \"$2\"")

    done = make(checkout, "test", f"PYTHON={old}")

    assert done.returncode != 0
    assert f"Posterity needs Python 3.11 or newer and {old} is 3.10: make PYTHON=" in done.stderr
    assert not (checkout / ".venv").exists()


def test_an_interpreter_that_is_not_there_is_named(checkout: Path) -> None:
    done = make(checkout, "test", "PYTHON=python-of-nowhere")

    assert done.returncode != 0
    assert "There is no python-of-nowhere here" in done.stderr


def test_an_install_that_fails_is_tried_again_by_the_next_target(checkout: Path) -> None:
    pip = 'case "$3" in install) echo "pip $*" >> pip.log; test -e online;; esac'
    environment = f"mkdir -p .venv/bin && printf '#!/bin/sh\\n%s\\n' '{pip}' > .venv/bin/python"
    finished = "chmod +x .venv/bin/python && cp .venv/bin/python .venv/bin/pip"
    fake = script(checkout / "python3.11", f'[ "$1" = -c ] || {{ {environment} && {finished}; }}')

    offline = make(checkout, "test", f"PYTHON={fake}")
    (checkout / "online").touch()
    online = make(checkout, "test", f"PYTHON={fake}")
    again = make(checkout, "test", f"PYTHON={fake}")

    assert [offline.returncode == 0, online.returncode, again.returncode] == [False, 0, 0]
    calls = (checkout / "pip.log").read_text().splitlines()
    assert calls == ["pip -m pip install --disable-pip-version-check -c constraints.txt -e .[dev]"] * 2


def test_the_data_set_named_to_make_reaches_the_demo(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    script(checkout / ".venv" / "bin" / "posterity", 'echo "$1 $DATASET $DATA"')
    (checkout / ".venv" / ".installed").touch()

    done = make(checkout, "demo", "DATASET=mnist", "DATA=/somewhere")

    assert "demo mnist /somewhere" in done.stdout.splitlines()

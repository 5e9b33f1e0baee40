"""What README shows to be pasted works when it is pasted, in its order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from client import Client
from tests.client.test_cli import POSTERITY

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS: list[str] = re.findall(r"```(?:python)?\n(.*?)```", README, re.DOTALL)


def block(mark: str) -> str:
    return next(text for text in BLOCKS if mark in text)


def run(*command: str, directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_curl_lines_work_as_they_stand(url: str, tmp_path: Path) -> None:
    lines = block("curl localhost").replace("localhost:8000", url.removeprefix("http://"))
    strict = 'set -e; curl() { command curl --fail-with-body --silent --show-error "$@"; }\n'

    run("bash", "-c", strict + lines, directory=tmp_path)

    with Client(url) as client:
        assert [move.kind for move in client.history("points")] == ["create", "publish", "rollback"]


def test_the_commands_and_then_the_python_lines_work_as_they_stand(url: str, tmp_path: Path) -> None:
    shown = block("$ posterity models create")
    described, typed = shown.removeprefix("$ cat model.json\n").split("\n\n", 1)
    (tmp_path / "model.json").write_text(described)
    own = f"set -e; export POSTERITY_URL={url} PYTHONPATH={Path.cwd()}\n"
    functions = f'python() {{ {sys.executable} "$@"; }}; posterity() {{ {" ".join(POSTERITY)} "$@"; }}\n'

    run("bash", "-c", own + functions + re.sub(r"^\$ ", "", typed, flags=re.MULTILINE), directory=tmp_path)
    python = f"import sys; sys.path.insert(0, {str(Path.cwd())!r})\n" + block("from client import Client")
    run(sys.executable, "-c", python.replace("http://127.0.0.1:8000", url), directory=tmp_path)

    with Client(url) as client:
        assert [move.kind for move in client.history("digits")] == [
            "create",
            "publish",
            "rollback",
            "publish",
            "rollback",
        ]


def test_the_python_lines_for_numbers_work_as_they_stand(url: str, tmp_path: Path) -> None:
    lines = f"import sys; sys.path.insert(0, {str(Path.cwd())!r})\n" + block("load_diabetes")

    run(sys.executable, "-c", lines.replace("http://127.0.0.1:8000", url), directory=tmp_path)

    with Client(url) as client:
        assert client.model("diabetes").head == 4

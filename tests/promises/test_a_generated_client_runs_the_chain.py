"""A client generated from docs/openapi.json leaves nothing out, has types that hold, and runs the main chain."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.promises.house import House

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "generated-clients.md").read_text()
PACKAGE = "posterity_client"
BIN = Path(sys.executable).parent
EXITS = re.compile(r'client\.py:\d+: error: Argument 1 to "__a?exit__" of "(Async)?Client"')
"""What the generator's own template of client.py says wrongly, whatever the document."""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the page's own command has written the client."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "docs").symlink_to(DOCS)
    command = re.search(r"^\$ (openapi-python-client generate (?:.*\\\n)*.*)$", PAGE, flags=re.MULTILINE)
    assert command is not None
    done = run("bash", "-c", command[1], folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240
    )


def test_every_call_of_the_document_is_in_the_client(generated: Path) -> None:
    paths = json.loads((DOCS / "openapi.json").read_text())["paths"]
    calls = {operation["operationId"] for operations in paths.values() for operation in operations.values()}

    made = {module.stem for module in (generated / PACKAGE / "api").glob("*/*.py")} - {"__init__"}
    assert made == calls
    script = "\n".join(
        f"import {'.'.join(module.relative_to(generated).with_suffix('').parts)}"
        for module in (generated / PACKAGE / "api").glob("*/*.py")
    )
    done = run(sys.executable, "-W", "error", "-c", script, folder=generated)
    assert done.returncode == 0, done.stderr


def test_the_client_and_a_program_that_uses_it_pass_strict_type_checks(generated: Path) -> None:
    (generated / "chain.py").write_text(chain())

    strict = ("-m", "mypy", "--strict", "--no-warn-redundant-casts", "--config-file=", f"--cache-dir={generated}/mypy")
    done = run(sys.executable, *strict, "-p", PACKAGE, "-m", "chain", folder=generated)

    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [line for line in errors if not EXITS.search(line)] == []
    assert "checked" in done.stdout, done.stdout + done.stderr


def test_the_program_of_the_page_runs_the_chain(generated: Path, embedded: House) -> None:
    _, url = embedded.serve()
    (generated / "live.py").write_text(chain().replace("http://127.0.0.1:8000", url))

    done = run(sys.executable, "-W", "error", "live.py", folder=generated)

    assert done.returncode == 0, done.stdout + done.stderr
    numbers, after, before, moves, code = done.stdout.splitlines()
    assert numbers == "[0, 1]"
    assert (after.split()[0], before.split()[0]) == ("1", "0")
    assert float(after.split()[-1]) < float(before.split()[-1])
    assert moves == "['create', 'publish', 'rollback']"
    assert code == "model-not-found"


def chain() -> str:
    """The program of the page."""
    [lines] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    return str(lines)

"""docs/client.md tells the truth: its Python lines run as they stand, and the errors that it names are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import client
from client import AsyncClient, Client
from client.retry import ATTEMPTS_MAX

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text()


def test_the_python_lines_run_one_after_the_other(url: str) -> None:
    lines = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)).replace("http://127.0.0.1:8000", url)

    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "['all-of-them', 'all-of-them/2', 'all-of-them/3'] [True, True, True]" in done.stdout
    assert "version-not-found 404" in done.stdout


def test_every_error_and_number_that_the_page_names_is_the_clients() -> None:
    named = set(re.findall(r"`([A-Z]\w+)`", PAGE)) - {"True"}

    assert [name for name in named if not hasattr(client, name)] == []
    assert f"{ATTEMPTS_MAX} by default" in PAGE


def test_both_clients_have_the_same_methods_and_each_says_what_is_true_afterwards() -> None:
    public = {name for name in vars(Client) if not name.startswith("_")}

    assert public == {name for name in vars(AsyncClient) if not name.startswith("_")}
    assert [name for name in sorted(public) if not (getattr(Client, name).__doc__ or "").strip()] == []
    assert [name for name in sorted(public) if not (getattr(AsyncClient, name).__doc__ or "").strip()] == []

"""docs/api.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from service.app import create_app
from store.settings import Settings

API = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_documentation_lists_every_call() -> None:
    listed = set(re.findall(r"^\| `([A-Z]+) (/[^` ?]*)", API.read_text(), flags=re.MULTILINE))
    paths = create_app(Settings()).openapi()["paths"]

    assert listed == {(method.upper(), path) for path, methods in paths.items() for method in methods}

"""What the console brings along of others: the files are the ones that were published, each with its licence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "service" / "console" / "assets" / "vendor"
VENDORED = json.loads((VENDOR / "vendored.json").read_text())


def test_every_vendored_file_is_listed_with_its_digest() -> None:
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    del files["vendored.json"]

    assert {name: said["sha256"] for name, said in VENDORED.items()} == files


def test_every_package_comes_with_its_licence() -> None:
    for name, said in VENDORED.items():
        assert said["licence"] in {"MIT", "Apache-2.0"}
        assert (VENDOR / f"{said['package']}.LICENSE.txt").exists(), name

"""docs/command-line.md is what the commands say of themselves, and its examples are a story that can be performed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from safetensors.numpy import save_file

from client import Client
from client.cli import app
from client.commands.grouped import EXAMPLE, GROUPS
from client.commands.page import page
from client.demo.process import running_service
from tests.client.given import empty_config
from tests.client.test_cli import POSTERITY
from tests.client.test_own_csv import flowers, written

ROOT = Path(__file__).parents[2]
HEADER = ["petal length", "petal width", "species"]
ENDED = {"cancel-forget", "cancel"}
"""What these are to cancel has ended by then, and they say so."""
PROCESSES = "The service itself"


def test_the_page_is_what_the_commands_say() -> None:
    assert (ROOT / "docs" / "command-line.md").read_text() == page()


def test_every_command_is_in_a_group_with_an_example_of_itself() -> None:
    def names(command: Any, outer: str = "") -> Iterator[str]:  # noqa: ANN401 - typer's own.
        for name, inner in getattr(command, "commands", {"": None}).items():
            yield from names(inner, f"{outer} {name}".strip()) if inner is not None else [outer]

    assert sorted(names(typer.main.get_command(app))) == sorted(EXAMPLE)
    assert [name for name, line in EXAMPLE.items() if f"posterity {name}" not in line] == []


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A service of the story's own, whose door its keys may lock, and a folder with the story's files."""
    folder: Path = tmp_path_factory.mktemp("story")
    own = {"POSTERITY_DATA_DIR": str(folder / "data"), "POSTERITY_CONFIG": str(empty_config(folder))}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    for name, count, seed in (("flowers", 60, 1), ("monday", 20, 2), ("tuesday", 20, 3)):
        (folder / f"{name}.csv").write_bytes(written(flowers(count, seed=seed), HEADER))
    (folder / "new.csv").write_bytes(written([row[:2] for row in flowers(5, seed=4)], HEADER[:2]))
    save_file({"dense1.weight": np.zeros((8, 2), np.float32)}, folder / "weights.safetensors")
    with running_service(kept | own | {"POSTERITY_THREADS": "1"}, log=folder / "service.log") as url:
        yield url, folder


def test_the_examples_are_a_story_that_can_be_performed(house: tuple[str, Path]) -> None:
    url, folder = house
    environment = {**os.environ, "POSTERITY_URL": url, "PYTHONPATH": str(ROOT)}
    told: dict[str, str] = {}
    found: dict[str, str] = {}

    for title, commands in GROUPS.items():
        if title == PROCESSES:
            continue
        for name in commands:
            if name == "label":
                found["PREDICTION"] = keep_a_prediction(url, folder)
            line = EXAMPLE[name]
            for word, value in found.items():
                line = line.replace(word, value)
            begin, end = f'posterity() {{ {" ".join(POSTERITY)} "$@"; }}', 'echo "KEY=$POSTERITY_KEY" >&2; exit $status'
            script = f"{begin}\n{line}\nstatus=$?; {end}"
            done = subprocess.run(
                ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == (1 if name in ENDED else 0), f"{line}\n{done.stdout}{done.stderr}"
            assert "update-finished" in done.stderr or name not in ENDED
            told[name] = done.stdout
            if name == "blobs put":
                found["DIGEST"] = next(word for word in done.stdout.split() if word.startswith("sha256:"))
            environment["POSTERITY_KEY"] = done.stderr.rpartition("KEY=")[2].strip()

    assert json.loads((folder / "flowers.json").read_text())["name"] == "flowers"
    assert (folder / "predicted.csv").read_text().startswith("petal length,petal width,predicted,probability")
    assert "operator" in told["keys list"]


def keep_a_prediction(url: str, folder: Path) -> str:
    """A prediction is kept, its first row has its label in labels.csv; the prediction's id."""
    with Client(url) as client:
        kept = client.predict("flowers", [[5.0, 1.0]], keep=True)
    (folder / "labels.csv").write_text(f"{kept.row_ids[0]},iris\n")
    assert kept.prediction is not None
    return kept.prediction

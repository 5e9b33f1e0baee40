"""A version from one service to another, by the library and by the command line."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from client import AsyncClient, Client, ServiceProblem
from client.demo.process import running_service
from client.errors import UnreadableFile
from tests.client.given import CHUNK_ROWS, empty_config, rows
from tests.client.test_cli import answer, run

X, _ = rows(5, seed=9)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service of another installation."""
    directory = tmp_path_factory.mktemp("other")
    own = {"POSTERITY_DATA_DIR": str(directory), "POSTERITY_CONFIG": str(empty_config(directory))}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    with running_service(kept | own | {"POSTERITY_THREADS": "1"}, log=directory / "service.log") as url:
        yield url


@pytest.fixture
def learned(client: Client, model: str) -> str:
    """A model whose head is version 1."""
    client.ingest(model, *rows(CHUNK_ROWS))
    client.settle(model, timeout_seconds=60)
    return model


def test_an_exported_version_predicts_and_learns_on_in_another_installation_to_the_bit(
    client: Client, learned: str, other: str
) -> None:
    archive = client.export(learned)

    with Client(other) as away:
        model = away.import_version(archive)
        again = away.import_version(archive)

        assert (model.name, model.head, again.head) == (learned, 1, 1)
        assert model.imported is not None
        assert (model.imported.model, model.imported.version, model.imported.rows) == (learned, 1, CHUNK_ROWS)
        assert model.imported.digest == client.version(learned, 1).digest == away.version(learned, 1).digest
        assert away.version(learned, 1).evidence.elsewhere == CHUNK_ROWS
        for seed in (None, 4):
            at_home, there = (one.predict(learned, X, seed=seed) for one in (client, away))
            assert np.array_equal(at_home.probabilities, there.probabilities)
        for one in (client, away):
            one.ingest(learned, *rows(CHUNK_ROWS, seed=2))
            one.settle(learned, timeout_seconds=60)
        assert away.version(learned, 2).digest == client.version(learned, 2).digest


def test_the_command_line_exports_and_imports(
    url: str, learned: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    written = run(url, "export", learned)
    named = run(url, "export", learned, "--version", "0", "--output", "root.zip")
    table = run(other, "import", f"{learned}-1.zip", "--name", "from-afar")

    assert (written.exit_code, named.exit_code, table.exit_code) == (0, 0, 0)
    assert f"{learned}-1.zip: " in written.stderr
    assert "from-afar" in table.stdout
    assert answer(other, "import", f"{learned}-1.zip", "--name", "from-afar")["imported"]["model"] == learned
    stdin = Path("root.zip").read_bytes()
    assert answer(other, "import", "-", "--name", "root-of-another", stdin=stdin)["head"] == 0


def test_the_command_line_writes_plain_weights_and_what_is_told_of_a_version(
    url: str, learned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    weights = run(url, "export", learned, "--format", "state_dict")
    told = run(url, "export", learned, "--format", "json", "--output", "-")

    assert weights.exit_code == 0
    found = torch.load(io.BytesIO(Path(f"{learned}-1.pt").read_bytes()), weights_only=True)
    assert list(found) == ["dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias"]
    assert [one["version"] for one in json.loads(told.stdout)["lineage"]] == [0, 1]


def test_the_asynchronous_client_exports_and_imports(url: str, learned: str, other: str) -> None:
    async def moved() -> int:
        async with AsyncClient(url) as here, AsyncClient(other) as there:
            model = await there.import_version(await here.export(learned, 1), "by-asyncio")
            return model.head

    assert asyncio.run(moved()) == 1


def test_what_cannot_be_imported_or_written_ends_with_one_line(url: str, learned: str, tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"no zip")

    refused = run(url, "import", str(tmp_path / "no.zip"))
    missing = run(url, "import", str(tmp_path / "missing.zip"))
    unwritable = run(url, "export", learned, "--output", str(tmp_path / "none" / "a.zip"))

    assert [one.exit_code for one in (refused, missing, unwritable)] == [1, 1, 1]
    assert "(export-invalid)" in refused.stderr
    assert "No such file" in missing.stderr
    assert "No such file" in unwritable.stderr


def test_a_file_that_is_not_there_is_said_by_the_library_too(client: Client, learned: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        client.import_version(tmp_path / "missing.zip")
    with pytest.raises(ServiceProblem, match="model-exists"):
        client.import_version(client.export(learned))

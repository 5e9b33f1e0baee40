"""Weights on their way to a prior: from an array, a file or the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from client import AsyncClient, Client, ServiceProblem, UnusableArray
from tests.client.given import CHUNK_ROWS, description, rows
from tests.client.test_cli import answer, run

WEIGHTS = {
    "dense1.weight": np.eye(4, 2, dtype=np.float32),
    "dense1.bias": np.zeros(4, np.float32),
    "dense2.weight": np.ones((2, 4), np.float32),
    "dense2.bias": np.zeros(2, np.float32),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "w.safetensors"
    save_file(WEIGHTS, file)
    return file


def test_arrays_a_file_and_its_bytes_are_one_blob(client: Client, path: Path) -> None:
    blobs = {client.upload(content).blob for content in (WEIGHTS, path, path.read_bytes())}

    assert len(blobs) == 1
    found = client.blob(blobs.pop())
    assert {name: tensor.shape for name, tensor in found.tensors.items()} == {
        name: array.shape for name, array in WEIGHTS.items()
    }


def test_an_uploaded_blob_is_what_a_model_starts_from(client: Client) -> None:
    blob = client.upload(WEIGHTS).blob

    model = client.create_model(description("pretrained", prior={"kind": "weights", "blob": blob, "sigma": 0.01}))

    assert model.prior == {"kind": "weights", "blob": blob, "sigma": 0.01, "sigmas": None, "head": "keep"}


def test_the_first_chunk_of_a_model_with_several_sigmas_tells_which_it_chose(client: Client) -> None:
    prior = {"kind": "weights", "blob": client.upload(WEIGHTS).blob, "sigmas": [0.01, 1.0], "head": "fresh"}
    model = client.create_model(description("chooses", prior=prior)).name

    client.ingest(model, *rows(CHUNK_ROWS))
    client.settle(model, timeout_seconds=60)

    report = client.version(model, 1).report
    assert report is not None
    assert report["choice"]["sigma"] in (0.01, 1.0)
    assert set(report["choice"]["nll"]) == {"0.01", "1"}


def test_the_asynchronous_client_uploads_too(url: str) -> None:
    async def uploaded() -> str:
        async with AsyncClient(url) as client:
            return (await client.upload(WEIGHTS)).blob

    with Client(url) as client:
        assert asyncio.run(uploaded()) == client.upload(WEIGHTS).blob


def test_the_command_line_keeps_and_shows_a_file(url: str, path: Path) -> None:
    kept = answer(url, "blobs", "put", str(path))

    assert answer(url, "blobs", "show", kept["blob"]) == kept
    shown = run(url, "blobs", "show", kept["blob"]).stdout
    assert kept["blob"] in shown
    assert "dense1.weight" in shown


def test_what_cannot_be_uploaded_says_why(client: Client, tmp_path: Path) -> None:
    with pytest.raises(UnusableArray, match="names"):
        client.upload({"names": ["a", "b"]})
    with pytest.raises(UnusableArray, match="No such file"):
        client.upload(tmp_path / "absent.safetensors")
    with pytest.raises(ServiceProblem, match="is not safetensors"):
        client.upload(b"{}")
    with pytest.raises(ServiceProblem, match="no blob"):
        client.blob("sha256:12")

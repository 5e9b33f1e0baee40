"""The whole chain with its blobs in a store that speaks S3: learned, predicted, downloaded, examined."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import obstore
import pytest

from client.client import Client
from client.errors import ServiceProblem
from store.digests import name_of
from tests.object_server import ObjectServer
from tests.promises.house import DIGITS, House, digits, house, stop


@pytest.fixture
def installation(tmp_path: Path, s3: ObjectServer) -> Iterator[House]:
    with house(tmp_path / "house", f"sqlite:///{tmp_path / 'ledger.sqlite'}", blob_url=s3.url()) as running:
        yield running


def doctor(installation: House, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "store", "doctor"],
        env=installation.environment | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def test_batches_become_versions_that_predict_and_damage_is_named(installation: House, s3: ObjectServer) -> None:
    images, labels = digits()
    _, url = installation.serve(workers=1)
    with Client(url) as client:
        client.create_model(DIGITS | {"recipe": {"epochs": 1}})
        batches = [client.ingest("digits", images[rows], labels[rows]) for rows in (slice(100), slice(100, 200))]
        client.settle("digits")
        versions = [client.version("digits", number) for number in (0, 1, 2)]
        assert client.predict("digits", images[:5]).version == 2
    downloaded = [httpx.get(f"{url}/v1/models/digits/versions/{number}/posterior").content for number in (0, 1, 2)]

    digests = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in downloaded]
    assert digests == [version.digest for version in versions]
    assert sorted(path.name for path in installation.data_dir.iterdir()) == ["service-0.log"]
    examined = doctor(installation)
    assert (examined.returncode, examined.stderr) == (0, "")
    assert "1 models, 3 versions, 2 batches examined: all is well" in examined.stdout

    store = s3.store(installation.blob_url)
    obstore.put(store, name_of(digests[0]), downloaded[1])
    obstore.put(store, name_of(digests[1]), downloaded[1][:-1])
    obstore.delete(store, name_of(batches[1].digest))
    examined = doctor(installation)

    assert examined.returncode == 1
    swapped, cut_off, missing = (line for line in examined.stdout.splitlines() if line.startswith("wrong: "))
    assert swapped.startswith(f"wrong: digits: version 0: The blob {digests[0]} holds other bytes")
    assert digests[1] in swapped
    assert cut_off.startswith(f"wrong: digits: version 1: The blob {digests[1]} holds other bytes")
    assert missing.startswith(f"wrong: digits: batch 2: The blob {batches[1].digest} is named in the ledger but is not")
    assert examined.stdout.endswith("3 things are wrong.\n")
    answer = httpx.get(f"{url}/v1/models/digits/versions/1/posterior")
    assert (answer.status_code, answer.json()["code"]) == (500, "blob-corrupt")
    assert digests[1] in answer.json()["detail"]
    with Client(url) as client:
        with pytest.raises(ServiceProblem, match=digests[1]) as refused:
            client.predict("digits", images[:5], version=1)
        assert refused.value.code == "blob-corrupt"
        assert client.predict("digits", images[:5]).version == 2


def test_a_doctor_that_cannot_reach_the_store_blames_no_blob(installation: House) -> None:
    service, url = installation.serve(workers=0)
    with Client(url) as client:
        client.create_model(DIGITS)
    stop(service)

    examined = doctor(installation, AWS_ENDPOINT_URL="http://127.0.0.1:1", POSTERITY_BLOB_SECONDS="0.5")

    assert (examined.returncode, examined.stdout) == (1, "")
    assert examined.stderr == f"posterity: {installation.blob_url} cannot be read: no connection can be made\n"

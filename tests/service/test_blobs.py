"""Blobs over HTTP: kept once under the digest of their bytes, described, and nothing else gets in."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import save

from tests.service.expected import expect_problem
from tests.service.live import Live

SAFETENSORS = {"Content-Type": "application/x-safetensors"}


def weights(value: float) -> bytes:
    return save({"dense1.weight": np.full((3, 2), value, np.float32), "dense1.bias": np.zeros(3, np.float16)})


@pytest.mark.parametrize("media", ["application/x-safetensors", "application/octet-stream"])
def test_a_blob_is_named_by_its_digest_and_says_what_it_holds(live: Live, media: str) -> None:
    raw = weights(len(media))

    answer = live.client.post("/v1/blobs", content=raw, headers={"Content-Type": media})

    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/blobs/{digest}"
    assert answer.json() == {
        "blob": digest,
        "bytes": len(raw),
        "tensors": {
            "dense1.bias": {"dtype": "float16", "shape": [3]},
            "dense1.weight": {"dtype": "float32", "shape": [3, 2]},
        },
    }
    assert live.client.get(answer.headers["Location"]).json() == answer.json()


def test_the_same_bytes_again_are_the_same_blob(live: Live) -> None:
    once, again = (live.client.post("/v1/blobs", content=weights(0.5), headers=SAFETENSORS) for _ in range(2))

    assert (once.status_code, again.status_code) == (201, 200)
    assert again.json() == once.json()


def test_posterior_and_batch_are_blobs_too(live: Live, model: str) -> None:
    batch = live.post_rows(model)["digest"]
    root = live.client.get(f"{model}/versions/0").json()["digest"]

    assert set(live.client.get(f"/v1/blobs/{batch}").json()["tensors"]) == {"x", "y"}
    assert "dense1.weight.mu" in live.client.get(f"/v1/blobs/{root}").json()["tensors"]


HUGE_HEADER = (2**20 + 8).to_bytes(8, "little") + b" " * (2**20 + 9)


def of_no_values(*shape: int) -> bytes:
    header = json.dumps({"x": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"\xff" * 100, weights(1.0)[:-1], HUGE_HEADER, of_no_values(0, 2**62, 2**62), of_no_values(0, 2**63)],
    ids=["nothing", "JSON", "junk", "cut off", "a huge header", "a shape beyond counting", "a side beyond counting"],
)
def test_what_is_no_safetensors_file_is_refused(live: Live, raw: bytes) -> None:
    answer = live.client.post("/v1/blobs", content=raw, headers=SAFETENSORS)

    (fault,) = expect_problem(answer, "body-invalid")["errors"]
    assert fault["where"] == "body"
    assert "\n" not in fault["message"]


def test_other_media_types_and_bodies_over_the_limit_are_refused(narrow: Live) -> None:
    as_json = narrow.client.post("/v1/blobs", json={})
    large = narrow.client.post("/v1/blobs", content=save({"w": np.zeros(2000, np.float32)}), headers=SAFETENSORS)

    expect_problem(as_json, "media-type-unsupported")
    expect_problem(large, "body-too-large")


@pytest.mark.parametrize("digest", [f"sha256:{'0' * 64}", "sha256:12", "..%2F..%2Fledger.sqlite", "SHA256:" + "0" * 64])
def test_a_digest_of_nothing_is_not_found(live: Live, digest: str) -> None:
    answer = live.client.get(f"/v1/blobs/{digest}")

    assert answer.status_code == 404
    assert answer.json()["code"] in {"blob-not-found", "not-found"}

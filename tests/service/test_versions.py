"""Versions over HTTP: where they come from, their bytes, and how far they are from each other."""

from __future__ import annotations

import hashlib

import pytest

import bayes
from tests.service.live import TINY, Live


def test_the_root_prior_is_version_0_and_has_no_evidence(live: Live, model: str) -> None:
    root = live.client.get(f"{model}/versions/0").json()

    assert root["parent"] is root["chunk"] is root["update"] is root["prequential"] is None
    assert root["evidence"] == {"rows": 0, "chunks": [], "batches": [], "elsewhere": 0, "divided": []}
    assert (root["kl_nats"], root["aliases"]) == (0, ["head"])


def test_the_evidence_of_a_version_is_its_parents_and_its_chunk(live: Live, model: str) -> None:
    live.post_rows(model)
    one, two = live.learn(model), live.learn(model)

    first = live.client.get(f"{model}/versions/{one}").json()
    second = live.client.get(f"{model}/versions/{two}").json()

    assert (first["parent"], second["parent"]) == (0, one)
    assert first["evidence"] == {"rows": 4, "chunks": [1], "batches": [1, 2], "elsewhere": 0, "divided": []}
    assert second["evidence"] == {"rows": 6, "chunks": [1, 2], "batches": [1, 2, 3], "elsewhere": 0, "divided": []}
    assert (first["rows"], second["rows"]) == (4, 2)
    assert (first["aliases"], second["aliases"]) == ([], ["head"])
    assert second["seconds"] == second["report"]["seconds"]
    assert second["recipe"] == live.client.get(model).json()["recipe"]


def test_the_posterior_downloads_as_the_bytes_of_its_digest(live: Live, model: str) -> None:
    version = live.learn(model)
    url = f"{model}/versions/{version}/posterior"

    answer = live.client.get(url)

    digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    assert answer.headers["Content-Type"] == "application/x-safetensors"
    assert answer.headers["ETag"] == f'"{digest}"'
    assert live.client.get(f"{model}/versions/{version}").json()["digest"] == digest
    assert bayes.Posterior.from_bytes(answer.content).chunks == 1
    assert live.client.get(url, headers={"If-None-Match": f'"{digest}"'}).status_code == 304


def test_a_score_that_is_beyond_the_numbers_of_json_is_null(live: Live, model: str) -> None:
    live.learn(live.create())  # Whatever was queued before is published.
    scores = {"rows": 2, "nll": None, "accuracy": 0.5}

    version = live.publish(model, bayes.root(bayes.Model.from_description(TINY)), prequential=scores)

    assert live.client.get(f"{model}/versions/{version}").json()["prequential"] == scores
    assert live.client.get(f"{model}/versions").json()["versions"][version]["prequential"] == scores


def test_two_versions_are_compared_by_their_kl_and_by_their_evidence(live: Live, model: str) -> None:
    version = live.learn(model)

    there = live.client.get(f"{model}/versions/{version}/compare/0").json()
    back = live.client.get(f"{model}/versions/0/compare/{version}").json()
    itself = live.client.get(f"{model}/versions/{version}/compare/{version}").json()

    kl = live.client.get(f"{model}/versions/{version}").json()["kl_nats"]
    assert there["kl_nats"]["total"] == pytest.approx(sum(there["kl_nats"]["layers"].values()))
    assert there["kl_nats"]["total"] == pytest.approx(kl, rel=1e-5)
    assert (there["rows_only_in_version"], there["chunks_only_in_version"]) == (2, [1])
    assert (there["rows_only_in_other"], there["chunks_only_in_other"]) == (0, [])
    assert (back["rows_only_in_other"], back["chunks_only_in_other"]) == (2, [1])
    assert itself["kl_nats"]["total"] == 0


def test_versions_are_listed_in_pages_from_the_root_on(live: Live, model: str) -> None:
    live.learn(model)
    live.learn(model)

    first = live.client.get(f"{model}/versions", params={"limit": 2}).json()
    rest = live.client.get(f"{model}/versions", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [version["version"] for version in first["versions"] + rest["versions"]] == [0, 1, 2]
    assert rest["next_cursor"] is None

"""Models that start from weights learned elsewhere, over HTTP."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.numpy import save

import bayes
from tests.service.expected import expect_problem
from tests.service.live import ROWS, TINY, Json, Live

NOWHERE = f"sha256:{'0' * 64}"
OLD = np.random.default_rng(1).normal(size=(20, 2)).astype(np.float32)


def star(classes: int = 3) -> bytes:
    """Weights of the tiny net of these tests: two inputs, three hidden units."""
    drawn = np.random.default_rng(classes)
    shapes = {"dense1.weight": (3, 2), "dense1.bias": (3,), "dense2.weight": (classes, 3), "dense2.bias": (classes,)}
    return save({name: drawn.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})


def put(live: Live, raw: bytes) -> str:
    answer = live.client.post("/v1/blobs", content=raw, headers={"Content-Type": "application/octet-stream"})
    assert answer.is_success, answer.text
    return str(answer.json()["blob"])


def root_of(live: Live, model: str) -> bayes.Posterior:
    return bayes.Posterior.from_bytes(live.client.get(f"{model}/versions/0/posterior").content)


def test_version_0_is_the_prior_around_the_weights_and_answers_as_they_do(live: Live) -> None:
    raw = star()
    model = live.create(TINY | {"prior": {"kind": "weights", "blob": put(live, raw), "sigma": 0.001}})

    answer = live.client.post(f"{model}/predictions?method=mean", json={"inputs": [[1, 2]]}).json()

    w = safetensors.torch.load(raw)
    hidden = (w["dense1.weight"] @ torch.tensor([1.0, 2.0]) + w["dense1.bias"]).relu()
    expected = (w["dense2.weight"] @ hidden + w["dense2.bias"]).softmax(0)
    assert answer["outputs"][0]["probabilities"] == pytest.approx(expected.tolist(), abs=1e-6)
    assert bool((root_of(live, model).tensors["dense1.weight.log_sigma"].exp() - 0.001).abs().max() < 1e-9)


def test_the_digests_of_a_version_and_of_a_batch_make_a_laplace_prior(live: Live, model: str) -> None:
    live.learn(model)
    version = live.client.get(f"{model}/versions/1").json()["digest"]
    batch = live.post_rows(model)["digest"]
    prior = {"kind": "laplace", "blob": version, "batch": batch, "rows": 50}

    child = live.create(TINY | {"prior": prior})

    parent = bayes.Posterior.from_bytes(live.client.get(f"{model}/versions/1/posterior").content)
    root = root_of(live, child)
    for name, weight in bayes.weights_of(parent).items():
        assert torch.equal(bayes.weights_of(root)[name], weight)
    assert live.client.get(child).json()["prior"] == {**prior, "sigma": None, "head": "keep"}


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "weights", "sigma": 0.1},
        {"kind": "weights", "sigmas": [0.01, 0.1], "head": "fresh"},
        {"kind": "laplace", "rows": 7, "sigma": 2.0},
    ],
    ids=["sigma", "sigmas", "laplace"],
)
def test_posting_the_same_model_again_changes_nothing(live: Live, more: Json) -> None:
    batch = {"batch": put(live, save({"x": OLD}))} if more["kind"] == "laplace" else {}
    path = live.create(TINY | {"prior": {**more, **batch, "blob": put(live, star())}})

    full = live.client.get(path).json()
    posted = {name: full[name] for name in ("name", "net", "input", "output", "family", "prior", "recipe", "chunk")}
    again = live.client.post("/v1/models", json=posted)

    assert again.status_code == 200
    assert again.json() == full


def test_the_model_learns_from_there(live: Live) -> None:
    model = live.create(TINY | {"prior": {"kind": "weights", "blob": put(live, star()), "sigma": 0.1}})

    assert live.learn(model, ROWS) == 1


@pytest.mark.parametrize("key", ["blob", "batch"])
def test_bytes_that_are_not_here_are_asked_for_by_their_place(live: Live, key: str) -> None:
    prior = {"kind": "laplace", "blob": put(live, star()), "batch": put(live, save({"x": OLD}))} | {key: NOWHERE}

    answer = live.client.post("/v1/models", json={"name": "never", **TINY, "prior": prior})

    problem = expect_problem(answer, "blob-unknown")
    assert problem["errors"][0]["where"] == f"prior.{key}"
    assert NOWHERE in problem["detail"]
    assert live.client.get("/v1/models/never").status_code == 404


@pytest.mark.parametrize(
    ("prior", "where"),
    [
        ({"kind": "weights", "blob": "w.safetensors", "sigma": 1}, "prior.blob"),
        ({"kind": "weights", "blob": NOWHERE}, "prior.sigma"),
        ({"kind": "weights", "blob": NOWHERE, "sigma": 1, "sigmas": [1]}, "prior.sigma"),
        ({"kind": "weights", "blob": NOWHERE, "sigmas": [1, -1]}, "prior.sigmas.1"),
        ({"kind": "weights", "blob": NOWHERE, "sigma": 1, "batch": NOWHERE}, "prior.batch"),
        ({"kind": "laplace", "blob": NOWHERE}, "prior.batch"),
        ({"kind": "laplace", "blob": NOWHERE, "batch": NOWHERE, "rows": 0}, "prior.rows"),
        ({"kind": "weights", "blob": NOWHERE, "sigma": 1, "head": "new"}, "prior.head"),
        ({"kind": "spike"}, "prior"),
    ],
)
def test_a_prior_that_says_nothing_usable_is_refused_with_the_place(live: Live, prior: Json, where: str) -> None:
    answer = live.client.post("/v1/models", json={"name": "never", **TINY, "prior": prior})

    problem = expect_problem(answer, "description-invalid")
    assert where in [fault["where"] for fault in problem["errors"]]


@pytest.mark.parametrize(
    ("blob", "batch", "where", "words"),
    [
        (save({"fc.weight": OLD}), save({"x": OLD}), "prior.blob", "dense1.weight"),
        (star(4), save({"x": OLD}), "prior.blob", "4 units"),
        (star(), save({"x": np.zeros((3, 5), np.float32)}), "prior.batch", "does not fit"),
        (star(), save({"y": OLD}), "prior.batch", "no tensor 'x'"),
    ],
    ids=["unknown layer", "too many classes", "other inputs", "no inputs"],
)
def test_bytes_that_do_not_fit_the_model_are_refused_by_name(
    live: Live, blob: bytes, batch: bytes, where: str, words: str
) -> None:
    prior = {"kind": "laplace", "blob": put(live, blob), "batch": put(live, batch)}

    answer = live.client.post("/v1/models", json={"name": "never", **TINY, "prior": prior})

    problem = expect_problem(answer, "description-invalid")
    assert problem["errors"][0]["where"] == where
    assert words in problem["detail"]
    assert live.client.get("/v1/models/never").status_code == 404

"""Models over HTTP: created once, described in full, listed in pages."""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import bayes
from service.description_parts import Recipe
from tests.service.live import IMAGES, NAMED, REAL, TINY, Json, Live, running

LAYERS: Json = TINY | {
    "input": {"shape": [1, 6, 6]},
    "net": {
        "kind": "layers",
        "layers": [
            {"kind": "conv", "filters": 2, "kernel": 3},
            {"kind": "maxpool", "size": 2},
            {"kind": "relu"},
            {"kind": "flatten"},
            {"kind": "dense", "units": 4},
            {"kind": "softplus"},
        ],
    },
}
WIDE: Json = {
    "kind": "layers",
    "layers": [
        {"kind": "conv", "filters": 4, "kernel": 1, "padding": 60000},
        {"kind": "maxpool", "size": 60000},
        {"kind": "flatten"},
    ],
}
PHOTOS: Json = {"shape": [3, 32, 32], "dtype": "uint8", "mean": [125.0, 123.0, 114.0], "std": [63.0, 62.0, 67.0]}


@pytest.mark.parametrize(
    "description",
    [
        *(TINY, IMAGES, NAMED, REAL, LAYERS),
        TINY | {"net": {"kind": "lenet5"}, "input": {"shape": [1, 28, 28], "dtype": "uint8"}},
        TINY | {"net": {"kind": "3conv3fc"}, "input": PHOTOS},
        TINY | {"family": "point", "prior": {"kind": "gaussian", "sigma": 0.1}, "recipe": "auto"},
        REAL | {"output": {"kind": "gaussian"}, "retention": {"kind": "keep"}},
    ],
    ids=["mlp", "images", "named classes", "real labels", "layers", "lenet5", "3conv3fc", "point", "learned noise"],
)
def test_a_created_model_is_described_in_full_and_posting_that_again_changes_nothing(
    live: Live, description: Json
) -> None:
    path = live.create(description)

    full = live.client.get(path).json()
    posted = {name: full[name] for name in ("name", "net", "input", "output", "family", "prior", "recipe", "chunk")}
    again = live.client.post("/v1/models", json=posted)

    assert again.status_code == 200
    assert again.headers["Location"] == path
    assert again.json() == full


@pytest.mark.parametrize("description", [TINY, TINY | {"net": {"kind": "mlp", "hidden": [50]}}], ids=["linear", "mlp"])
def test_roots_are_made_a_few_at_a_time_whatever_the_prior(tmp_path: Path, description: Json) -> None:
    """While all places are taken none is made, and none is refused."""
    with running(tmp_path) as live, ThreadPoolExecutor(1) as pool:
        places = os.cpu_count() or 1
        for _ in range(places):
            assert live.house.computing.acquire(timeout=30.0)
        made = pool.submit(live.create, description)
        try:
            with pytest.raises(TimeoutError):
                made.result(1.0)
            assert live.house.history.models() == []
            assert list(live.folder.listed()) == []
        finally:
            for _ in range(places):
                live.house.computing.release()
        assert live.client.get(made.result()).json()["head"] == 0


def test_a_new_model_answers_from_its_root_prior(live: Live, model: str) -> None:
    found = live.client.get(model).json()

    assert found["head"] == 0
    assert found["aliases"] == {"head": 0}
    assert found["versions"] == found["batches"] == found["rows"] == 0
    assert live.client.post(f"{model}/predictions", json={"inputs": [[1, 2]]}).json()["version"] == 0


def test_the_counters_tell_pending_rows_from_absorbed_ones(live: Live, model: str) -> None:
    live.learn(model)
    live.post_rows(model)

    found = live.client.get(model).json()

    assert (found["versions"], found["batches"], found["rows"]) == (1, 2, 4)
    assert found["pending"] == {"batches": 1, "rows": 2}
    assert found["updates"] == {"queued": 0, "running": 0, "published": 1, "failed": 0, "cancelled": 0}


def test_the_name_of_another_model_is_refused(live: Live, model: str) -> None:
    answer = live.client.post("/v1/models", json=REAL | {"name": model.removeprefix("/v1/models/")})

    assert answer.status_code == 409
    assert answer.json()["code"] == "model-exists"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"net": {"kind": "mlp", "hidden": ["64"]}}, "net.hidden.0"),
        ({"net": {"kind": "mlp", "hidden": [0]}}, "net.hidden.0"),
        ({"net": {"kind": "layers", "layers": [{"kind": "dense"}]}}, "net.layers.0.units"),
        ({"net": {"kind": "layers", "layers": [{"kind": "conv", "filters": 1, "kernel": 9}]}}, "net.layers.0"),
        ({"net": {"kind": "transformer"}}, "net"),
        ({"net": WIDE, "input": {"shape": [1, 8, 8]}}, "net.layers.0"),
        ({"output": {"kind": "gaussian", "noise": 1e300}}, "output.noise"),
        ({"output": {"kind": "gaussian", "noise": 10**400}}, "output.noise"),
        ({"output": {"kind": "gaussian", "noise": 1e-300}}, "output.noise"),
        ({"net": {"kind": "lenet5"}}, "net"),
        ({"output": {"kind": "categorical", "classes": ["a", 1]}}, "output.classes.1"),
        ({"output": {"kind": "categorical", "classes": 1}}, "output.classes"),
        ({"input": {"shape": [2], "dtype": "float16"}}, "input.dtype"),
        ({"recipe": {"learning_rate": 1}}, "recipe.learning_rate"),
        ({"prior": {"kind": "gaussian", "sigma": -1}}, "prior.sigma"),
        ({"chunk": {"rows": 0}}, "chunk.rows"),
        ({"name": "a/b"}, "name"),
        ({"famly": "ffg"}, "famly"),
    ],
)
def test_a_description_that_makes_no_model_is_refused_with_the_place(live: Live, change: Json, where: str) -> None:
    answer = live.client.post("/v1/models", json={"name": "never", **TINY, **change})

    assert answer.status_code == 422
    assert answer.json()["code"] == "description-invalid"
    assert where in [fault["where"] for fault in answer.json()["errors"]]
    assert live.client.get("/v1/models/never").status_code == 404


def test_models_are_listed_in_pages_in_the_order_of_their_names(live: Live) -> None:
    names = {live.create().removeprefix("/v1/models/") for _ in range(3)}

    listed, cursor = [], None
    while True:
        page = live.client.get("/v1/models", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        listed += [model["name"] for model in page["models"]]
        assert len(page["models"]) <= 2
        if (cursor := page["next_cursor"]) is None:
            break

    assert listed == sorted(set(listed))
    assert names <= set(listed)


def test_every_knob_of_a_recipe_can_be_posted() -> None:
    assert set(Recipe.model_fields) == {field.name for field in dataclasses.fields(bayes.Recipe)}


def test_a_name_that_is_none_is_told_in_words_and_not_as_a_pattern(live: Live, model: str) -> None:
    created = live.client.post("/v1/models", json={**TINY, "name": "a name"})
    archive = live.client.get(f"{model}/versions/0/export").content
    is_zip = {"Content-Type": "application/zip"}
    imported = live.client.post("/v1/imports", params={"name": "a name"}, content=archive, headers=is_zip)

    said = "a name is 1 to 128 letters, digits, '.', '_' and '-', the first a letter or digit"
    assert [fault["message"] for fault in created.json()["errors"]] == [said]
    assert said in created.json()["detail"]
    assert said in imported.json()["detail"]

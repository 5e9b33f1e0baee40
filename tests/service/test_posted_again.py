"""The same description again is the same model: as it was posted, or as it resolves; today and in later releases."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import update

import bayes
from bayes import recipe
from service.description import read_description
from store.schema.learning import models
from store.values import DEFAULTS_SINCE
from tests.service.expected import expect_problem
from tests.service.live import REAL, TINY, Json, Live

LR = 0.125
AUTO: Json = {name: value for name, value in TINY.items() if name != "recipe"}


def post(live: Live, model: str, description: Json) -> httpx.Response:
    return live.client.post("/v1/models", json={"name": model.removeprefix("/v1/models/")} | description)


def forget_what_was_posted(live: Live, model: str) -> None:
    """The row is as the migration leaves those of an earlier release."""
    name = model.removeprefix("/v1/models/")
    with live.house.ledger.engine.begin() as connection:
        connection.execute(update(models).where(models.c.name == name).values(posted=None))


@pytest.fixture
def upgrade(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, the automatic recipe is another, as in a later release."""
    present = recipe.auto

    def auto(rows: int, weights: int, **facts: Any) -> bayes.Recipe:  # noqa: ANN401 - whatever it is told
        return dataclasses.replace(present(rows, weights, **facts), lr=LR)

    return lambda: monkeypatch.setattr(recipe, "auto", auto)


@pytest.mark.parametrize("description", [AUTO, AUTO | {"recipe": "auto"}, TINY], ids=["absent", "auto", "in part"])
def test_the_same_body_is_the_same_model_also_where_a_later_release_chooses_another_recipe(
    live: Live, upgrade: Callable[[], None], description: Json
) -> None:
    path = live.create(description)
    before = live.client.get(path).json()

    upgrade()
    answer = post(live, path, description)

    assert (answer.status_code, answer.json()) == (200, before)
    assert before["recipe"]["lr"] != LR
    assert live.client.get(live.create(description)).json()["recipe"]["lr"] == LR


def test_the_defaults_of_fields_that_came_later_are_those_that_a_new_model_has() -> None:
    described = {"name": "new", "net": {"kind": "mlp", "hidden": [3]}, "input": {"shape": [2]}}
    _, resolved, _ = read_description(json.dumps(described | {"output": TINY["output"]}).encode())

    assert {name: resolved[name] for name in DEFAULTS_SINCE} == DEFAULTS_SINCE


def test_another_body_is_refused_by_a_later_release_too(live: Live, upgrade: Callable[[], None]) -> None:
    path = live.create(AUTO)
    upgrade()

    for other in (REAL, AUTO | {"family": "point"}, AUTO | {"recipe": {"lr": LR}}):
        expect_problem(post(live, path, other), "model-exists")


@pytest.mark.parametrize(
    "written_out",
    [
        {"family": "ffg", "prior": {"kind": "gaussian"}, "retention": {}},
        {"recipe": {"epochs": 1, "seed": 0, "lr": None}},
        {"input": {"shape": [2], "dtype": "float32", "std": 1}},
    ],
)
def test_a_default_written_out_is_the_same_model(live: Live, model: str, written_out: Json) -> None:
    assert post(live, model, TINY | written_out).status_code == 200


@pytest.mark.parametrize("first", [{"rows": 10}, {"rows": 10, "seconds": None}])
def test_no_limit_of_seconds_is_another_model_than_the_limit_left_out(live: Live, first: Json) -> None:
    second = {"rows": 10} if "seconds" in first else {"rows": 10, "seconds": None}
    path = live.create(TINY | {"chunk": first})

    assert post(live, path, TINY | {"chunk": first}).status_code == 200
    expect_problem(post(live, path, TINY | {"chunk": second}), "model-exists")


def test_a_model_of_before_posted_descriptions_were_kept_is_compared_by_what_they_resolve_to(
    live: Live, upgrade: Callable[[], None]
) -> None:
    path = live.create(AUTO)
    forget_what_was_posted(live, path)
    assert post(live, path, AUTO | {"family": "ffg"}).status_code == 200
    expect_problem(post(live, path, REAL), "model-exists")

    upgrade()

    expect_problem(post(live, path, AUTO), "model-exists")

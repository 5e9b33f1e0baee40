"""docs/models.md tells the truth: what it shows is accepted, and what there is it names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from bayes import GaussianPrior, InvalidDescription, LaplacePrior, Model, Recipe, WeightsPrior
from bayes.nets import LayerKind, NetKind
from bayes.priors import Prior, PriorKind, write_prior
from client import Client

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
BLOCKS: list[dict[str, Any]] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
NAMES = [block["name"] for block in BLOCKS]


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(title: str) -> list[str]:
    """What the rows of the section's tables are about."""
    return re.findall(r"^\| (?:`\w+`)? ?\|? ?`(\w+)` \|", section(title), re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=NAMES)
def test_every_model_of_the_page_is_one(block: dict[str, Any]) -> None:
    model = Model.from_description(block)

    assert Model.from_description(model.to_description()) == model


@pytest.mark.parametrize("block", BLOCKS, ids=NAMES)
def test_the_service_creates_every_model_of_the_page_and_keeps_what_it_says(
    client: Client, block: dict[str, Any]
) -> None:
    created = client.create_model(block).raw

    for key, stated in block.items():
        whole = {**created[key], **stated} if isinstance(stated, dict) else stated
        assert created[key] == whole, key


def test_every_key_and_every_recipe_field_is_named_in_its_table() -> None:
    keys = re.findall(r"^\| \[?`(\w+)`", PAGE.split("\n## Net\n")[0], re.MULTILINE)

    learned = ["name", "net", "input", "output", "family", "prior", "recipe", "chunk", "retention"]
    assert keys == [*learned, "publish", "gate", "surprise", "predictions"]
    assert first_cells("Recipe") == list(Recipe.__dataclass_fields__)
    assert first_cells("Chunk") == ["rows", "seconds"]


def test_every_kind_of_prior_and_each_of_its_fields_is_named() -> None:
    table = re.findall(r"^\| (?:`(\w+)`)? ?\| `(\w+)` \|", section("Family and prior"), re.MULTILINE)
    named: dict[str, list[str]] = {}
    for kind, name in table:
        named.setdefault(kind or list(named)[-1], []).append(name)

    blob, batch = (f"sha256:{digit * 64}" for digit in "01")
    every: list[Prior] = [
        GaussianPrior(),
        WeightsPrior(blob, (1.0,)),
        WeightsPrior(blob, (1.0, 2.0)),
        LaplacePrior(blob, batch),
    ]
    written = [write_prior(prior) for prior in every]
    assert set(named) == set(get_args(PriorKind))
    for kind, names in named.items():
        assert set(names) == {key for prior in written if prior["kind"] == kind for key in prior} - {"kind"}


def test_the_python_lines_work_as_they_stand(url: str, client: Client) -> None:
    (lines,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

    subprocess.run([sys.executable, "-c", lines.replace("http://127.0.0.1:8000", url)], check=True, timeout=120)

    created = client.model("features-kept")
    assert created.prior["sigmas"] == [0.01, 0.03, 0.1]
    assert client.blob(created.prior["blob"]).tensors["dense1.weight"].shape == (8, 2)


def test_every_kind_of_net_and_layer_is_named_and_shown() -> None:
    nets = [block["net"] for block in BLOCKS]
    listed = {layer["kind"] for net in nets for layer in net.get("layers", [])}

    assert {net["kind"] for net in nets} == set(get_args(NetKind))
    assert listed == set(get_args(LayerKind))
    assert set(re.findall(r"^\| `(\w+)` \|", section("Net"), re.MULTILINE)) == {"kind", *get_args(NetKind), *listed}


def test_every_recipe_field_is_given_once_and_has_the_automatic_value_that_the_page_says() -> None:
    by_hand = next(block for block in BLOCKS if block["name"] == "by-hand")
    small = Model.from_description({**by_hand, "recipe": "auto", "family": "ffg"})
    large = Model.from_description({**next(block for block in BLOCKS if block["name"] == "mnist"), "chunk": {}})

    assert list(by_hand["recipe"]) == list(Recipe.__dataclass_fields__)
    assert (small.recipe.epochs, small.recipe.batch_rows, small.recipe.lr) == (round(1000 * 50 / 500), 50, 0.02)
    assert (small.recipe.steps_least, large.recipe.steps_least) == (1000, 150)
    assert (large.recipe.epochs, large.recipe.batch_rows, large.recipe.lr) == (round(150 * 50 / 500), 50, 0.001)
    assert small.recipe.beta == 0.6 * (500 / small.network.weights) ** (1 / 3)
    assert large.recipe.beta == 500 / (large.network.weights / 8)
    assert (large.recipe.lr_log_sigma, large.recipe.lr_final, large.recipe.log_sigma_start) == (0.02, 0.02, -5.0)
    assert (small.recipe.shift_pixels, large.recipe.shift_pixels) == (0, 28 // 12)


@pytest.mark.parametrize(("kind", "side"), [("lenet5", 16), ("3conv3fc", 23)])
def test_the_smallest_images_are_those_that_the_page_says(kind: str, side: int) -> None:
    described = {"net": {"kind": kind}, "output": {"kind": "categorical", "classes": 10}}

    assert re.search(rf"`{kind}` of {side}\b", PAGE)
    Model.from_description({**described, "input": {"shape": [1, side, side]}})
    with pytest.raises(InvalidDescription):
        Model.from_description({**described, "input": {"shape": [1, side - 1, side - 1]}})


@pytest.mark.parametrize(
    ("part", "field", "fits", "exceeds"),
    [
        ("input", "std", 1e-6, 0.9e-6),
        ("input", "std", 1e9, 1.1e9),
        ("input", "mean", -1e9, -1.1e9),
        ("prior", "sigma", 1e-6, 0.9e-6),
        ("prior", "sigma", 1000, 1001),
    ],
)
def test_the_bounds_are_those_that_the_page_says(part: str, field: str, fits: float, exceeds: float) -> None:
    by_hand = next(block for block in BLOCKS if block["name"] == "by-hand")

    Model.from_description({**by_hand, part: {**by_hand[part], field: fits}})
    with pytest.raises(InvalidDescription):
        Model.from_description({**by_hand, part: {**by_hand[part], field: exceeds}})

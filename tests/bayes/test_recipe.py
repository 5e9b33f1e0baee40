import pytest

from bayes import Model
from bayes.recipe import auto, resolve


@pytest.mark.parametrize("weights", [1, 385, 4_810, 431_080])
@pytest.mark.parametrize("rows", [1, 7, 100, 500, 6_000, 1_000_000])
@pytest.mark.parametrize("of_numbers", [False, True])
def test_automatic_values_are_usable_for_every_size_of_chunk_and_net(rows: int, weights: int, of_numbers: bool) -> None:
    recipe = auto(rows, weights, of_numbers=of_numbers)

    assert 0 < recipe.beta <= 1
    assert 1 <= recipe.batch_rows <= rows
    assert resolve(recipe.to_description(), rows=3, weights=3) == recipe


def test_a_large_net_gets_the_measured_recipe_for_500_and_6000_rows() -> None:
    small, large = auto(500, 431_080), auto(6_000, 431_080)

    assert (small.epochs, small.batch_rows, small.beta) == (15, 50, 500 / (431_080 / 8))
    assert (large.epochs, large.batch_rows) == (4, 100)
    assert large.beta == pytest.approx(6_000 / (431_080 / 8 * 12**0.5))


def test_given_fields_stay_and_the_others_are_chosen_for_the_chunk() -> None:
    recipe = resolve({"beta": 1.0, "seed": 3}, rows=500, weights=431_080)

    chosen = auto(500, 431_080).to_description()
    assert recipe.to_description() == chosen | {"beta": 1.0, "seed": 3}


@pytest.mark.parametrize(
    ("rows", "passes", "steps"),
    [(500, 30, 300), (800, 30, 480), (499, 30, 300), (130, 100, 300), (7, 300, 300), (1, 300, 300)],
)
def test_a_chunk_that_closed_early_takes_as_many_steps_as_a_full_one(rows: int, passes: int, steps: int) -> None:
    recipe = auto(500, 4_810)

    assert (recipe.epochs, recipe.batch_rows, recipe.steps_least) == (30, 50, 300)
    assert (recipe.passes(rows), recipe.steps(rows)) == (passes, steps)


def test_fine_tuning_of_a_small_net_takes_smaller_steps() -> None:
    described = {"net": {"kind": "mlp", "hidden": [8]}, "input": {"shape": [2]}, "output": {"kind": "gaussian"}}

    assert Model.from_description({**described, "family": "point"}).recipe.lr == 0.003
    assert Model.from_description({**described, "family": "point", "recipe": {"epochs": 2}}).recipe.lr == 0.003
    assert Model.from_description(described).recipe.lr == 0.02


def test_passes_that_are_given_are_meant_also_for_small_chunks() -> None:
    assert resolve({"epochs": 3}, rows=500, weights=4_810).passes(50) == 3
    assert resolve({"epochs": 3, "steps_least": 20}, rows=500, weights=4_810).passes(50) == 20
    assert resolve({"beta": 0.1}, rows=500, weights=4_810).passes(50) == 300


def test_a_chunk_for_a_small_net_counts_like_one_row_for_each_weight() -> None:
    assert auto(100, 4_810).beta == 100 / 4_810
    assert auto(500, 385).beta == 1.0


def test_labels_that_are_numbers_are_tempered_less_and_learned_for_longer() -> None:
    described = {"net": {"kind": "mlp", "hidden": [64, 64]}, "input": {"shape": [10]}, "chunk": {"rows": 80}}

    numbers = Model.from_description(described | {"output": {"kind": "gaussian"}}).recipe
    classes = Model.from_description(described | {"output": {"kind": "categorical", "classes": 2}}).recipe

    assert numbers.beta == pytest.approx(0.6 * (80 / 4_929) ** (1 / 3))
    assert (numbers.epochs, classes.epochs) == (312, 94)
    assert numbers.beta > classes.beta

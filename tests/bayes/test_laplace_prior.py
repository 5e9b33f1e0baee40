"""Priors as wide as old rows leave them."""

import math

import pytest
import torch

from bayes import InvalidDescription, Model, Pretrained, root
from bayes.pretrain import rows_of
from tests.bayes.stars import VAGUE, made, model, old_rows, sigma, star


def test_a_laplace_prior_is_never_wider_than_without_rows_and_narrower_with_more() -> None:
    few, many = (made(star(), old_rows(), rows=rows) for rows in (40, 4000))

    for layer, widest in VAGUE.items():
        narrow, wide = sigma(many.layer(layer), "weight"), sigma(few.layer(layer), "weight")
        assert bool((wide <= widest * (1 + 1e-6)).all())
        assert bool((narrow <= wide).all())
        assert bool((narrow < 0.2 * wide).any())


def test_the_rows_of_a_laplace_prior_count_as_the_recipe_tempers_rows() -> None:
    pretrained = Pretrained.of(star(), old_rows())
    untempered = model(pretrained, kind="laplace", rows=40).to_description()
    recipe = {"beta": 0.1, "epochs": 1}

    tempered = Model.from_description({**untempered, "recipe": recipe})
    counted = Model.from_description(
        {**untempered, "recipe": {**recipe, "beta": 1.0}, "prior": {**tempered.to_description()["prior"], "rows": 400}}  # type: ignore[dict-item]
    )

    assert root(tempered, pretrained).tensors.keys() == root(counted, pretrained).tensors.keys()
    for name, tensor in root(tempered, pretrained).tensors.items():
        torch.testing.assert_close(tensor, root(counted, pretrained).tensors[name])


@pytest.mark.parametrize(
    ("beta", "weights", "rows"),
    [(1.0, 431_080, 600), (0.1, 5, 60), (0.01, 431_080, 500), (0.002, 431_080, 100), (0.01, 20_000, 200)],
)
def test_a_batch_stands_for_its_rows_or_for_what_a_chunk_weighs(beta: float, weights: int, rows: float) -> None:
    assert rows_of(600, beta, weights=weights) == pytest.approx(rows)


def test_a_laplace_prior_that_does_not_say_its_rows_takes_them_from_the_batch() -> None:
    pretrained = Pretrained.of(star(), old_rows(40))
    untempered = {"beta": 1.0, "epochs": 1}

    unsaid = {**model(pretrained, kind="laplace").to_description(), "recipe": untempered}
    said = {**unsaid, "prior": model(pretrained, kind="laplace", rows=40).to_description()["prior"]}

    one, other = (root(Model.from_description(described), pretrained) for described in (said, unsaid))
    assert one.digest == other.digest


def test_rows_of_the_largest_numbers_leave_a_width_as_small_as_a_prior_may_have() -> None:
    weights = star()

    prior = made({**weights, "dense1.weight": 1e-15 * weights["dense1.weight"]}, 1e15 * old_rows())

    assert float(prior.tensors["dense1.weight.log_sigma"].min()) == pytest.approx(math.log(1e-6))


def test_a_laplace_prior_with_a_fresh_head_reads_the_old_head_and_leaves_it_out() -> None:
    kept, fresh = made(star(), old_rows()), made(star(), old_rows(), head="fresh")

    assert torch.equal(kept.tensors["dense1.weight.log_sigma"], fresh.tensors["dense1.weight.log_sigma"])
    assert not fresh.tensors["dense2.weight.mu"].any()
    with pytest.raises(InvalidDescription, match=r"has no tensor 'dense2.weight'"):
        made(star(dense2_weight=None, dense2_bias=None), old_rows(), head="fresh")

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from bayes.families import FAMILIES, FamilyName, family_names
from bayes.families.parts import Noise
from bayes.likelihoods import OWN
from bayes.objective import Batch
from tests.bayes.family_layers import normal, random_tensors
from tests.bayes.objectives import SMALL, Parameters, objective, random_parameters, random_rows, take


def up(like: Tensor) -> Tensor:
    """Noise of one sigma; the second half of the rows has it downwards."""
    return torch.ones_like(like)


def down(like: Tensor) -> Tensor:
    return -torch.ones_like(like)


def averaged(loss: Callable[[Noise], Tensor], noises: tuple[Noise, ...]) -> Tensor:
    return torch.stack([loss(noise) for noise in noises]).mean()


def leaves(q: Parameters) -> list[Tensor]:
    return [tensor.requires_grad_() for tensors in q.values() for tensor in tensors.values()]


@pytest.mark.parametrize("noises", [(torch.zeros_like,), (up, down)], ids=["at the mean", "one sigma up and down"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch_rows", [1, 4, 5, 11, 13])
def test_minibatch_gradients_over_a_pass_add_up_to_the_gradient_of_the_whole_chunk(
    batch_rows: int, weighted: bool, noises: tuple[Noise, ...]
) -> None:
    rows = random_rows(11, seed=0)
    rows = rows if weighted else rows._replace(weights=torch.ones_like(rows.weights))
    q, prior = random_parameters(SMALL, 1), random_parameters(SMALL, 2)
    bound = objective(SMALL, prior, rows.weights, batch_rows=batch_rows, beta=0.3)

    order = torch.randperm(11, generator=torch.Generator().manual_seed(3))
    learned = leaves(q)
    steps = [
        torch.autograd.grad(averaged(partial(bound.minibatch, q, take(rows, index)), noises), learned)
        for index in torch.split(order, batch_rows)
    ]
    whole = torch.autograd.grad(averaged(partial(bound.whole, q, rows), noises), learned)

    for of_steps, of_whole in zip(zip(*steps, strict=True), whole, strict=True):
        summed = torch.stack(of_steps).sum(0) * batch_rows / 11
        torch.testing.assert_close(summed, of_whole, rtol=1e-10, atol=1e-12)


def test_a_full_minibatch_of_equal_weights_is_the_mean_nll_plus_beta_over_n_times_the_kl() -> None:
    rows = random_rows(8, seed=0)._replace(weights=torch.ones(8, dtype=torch.float64))
    q, prior = random_parameters(SMALL, 1), random_parameters(SMALL, 2)
    bound = objective(SMALL, prior, rows.weights, batch_rows=4, beta=0.3)
    batch = take(rows, slice(0, 4))

    expected = bound.nll(q, batch, torch.ones_like).mean() + 0.3 / 8 * bound.kl(q)

    torch.testing.assert_close(bound.minibatch(q, batch, torch.ones_like), expected, rtol=1e-12, atol=0.0)


def test_a_row_of_weight_two_is_the_row_twice() -> None:
    rows = random_rows(3, seed=0)
    q, prior = random_parameters(SMALL, 1), random_parameters(SMALL, 2)
    heavy = rows._replace(weights=torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64))
    twice = Batch(*(part[[0, 0, 1, 2]] for part in rows))._replace(weights=torch.ones(4, dtype=torch.float64))

    of_heavy = averaged(partial(objective(SMALL, prior, heavy.weights).whole, q, heavy), (up, down))
    of_twice = averaged(partial(objective(SMALL, prior, twice.weights).whole, q, twice), (up, down))

    torch.testing.assert_close(of_heavy, of_twice, rtol=1e-13, atol=0.0)


def test_a_row_of_weight_zero_is_not_there() -> None:
    rows = random_rows(3, seed=0)
    q, prior = random_parameters(SMALL, 1), random_parameters(SMALL, 2)
    ignored = rows._replace(weights=torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    absent = take(ignored, slice(0, 2))

    of_ignored = averaged(partial(objective(SMALL, prior, ignored.weights).whole, q, ignored), (up, down))
    of_absent = averaged(partial(objective(SMALL, prior, absent.weights).whole, q, absent), (up, down))

    torch.testing.assert_close(of_ignored, of_absent, rtol=1e-13, atol=0.0)


@pytest.mark.parametrize("family", family_names())
def test_gradients_reach_every_tensor_of_the_posterior_and_none_of_the_prior(family: FamilyName) -> None:
    rows, rules = random_rows(6, seed=0), FAMILIES[family]
    q, prior = ({layer.name: random_tensors(family, layer, seed) for layer in SMALL.weighted} for seed in (1, 2))
    before = copy.deepcopy(prior)
    reached = [
        t.requires_grad_() for tensors in q.values() for key, t in tensors.items() if rules.rate(key) is not None
    ]

    bound = objective(SMALL, prior | {OWN: {}}, rows.weights, family=family)
    torch.autograd.backward(bound.minibatch(q | {OWN: {}}, rows, normal(3)))

    assert all(leaf.grad is not None and bool(leaf.grad.any()) for leaf in reached)
    for name, tensors in prior.items():
        for key, tensor in tensors.items():
            assert not tensor.requires_grad
            assert torch.equal(tensor, before[name][key])


def test_the_gradient_of_the_kl_is_zero_at_the_prior() -> None:
    prior = random_parameters(SMALL, 2)
    q = copy.deepcopy(prior)
    bound = objective(SMALL, prior, torch.ones(4))

    assert float(bound.kl(q)) == 0.0
    learned = leaves(q)
    assert not any(bool(gradient.any()) for gradient in torch.autograd.grad(bound.kl(q), learned))

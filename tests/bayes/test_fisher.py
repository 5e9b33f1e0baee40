"""The diagonal Fisher information against autograd, one row and one class at a time."""

from typing import cast

import pytest
import torch
from torch import Tensor

from bayes import Categorical, Gaussian, Layers, laplace
from bayes.laplace import Likelihood, fisher, log_sigma_after
from bayes.layers import Affine, Conv, Dense, Flatten, MaxPool, Network, Run, Softplus, Weighted, apply, forward
from bayes.nets import network

IMAGES = (2, 6, 6)
CLASSES = 3
CONVOLUTIONS = Layers((Conv(3, 3, padding=1), MaxPool(2, 2), Softplus(), Conv(4, 2, stride=2), Softplus(), Flatten()))
NET = network(CONVOLUTIONS, IMAGES, CLASSES)
AFFINE = Affine("norm", 4, 1e-5)
FIXED = {"norm.scale": torch.tensor([0.5, 2.0, -1.0, 3.0]).double(), "norm.shift": torch.arange(4.0).double()}
FIRST = Weighted("grouped", Conv(4, 3, 1, 2), 2, groups=2, is_biased=False)
LAST = Weighted("head", Dense(CLASSES), 36)
GROUPED = Network(
    (FIRST, LAST),
    cast("Run", lambda x, linear, scaling, _: linear(LAST, scaling(AFFINE, linear(FIRST, x)).relu().flatten(1))),
    width=72,
    affine=(AFFINE,),
    is_chain=False,
)
SOFTMAX = Likelihood(Categorical(CLASSES))

Pair = tuple[Tensor, Tensor]


def weights(net: Network, seed: int = 0) -> dict[str, Pair]:
    stream = torch.Generator().manual_seed(seed)

    def drawn(shape: tuple[int, ...]) -> Tensor:
        return 0.5 * torch.randn(shape, generator=stream, dtype=torch.float64)

    return {layer.name: (drawn(layer.weight_shape), drawn(layer.bias_shape)) for layer in net.weighted}


def rows(count: int, shape: tuple[int, ...] = IMAGES) -> Tensor:
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def outputs(net: Network, of: dict[str, Pair], x: Tensor) -> Tensor:
    return forward(net, x, lambda layer, x: apply(layer, x, *of[layer.name]), FIXED)


def squares(net: Network, of: dict[str, Pair], x: Tensor, label: int) -> dict[str, list[Tensor]]:
    """The squares of the gradient of -log p(label | x), by autograd, for one row."""
    free = {
        name: (weight.clone().requires_grad_(), bias.clone().requires_grad_()) for name, (weight, bias) in of.items()
    }
    loss = -outputs(net, free, x.unsqueeze(0)).log_softmax(1)[0, label]
    return {
        name: [g.square() for g in torch.autograd.grad(loss, pair, retain_graph=True, materialize_grads=True)]
        for name, pair in free.items()
    }


def summed(parts: list[dict[str, list[Tensor]]], by: list[float]) -> dict[str, list[Tensor]]:
    return {
        name: [sum((f * p[name][i] for f, p in zip(by, parts, strict=True)), torch.zeros(())) for i in (0, 1)]
        for name in parts[0]
    }


def assert_same(found: dict[str, Pair], expected: dict[str, list[Tensor]], *, rtol: float = 1e-10) -> None:
    assert found.keys() == expected.keys()
    for name, pair in found.items():
        for one, other in zip(pair, expected[name], strict=True):
            torch.testing.assert_close(one, other, rtol=rtol, atol=1e-12 if rtol == 1e-10 else 1e-3)


def test_it_is_the_sum_of_each_rows_own_squares_with_labels_drawn_from_the_net() -> None:
    w, x = weights(NET), rows(7)

    found = fisher(NET, w, x, likelihood=SOFTMAX, generator=stream())

    drawn = torch.multinomial(outputs(NET, w, x).softmax(1), 1, generator=stream())[:, 0].tolist()
    assert len(set(drawn)) > 1
    assert_same(found, summed([squares(NET, w, row, label) for row, label in zip(x, drawn, strict=True)], [1.0] * 7))


def test_groups_absent_biases_and_fixed_scales_are_those_of_the_net() -> None:
    w, x = weights(GROUPED), rows(5)

    found = fisher(GROUPED, w, x, likelihood=SOFTMAX, fixed=FIXED, generator=stream())

    drawn = torch.multinomial(outputs(GROUPED, w, x).softmax(1), 1, generator=stream())[:, 0].tolist()
    assert found["grouped"][0].shape == (4, 1, 3, 3)
    assert found["grouped"][1].shape == (0,)
    assert_same(
        found, summed([squares(GROUPED, w, row, label) for row, label in zip(x, drawn, strict=True)], [1.0] * 5)
    )


def test_a_row_of_importance_three_is_three_rows() -> None:
    w, x = weights(NET), rows(1)

    once = fisher(NET, w, x, likelihood=SOFTMAX, generator=stream())
    thrice = fisher(NET, w, x, likelihood=SOFTMAX, importance=torch.tensor([3.0]).double(), generator=stream())

    assert_same(thrice, {name: [3 * part for part in pair] for name, pair in once.items()})


def test_drawn_labels_converge_to_the_expectation_over_the_classes() -> None:
    w, x = weights(NET), rows(2)
    draws = 20_000

    found = fisher(NET, w, x.repeat(draws, 1, 1, 1), likelihood=SOFTMAX, generator=stream())

    probabilities = outputs(NET, w, x).softmax(1)
    parts = [squares(NET, w, row, label) for row in x for label in range(CLASSES)]
    exact = summed(parts, probabilities.flatten().tolist())
    for name, pair in found.items():
        for one, other in zip(pair, exact[name], strict=True):
            torch.testing.assert_close(one.sum() / draws, other.sum(), rtol=0.03, atol=0.0)
            assert float((one / draws - other).abs().max()) < 0.05 * float(other.max())


def test_the_slices_do_not_change_the_sum() -> None:
    w, x = weights(NET), rows(5)
    slices: list[int] = []

    together = fisher(NET, w, x, likelihood=SOFTMAX, generator=stream(), check=lambda: slices.append(1))
    labels = stream()
    apart = [fisher(NET, w, row.unsqueeze(0), likelihood=SOFTMAX, generator=labels) for row in x]

    assert len(slices) == 1
    assert_same(together, {name: [sum(one[name][i] for one in apart) for i in (0, 1)] for name in together})  # type: ignore[misc]


@pytest.mark.parametrize("positions", [1, 2, 5, 8])
@pytest.mark.parametrize("net", [NET, GROUPED])
def test_no_more_positions_than_fit_are_looked_at_together_and_the_sum_is_the_same(
    monkeypatch: pytest.MonkeyPatch, net: Network, positions: int
) -> None:
    w, x = weights(net), rows(3)
    expected = fisher(net, w, x, likelihood=SOFTMAX, fixed=FIXED, generator=stream())
    most = positions * len(x) * 2 * 3**2
    held: list[int] = []
    unfold = torch.nn.functional.unfold

    def watched(x: Tensor, kernel: int, *, padding: int = 0, stride: int = 1) -> Tensor:
        patches = unfold(x, kernel, padding=padding, stride=stride)
        held.append(patches.numel())
        return patches

    monkeypatch.setattr(laplace, "PATCHES_MAX", most)
    monkeypatch.setattr(torch.nn.functional, "unfold", watched)
    checks: list[int] = []

    found = fisher(net, w, x, likelihood=SOFTMAX, fixed=FIXED, generator=stream(), check=lambda: checks.append(1))

    assert max(held) <= most
    assert len(checks) > 2
    assert_same(found, {name: list(pair) for name, pair in expected.items()})


def test_what_the_check_between_positions_raises_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laplace, "PATCHES_MAX", 1)
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        fisher(NET, weights(NET), rows(1), likelihood=SOFTMAX, generator=stream(), check=check)


def test_for_a_linear_model_with_gaussian_labels_the_width_is_that_of_the_exact_posterior() -> None:
    net = network(Layers(()), (4,), 1)
    noise, beta, prior_sigma = 0.7, 0.1, 0.5
    x = rows(50, (4,))

    found = fisher(
        net,
        weights(net),
        x,
        likelihood=Likelihood(Gaussian(1), torch.tensor([noise], dtype=torch.float64)),
        generator=stream(),
    )
    prior_log_sigma = torch.full((1, 4), prior_sigma, dtype=torch.float64).log()
    widths = log_sigma_after(found["dense1"][0], prior_log_sigma, beta).exp()

    precision = x.T @ x / (beta * noise**2) + torch.eye(4, dtype=torch.float64) / prior_sigma**2
    torch.testing.assert_close(widths[0], precision.diagonal().rsqrt(), rtol=1e-10, atol=0.0)


def test_no_information_leaves_the_prior_as_wide_as_it_was() -> None:
    prior = torch.tensor([-1.0, 0.5, 2.0])

    torch.testing.assert_close(log_sigma_after(torch.zeros(3, dtype=torch.float64), prior, 0.01), prior)

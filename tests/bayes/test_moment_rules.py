"""What the steps of a net make of means and variances, beside numerical integrals and sums by hand."""

import math
import operator
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from bayes.layers import Flatten, MaxPool, Relu, Softplus
from bayes.moment_rules import Moment, relu, relu6, rule_of, softplus

Function = Callable[[np.ndarray], np.ndarray]
Kinked = tuple[Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], Function, tuple[float, ...]]

RELU: Kinked = (relu, lambda x: np.maximum(x, 0), (0.0,))
RELU6: Kinked = (relu6, lambda x: np.clip(x, 0, 6), (0.0, 6.0))
SOFTPLUS: Kinked = (softplus, lambda x: np.logaddexp(0, x), (-40.0, -20.0, -10.0, -4.0, 0.0, 4.0, 10.0, 20.0, 40.0))
DISTANCES = [0.0, 1e-6, 1e-3, 0.03, 0.3, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 30.0, 1e3, 1e4, 1e6]
VARIANCES = [1e-30, 1e-20, 1e-10, 1e-6, 1e-3, 0.1, 1.0, 30.0, 1e3, 1e6]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(128)


def integrated(function: Function, mean: float, variance: float, kinks: tuple[float, ...]) -> tuple[float, float]:
    """E[f(x)] - f(mean) and Var[f(x)] for Gaussian x, by Gauss and Legendre between the kinks, up to 12 sigma."""
    sigma, at_mean = math.sqrt(variance), function(np.array(mean))
    ends = [-12.0, *sorted(min(max((kink - mean) / sigma, -12.0), 12.0) for kink in kinks), 12.0]
    z = np.concatenate([(a + b) / 2 + (b - a) / 2 * NODES for a, b in pairwise(ends)])
    widths = np.concatenate([(b - a) / 2 * WEIGHTS for a, b in pairwise(ends)])
    mass, off = widths * np.exp(-z * z / 2) / math.sqrt(2 * math.pi), function(mean + sigma * z) - at_mean
    shift = float((mass * off).sum())
    return shift, float((mass * (off - shift) ** 2).sum())


def grid() -> list[tuple[float, float]]:
    """Means, from none to a million sigma from 0, and variances, as float32 has them."""
    return [
        (float(np.float32(sign * distance * math.sqrt(variance))), float(np.float32(variance)))
        for distance in DISTANCES
        for variance in VARIANCES
        for sign in (-1, 1)
    ]


def random_moment(*shape: int) -> Moment:
    stream = torch.Generator().manual_seed(6)
    mean = torch.randn(shape, generator=stream, dtype=torch.float64)
    return Moment(mean, 0.1 + torch.rand(shape, generator=stream, dtype=torch.float64))


def applied(step: object, *args: object, **kwargs: object) -> Moment:
    rule = rule_of(step)
    assert rule is not None
    moment = rule(step, *args, **kwargs)
    assert isinstance(moment, Moment)
    return moment


def variance_of(moment: Moment) -> Tensor:
    assert moment.variance is not None
    return moment.variance


@pytest.mark.parametrize("kinked", [RELU, RELU6], ids=["relu", "relu6"])
def test_moments_of_kinked_functions_are_their_integrals_to_the_rounding_of_the_deviation(kinked: Kinked) -> None:
    rule, function, kinks = kinked
    for mean, variance in grid():
        location, spread = rule(torch.tensor([mean]), torch.tensor([variance]))

        shift, exact = integrated(function, mean, variance, kinks)
        off = float(location.double()) - float(function(np.array(mean))) - shift
        assert abs(off) <= 1e-6 * (math.sqrt(variance) + abs(mean)), (mean, variance)
        assert abs(float(spread) - exact) <= 1e-5 * variance, (mean, variance)


@pytest.mark.parametrize("mean", [-1e15, -3.0, -1e-20, 1e-20, 3.0, 5.5, 7.0, 1e15])
def test_without_variance_relu_is_relu(mean: float) -> None:
    sure = torch.tensor([mean])

    for rule, plain in ((relu, F.relu), (relu6, F.relu6)):
        location, spread = rule(sure, torch.zeros(1))
        torch.testing.assert_close(location, plain(sure), rtol=1e-6, atol=1e-14)
        assert float(spread) == 0.0


@pytest.mark.parametrize("rule", [relu, relu6, softplus])
def test_what_is_not_a_number_stays_so(rule: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
    nan, one = torch.tensor([math.nan]), torch.tensor([1.0])

    assert all(bool(part.isnan()) for part in (*rule(nan, one), *rule(one, nan)))


@pytest.mark.parametrize("variance", VARIANCES[3:])
def test_softplus_is_off_by_at_most_a_28th_of_the_deviation_and_a_24th_of_the_variance(variance: float) -> None:
    rule, function, kinks = SOFTPLUS
    for distance in np.linspace(-8, 8, 81):
        mean = float(distance) * max(math.sqrt(variance), 1.0)

        location, spread = rule(torch.tensor([mean]).double(), torch.tensor([variance]).double())

        shift, exact = integrated(function, mean, variance, kinks)
        assert abs(float(location) - float(function(np.array(mean))) - shift) <= math.sqrt(variance) / 28
        assert abs(float(spread) - exact) <= variance / 24


def test_softplus_of_the_nearly_sure_is_the_delta_method() -> None:
    mean = torch.linspace(-20, 20, 41, dtype=torch.float64)

    location, spread = softplus(mean, torch.full_like(mean, 1e-8))

    slope = mean.sigmoid()
    torch.testing.assert_close(location, F.softplus(mean), rtol=1e-7, atol=1e-15)
    torch.testing.assert_close(spread, 1e-8 * slope.square(), rtol=1e-7, atol=1e-20)


def test_softplus_of_the_most_unsure_is_nearly_relu() -> None:
    mean = 1e8 * torch.linspace(-2, 2, 41, dtype=torch.float64)
    variance = torch.full_like(mean, 1e16)

    location, spread = softplus(mean, variance)

    exact_location, exact_spread = relu(mean, variance)
    assert float((location - exact_location).abs().max()) < 0.036 * 1e8
    assert float((spread - exact_spread).abs().max()) < 0.042 * 1e16


def windows_by_hand(x: Moment, pool: nn.MaxPool2d) -> Moment:
    """The greatest mean of every window and its variance, one window after the other."""
    size, stride, padding = (int(side) for side in (pool.kernel_size, pool.stride, pool.padding))  # type: ignore[arg-type]
    shape = F.max_pool2d(x.mean, size, stride, padding, ceil_mode=pool.ceil_mode).shape
    mean, variance = torch.empty(shape, dtype=torch.float64), torch.empty(shape, dtype=torch.float64)
    for row, channel, i, j in np.ndindex(*shape):
        down = slice(max(i * stride - padding, 0), i * stride - padding + size)
        right = slice(max(j * stride - padding, 0), j * stride - padding + size)
        window = x.mean[row, channel, down, right].flatten()
        at = int(window.argmax())
        mean[row, channel, i, j] = window[at]
        variance[row, channel, i, j] = variance_of(x)[row, channel, down, right].flatten()[at]
    return Moment(mean, variance)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, stride=2),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True),
    ],
)
def test_a_max_pool_has_the_greatest_mean_and_the_variance_found_where_it_is(
    pool: nn.MaxPool2d, channels: int, layout: torch.memory_format
) -> None:
    x = random_moment(2, channels, 7, 8)
    laid_out = Moment(*(part.contiguous(memory_format=layout) for part in (x.mean, variance_of(x))))

    pooled = applied(pool.forward, laid_out)

    by_hand = windows_by_hand(x, pool)
    assert torch.equal(pooled.mean, by_hand.mean)
    assert torch.equal(variance_of(pooled), variance_of(by_hand))


def test_a_chains_max_pool_is_that_of_a_graph() -> None:
    x = random_moment(2, 3, 7, 8)

    one, other = applied(MaxPool(3, 2), x), applied(nn.MaxPool2d(3, stride=2).forward, x)

    assert torch.equal(one.mean, other.mean)
    assert torch.equal(variance_of(one), variance_of(other))
    assert applied(MaxPool(3, 2), Moment(x.mean, None)).variance is None


@pytest.mark.parametrize("step", [operator.add, operator.iadd, torch.add])
def test_a_sum_of_branches_adds_their_means_and_their_variances(step: object) -> None:
    x, y = random_moment(2, 3), random_moment(2, 3)

    both, one, none = applied(step, x, y), applied(step, x, y.mean), applied(step, x.mean, Moment(y.mean, None))

    assert torch.equal(both.mean, x.mean + y.mean)
    assert torch.equal(variance_of(both), variance_of(x) + variance_of(y))
    assert torch.equal(variance_of(one), variance_of(x))
    assert none.variance is None


def test_sums_of_sizes_are_sums_of_sizes() -> None:
    rule = rule_of(operator.add)
    assert rule is not None

    assert rule(operator.add, 3, 4) == 7


def test_concatenated_branches_keep_their_moments_and_one_that_is_sure_has_variance_0() -> None:
    x, y = random_moment(2, 3), Moment(random_moment(2, 4).mean, None)

    together, sure = applied(torch.cat, [x, y], 1), applied(torch.cat, [y, y], dim=1)

    assert torch.equal(together.mean, torch.cat([x.mean, y.mean], 1))
    assert torch.equal(variance_of(together), torch.cat([variance_of(x), torch.zeros(2, 4)], 1))
    assert sure.variance is None


@pytest.mark.parametrize(
    ("step", "args"),
    [
        (Flatten(), ()),
        (torch.flatten, (1,)),
        (Tensor.view, (2, -1)),
        (Tensor.reshape, (2, -1)),
        (torch.transpose, (1, 2)),
        (Tensor.permute, (0, 2, 3, 1)),
        (nn.Flatten().forward, ()),
        (nn.Dropout(0.5).eval().forward, ()),
        (operator.getitem, (0,)),
    ],
)
def test_what_moves_numbers_about_moves_means_and_variances_alike(step: object, args: tuple[object, ...]) -> None:
    x = random_moment(2, 3, 2, 2)

    moved = applied(step, x, *args)

    plain = (lambda part, *_: part.flatten(1)) if isinstance(step, Flatten) else step
    assert torch.equal(moved.mean, plain(x.mean, *args))  # type: ignore[operator]
    assert torch.equal(variance_of(moved), plain(variance_of(x), *args))  # type: ignore[operator]
    assert applied(step, Moment(x.mean, None), *args).variance is None


def test_chunks_of_moments_are_moments() -> None:
    x = random_moment(2, 6)
    rule = rule_of(Tensor.chunk)
    assert rule is not None

    one, other = rule(Tensor.chunk, x, 2, 1)

    assert torch.equal(one.mean, x.mean[:, :3])
    assert torch.equal(other.variance, variance_of(x)[:, 3:])


def test_sizes_of_moments_are_sizes() -> None:
    rule = rule_of(Tensor.size)
    assert rule is not None

    assert rule(Tensor.size, random_moment(2, 6)) == (2, 6)


OVER_ALL: list[tuple[object, tuple[object, ...]]] = [
    (nn.AdaptiveAvgPool2d(1).forward, ()),
    (F.adaptive_avg_pool2d, ((1, 1),)),
    (Tensor.mean, ([2, 3],)),
]


@pytest.mark.parametrize(("step", "args"), OVER_ALL)
def test_a_mean_over_all_positions_has_a_third_of_their_variance_and_a_share_of_the_rest(
    step: Callable[..., Tensor], args: tuple[object, ...]
) -> None:
    x = random_moment(2, 3, 4, 3)

    averaged = applied(step, x, *args)

    torch.testing.assert_close(averaged.mean, step(x.mean, *args))
    by_hand = variance_of(x).mean((2, 3)) * (1 / 3 + 2 / 3 / 12)
    torch.testing.assert_close(variance_of(averaged).flatten(1), by_hand)
    assert applied(step, Moment(x.mean, None), *args).variance is None


@pytest.mark.parametrize(("step", "args"), OVER_ALL[:2])
def test_a_mean_over_one_position_is_the_position(step: object, args: tuple[object, ...]) -> None:
    x = random_moment(2, 3, 1, 1)

    torch.testing.assert_close(variance_of(applied(step, x, *args)), variance_of(x))


def test_a_mean_over_some_neighbours_has_the_mean_of_their_variances() -> None:
    x, step = random_moment(2, 3, 4, 4), nn.AdaptiveAvgPool2d(2).forward

    averaged = applied(step, x)

    torch.testing.assert_close(averaged.mean, step(x.mean))
    torch.testing.assert_close(variance_of(averaged), step(variance_of(x)))


def test_activations_of_what_is_sure_are_sure() -> None:
    x = Moment(random_moment(2, 3).mean, None)

    for step in (Relu(), Softplus(), nn.ReLU().forward, nn.ReLU6().forward, F.relu, Flatten()):
        assert applied(step, x).variance is None


@pytest.mark.parametrize("step", [nn.SiLU().forward, nn.AvgPool2d(2).forward, F.avg_pool2d, operator.mul])
def test_a_step_that_is_not_known_has_no_rule(step: object) -> None:
    assert rule_of(step) is None

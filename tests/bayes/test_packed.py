"""Packed weights: the products are torch's own, exactly or to the rounding of bfloat16, and rows keep their bytes."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes import Model, Moments, ask, draw, ready, root
from bayes import packed as module
from bayes.by_row import apply_by_row, conv_by_row, dense_by_row
from bayes.flipped import ROUGH_LEAST
from bayes.layers import Conv, Dense, Weighted, channels_last
from bayes.moment_rules import Moment
from bayes.moments import LayerMoments, through
from bayes.packed import conv2d, dense, packed_for, packed_kernels, packed_matrix
from tests.bayes.predictions import classes

BFLOAT16 = 2.0**-8
"""What rounding to 8 bits changes at most, of both factors and of the sum about twice that."""
IS_ABLE = module.IS_THERE and torch.ops.mkldnn._is_mkldnn_bf16_supported()
ROUNDS = pytest.mark.skipif(
    not IS_ABLE, reason="2026-11-27: this processor has no products of bfloat16, so nothing is ever rounded."
)
CAN_ROUND = pytest.mark.parametrize("is_rough", [False, pytest.param(True, marks=ROUNDS)])
LAYERS = [(3, 5, 3, 1, 1, 1), (20, 50, 5, 0, 1, 1), (4, 6, 3, 1, 2, 2), (6, 6, 3, 1, 1, 6), (8, 8, 1, 0, 1, 1)]
"""Channels, filters, kernel, padding, stride and groups."""


@pytest.fixture(autouse=True)
def everything_is_worth_rounding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Some processors multiply bfloat16, but not fast."""
    monkeypatch.setattr(module, "IS_ROUGH_FAST", True)
    monkeypatch.setattr(module, "ROUGH_KERNELS_MIN", 0)
    with torch.inference_mode():
        yield


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.skipif(not module.IS_THERE, reason="2026-11-27: packed on x86 with oneDNN alone.")
def test_this_torch_can_pack() -> None:
    assert packed_kernels(random(3, 2, 3, 3)).is_mkldnn
    assert packed_for(2, random(3, 2)).is_mkldnn


@CAN_ROUND
@pytest.mark.parametrize(("channels", "filters", "kernel", "padding", "stride", "groups"), LAYERS)
@pytest.mark.parametrize("rows", [1, 5, 64])
def test_convolutions_are_those_of_torch(
    channels: int, filters: int, kernel: int, padding: int, stride: int, groups: int, rows: int, is_rough: bool
) -> None:
    how = {"padding": padding, "stride": stride, "groups": groups}
    x, bias = channels_last(random(rows, channels, 9, 9)), random(filters)
    weight = channels_last(random(filters, channels // groups, kernel, kernel, seed=2))

    for biases in (bias, None):
        found = conv2d(x, packed_kernels(weight, **how, is_rough=is_rough), biases, **how)

        expected = F.conv2d(x, weight, biases, **how)
        torch.testing.assert_close(found, expected, rtol=4 * BFLOAT16 if is_rough else 1e-5, atol=0.0)
        assert found.is_contiguous(memory_format=torch.channels_last)


@CAN_ROUND
@pytest.mark.parametrize(("channels", "filters", "kernel", "padding", "stride", "groups"), LAYERS)
def test_a_row_of_a_convolution_keeps_its_bytes(
    channels: int, filters: int, kernel: int, padding: int, stride: int, groups: int, is_rough: bool
) -> None:
    how = {"padding": padding, "stride": stride, "groups": groups}
    x, bias = channels_last(random(6, channels, 9, 9)), random(filters)
    weight = packed_kernels(
        channels_last(random(filters, channels // groups, kernel, kernel, seed=2)),
        **how,
        is_rough=is_rough,
    )

    together = conv_by_row(x, weight, bias, **how)

    alone = [conv_by_row(channels_last(row), weight, bias, **how) for row in torch.split(x, 1)]
    assert torch.equal(together, torch.cat(alone))


@ROUNDS
@pytest.mark.parametrize("rows", [1, 5, 64])
@pytest.mark.parametrize(("units", "inputs"), [(3, 2), (50, 130), (1000, 1024)])
def test_products_are_those_of_torch_and_a_row_keeps_its_bytes(units: int, inputs: int, rows: int) -> None:
    x, bias, weight = random(rows, inputs), random(units), random(units, inputs, seed=2)
    rough = packed_matrix(weight, least=0)

    for biases in (bias, None):
        expected = F.linear(x, weight, biases)
        torch.testing.assert_close(dense(x, rough, biases), expected, rtol=4 * BFLOAT16, atol=0.0)
        by_row = dense_by_row(x, rough, biases)
        torch.testing.assert_close(by_row, expected, rtol=4 * BFLOAT16, atol=0.0)
        assert torch.equal(by_row, torch.cat([dense_by_row(row, rough, biases) for row in torch.split(x, 1)]))


def test_what_cannot_be_packed_or_is_not_worth_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    double, few = random(2, 3).double(), random(2, 3)
    assert packed_matrix(double, least=0) is double
    assert packed_matrix(few) is few

    for name in ("_PACK_KERNELS", "_PACK_MATRIX"):
        monkeypatch.setattr(module, name, None)
    kernels = random(2, 3, 3, 3)
    assert packed_kernels(kernels) is kernels
    assert packed_matrix(few, least=0) is few


def test_where_bfloat16_is_slow_nothing_is_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IS_ROUGH_FAST", False)

    assert packed_kernels(random(2, 3, 3, 3), is_rough=True).dtype == torch.float32
    assert packed_matrix(few := random(2, 3), least=0) is few


@ROUNDS
@pytest.mark.parametrize("layer", [Weighted("a", Conv(6, 3), 4), Weighted("b", Dense(6), 8)], ids=lambda of: of.name)
@pytest.mark.parametrize("is_sure", [False, True])
@pytest.mark.parametrize("by_row", [False, True])
def test_moments_of_a_packed_layer_have_exact_means_and_rough_variances(
    layer: Weighted, is_sure: bool, by_row: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayes.moments.packed_matrix", lambda weight: packed_matrix(weight, least=0))
    units, *rest = layer.weight_shape
    wide = (units, rest[0] * (1 if is_sure else 2), *rest[1:])
    weights = LayerMoments(random(*layer.weight_shape), random(units), random(*wide, seed=3), random(units), None)
    shape = (4, 4, 9, 9) if len(rest) > 1 else (4, 8)
    x = Moment(random(*shape, seed=5), None if is_sure else random(*shape, seed=6))

    found = through(layer, weights.on("cpu").packed(layer), x, by_row=by_row)

    expected = through(layer, weights, x, by_row=False)
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-5, atol=0.0)
    assert found.variance is not None
    assert expected.variance is not None
    assert not torch.equal(found.variance, expected.variance)
    torch.testing.assert_close(found.variance, expected.variance, rtol=4 * BFLOAT16, atol=0.0)


@ROUNDS
def test_a_chain_without_oneDNN_says_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802
    described = {"net": {"kind": "lenet5"}, "input": {"shape": [1, 28, 28], "dtype": "uint8"}}
    prior = root(Model.from_description({**described, "output": {"kind": "categorical", "classes": 10}}))
    images = torch.randint(0, 256, (7, 1, 28, 28), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    hows = [{"method": "moments"}, {"method": "mean"}, {"samples": 9}]

    packed = [classes(ask(ready(prior, **how), images)) for how in hows]  # type: ignore[arg-type]
    assert isinstance(made := ready(prior), Moments)
    assert made.layers["conv2"].mean.is_mkldnn
    assert made.layers["conv2"].variance is not None
    assert made.layers["conv2"].variance.dtype == torch.bfloat16
    for name in ("_PACK_KERNELS", "_PACK_MATRIX"):
        monkeypatch.setattr(module, name, None)

    for how, with_it in zip(hows, packed, strict=True):
        without = classes(ask(ready(prior, **how), images))  # type: ignore[arg-type]
        torch.testing.assert_close(with_it.probabilities, without.probabilities, rtol=0.02, atol=1e-3)
        torch.testing.assert_close(with_it.entropy, without.entropy, rtol=0.02, atol=1e-3)


@ROUNDS
def test_flipped_layers_share_noise_that_is_rounded_and_each_net_is_the_same() -> None:
    described = {"net": {"kind": "mlp", "hidden": [400]}, "input": {"shape": [400]}}
    prior = root(Model.from_description({**described, "output": {"kind": "categorical", "classes": 3}}))
    draws = draw(prior, samples=11)
    layer = draws.flipped["dense1"]
    assert ROUGH_LEAST <= 400 * 400
    assert [group.dtype for group in layer.packed] == [torch.bfloat16, torch.bfloat16]
    x = random(5, 1, 400)

    for by_row in (False, True):
        outputs = layer.outputs(x, by_row=by_row)

        for index in range(11):
            weight, bias = layer.net(index)
            expected = x[:, 0] @ weight.T + bias
            scale = (x[:, 0].square() @ (weight - layer.mean).square().T).sqrt()
            assert float(((outputs[:, index] - expected).abs() / scale).max()) < 4 * BFLOAT16


def test_rows_that_are_computed_by_row_get_the_bytes_of_packed_layers() -> None:
    layer = Weighted("c", Conv(6, 3), 4)
    weight, bias, x = packed_kernels(random(6, 4, 3, 3)), random(6), channels_last(random(5, 4, 9, 9))

    assert torch.equal(apply_by_row(layer, x, weight, bias), conv_by_row(x, weight, bias))

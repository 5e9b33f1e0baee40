"""The bytes of a row: the same in whatever company it is asked, at whatever address, and however often."""

from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes import Method, Model, Posterior, Prediction, ask, predict, ready, root
from bayes.by_row import ALIGNED_BYTES, aligned, conv_by_row, dense_by_row
from tests.bayes.predictions import is_same
from tests.bayes.traced import small

ROWS = 40
METHODS: tuple[Method, ...] = ("moments", "ensemble", "mean")
CLASSES: dict[str, object] = {"kind": "categorical", "classes": 3}
NUMBERS: dict[str, object] = {"kind": "gaussian", "dims": 3}
NUMBER: dict[str, object] = {"kind": "gaussian"}
ODD_CONVOLUTIONS: dict[str, object] = {
    "kind": "layers",
    "layers": [
        {"kind": "conv", "filters": 7, "kernel": 3, "padding": 1},
        {"kind": "maxpool", "size": 2},
        {"kind": "relu"},
        {"kind": "conv", "filters": 5, "kernel": 1},
        {"kind": "softplus"},
        {"kind": "flatten"},
        {"kind": "dense", "units": 13},
        {"kind": "relu"},
    ],
}
POINTWISE: dict[str, object] = {
    "kind": "layers",
    "layers": [
        {"kind": "conv", "filters": 7, "kernel": 5},
        {"kind": "relu"},
        {"kind": "conv", "filters": 5, "kernel": 1},
        {"kind": "relu"},
        {"kind": "flatten"},
    ],
}
NETS: dict[str, tuple[dict[str, object], list[int], dict[str, object]]] = {
    "mlp-5": ({"kind": "mlp", "hidden": [5]}, [4], CLASSES),
    "mlp-7-13": ({"kind": "mlp", "hidden": [7, 13]}, [11], CLASSES),
    "mlp-50": ({"kind": "mlp", "hidden": [50, 33]}, [31], {"kind": "categorical", "classes": 10}),
    "mlp-130": ({"kind": "mlp", "hidden": [130, 130]}, [31], CLASSES),
    "numbers": ({"kind": "mlp", "hidden": [7, 13]}, [5], NUMBERS),
    "number": ({"kind": "mlp", "hidden": [33]}, [5], NUMBER),
    "odd-convolutions": (ODD_CONVOLUTIONS, [2, 7, 9], CLASSES),
    "pointwise": (POINTWISE, [1, 5, 5], CLASSES),
    "lenet5": ({"kind": "lenet5"}, [1, 28, 28], {"kind": "categorical", "classes": 10}),
    "3conv3fc": ({"kind": "3conv3fc"}, [3, 32, 32], {"kind": "categorical", "classes": 10}),
}
LARGE = ("lenet5", "3conv3fc")


def with_means(blank: Posterior) -> Posterior:
    """The root with means at random, so that no product is one of zeros."""
    stream = torch.Generator().manual_seed(8)
    means = {
        name: tensor.new_empty(tensor.shape).normal_(std=(2 / max(1, tensor[:1].numel())) ** 0.5, generator=stream)
        for name, tensor in blank.tensors.items()
        if name.endswith(".mu") and not name.startswith("output")
    }
    return replace(blank, tensors={**blank.tensors, **means})


@cache
def posterior(net: str, family: str) -> Posterior:
    kind, shape, output = NETS[net]
    described = {"net": kind, "input": {"shape": shape}, "output": output, "family": family}
    return with_means(root(Model.from_description(described)))


def rows_for(asked: Posterior, count: int = ROWS) -> Tensor:
    return torch.randn(count, *asked.input.shape, generator=torch.Generator().manual_seed(3))


def of_row(prediction: Prediction, row: int) -> Prediction:
    parts = {name: part[row : row + 1] for name, part in vars(prediction).items() if isinstance(part, Tensor)}
    return type(prediction)(**parts, method=prediction.method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("net", "family"),
    [
        *((net, "ffg") for net in NETS),
        *((net, "cfg") for net in ("odd-convolutions", "pointwise", "lenet5")),
        ("odd-convolutions", "mnf-filter"),
        ("mlp-50", "point"),
    ],
)
def test_the_bytes_of_a_row_do_not_depend_on_its_company(net: str, family: str, method: Method) -> None:
    asked = posterior(net, family)
    using, inputs = ready(asked, method=method, samples=5), rows_for(asked)
    counts = (1, 3, 5, 9, 17, 40) if net in LARGE else range(1, ROWS + 1)
    alone = [ask(using, inputs[row : row + 1]) for row in range(ROWS)]

    for count in counts:
        together = ask(using, inputs[:count], by_row=True)

        assert all(is_same(of_row(together, row), alone[row]) for row in range(count)), count


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("net", ["mlp-50", "odd-convolutions", "number"])
def test_up_to_four_rows_are_answered_as_if_each_were_alone_without_being_told(net: str, method: Method) -> None:
    asked = posterior(net, "ffg")
    using, inputs = ready(asked, method=method), rows_for(asked, 4)

    for count in (1, 2, 3, 4):
        together = ask(using, inputs[:count])

        assert all(is_same(of_row(together, row), ask(using, inputs[row : row + 1])) for row in range(count))


@pytest.mark.parametrize("method", METHODS)
def test_a_graphs_rows_are_answered_as_if_each_were_alone(method: Method) -> None:
    asked = with_means(root(small()))
    stream = torch.Generator().manual_seed(3)
    inputs = torch.randint(0, 256, (6, 3, 32, 32), generator=stream, dtype=torch.uint8)
    using = ready(asked, method=method, samples=2 if method == "ensemble" else None)

    together = ask(using, inputs, by_row=True)

    assert all(is_same(of_row(together, row), ask(using, inputs[row : row + 1])) for row in range(6))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("count", [3, 23])
def test_the_same_request_gives_the_same_bytes_wherever_its_rows_lie_in_memory(
    net: str, count: int, method: Method
) -> None:
    asked = posterior(net, "ffg")
    using, inputs = ready(asked, method=method), rows_for(asked, count)
    once = ask(using, inputs)

    for shift in (1, 4, 8):
        elsewhere = torch.empty(inputs.numel() + shift)[shift:].view_as(inputs).copy_(inputs)
        assert elsewhere.data_ptr() % ALIGNED_BYTES != 0

        assert is_same(ask(using, elsewhere), once)
        assert is_same(predict(asked, elsewhere, method=method), predict(asked, inputs, method=method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("net", ["mlp-50", "mlp-130", "odd-convolutions"])
def test_a_posterior_gives_the_same_bytes_wherever_its_tensors_lie_in_memory(net: str, method: Method) -> None:
    asked = posterior(net, "ffg")
    moved = {
        name: torch.empty(tensor.numel() + 1)[1:].view_as(tensor).copy_(tensor)
        for name, tensor in asked.tensors.items()
    }
    elsewhere = replace(asked, tensors=moved)
    inputs = rows_for(asked, 3)

    assert is_same(predict(elsewhere, inputs, method=method), predict(asked, inputs, method=method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["ffg", "cfg", "point"])
def test_a_posterior_gives_the_same_bytes_however_its_kernels_are_laid_out(family: str, method: Method) -> None:
    stream = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (2, 3, 32, 32), generator=stream, dtype=torch.uint8)
    chain = posterior("odd-convolutions", family)

    for asked, inputs in ((chain, rows_for(chain, 3)), (with_means(root(small(family=family))), images)):
        # Kernels of one weight or for one channel lie both ways at once; their strides may say either.
        laid_out = {
            name: torch.empty(tensor.shape, memory_format=torch.channels_last).copy_(tensor)
            for name, tensor in asked.tensors.items()
            if tensor.dim() == 4 and 1 in {tensor.shape[1], tensor.shape[2]}
        }
        assert any(tensor.stride() != asked.tensors[name].stride() for name, tensor in laid_out.items())
        others = replace(asked, tensors={**asked.tensors, **laid_out})
        assert others.digest == asked.digest

        one, other = (predict(given, inputs, method=method, samples=3) for given in (asked, others))
        assert is_same(one, other)


@pytest.mark.parametrize("inputs", [3, 11, 14, 16, 33, 50, 100])
@pytest.mark.parametrize("units", [1, 7, 10, 33, 127])
def test_a_dense_layer_by_row_is_the_dense_layer_and_each_row_that_of_a_row_alone(inputs: int, units: int) -> None:
    stream = torch.Generator().manual_seed(5)
    x, weight = torch.randn(64, inputs, generator=stream), torch.randn(units, inputs, generator=stream)
    bias = torch.randn(units, generator=stream)

    outputs = dense_by_row(x, weight, bias)

    torch.testing.assert_close(outputs, F.linear(x, weight, bias), rtol=1e-5, atol=1e-5)
    assert torch.equal(outputs, torch.cat([dense_by_row(row.clone(), weight, bias) for row in torch.split(x, 1)]))


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("channels", [1, 2, 7, 14, 40])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_by_row_is_the_convolution_and_each_row_that_of_a_row_alone(
    kernel: int, channels: int, stride: int
) -> None:
    stream = torch.Generator().manual_seed(5)
    x = torch.randn(40, channels, 5, 5, generator=stream).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(5, channels, kernel, kernel, generator=stream)

    outputs = conv_by_row(x, weight, None, stride=stride, padding=kernel // 2)

    torch.testing.assert_close(outputs, F.conv2d(x, weight, None, stride, kernel // 2), rtol=1e-4, atol=1e-4)
    alone = [conv_by_row(row.clone(), weight, None, stride=stride, padding=kernel // 2) for row in torch.split(x, 1)]
    assert torch.equal(outputs, torch.cat(alone))


def test_what_lies_at_an_even_address_stays_where_it_is() -> None:
    x = torch.randn(40)

    assert aligned(x) is x
    assert aligned(x[1:]).data_ptr() % ALIGNED_BYTES == 0
    assert torch.equal(aligned(x[1:]), x[1:])

"""Mean and variance of layers, weight by weight; which posteriors have them, and what answers for the others."""

from collections.abc import Callable
from dataclasses import replace
from math import prod

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, fx
from torch.autograd.functional import jacobian

from bayes import (
    Chunk,
    Draws,
    FamilyName,
    Model,
    Moments,
    absorb,
    ask,
    mean_draw,
    obstacle,
    predict,
    ready,
    root,
    usable_method,
)
from bayes.draws import evaluate
from bayes.families import FAMILIES
from bayes.families.cfg import LOWER
from bayes.graphs import Graph, Node
from bayes.layers import Affine, Conv, Dense, Network, Weighted, apply
from bayes.moment_rules import Moment
from bayes.moments import LayerMoments, moments, propagate, ready_for, through
from bayes.torchvision_nets import trace
from tests.bayes.family_layers import LAYERS, inputs_of, random_tensors
from tests.bayes.predictions import classes, is_same, numbers
from tests.bayes.traced import random_chunk, small

STRIDED_GROUPS = Weighted("conv4", Conv(6, 3, padding=1, stride=2), inputs=4, groups=2, is_biased=False)
WITH_RULES = [
    *("alexnet", "googlenet", "mnasnet0_5", "mobilenet_v2", "regnet_x_400mf", "resnet18", "resnet50"),
    *("resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "squeezenet1_1", "wide_resnet50_2"),
]
SAMPLES, SAMPLES_AT_ONCE = 200_000, 20_000


def variances_of(layer: Weighted, rows: int = 2) -> Tensor:
    return 0.1 + torch.rand(inputs_of(layer, rows).shape, generator=torch.Generator().manual_seed(8)).double()


def layer_moments(family: FamilyName, layer: Weighted, x: Moment) -> Moment:
    """As `propagate` has them of one layer with random tensors, in float64."""
    ready = ready_for(FAMILIES[family], random_tensors(family, layer, 1), is_sure=x.variance is None).on("cpu")
    made = through(layer, ready, x, by_row=False)
    one_by_one = through(layer, ready, x, by_row=True)
    torch.testing.assert_close(made.mean, one_by_one.mean)
    torch.testing.assert_close(made.variance, one_by_one.variance)
    return made


def covariance_of(family: FamilyName, layer: Weighted) -> Tensor:
    """The covariance matrix of all weights, [weights, weights], from sigma and, in cfg, U."""
    q = random_tensors(family, layer, 1)
    sigma = q["weight.log_sigma"].exp().flatten()
    if LOWER not in q:
        return sigma.square().diag()
    area = layer.weight_shape[2] ** 2
    blocks = []
    for lower, scale in zip(q[LOWER].flatten(0, 1), sigma.view(-1, area), strict=True):
        unit = torch.eye(area, dtype=torch.float64)
        unit[tuple(torch.tril_indices(area, area, -1))] = lower
        blocks.append(scale.diag() @ unit @ unit.T @ scale.diag())
    together: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
    return together


def derivatives(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Those of every output by every input, [outputs, inputs]."""
    by_each: Tensor = jacobian(function, at)  # type: ignore[no-untyped-call]
    return by_each.reshape(-1, at.numel())


def by_derivatives(family: FamilyName, layer: Weighted, mean: Tensor, variance: Tensor) -> Tensor:
    """The variance of outputs bilinear in weights and inputs, from their first and second derivatives at the means."""
    q = random_tensors(family, layer, 1)
    weight, bias = q["weight.mu"], q["bias.mu"]
    of_weights = derivatives(lambda w: apply(layer, mean, w, bias), weight)
    of_inputs = derivatives(lambda x: apply(layer, x, weight, bias), mean)
    covariance = covariance_of(family, layer)
    first = ((of_weights @ covariance) * of_weights).sum(1) + of_inputs.square() @ variance.flatten()
    own = covariance.diagonal().view(weight.shape)
    second = apply(layer, variance, own, (2 * q["bias.log_sigma"]).exp())
    together: Tensor = first.view(second.shape) + second
    return together


@pytest.mark.parametrize("layer", [*LAYERS, STRIDED_GROUPS], ids=lambda layer: layer.name)
@pytest.mark.parametrize("family", ["ffg", "cfg"])
@pytest.mark.parametrize("is_sure", [True, False])
def test_moments_of_a_layer_are_those_of_its_weights_one_by_one(
    family: FamilyName, layer: Weighted, is_sure: bool
) -> None:
    mean, variance = inputs_of(layer, 2), variances_of(layer)

    found = layer_moments(family, layer, Moment(mean, None if is_sure else variance))

    q = random_tensors(family, layer, 1)
    torch.testing.assert_close(found.mean, apply(layer, mean, q["weight.mu"], q["bias.mu"]), rtol=1e-12, atol=1e-12)
    exact = by_derivatives(family, layer, mean, torch.zeros_like(variance) if is_sure else variance)
    torch.testing.assert_close(found.variance, exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
@pytest.mark.parametrize("family", ["ffg", "cfg"])
def test_variances_are_computed_where_they_are_wanted_to_the_same_bits(family: FamilyName, layer: Weighted) -> None:
    q = {key: tensor.float() for key, tensor in random_tensors(family, layer, 1).items()}
    apart = FAMILIES[family].moments(q)
    wider = torch.full((layer.weight_shape[0], 2 * layer.weight_shape[1], *layer.weight_shape[2:]), 7.0)

    there = FAMILIES[family].moments(q, out=wider[:, : layer.weight_shape[1]])

    assert apart is not None
    assert apart.variance is not None
    assert there is not None
    assert there.variance is not None
    assert torch.equal(there.variance, apart.variance)
    assert (there.variance.data_ptr() == wider.data_ptr()) == (there.covariance is None)
    assert bool((wider[:, layer.weight_shape[1] :] == 7.0).all())


@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 2, 2), (3, 1, 2, 2), (2, 3, 1, 1)])
def test_what_is_ready_lies_at_addresses_of_which_sums_do_not_depend(shape: tuple[int, ...]) -> None:
    mean = torch.arange(float(prod(shape)) + 10)[10:].view(shape)
    bias = torch.arange(float(shape[0]) + 10)[10:]

    placed = LayerMoments(mean, bias, mean, bias, None).on("cpu")

    assert torch.equal(placed.mean, mean)
    assert all(part.data_ptr() % 64 == 0 for part in placed if part is not None)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
@pytest.mark.parametrize("family", ["ffg", "cfg"])
def test_moments_of_a_layer_are_those_of_many_draws_of_weights_and_inputs(family: FamilyName, layer: Weighted) -> None:
    mean, variance = inputs_of(layer, 1), variances_of(layer, 1)
    q, stream = random_tensors(family, layer, 1), torch.Generator().manual_seed(12)

    found = layer_moments(family, layer, Moment(mean, variance))

    each = []
    for _ in range(SAMPLES // SAMPLES_AT_ONCE):
        weight, bias = FAMILIES[family].draw(q, SAMPLES_AT_ONCE, stream)
        noise = torch.randn(SAMPLES_AT_ONCE, *mean.shape[1:], generator=stream, dtype=torch.float64)
        each.append(of_draws(layer, mean + variance.sqrt() * noise, weight, bias))
    outputs = torch.cat(each)
    error = outputs.std(0) / SAMPLES**0.5
    assert float(((outputs.mean(0) - found.mean[0].flatten()) / error).abs().max()) < 5
    squares = (outputs - outputs.mean(0)).square()
    assert found.variance is not None
    off = (squares.mean(0) - found.variance[0].flatten()) / (squares.std(0) / SAMPLES**0.5)
    assert float(off.abs().max()) < 5


def of_draws(layer: Weighted, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The outputs of one row for each draw of it, of weights and of biases, [draws, outputs]."""
    match layer.layer:
        case Dense():
            return torch.einsum("di,doi->do", x, weight) + bias
        case Conv(filters, kernel, padding, stride):
            patches = F.unfold(x, kernel, padding=padding, stride=stride)
            patches = patches.view(len(x), layer.groups, -1, patches.shape[2])
            grouped = weight.view(len(x), layer.groups, filters // layer.groups, -1)
            outputs = torch.einsum("dgip,dgoi->dgop", patches, grouped).flatten(1, 2)
            return (outputs + bias.unsqueeze(2) if layer.is_biased else outputs).flatten(1)


@pytest.mark.parametrize("hidden", [[], [7]])
def test_a_linear_net_has_exactly_the_moments_of_its_draws(hidden: list[int]) -> None:
    layers = [{"kind": "dense", "units": units} for units in hidden]
    described = {
        "net": {"kind": "layers", "layers": layers},
        "input": {"shape": [4]},
        "output": {"kind": "categorical", "classes": 3},
    }
    posterior = root(Model.from_description(described))
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))

    mean, variance = propagate(moments(posterior), x)

    m, v = x.double(), torch.zeros(6, 4, dtype=torch.float64)
    for layer in posterior.network.weighted:
        q = {key: tensor.double() for key, tensor in posterior.layer(layer.name).items()}
        weight, bias = (2 * q["weight.log_sigma"]).exp(), (2 * q["bias.log_sigma"]).exp()
        v = m.square() @ weight.T + v @ (weight + q["weight.mu"].square()).T + bias
        m = m @ q["weight.mu"].T + q["bias.mu"]
    torch.testing.assert_close(mean, m, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(variance, v, rtol=1e-5, atol=1e-6)


def test_the_scale_and_shift_of_an_affine_layer_move_means_and_stretch_variances() -> None:
    affine, conv = Affine("norm", 2, 1e-5), Weighted("conv", Conv(2, 1), inputs=1)
    scale, shift = torch.tensor([2.0, -3.0]), torch.tensor([0.5, 1.0])
    network = Network((conv,), Graph("x", (_node(conv, "x"), _node(affine, "conv"))).run, width=8, is_chain=False)
    made = ready(root(small()), method="moments")
    assert isinstance(made, Moments)
    weights = LayerMoments(torch.ones(2, 1, 1, 1), torch.zeros(2), torch.full((2, 1, 1, 1), 0.1), torch.zeros(2), None)
    made = replace(made, network=network, layers={"conv": weights}, fixed={"norm.scale": scale, "norm.shift": shift})
    x = torch.arange(4.0).view(1, 1, 2, 2)

    mean, variance = propagate(made, x)

    assert variance is not None
    torch.testing.assert_close(mean[0, 0], (2 * x[0, 0] + 0.5).double())
    torch.testing.assert_close(mean[0, 1], (1 - 3 * x[0, 0]).double())
    torch.testing.assert_close(variance[0, 0], 4 * 0.1 * x[0, 0].square().double())
    torch.testing.assert_close(variance[0, 1], 9 * 0.1 * x[0, 0].square().double())


def _node(step: Weighted | Affine, source: str) -> Node:
    graph = fx.Graph()
    return Node(step.name, step, (graph.placeholder(source),), {}, ())


@pytest.mark.parametrize("output", [{"kind": "categorical", "classes": 3}, {"kind": "gaussian", "dims": 2}])
def test_the_moments_of_a_point_are_its_weights_without_any_doubt(
    described: dict[str, object], output: dict[str, object]
) -> None:
    posterior = root(Model.from_description(described | {"family": "point", "output": output}))
    inputs = torch.randn(9, 4, generator=torch.Generator().manual_seed(2))

    by_moments, by_mean = (predict(posterior, inputs, method=method) for method in ("moments", "mean"))

    assert (by_moments.method, by_mean.method) == ("moments", "mean")
    assert is_same(replace(by_moments, method="mean"), by_mean)
    if output["kind"] == "categorical":
        assert not bool(classes(by_moments).mutual_information.any())
        assert torch.equal(classes(by_moments).entropy, classes(by_moments).aleatoric)
    else:
        assert not bool(numbers(by_moments).epistemic_std.any())


def test_the_means_of_moments_without_variances_are_those_of_the_mean_net(images: Model, image_chunk: Chunk) -> None:
    posterior, _ = absorb(root(images), image_chunk, images.recipe)
    sure = {key: torch.full_like(t, -60.0) if "log_sigma" in key else t for key, t in posterior.tensors.items()}
    x = posterior.input.scale(image_chunk.inputs)

    mean, variance = propagate(moments(replace(posterior, tensors=sure)), x)

    torch.testing.assert_close(mean, evaluate(mean_draw(posterior), x)[:, 0], rtol=2e-2, atol=2e-2)
    assert variance is not None
    assert float(variance.max()) < 1e-20


def test_variances_that_rounding_made_negative_are_none(described: dict[str, object]) -> None:
    made = ready(root(Model.from_description(described)))
    assert isinstance(made, Moments)
    layers = dict(made.layers)
    last = layers["dense2"]
    assert last.variance is not None
    layers["dense2"] = last._replace(variance=torch.full_like(last.variance, -1e-9), bias_variance=torch.zeros(3))

    prediction = classes(ask(replace(made, layers=layers), torch.ones(2, 4)))

    assert bool(prediction.probabilities.isfinite().all())
    assert float(prediction.mutual_information.max()) < 1e-14


def test_moments_know_their_bytes_and_their_device(described: dict[str, object]) -> None:
    made = ready(root(Model.from_description(described)))

    assert isinstance(made, Moments)
    # Means and variances of 4 x 5 and 5 x 3 weights and of 8 biases, and the second moments of the second layer's.
    assert made.nbytes == 4 * (2 * (4 * 5 + 5) + 2 * (5 * 3 + 3) + 5 * 3)
    assert made.device == torch.device("cpu")


@pytest.mark.parametrize("family", ["mnf", "mnf-filter", "mnf-rank1"])
def test_a_normalizing_flow_has_no_moments_and_the_ensemble_answers(
    images: Model, image_chunk: Chunk, family: FamilyName
) -> None:
    posterior = root(Model.from_description(images.to_description() | {"family": family}))

    made, prediction = ready(posterior, method="moments"), predict(posterior, image_chunk.inputs, method="moments")

    why = obstacle(family, posterior.network)
    assert why == f"weights of family {family} have no moments in closed form"
    assert (made.method, prediction.method) == ("ensemble", "ensemble")
    assert isinstance(made, Draws)
    assert made.samples == 16
    assert is_same(prediction, predict(posterior, image_chunk.inputs, samples=16, seed=0))


def test_without_a_method_draws_are_for_whoever_asks_for_them(described: dict[str, object]) -> None:
    posterior = root(Model.from_description(described))
    inputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))

    assert predict(posterior, inputs).method == ready(posterior).method == "moments"
    assert predict(posterior, inputs, samples=3).method == ready(posterior, samples=3).method == "ensemble"
    assert predict(posterior, inputs, seed=3).method == ready(posterior, seed=3).method == "ensemble"
    assert predict(posterior, inputs, method="moments", samples=3).method == "moments"


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("densenet121", "AvgPool2d"),
        ("efficientnet_b0", "SiLU, Sigmoid, mul, stochastic_depth"),
        ("mobilenet_v3_small", "Hardsigmoid, Hardswish, mul"),
        ("regnet_y_400mf", "Sigmoid, mul"),
    ],
)
def test_a_net_with_steps_without_a_rule_says_which_and_is_answered_by_the_ensemble(name: str, steps: str) -> None:
    network = trace(name, (3, 32, 32), 4)

    assert obstacle("ffg", network) == f"the net has steps without a rule for moments: {steps}"
    assert usable_method("ffg", network, "moments") == "ensemble"


@pytest.mark.parametrize("name", WITH_RULES)
def test_a_net_with_rules_for_all_its_steps_has_no_obstacle(name: str) -> None:
    network = trace(name, (3, 64, 64), 4)

    assert obstacle("ffg", network) is None
    assert obstacle("cfg", network) is None
    assert usable_method("point", network, "moments") == "moments"


def test_a_whole_net_without_a_rule_predicts_by_the_ensemble() -> None:
    posterior = root(small(net={"kind": "torchvision", "name": "mobilenet_v3_small"}))

    prediction = predict(posterior, random_chunk().inputs[:2])

    assert prediction.method == "ensemble"

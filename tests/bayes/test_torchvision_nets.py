"""Models of torchvision as nets: the same numbers as torchvision's own, and BatchNorms that nothing moves."""

import re
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from bayes import Chunk, InvalidDescription, Posterior, absorb, ask, draw, predict, root
from bayes.draws import in_turn
from bayes.fixed import FIXED, folded, shapes
from bayes.layers import Weighted, apply, forward
from bayes.nets import WEIGHTS_MAX
from bayes.torchvision_nets import WITHOUT_WARNING, names, trace
from tests.bayes.predictions import is_same
from tests.bayes.traced import SMALL, images, random_chunk, small

DRAWS, PREDICT = sys.modules["bayes.draws"], sys.modules["bayes.predict"]
PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
VARIED = ["resnet18", "mobilenet_v3_small", "densenet121", "googlenet", "shufflenet_v2_x0_5", "squeezenet1_1"]


def random_model(name: str) -> nn.Module:
    """Torchvision's own, in evaluation, in float64, every parameter and statistic at random."""
    model: nn.Module = torchvision.models.get_model(name, num_classes=4, **WITHOUT_WARNING.get(name, {}))
    stream = torch.Generator().manual_seed(1)
    for module in model.double().eval().modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            for parameter in module.parameters():
                parameter.data.normal_(std=module.weight[0].numel() ** -0.5, generator=stream)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.3, generator=stream)
            module.bias.data.normal_(std=0.3, generator=stream)
            module.running_var.uniform_(0.5, 2, generator=stream)
            module.weight.data.uniform_(0.5, 2, generator=stream)
    return model


@pytest.fixture(scope="module")
def chunk() -> Chunk:
    return random_chunk()


@pytest.mark.parametrize("name", VARIED)
def test_a_net_with_a_models_weights_puts_out_what_the_model_does_in_evaluation(name: str) -> None:
    model, network = random_model(name), trace(name, (3, 32, 32), 4)
    tensors = folded(network, model.state_dict())
    fixed = {key.removeprefix(f"{FIXED}."): t for key, t in tensors.items() if key.startswith(f"{FIXED}.")}

    def linear(layer: Weighted, x: Tensor) -> Tensor:
        bias = tensors[f"{layer.name}.bias"] if layer.is_biased else torch.zeros(0, dtype=x.dtype)
        assert (tensors[f"{layer.name}.weight"].shape, bias.shape) == (layer.weight_shape, layer.bias_shape)
        return apply(layer, x, tensors[f"{layer.name}.weight"], bias)

    with torch.inference_mode():
        outputs, expected = forward(network, images(3), linear, fixed), model(images(3))

    assert expected.std() > 1e-6
    torch.testing.assert_close(outputs, expected, rtol=1e-10, atol=1e-12)


def test_every_tensor_of_resnet18_is_a_weight_or_folded_away() -> None:
    model, network = random_model("resnet18"), trace("resnet18", (3, 32, 32), 4)
    weights = {f"{layer.name}.weight" for layer in network.weighted}
    fixed = {f"{FIXED}.{key}": shape for key, shape in shapes(network).items()}

    tensors = folded(network, model.state_dict())

    assert set(tensors) == weights | fixed.keys() | {"fc.bias"}
    assert {key: tuple(tensors[key].shape) for key in fixed} == fixed
    assert network.weights == sum(p.numel() for p in model.parameters()) - 2 * sum(a.channels for a in network.affine)
    assert network.weighted[0] == Weighted("conv1", network.weighted[0].layer, 3, is_biased=False)


def test_a_batch_norm_that_is_not_there_whole_keeps_its_names() -> None:
    state = random_model(SMALL).state_dict()
    network = trace(SMALL, (3, 32, 32), 4)
    del state["conv1.1.running_var"]

    tensors = folded(network, state)

    assert {"conv1.1.weight", "conv1.1.bias", "conv1.1.running_mean"} <= tensors.keys()
    assert f"{FIXED}.conv1.1.scale" not in tensors


def test_a_posterior_reads_back_as_it_was_and_predicts_the_same(chunk: Chunk) -> None:
    model = small()
    posterior, _ = absorb(root(model), chunk, model.recipe)

    again = Posterior.from_bytes(posterior.to_bytes())

    assert again.to_bytes() == posterior.to_bytes()
    assert is_same(predict(posterior, chunk.inputs), predict(again, chunk.inputs))


def test_an_ensemble_is_its_nets_asked_one_by_one(chunk: Chunk) -> None:
    model = small()
    posterior, _ = absorb(root(model), chunk, model.recipe)
    draws = draw(posterior, samples=3, seed=5)

    def outputs(index: int) -> Tensor:
        def linear(layer: Weighted, x: Tensor) -> Tensor:
            weight, bias = draws.weights[layer.name]
            return apply(layer, x, weight[index], bias[index])

        return forward(draws.network, model.input.scale(chunk.inputs), linear, posterior.layer(FIXED))

    prediction = predict(posterior, chunk.inputs, samples=3, seed=5)

    expected = torch.stack([outputs(index).double().softmax(-1) for index in range(3)]).mean(0)
    torch.testing.assert_close(vars(prediction)["probabilities"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows_of_outputs", [1, 5, 1000])
def test_draws_that_come_in_turn_answer_exactly_as_draws_that_are_held(
    chunk: Chunk, monkeypatch: pytest.MonkeyPatch, rows_of_outputs: int
) -> None:
    model = small()
    posterior = root(model)
    monkeypatch.setattr(DRAWS, "WEIGHTS_AT_ONCE", 2 * model.network.weights)
    monkeypatch.setattr(PREDICT, "ACTIVATIONS_MAX", 5 * model.network.width)
    monkeypatch.setattr(PREDICT, "OUTPUTS_MAX", rows_of_outputs * 5 * 3)

    in_turn = predict(posterior, chunk.inputs, samples=5, seed=9)

    held = ask(draw(posterior, samples=5, seed=9), chunk.inputs)
    assert is_same(in_turn, held)


def test_no_more_draws_are_held_than_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    posterior = root(small())
    monkeypatch.setattr(DRAWS, "WEIGHTS_AT_ONCE", 3 * posterior.network.weights)

    parts = [some.samples for some in in_turn(posterior, samples=8, seed=0)]

    assert parts == [3, 3, 2]
    assert draw(posterior, samples=8).samples == 8


def test_one_draw_of_a_point_stands_for_all() -> None:
    posterior = root(small(family="point"))

    assert [some.samples for some in in_turn(posterior, samples=8, seed=0)] == [1]


def test_tracing_draws_nothing_from_the_global_generator() -> None:
    before = torch.get_rng_state()

    trace("resnet34", (3, 32, 32), 7)

    assert torch.equal(torch.get_rng_state(), before)


def test_the_page_lists_every_model_of_torchvision_once_and_says_whether_it_can_be_a_net() -> None:
    section = PAGE.split("### Models of torchvision")[1].split("\n## ")[0]
    can_be, are_large, are_others = (
        [[name for name in re.findall(r"\w+", series) if name in names()] for series in group.split(";")]
        for group in section.split("\n- These ")[1:]
    )

    listed = [name for group in (can_be, are_large, are_others) for series in group for name in series]
    assert sorted(listed) == sorted(names())
    assert all(trace(series[0], (3, 64, 64), 10).weights <= WEIGHTS_MAX for series in can_be)
    assert all(trace(series[0], (3, 64, 64), 10).weights > WEIGHTS_MAX for series in are_large)
    for series in are_others:
        with pytest.raises(InvalidDescription, match=f"{series[0]} has parts that cannot be learned here"):
            trace(series[0], (3, 64, 64), 10)


def test_the_readme_and_the_changelog_count_the_models_that_can_be_nets() -> None:
    listed = PAGE.split("- These can be nets:")[1].split("\n- These ")[0]
    can_be = {name for name in re.findall(r"\w+", listed) if name in names()}

    for page, words in (("README.md", "more"), ("CHANGELOG.md", "others")):
        [others] = re.findall(rf"resnet18 and (\d+) {words}", (Path(__file__).parents[2] / page).read_text())
        assert int(others) == len(can_be) - 1

"""The plain weights, in the modules that anybody would build for them."""

from collections import OrderedDict
from io import BytesIO
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from bayes import Chunk, Model, NoStateDict, Posterior, absorb, predict, root, state_dict
from bayes.families import FamilyName, family_names
from bayes.state_dicts import state_dict_bytes

CONV3FC3 = [
    *(("conv1", nn.Conv2d(1, 32, 5, padding=2)), ("p1", nn.MaxPool2d(3, 2)), ("s1", nn.Softplus())),
    *(("conv2", nn.Conv2d(32, 64, 5, padding=2)), ("p2", nn.MaxPool2d(3, 2)), ("s2", nn.Softplus())),
    *(("conv3", nn.Conv2d(64, 128, 5, padding=1)), ("p3", nn.MaxPool2d(3, 2)), ("s3", nn.Softplus())),
    *(("flat", nn.Flatten()), ("dense1", nn.LazyLinear(1000)), ("s4", nn.Softplus())),
    *(("dense2", nn.Linear(1000, 1000)), ("s5", nn.Softplus()), ("dense3", nn.Linear(1000, 3))),
]
LENET5 = [
    *(("conv1", nn.Conv2d(1, 20, 5)), ("p1", nn.MaxPool2d(2)), ("r1", nn.ReLU())),
    *(("conv2", nn.Conv2d(20, 50, 5)), ("p2", nn.MaxPool2d(2)), ("r2", nn.ReLU())),
    *(("flat", nn.Flatten()), ("dense1", nn.LazyLinear(500)), ("r3", nn.ReLU()), ("dense2", nn.Linear(500, 3))),
]
MLP = [("flat", nn.Flatten()), ("dense1", nn.LazyLinear(7)), ("r", nn.ReLU()), ("dense2", nn.Linear(7, 3))]
OWN = [("conv1", nn.Conv2d(1, 2, 3, padding=1)), ("r", nn.ReLU()), ("flat", nn.Flatten()), ("dense1", nn.LazyLinear(3))]
NETS: dict[str, tuple[dict[str, Any], list[tuple[str, nn.Module]]]] = {
    "3conv3fc": ({"kind": "3conv3fc"}, CONV3FC3),
    "lenet5": ({"kind": "lenet5"}, LENET5),
    "mlp": ({"kind": "mlp", "hidden": [7]}, MLP),
    "layers": (
        {
            "kind": "layers",
            "layers": [
                {"kind": "conv", "filters": 2, "kernel": 3, "padding": 1},
                {"kind": "relu"},
                {"kind": "flatten"},
            ],
        },
        OWN,
    ),
}
CLASSES = {"kind": "categorical", "classes": 3}
NUMBERS = {"kind": "gaussian", "dims": 3}


def taught(net: dict[str, Any], output: dict[str, Any], family: FamilyName = "ffg", side: int = 28) -> Posterior:
    """A posterior after a chunk of random images whose labels are far from standardized."""
    channels = 3 if net["kind"] == "torchvision" else 1
    model = Model.from_description(
        {
            "net": net,
            "input": {"shape": [channels, side, side], "mean": 0.5, "std": 2.0},
            "output": output,
            "family": family,
            "recipe": {"epochs": 1, "steps_least": 0, "batch_rows": 8},
        }
    )
    stream = torch.Generator().manual_seed(2)
    inputs = torch.randn((8, channels, side, side), generator=stream)
    labels = 40 + 5 * torch.randn((8, 3), generator=stream) if output == NUMBERS else torch.arange(8) % 3
    return absorb(root(model), Chunk(inputs, labels), model.recipe)[0]


def rows(posterior: Posterior) -> Tensor:
    return torch.randn((5, *posterior.input.shape), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("output", [CLASSES, NUMBERS], ids=["classes", "numbers"])
@pytest.mark.parametrize("name", NETS)
def test_the_plain_weights_fit_the_layers_in_a_sequential_and_predict_as_the_mean(
    name: str, output: dict[str, Any]
) -> None:
    net, layers = NETS[name]
    posterior = taught(net, output)
    module = nn.Sequential(OrderedDict(layers)).eval()

    module.load_state_dict(torch.load(BytesIO(state_dict_bytes(posterior)), weights_only=True), strict=True)

    _must_predict_as_the_mean(module, posterior)


@pytest.mark.parametrize("family", family_names())
def test_the_plain_weights_of_every_family_are_its_means(family: FamilyName) -> None:
    net, layers = NETS["layers"]
    posterior = taught(net, NUMBERS, family, side=6)
    module = nn.Sequential(OrderedDict([*layers[:-1], ("dense1", nn.LazyLinear(3))])).eval()

    module.load_state_dict(state_dict(posterior), strict=True)

    _must_predict_as_the_mean(module, posterior)


@pytest.mark.parametrize("output", [CLASSES, NUMBERS], ids=["classes", "numbers"])
def test_the_plain_weights_of_a_net_of_torchvision_fit_its_own_module(output: dict[str, Any]) -> None:
    posterior = taught({"kind": "torchvision", "name": "resnet18"}, output, side=32)
    module = torchvision.models.resnet18(num_classes=3).eval()

    module.load_state_dict(state_dict(posterior), strict=True)

    _must_predict_as_the_mean(module, posterior)


def test_no_plain_weights_give_numbers_where_the_net_ends_in_something_else_than_a_layer() -> None:
    net = {"kind": "torchvision", "name": "squeezenet1_1"}
    described = {"net": net, "input": {"shape": [3, 64, 64]}, "output": NUMBERS, "family": "point"}

    with pytest.raises(NoStateDict, match=r"classifier\.1"):
        state_dict(root(Model.from_description(described)))
    assert state_dict(root(Model.from_description(described | {"output": CLASSES})))


def test_the_plain_weights_hold_no_memory_but_their_own(learned: Posterior) -> None:
    found = state_dict(learned)

    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in found.values())
    assert list(found)[:2] == ["conv1.weight", "conv1.bias"]
    found["conv1.weight"].zero_()
    assert bool(learned.tensors["conv1.weight.mu"].any())


def _must_predict_as_the_mean(module: nn.Module, posterior: Posterior) -> None:
    inputs = rows(posterior)
    with torch.no_grad():
        outputs = module(posterior.input.scale(inputs)).double()
    predicted = predict(posterior, inputs, method="mean")
    if hasattr(predicted, "probabilities"):
        torch.testing.assert_close(outputs.softmax(1), predicted.probabilities, rtol=1e-4, atol=1e-6)
    else:
        torch.testing.assert_close(outputs, predicted.mean, rtol=1e-4, atol=1e-4)

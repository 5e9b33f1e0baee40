import pytest
import torch
from torch import Tensor

from bayes import Conv3Fc3, InvalidDescription, Layers, LeNet5, Mlp, Net, placing
from bayes.layers import Conv, Dense, Flatten, Layer, MaxPool, Relu, Shape, Weighted, apply, forward
from bayes.nets import Torchvision, expand, network
from bayes.placing import WIDTH_MAX, place
from bayes.work import KERNEL_FAST_MAX, LANES, SLOW, counted


@pytest.mark.parametrize(
    ("net", "shape", "weights"),
    [
        (LeNet5(), (1, 28, 28), 431_080),
        (Conv3Fc3(), (3, 32, 32), 2_432 + 51_264 + 204_928 + 513_000 + 1_001_000 + 10_010),
        (Mlp((64,)), (1, 8, 8), 64 * 64 + 64 + 64 * 10 + 10),
        (Mlp(()), (7,), 80),
    ],
)
def test_a_net_has_the_number_of_weights_of_its_source(net: Net, shape: Shape, weights: int) -> None:
    assert network(net, shape, 10).weights == weights


def test_lenet_has_the_layers_of_its_source() -> None:
    weighted = network(LeNet5(), (1, 28, 28), 10).weighted

    assert {layer.name: layer.weight_shape for layer in weighted} == {
        "conv1": (20, 1, 5, 5),
        "conv2": (50, 20, 5, 5),
        "dense1": (500, 800),
        "dense2": (10, 500),
    }


def test_3conv3fc_has_the_layers_of_its_source() -> None:
    weighted = network(Conv3Fc3(), (3, 32, 32), 10).weighted

    assert {layer.name: layer.weight_shape for layer in weighted} == {
        "conv1": (32, 3, 5, 5),
        "conv2": (64, 32, 5, 5),
        "conv3": (128, 64, 5, 5),
        "dense1": (1000, 512),
        "dense2": (1000, 1000),
        "dense3": (10, 1000),
    }


def test_every_net_ends_with_a_dense_layer_of_the_outputs_after_the_described_layers() -> None:
    assert expand(Mlp((3,)), 2) == (Flatten(), Dense(3), Relu(), Dense(2))
    assert expand(Layers((Conv(2, 3), Flatten())), 5) == (Conv(2, 3), Flatten(), Dense(5))


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("side", [7, 8])
def test_the_known_shapes_are_those_that_come_out(side: int, stride: int, padding: int) -> None:
    net = Layers((Conv(4, 3, padding, stride), MaxPool(2, stride), Flatten()))
    seen: list[Shape] = []

    def linear(layer: Weighted, x: Tensor) -> Tensor:
        weight = torch.ones(layer.weight_shape)
        out = apply(layer, x, weight, torch.zeros(layer.bias_shape))
        seen.append(tuple(out.shape[1:]))
        return out

    outputs = forward(network(net, (2, side, side + 1), 3), torch.ones(5, 2, side, side + 1), linear)

    assert outputs.shape == (5, 3)
    assert network(net, (2, side, side + 1), 3).width == max(
        2 * side * (side + 1), *(torch.Size(s).numel() for s in seen)
    )


def test_a_row_may_have_as_many_numbers_between_two_layers_as_the_limit_and_no_more() -> None:
    padded = (Conv(5, 1, padding=996), MaxPool(2000, 2000), Flatten())

    assert network(Layers(padded), (1, 8, 8), 3).width == 5 * 2000**2 == WIDTH_MAX
    with pytest.raises(InvalidDescription, match=r"^net\.layers\.0: makes 20020005 numbers"):
        network(Layers(padded), (1, 9, 9), 3)


GRAY = (1, 600, 600)
END = (MaxPool(50, 50), Flatten())


@pytest.mark.parametrize(
    ("layers", "shape", "where"),
    [
        ((MaxPool(100, 1), *END), GRAY, "net.layers.0"),
        ((Conv(1, 201, padding=100), *END), GRAY, "net.layers.0"),
        ((MaxPool(2, 2), Relu(), Conv(1, 101, padding=50), *END), GRAY, "net.layers.2"),
        ((Conv(32, 17, padding=8), Relu(), *END), (3, *GRAY[1:]), "net.layers.0"),
        ((Conv(1, 201, stride=5), Flatten()), GRAY, "net.layers.0"),
        ((*[Conv(48, 7, padding=3), Relu()] * 2, *END), GRAY, "net.layers.2"),
    ],
)
def test_layers_that_make_more_work_of_a_row_than_the_limit_are_refused_by_the_layer(
    layers: tuple[Layer, ...], shape: Shape, where: str
) -> None:
    with pytest.raises(InvalidDescription, match="multiply-adds; at most 20000000000 are accepted") as fault:
        network(Layers(layers), shape, 2)

    assert fault.value.where == where


def test_a_row_may_make_as_much_work_as_the_limit_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = (Conv(LANES, 5), MaxPool(2, 2), Flatten(), Dense(3))
    work = LANES * 25 * 8 * 8 + SLOW * 4 * LANES * 4 * 4 + 3 * LANES * 4 * 4

    monkeypatch.setattr(placing, "WORK_MAX", work)
    place(layers, (1, 12, 12))
    monkeypatch.setattr(placing, "WORK_MAX", work - 1)
    with pytest.raises(
        InvalidDescription, match=rf"^net\.layers\.3: brings the work of one row to {work} multiply-adds"
    ):
        place(layers, (1, 12, 12))


def test_work_counts_what_a_row_takes_the_processor() -> None:
    before, after = (3, 11, 13), (20, 7, 9)
    large = Conv(20, KERNEL_FAST_MAX + 1)

    assert counted(Weighted("conv1", Conv(20, 5), 3), before, after) == 2 * LANES * 3 * 25 * 7 * 9
    assert counted(Weighted("conv1", large, 3), before, after) == SLOW * 20 * 3 * 14**2 * 7 * 9
    assert counted(Weighted("conv1", large, 3), before, (20, 1, 1)) == 2 * LANES * 3 * 14**2 * 11 * 13
    assert counted(MaxPool(3, 2), before, after) == SLOW * 20 * 9 * 7 * 9
    assert counted(Weighted("dense1", Dense(5), 30), (30,), (5,)) == 150
    assert counted(Relu(), after, after) == 0


def test_the_layers_of_vgg16_fit_images_of_224_pixels() -> None:
    blocks = [(64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3]
    body = [
        step
        for block in blocks
        for step in (*[part for filters in block for part in (Conv(filters, 3, padding=1), Relu())], MaxPool(2, 2))
    ]

    assert network(Layers((*body, Flatten(), Dense(1000), Relu())), (3, 224, 224), 10).weights == 39_813_698


def test_kernels_and_windows_of_the_size_of_the_image_are_little_work() -> None:
    assert network(Layers((Conv(64, 100), Flatten())), (3, 100, 100), 10).weights == 1_920_714
    assert network(Layers((Conv(64, 3, padding=1), MaxPool(224, 224), Flatten())), (3, 224, 224), 10)


@pytest.mark.parametrize(("name", "side"), [("resnet50", 224), ("resnet152", 1024), ("efficientnet_b7", 600)])
def test_a_torchvision_net_at_the_size_of_its_images_is_within_the_limit(name: str, side: int) -> None:
    assert network(Torchvision(name), (3, side, side), 1000).width <= WIDTH_MAX

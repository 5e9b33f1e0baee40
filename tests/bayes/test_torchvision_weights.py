"""Weights of a torchvision model as a prior's: the model answers as torchvision's own."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from bayes import InvalidDescription, Model, Pretrained, digest_of, predict, root, weights_of
from bayes.__main__ import main

SHAPE, CLASSES = (3, 32, 32), 4


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """resnet18 whose BatchNorms have seen something."""
    model: nn.Module = torchvision.models.resnet18(num_classes=CLASSES)
    stream = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(0.0, 0.05, generator=stream)
        if name.endswith(("running_var", "bn1.weight", "bn2.weight", "downsample.1.weight")):
            tensor.abs_().add_(0.5)
    model.eval()
    return model


def described(pretrained: Pretrained, *, classes: int = CLASSES, **prior: object) -> Model:
    return Model.from_description(
        {
            "net": {"kind": "torchvision", "name": "resnet18"},
            "input": {"shape": list(SHAPE)},
            "output": {"kind": "categorical", "classes": classes},
            "prior": {"kind": "weights", **pretrained.digests, "sigma": 0.01, **prior},
        }
    )


def images(rows: int) -> torch.Tensor:
    return torch.randn((rows, *SHAPE), generator=torch.Generator().manual_seed(1))


def test_the_root_around_a_state_dict_answers_as_the_model_in_evaluation(trained: nn.Module) -> None:
    pretrained = Pretrained.of(trained.state_dict())

    prior = root(described(pretrained), pretrained)

    with torch.no_grad():
        expected = trained(images(3)).softmax(1).double()
    probabilities = predict(prior, images(3), method="mean").probabilities  # type: ignore[union-attr]
    torch.testing.assert_close(probabilities, expected, rtol=1e-4, atol=1e-5)
    assert Pretrained.of(weights_of(prior)).digests != pretrained.digests
    again = Pretrained.of(weights_of(prior))
    torch.testing.assert_close(root(described(again), again).tensors, prior.tensors)


def test_a_fresh_head_has_other_classes_and_keeps_the_scales(trained: nn.Module) -> None:
    pretrained = Pretrained.of(trained.state_dict())

    prior = root(described(pretrained, classes=7, head="fresh"), pretrained)

    kept = root(described(pretrained), pretrained)
    assert prior.tensors["fc.weight.mu"].shape == (7, 512)
    assert not prior.tensors["fc.weight.mu"].any()
    assert torch.equal(prior.tensors["fixed.layer4.1.bn2.scale"], kept.tensors["fixed.layer4.1.bn2.scale"])


def test_old_rows_narrow_the_weights_of_a_graph(trained: nn.Module) -> None:
    pretrained = Pretrained.of(trained.state_dict(), images(4))
    model = described(pretrained, kind="laplace", sigma=None, head="fresh", rows=10**9)

    prior = root(model, pretrained)

    vague = 2 / (64 * 9) ** 0.5
    widths = prior.tensors["layer1.0.conv1.weight.log_sigma"].exp()
    assert bool((widths <= vague * (1 + 1e-6)).all())
    assert float(widths.median()) < 0.5 * vague


@pytest.mark.parametrize(
    ("change", "words"),
    [({"bn1.running_var": None}, "bn1"), ({"layer1.0.conv1.weight": None}, "has no tensor 'layer1.0.conv1.weight'")],
)
def test_a_state_dict_with_a_hole_is_refused(trained: nn.Module, change: dict[str, None], words: str) -> None:
    pretrained = Pretrained.of({name: t for name, t in trained.state_dict().items() if name not in change})

    with pytest.raises(InvalidDescription, match=words):
        root(described(pretrained), pretrained)


def test_the_command_writes_what_a_prior_reads(
    trained: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, written = tmp_path / "state.pt", tmp_path / "resnet18.safetensors"
    torch.save({**trained.state_dict(), "aux.weight": torch.zeros(1)}, state)

    main(["resnet18", str(written), "--state", str(state)])

    data = written.read_bytes()
    assert capsys.readouterr().out == f"{digest_of(data)}  {written}\n"
    pretrained = Pretrained(data)
    own = Pretrained.of(trained.state_dict())
    assert root(described(pretrained), pretrained).digest == root(described(own), own).digest

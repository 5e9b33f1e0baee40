"""Weights of a torchvision model as a prior's: the model answers as torchvision's own."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

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


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 7},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    ],
    ids=["checkpoint", "parallel", "both"],
)
def test_the_command_reads_a_state_dict_as_it_is_usually_wrapped(
    trained: nn.Module, tmp_path: Path, wrap: Callable[[dict[str, Tensor]], Any]
) -> None:
    plain, wrapped = tmp_path / "plain.pt", tmp_path / "wrapped.pt"
    torch.save(trained.state_dict(), plain)
    torch.save(wrap(trained.state_dict()), wrapped)

    for state in (plain, wrapped):
        main(["resnet18", str(state.with_suffix(".safetensors")), "--state", str(state)])

    assert wrapped.with_suffix(".safetensors").read_bytes() == plain.with_suffix(".safetensors").read_bytes()


def test_the_command_writes_a_state_without_its_output_layer(trained: nn.Module, tmp_path: Path) -> None:
    state, written = tmp_path / "state.pt", tmp_path / "resnet18.safetensors"
    torch.save({name: t for name, t in trained.state_dict().items() if not name.startswith("fc.")}, state)

    main(["resnet18", str(written), "--state", str(state)])

    pretrained = Pretrained(written.read_bytes())
    assert root(described(pretrained, head="fresh"), pretrained).tensors["fc.weight.mu"].shape == (CLASSES, 512)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line by which the command refuses these arguments."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    assert (end.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("python -m bayes: ")
    return err


@pytest.mark.parametrize(
    ("model", "change", "words"),
    [
        ("resnet34", {}, "the state_dict: has no tensor 'layer1.2.conv1.weight'"),
        ("wide_resnet50_2", {}, "the state_dict: has"),
        ("mobilenet_v2", {}, "the state_dict: has no tensor 'features.0.0.weight'"),
        ("resnet18", {"layer1.2.conv1.weight": torch.zeros(1)}, "has 'layer1.2.conv1.weight', for which this net has"),
        ("resnet18", {"bn1.running_mean": None}, "has no tensor 'bn1.running_mean'"),
        ("resnet18", {"conv1.weight": torch.zeros(64, 1, 7, 7)}, "of shape [64, 1, 7, 7]; the net has [64, 3, 7, 7]"),
        ("resnet18", {"conv1.weight": torch.full((64, 3, 7, 7), torch.nan)}, "'conv1.weight' that is not finite"),
        ("resnet17", {}, "must be a classification model of torchvision, such as resnet1"),
        ("vit_b_16", {}, "vit_b_16 has parts that cannot be learned here"),
        ("vgg11", {}, "weights; at most"),
    ],
)
def test_the_command_refuses_a_state_that_the_net_has_no_use_for_in_one_line_and_writes_nothing(
    trained: nn.Module,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
    change: dict[str, Tensor | None],
    words: str,
) -> None:
    state, written = tmp_path / "state.pt", tmp_path / "out.safetensors"
    changed = trained.state_dict() | change
    torch.save({name: tensor for name, tensor in changed.items() if tensor is not None}, state)

    assert words in refused([model, str(written), "--state", str(state)], capsys)

    assert not written.exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "No such file or directory"),
        (b"", "holds no tensors that torch.load reads"),
        (b"PK\x03\x04 and no more", "holds no tensors that torch.load reads"),
        (pickle.dumps(Path()), "holds no tensors that torch.load reads"),
        (pickle.dumps([1, 2], protocol=2), "holds no"),
    ],
    ids=["missing", "empty", "cut", "code", "list"],
)
def test_the_command_refuses_a_file_that_holds_no_state_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes | None, words: str
) -> None:
    state, written = tmp_path / "state.pt", tmp_path / "out.safetensors"
    if data is not None:
        state.write_bytes(data)

    said = refused(["resnet18", str(written), "--state", str(state)], capsys)

    assert words in said
    assert str(state) in said
    assert not written.exists()


@pytest.mark.parametrize("loaded", [torch.zeros(3), [torch.zeros(3)], {1: torch.zeros(3)}, {"state_dict": 7}, {}])
def test_the_command_refuses_a_saved_thing_that_is_no_state_dict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], loaded: object
) -> None:
    state = tmp_path / "state.pt"
    torch.save(loaded, state)

    said = refused(["resnet18", str(tmp_path / "out.safetensors"), "--state", str(state)], capsys)

    assert "holds no state_dict" in said or "has no tensor 'conv1.weight'" in said


def test_the_command_refuses_a_place_where_it_cannot_write(
    trained: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state.pt"
    torch.save(trained.state_dict(), state)

    said = refused(["resnet18", str(tmp_path / "none" / "out.safetensors"), "--state", str(state)], capsys)

    assert "No such file or directory" in said


def test_the_command_refuses_weights_that_torchvision_does_not_have_by_those_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(["resnet18", str(tmp_path / "out.safetensors"), "--weights", "IMAGENET"], capsys)

    assert "--weights: of resnet18 must be one of IMAGENET1K_V1, DEFAULT; not IMAGENET" in said


def test_the_command_says_in_one_line_that_weights_could_not_be_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    with pytest.raises(SystemExit) as end:
        main(["resnet18", str(tmp_path / "out.safetensors")])

    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("python -m bayes: --weights: cannot be downloaded, so use --state: ")
    assert not (tmp_path / "out.safetensors").exists()

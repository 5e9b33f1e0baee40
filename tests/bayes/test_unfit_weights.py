"""Weights and old rows that do not fit a model are refused by name."""

import math

import pytest
import safetensors.torch
import torch
from torch import Tensor

from bayes import InvalidDescription, Posterior, Pretrained, UnreadablePosterior, digest_of, root
from tests.bayes.stars import CLASSES, HIDDEN, INPUTS, made, model, star

NOT_FINITE = torch.full((HIDDEN,), math.nan)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (star(dense1_weight=None), "has no tensor 'dense1.weight'"),
        (star(dense1_weight=torch.zeros(HIDDEN, 3)), r"'dense1.weight' of shape \[5, 3\]; the net has \[5, 4\]"),
        (star(dense1_bias=torch.zeros(3)), r"'dense1.bias' of shape \[3\]; the net has \[5\]"),
        (star(dense2_weight=torch.zeros(CLASSES, 3)), r"'dense2.weight' of shape \[3, 3\]; the net has \[3, 5\]"),
        (star(4), "'dense2.weight' of 4 units; the model has 3"),
        (star(dense2_weight=torch.tensor(1.0)), r"'dense2.weight' of shape \[\]; the net has \[3, 5\]"),
        (star(fc_weight=torch.zeros(1)), "a tensor 'fc.weight'; the net has dense1.weight, dense2.weight"),
        (star(dense1_bias=NOT_FINITE), "'dense1.bias' that is not finite"),
        (star(dense1_bias=torch.full((HIDDEN,), 1e300, dtype=torch.float64)), "'dense1.bias' that is not finite"),
        (star(output_scale=torch.ones(CLASSES)), "has a head for numbers; the model has classes"),
        (star(dense1_bias=torch.zeros(HIDDEN, dtype=torch.int64)), "'dense1.bias' of torch.int64"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_the_tensors_name(weights: dict[str, Tensor], words: str) -> None:
    with pytest.raises(InvalidDescription, match=words) as fault:
        made(weights)

    assert fault.value.where == "prior.blob"


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, "has no tensor 'x'"),
        ({"x": torch.zeros(0, INPUTS)}, "has no rows"),
        ({"x": torch.full((3, INPUTS), 3e38)}, "not finite"),
        ({"x": torch.full((3, INPUTS), 3e19)}, "so large that the curvature on them is not finite"),
        ({"x": torch.zeros(3, INPUTS), "weights": torch.full((3,), 1e-60, dtype=torch.float64)}, "not all 0"),
        ({"x": torch.zeros(3, INPUTS), "weights": torch.full((3,), 1e300, dtype=torch.float64)}, "per row"),
        ({"x": torch.zeros(3, 2)}, "does not fit the model"),
        ({"x": torch.zeros(3, INPUTS), "weights": torch.zeros(3)}, "not all 0"),
        ({"x": torch.zeros(3, INPUTS), "weights": torch.ones(2)}, "per row"),
        ({"x": torch.zeros(3, INPUTS), "weights": torch.full((3,), math.nan)}, "per row"),
    ],
)
def test_old_rows_that_cannot_be_used_are_refused(tensors: dict[str, Tensor], words: str) -> None:
    batch = safetensors.torch.save(tensors)
    pretrained = Pretrained(Pretrained.of(star()).weights, batch)

    with pytest.raises(InvalidDescription, match=words) as fault:
        root(model(pretrained, kind="laplace"), pretrained)

    assert fault.value.where == "prior.batch"


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 100])
def test_bytes_that_are_no_safetensors_are_refused(data: bytes) -> None:
    pretrained = Pretrained(data)

    with pytest.raises(InvalidDescription, match="is not safetensors"):
        root(model(pretrained), pretrained)


def test_bytes_whose_metadata_is_deeper_than_any_reader_goes_are_refused() -> None:
    data = safetensors.torch.save(star(), metadata={"posterity": "[" * 200_000})
    pretrained = Pretrained(data)

    with pytest.raises(UnreadablePosterior):
        Posterior.from_bytes(data)
    with pytest.raises(InvalidDescription, match="is no posterior that can be read"):
        root(model(pretrained), pretrained)


def test_weights_of_every_kind_of_float_are_read() -> None:
    narrow = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in star().items()}
    pretrained = Pretrained(safetensors.torch.save(narrow))

    prior = root(model(pretrained), pretrained)

    assert torch.equal(prior.tensors["dense1.weight.mu"], narrow["dense1.weight"].float())


def test_a_fresh_head_may_have_been_one_for_numbers() -> None:
    made(star(2, output_location=torch.zeros(2), output_scale=torch.ones(2)), head="fresh")


def test_a_prior_that_names_other_bytes_is_refused() -> None:
    named, other = Pretrained.of(star()), Pretrained.of(star(2))

    assert named.digests == {"blob": digest_of(named.weights)}
    for given in (None, other):
        with pytest.raises(InvalidDescription, match="other bytes"):
            root(model(named), given)

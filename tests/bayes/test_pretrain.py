"""Priors around weights learned elsewhere: what is kept of them, what is vague, and what is refused."""

import math
from collections.abc import Mapping

import pytest
import safetensors.torch
import torch
from torch import Tensor

from bayes import Chunk, InvalidDescription, Model, Posterior, Pretrained, absorb, digest_of, root, weights_of
from bayes.families import FamilyName, family_names
from bayes.families.parts import Tensors
from bayes.pretrain import rows_of

Json = dict[str, object]
HIDDEN, INPUTS, CLASSES = 5, 4, 3
VAGUE = {"dense1": 2 / math.sqrt(INPUTS), "dense2": 2 / math.sqrt(HIDDEN)}


def star(classes: int = CLASSES, **changes: Tensor | None) -> dict[str, Tensor]:
    """Weights of a net with one hidden layer; a change to None leaves a tensor out (`dense1_bias` for dense1.bias)."""
    stream = torch.Generator().manual_seed(7)
    shapes = {
        "dense1.weight": (HIDDEN, INPUTS),
        "dense1.bias": (HIDDEN,),
        "dense2.weight": (classes, HIDDEN),
        "dense2.bias": (classes,),
    }
    drawn = {name: torch.randn(shape, generator=stream) for name, shape in shapes.items()}
    changed = drawn | {name.replace("_", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in changed.items() if tensor is not None}


def model(pretrained: Pretrained, *, kind: str = "weights", family: FamilyName = "ffg", **prior: object) -> Model:
    width = {"sigma": 0.03} if kind == "weights" and not prior.keys() & {"sigma", "sigmas"} else {}
    return Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": [HIDDEN]},
            "input": {"shape": [INPUTS]},
            "output": {"kind": "categorical", "classes": CLASSES},
            "family": family,
            "prior": {"kind": kind, **pretrained.digests, **width, **prior},
        }
    )


def made(weights: Mapping[str, Tensor], inputs: Tensor | None = None, **prior: object) -> Posterior:
    pretrained = Pretrained.of(weights, inputs)
    return root(model(pretrained, kind="weights" if inputs is None else "laplace", **prior), pretrained)  # type: ignore[arg-type]


def old_rows(count: int = 40) -> Tensor:
    return torch.randn((count, INPUTS), generator=torch.Generator().manual_seed(1))


def sigma(tensors: Tensors, part: str) -> Tensor:
    return tensors[f"{part}.log_sigma"].exp()


@pytest.mark.parametrize("family", family_names())
def test_the_root_of_every_family_has_the_weights_as_its_means(family: FamilyName) -> None:
    weights = star()
    pretrained = Pretrained.of(weights)

    found = weights_of(root(model(pretrained, family=family), pretrained))

    assert found.keys() == weights.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(found[name], tensor)


def test_every_weight_and_bias_gets_the_sigma() -> None:
    prior = made(star(), sigma=0.25)

    for layer in ("dense1", "dense2"):
        for part in ("weight", "bias"):
            torch.testing.assert_close(
                sigma(prior.layer(layer), part), torch.full_like(prior.tensors[f"{layer}.{part}.mu"], 0.25)
            )


def test_of_several_sigmas_the_root_has_the_widest() -> None:
    assert made(star(), sigmas=[0.1, 0.3, 0.2]).digest == made(star(), sigma=0.3).digest


@pytest.mark.parametrize("weights", [star(), star(7), star(dense2_weight=None, dense2_bias=None)])
def test_a_fresh_head_is_vague_whatever_head_the_weights_have(weights: dict[str, Tensor]) -> None:
    prior = made(weights, head="fresh")

    head = prior.layer("dense2")
    assert not head["weight.mu"].any()
    assert not head["bias.mu"].any()
    torch.testing.assert_close(sigma(head, "weight"), torch.full((CLASSES, HIDDEN), VAGUE["dense2"]))
    torch.testing.assert_close(sigma(head, "bias"), torch.full((CLASSES,), 0.2))
    assert torch.equal(prior.tensors["dense1.weight.mu"], weights["dense1.weight"])


@pytest.mark.parametrize("inputs", [None, old_rows()], ids=["sigma", "laplace"])
def test_units_that_a_kept_head_does_not_have_are_vague(inputs: Tensor | None) -> None:
    weights = star(2)

    head = made(weights, inputs).layer("dense2")

    assert torch.equal(head["weight.mu"], torch.cat([weights["dense2.weight"], torch.zeros(1, HIDDEN)]))
    assert torch.equal(head["bias.mu"], torch.cat([weights["dense2.bias"], torch.zeros(1)]))
    torch.testing.assert_close(sigma(head, "weight")[2], torch.full((HIDDEN,), VAGUE["dense2"]))
    torch.testing.assert_close(sigma(head, "bias")[2], torch.tensor(0.2))
    assert bool((sigma(head, "weight")[:2] < VAGUE["dense2"]).all())


@pytest.mark.parametrize("inputs", [None, old_rows()], ids=["sigma", "laplace"])
def test_a_bias_that_the_weights_do_not_have_is_vague(inputs: Tensor | None) -> None:
    layer = made(star(dense1_bias=None), inputs).layer("dense1")

    assert torch.equal(layer["bias.mu"], torch.zeros(HIDDEN))
    torch.testing.assert_close(sigma(layer, "bias"), torch.full((HIDDEN,), 0.2))
    assert bool((sigma(layer, "weight") < VAGUE["dense1"]).all())


def test_the_means_of_a_posterior_are_weights_too(learned: Posterior, images: Model) -> None:
    pretrained = Pretrained(learned.to_bytes())
    described = {**images.to_description(), "prior": {"kind": "weights", **pretrained.digests, "sigma": 0.1}}

    prior = root(Model.from_description(described), pretrained)

    assert all(torch.equal(tensor, weights_of(prior)[name]) for name, tensor in weights_of(learned).items())


def test_a_laplace_prior_is_never_wider_than_without_rows_and_narrower_with_more() -> None:
    few, many = (made(star(), old_rows(), rows=rows) for rows in (40, 4000))

    for layer, widest in VAGUE.items():
        narrow, wide = sigma(many.layer(layer), "weight"), sigma(few.layer(layer), "weight")
        assert bool((wide <= widest * (1 + 1e-6)).all())
        assert bool((narrow <= wide).all())
        assert bool((narrow < 0.2 * wide).any())


def test_the_rows_of_a_laplace_prior_count_as_the_recipe_tempers_rows() -> None:
    pretrained = Pretrained.of(star(), old_rows())
    untempered = model(pretrained, kind="laplace", rows=40).to_description()
    recipe = {"beta": 0.1, "epochs": 1}

    tempered = Model.from_description({**untempered, "recipe": recipe})
    counted = Model.from_description(
        {**untempered, "recipe": {**recipe, "beta": 1.0}, "prior": {**tempered.to_description()["prior"], "rows": 400}}  # type: ignore[dict-item]
    )

    assert root(tempered, pretrained).tensors.keys() == root(counted, pretrained).tensors.keys()
    for name, tensor in root(tempered, pretrained).tensors.items():
        torch.testing.assert_close(tensor, root(counted, pretrained).tensors[name])


@pytest.mark.parametrize(
    ("beta", "weights", "rows"),
    [(1.0, 431_080, 600), (0.1, 5, 60), (0.01, 431_080, 500), (0.002, 431_080, 100), (0.01, 20_000, 200)],
)
def test_a_batch_stands_for_its_rows_or_for_what_a_chunk_weighs(beta: float, weights: int, rows: float) -> None:
    assert rows_of(600, beta, weights=weights) == pytest.approx(rows)


def test_a_laplace_prior_that_does_not_say_its_rows_takes_them_from_the_batch() -> None:
    pretrained = Pretrained.of(star(), old_rows(40))
    untempered = {"beta": 1.0, "epochs": 1}

    unsaid = {**model(pretrained, kind="laplace").to_description(), "recipe": untempered}
    said = {**unsaid, "prior": model(pretrained, kind="laplace", rows=40).to_description()["prior"]}

    one, other = (root(Model.from_description(described), pretrained) for described in (said, unsaid))
    assert one.digest == other.digest


def test_a_laplace_prior_with_a_fresh_head_reads_the_old_head_and_leaves_it_out() -> None:
    kept, fresh = made(star(), old_rows()), made(star(), old_rows(), head="fresh")

    assert torch.equal(kept.tensors["dense1.weight.log_sigma"], fresh.tensors["dense1.weight.log_sigma"])
    assert not fresh.tensors["dense2.weight.mu"].any()
    with pytest.raises(InvalidDescription, match=r"has no tensor 'dense2.weight'"):
        made(star(dense2_weight=None, dense2_bias=None), old_rows(), head="fresh")


def test_the_same_model_has_the_same_root_to_the_bit() -> None:
    assert made(star(), old_rows()).to_bytes() == made(star(), old_rows()).to_bytes()


def test_the_first_update_starts_at_the_weights_and_is_as_narrow_as_the_recipe_says() -> None:
    pretrained = Pretrained.of(star())
    described = model(pretrained, sigma=0.5).to_description()
    still = Model.from_description(
        {**described, "recipe": {"epochs": 1, "lr": 1e-12, "lr_log_sigma": 1e-12, "log_sigma_start": -5.0}}
    )

    posterior, _ = absorb(root(still, pretrained), Chunk(old_rows(9), torch.arange(9) % CLASSES), still.recipe)

    torch.testing.assert_close(weights_of(posterior), star())
    torch.testing.assert_close(posterior.tensors["dense1.weight.log_sigma"], torch.full((HIDDEN, INPUTS), -5.0))


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
        (star(dense1_bias=NOT_FINITE), "'dense1.bias' that contains NaN"),
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
        ({"x": torch.zeros(0, INPUTS)}, "has 0 rows"),
        ({"x": torch.zeros(10_001, INPUTS)}, "has 10001 rows"),
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


def test_a_prior_that_names_other_bytes_is_refused() -> None:
    named, other = Pretrained.of(star()), Pretrained.of(star(2))

    assert named.digests == {"blob": digest_of(named.weights)}
    for given in (None, other):
        with pytest.raises(InvalidDescription, match="other bytes"):
            root(model(named), given)

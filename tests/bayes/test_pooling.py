"""Merging and unlearning by natural parameters: exact where the posterior is, refused where it means nothing."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bayes import (
    Chunk,
    FamilyMismatch,
    FamilyName,
    Input,
    InvalidDescription,
    Mlp,
    Model,
    Posterior,
    absorb,
    convert,
    kl_divergence,
    merge,
    root,
    unlearn,
)
from bayes.families import FAMILIES
from bayes.layers import Conv, Weighted
from bayes.likelihoods import OWN
from bayes.posterior import join
from tests.bayes.conjugate import (
    FEATURES,
    OUTPUT,
    PRIOR,
    Belief,
    assert_same,
    exact,
    joined,
    optimum,
    orthogonal_rows,
    parameters,
)

CHUNKS = [orthogonal_rows(seed) for seed in range(3)]


def posterior_of(belief: Belief, chunks: int) -> Posterior:
    tensors = parameters(belief.mu, belief.sigma.log())
    del tensors[OWN]
    own = {"output.location": torch.zeros(1), "output.scale": torch.ones(1)}
    return Posterior("ffg", Mlp(()), Input((FEATURES,), "float32"), OUTPUT, {**join(tensors), **own}, chunks)


def belief_of(posterior: Posterior) -> Belief:
    q = posterior.layer("dense1")
    mu, log_sigma = (torch.cat([q[f"{part}.{key}"].flatten() for part in ("weight", "bias")]) for key in KEYS)
    return Belief(mu, log_sigma.exp())


KEYS = ("mu", "log_sigma")


@pytest.mark.parametrize("beta", [1.0, 0.1])
def test_chunks_learned_side_by_side_merge_to_the_posterior_of_all_of_them(beta: float) -> None:
    parent = optimum(PRIOR, orthogonal_rows(7), beta)
    learned = [posterior_of(optimum(parent, chunk, beta), 2) for chunk in CHUNKS]

    merged = merge(posterior_of(parent, 1), learned)

    assert_same(belief_of(merged), exact(parent, joined(*CHUNKS), beta))
    assert merged.chunks == 4


@pytest.mark.parametrize("forgotten", [0, 1, 2])
def test_unlearning_a_chunk_leaves_the_posterior_of_the_others(forgotten: int) -> None:
    line = [PRIOR]
    for chunk in CHUNKS:
        line.append(optimum(line[-1], chunk, 0.3))
    versions = [posterior_of(belief, chunks) for chunks, belief in enumerate(line)]

    left = unlearn(versions[3], versions[forgotten], versions[forgotten + 1])

    others = [chunk for index, chunk in enumerate(CHUNKS) if index != forgotten]
    assert_same(belief_of(left), exact(PRIOR, joined(*others), 0.3))
    assert left.chunks == 2


def test_damping_takes_that_part_of_every_step() -> None:
    parent, learned = posterior_of(PRIOR, 0), posterior_of(optimum(PRIOR, CHUNKS[0], 1.0), 1)

    half = belief_of(merge(parent, [learned], damping=0.5))

    assert_same(half, exact(PRIOR, CHUNKS[0], 2.0))


@pytest.mark.parametrize("family", ["ffg", "cfg"])
def test_what_was_merged_can_be_unlearned(images: Model, image_chunk: Chunk, family: FamilyName) -> None:
    """From a wide root, as it lends every weight precision to spare: float32 and no bound is all that is lost."""
    parent = root(Model.from_description(images.to_description() | {"family": family}))
    one, _ = absorb(parent, image_chunk, images.recipe)
    other, _ = absorb(parent, image_chunk, replace(images.recipe, seed=1))

    merged = merge(parent, [one, other])
    back = unlearn(merged, parent, other)

    assert sum(kl_divergence(merged, one).values()) > 1.0
    assert sum(kl_divergence(back, one).values()) < 0.01 * sum(kl_divergence(merged, one).values())
    assert (merged.chunks, back.chunks) == (2, 1)


@pytest.mark.parametrize("family", ["ffg", "cfg"])
def test_division_by_more_than_there_is_leaves_a_posterior_no_wider_than_any_that_was_given(
    images: Model, image_chunk: Chunk, learned: Posterior, family: FamilyName
) -> None:
    parent = learned if family == "ffg" else convert(learned, family)
    one, _ = absorb(parent, image_chunk, images.recipe)
    other, _ = absorb(parent, image_chunk, replace(images.recipe, beta=0.01))

    left = unlearn(one, parent, other)

    assert all(bool(tensor.isfinite().all()) for tensor in left.tensors.values())
    for key, tensor in left.tensors.items():
        if key.endswith("bias.log_sigma"):
            widest = torch.stack([given.tensors[key] for given in (one, parent, other)]).amax(0)
            assert bool((tensor <= widest + 1e-6).all())


@pytest.mark.parametrize(
    ("powers", "precisions", "mean", "precision"),
    [((1, -1, 1), (10, 20, 5), 1.0, 5.0), ((1, -1, 1), (10, 14, 5), 1.0, 5.0), ((-1, 1, 1), (10, 4, 4), 1.0, 4.0)],
)
@pytest.mark.parametrize("family", ["ffg", "cfg"])
def test_where_nothing_is_left_the_least_precise_stands_for_all(
    family: FamilyName, powers: tuple[int, ...], precisions: tuple[int, ...], mean: float, precision: float
) -> None:
    layer = Weighted("conv1", Conv(2, 2), inputs=1)
    rules = FAMILIES[family]
    blank = {key: torch.zeros(shape, dtype=torch.float64) for key, shape in rules.shapes(layer).items()}

    def term(of: int) -> dict[str, Tensor]:
        sigma = {
            f"{part}.log_sigma": torch.full_like(blank[f"{part}.mu"], of).log() / -2 for part in ("weight", "bias")
        }
        return {**blank, **sigma, **{f"{part}.mu": torch.ones_like(blank[f"{part}.mu"]) for part in ("weight", "bias")}}

    pooled = rules.pool([(float(power), term(of)) for power, of in zip(powers, precisions, strict=True)])

    for part in ("weight", "bias"):
        assert pooled[f"{part}.mu"].flatten().tolist() == pytest.approx([mean] * pooled[f"{part}.mu"].numel())
        found = (-2 * pooled[f"{part}.log_sigma"]).exp().flatten().tolist()
        assert found == pytest.approx([precision] * len(found))


def test_chunks_that_were_not_learned_cannot_be_added_or_taken_back(learned: Posterior, images: Model) -> None:
    first = root(images)
    for given in ((learned, first, first), (first, first, learned), (learned, learned, first)):
        with pytest.raises(FamilyMismatch, match="cannot be taken back"):
            unlearn(*given)
    with pytest.raises(FamilyMismatch, match="more chunks than their parent"):
        merge(learned, [learned])


@pytest.mark.parametrize("damping", [0.0, -1.0, 1.5, math.nan, math.inf])
def test_a_damping_outside_its_range_is_refused(damping: float, learned: Posterior) -> None:
    with pytest.raises(InvalidDescription, match="damping"):
        merge(learned, [replace(learned, chunks=2)], damping=damping)


def test_nets_of_the_same_shapes_are_still_other_nets(learned: Posterior) -> None:
    rescaled = replace(learned, input=replace(learned.input, std=(2.0,)), chunks=2)

    with pytest.raises(FamilyMismatch, match="inputs or outputs"):
        merge(learned, [rescaled])
    with pytest.raises(FamilyMismatch, match="inputs or outputs"):
        kl_divergence(learned, rescaled)


@pytest.mark.parametrize("family", ["point", "mnf"])
def test_families_without_natural_parameters_are_refused(images: Model, family: FamilyName) -> None:
    blank = root(Model.from_description(images.to_description() | {"family": family}))

    with pytest.raises(FamilyMismatch, match="no natural parameters"):
        merge(blank, [replace(blank, chunks=1)])


def test_posteriors_of_other_families_or_of_nobody_are_refused(learned: Posterior) -> None:
    with pytest.raises(FamilyMismatch, match="different families"):
        merge(learned, [replace(convert(learned, "cfg"), chunks=2)])
    with pytest.raises(FamilyMismatch, match="posteriors that learned"):
        merge(learned, [])


def test_posteriors_whose_labels_have_other_units_are_refused() -> None:
    parent = posterior_of(PRIOR, 0)
    units: dict[str, Tensor] = {"output.scale": torch.tensor([2.0])}
    other = replace(parent, tensors={**parent.tensors, **units}, chunks=1)

    with pytest.raises(FamilyMismatch, match=r"output\.scale"):
        merge(parent, [other])

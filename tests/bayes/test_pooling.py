"""Merging and unlearning by natural parameters: exact where the posterior is, refused where it means nothing."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bayes import (
    Chunk,
    FamilyMismatch,
    FamilyName,
    Input,
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
    first = root(images) if family == "ffg" else convert(root(images), family)
    after = learned if family == "ffg" else convert(learned, family)

    left = unlearn(first, first, after)

    assert all(bool(tensor.isfinite().all()) for tensor in left.tensors.values())
    for key, tensor in left.tensors.items():
        if key.endswith("bias.log_sigma"):
            assert bool((tensor <= first.tensors[key].maximum(after.tensors[key]) + 1e-6).all())


@pytest.mark.parametrize("family", ["point", "mnf"])
def test_families_without_natural_parameters_are_refused(images: Model, family: FamilyName) -> None:
    blank = root(Model.from_description(images.to_description() | {"family": family}))

    with pytest.raises(FamilyMismatch, match="no natural parameters"):
        merge(blank, [blank])


def test_posteriors_of_other_families_or_of_nobody_are_refused(learned: Posterior) -> None:
    with pytest.raises(FamilyMismatch, match="different families"):
        merge(learned, [convert(learned, "cfg")])
    with pytest.raises(FamilyMismatch, match="at least one"):
        merge(learned, [])


def test_posteriors_whose_labels_have_other_units_are_refused() -> None:
    parent = posterior_of(PRIOR, 0)
    units: dict[str, Tensor] = {"output.scale": torch.tensor([2.0])}
    other = replace(parent, tensors={**parent.tensors, **units}, chunks=1)

    with pytest.raises(FamilyMismatch, match=r"output\.scale"):
        merge(parent, [other])

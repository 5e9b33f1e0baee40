import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from bayes import Chunk, FamilyName, Model, Posterior, absorb, root
from bayes.determinism import deterministic, seed_of
from bayes.families import family_names
from bayes.update import LATER, content_of
from tests.bayes import repeat

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def test_two_processes_come_to_the_same_bytes() -> None:
    processes = [
        subprocess.Popen([sys.executable, "-m", repeat.__name__, global_seed], stdout=subprocess.PIPE, text=True)
        for global_seed in ("1", "2")
    ]

    one, other = (process.communicate(timeout=120)[0].splitlines() for process in processes)

    assert one == other == repeat.digests()


@pytest.mark.parametrize("device", DEVICES)
def test_the_global_random_state_is_neither_used_nor_changed(device: str) -> None:
    torch.manual_seed(1)
    one = repeat.digests(device)
    torch.manual_seed(2)
    before = torch.get_rng_state()

    other = repeat.digests(device)

    assert one == other
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("family", family_names())
def test_a_notebooks_own_default_type_changes_no_byte(family: FamilyName) -> None:
    usual = repeat.digests(family=family)

    torch.set_default_dtype(torch.float64)
    try:
        assert repeat.digests(family=family) == usual
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_randomness_depends_on_prior_chunk_and_recipe(
    images: Model, image_chunk: Chunk, learned: Posterior
) -> None:
    seeded = replace(images.recipe, seed=1)
    flipped = Chunk(image_chunk.inputs.flip(0), image_chunk.labels.flip(0))

    contents = {
        content_of(learned, image_chunk, images.recipe),
        content_of(root(images), image_chunk, images.recipe),
        content_of(learned, flipped, images.recipe),
        content_of(learned, image_chunk, seeded),
    }

    assert len({seed_of(*content) for content in contents}) == 4
    assert content_of(learned, image_chunk, images.recipe) in contents


@pytest.mark.parametrize("field", LATER)
def test_what_earlier_recipes_could_not_do_leaves_no_trace_where_it_is_off(
    images: Model, image_chunk: Chunk, learned: Posterior, field: str
) -> None:
    still = replace(images.recipe, steps_least=0, shift_pixels=0)
    changed = {"steps_least": replace(still, steps_least=2), "shift_pixels": replace(still, shift_pixels=2)}

    off, on = content_of(learned, image_chunk, still), content_of(learned, image_chunk, changed[field])

    assert all(f'"{later}"' not in off[2] for later in LATER)
    assert f'"{field}": 2' in on[2]


def test_another_seed_gives_another_posterior(images: Model, image_chunk: Chunk, learned: Posterior) -> None:
    other, _ = absorb(root(images), image_chunk, replace(images.recipe, seed=1))

    assert other.digest != learned.digest


def test_deterministic_algorithms_are_on_inside_and_as_before_outside_also_when_entered_twice() -> None:
    cuda = torch.device("cuda")

    with deterministic(cuda):
        with deterministic(cuda):
            assert torch.are_deterministic_algorithms_enabled()
        assert torch.are_deterministic_algorithms_enabled()

    assert not torch.are_deterministic_algorithms_enabled()


def test_an_error_inside_leaves_the_settings_as_they_were() -> None:
    def fail() -> None:
        with deterministic(torch.device("cuda")):
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()

    assert not torch.are_deterministic_algorithms_enabled()


def test_the_cpu_needs_no_settings() -> None:
    with deterministic(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()

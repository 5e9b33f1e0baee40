"""Each knob of an update turns what it says, from the recipe through to the posterior."""

from dataclasses import replace

import pytest
import torch

from bayes import Chunk, Model, Posterior, absorb, root, update
from bayes.determinism import generator
from bayes.posterior import join
from bayes.report import Progress
from bayes.update import content_of, starting_point


@pytest.fixture
def _same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates of different content are given the same randomness."""
    monkeypatch.setattr(update, "content_of", lambda *_: ("the", "same", "content"))


@pytest.mark.usefixtures("_same_noise")
@pytest.mark.parametrize("batch_rows", [7, 20])
def test_rows_of_weight_two_are_rows_under_half_the_beta(
    images: Model, image_chunk: Chunk, learned: Posterior, batch_rows: int
) -> None:
    recipe = replace(images.recipe, batch_rows=batch_rows)
    heavy = Chunk(image_chunk.inputs, image_chunk.labels, torch.full((20,), 2.0))

    of_heavy, heavy_report = absorb(learned, heavy, recipe)
    of_half, half_report = absorb(learned, image_chunk, replace(recipe, beta=recipe.beta / 2))

    for key, tensor in of_half.tensors.items():
        assert torch.equal(of_heavy.tensors[key], tensor), key
    assert heavy_report.elbo.data_nats == pytest.approx(2 * half_report.elbo.data_nats)


@pytest.mark.usefixtures("_same_noise")
@pytest.mark.parametrize("noise", [None, 0.5])
@pytest.mark.parametrize("family", ["ffg", "point"])
def test_rows_with_numbers_of_weight_two_are_rows_under_half_the_beta(family: str, noise: float | None) -> None:
    model = Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": [4]},
            "input": {"shape": [3]},
            "output": {"kind": "gaussian", "dims": 2, "noise": noise},
            "family": family,
            "recipe": {"epochs": 4, "batch_rows": 8, "beta": 0.5},
        }
    )
    rows = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    prior, _ = absorb(root(model), Chunk(rows[:, :3], rows[:, 3:]), model.recipe)
    heavy = Chunk(rows[:, :3], rows[:, 3:], torch.full((20,), 2.0))

    of_heavy, _ = absorb(prior, heavy, model.recipe)
    of_half, _ = absorb(prior, replace(heavy, weights=None), replace(model.recipe, beta=0.25))

    for key, tensor in of_half.tensors.items():
        assert torch.equal(of_heavy.tensors[key], tensor), key


@pytest.mark.usefixtures("_same_noise")
def test_beta_is_heard(images: Model, image_chunk: Chunk, learned: Posterior) -> None:
    one, _ = absorb(learned, image_chunk, images.recipe)
    other, _ = absorb(learned, image_chunk, replace(images.recipe, beta=images.recipe.beta / 2))

    assert one.digest != other.digest


@pytest.mark.parametrize(("rows", "epochs"), [(20, 3), (9, 4), (3, 7)])
def test_an_update_goes_over_a_small_chunk_until_its_steps_are_done(
    images: Model, image_chunk: Chunk, learned: Posterior, rows: int, epochs: int
) -> None:
    recipe = replace(images.recipe, epochs=3, batch_rows=8, steps_least=7)
    told: list[Progress] = []

    _, report = absorb(
        learned, Chunk(image_chunk.inputs[:rows], image_chunk.labels[:rows]), recipe, progress=told.append
    )

    assert (report.epochs, report.steps) == (epochs, epochs * -(-rows // 8))
    assert [step.step for step in told] == list(range(1, report.steps + 1))


@pytest.mark.parametrize(("lr", "lr_log_sigma"), [(1e-3, 5e-2), (5e-2, 1e-3)])
def test_the_first_step_moves_means_by_lr_and_log_sigma_by_its_own_rate(
    images: Model, image_chunk: Chunk, lr: float, lr_log_sigma: float
) -> None:
    recipe = replace(images.recipe, epochs=1, batch_rows=20, lr_final=1.0, lr=lr, lr_log_sigma=lr_log_sigma)
    prior, weights = root(images), generator("cpu", *content_of(root(images), image_chunk, recipe), "weights")
    start = join(starting_point(prior, image_chunk, recipe, weights))

    posterior, report = absorb(prior, image_chunk, recipe)

    assert report.steps == 1
    for key, tensor in posterior.tensors.items():
        moved = float((tensor - start[key]).abs().max())
        assert moved == pytest.approx(lr_log_sigma if key.endswith("log_sigma") else lr, rel=1e-2), key

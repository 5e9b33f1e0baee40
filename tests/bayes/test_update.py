import math
from dataclasses import replace

import pytest
import torch

from bayes import (
    Chunk,
    FamilyMismatch,
    Model,
    Posterior,
    Progress,
    UpdateDiverged,
    absorb,
    convert,
    kl_divergence,
    root,
)
from bayes.descent import decay
from bayes.determinism import generator
from bayes.likelihoods import OWN
from bayes.report import warnings_of
from bayes.update import starting_point


def with_recipe(model: Model, **fields: object) -> Model:
    description = model.to_description()
    recipe = model.recipe.to_description() | fields
    return Model.from_description(description | {"recipe": recipe})


def test_an_update_adds_one_chunk_and_leaves_the_prior_alone(images: Model, image_chunk: Chunk) -> None:
    prior = root(images)
    before = prior.to_bytes()

    posterior, report = absorb(prior, image_chunk, images.recipe)

    assert posterior.chunks == 1
    assert prior.to_bytes() == before
    assert report.rows == 20
    assert report.steps == 9
    assert all(not tensor.requires_grad for tensor in posterior.tensors.values())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_learns_in_whatever_mode_its_caller_is(mode: type[torch.no_grad], images: Model, image_chunk: Chunk) -> None:
    expected, _ = absorb(root(images), image_chunk, images.recipe)

    with mode():
        posterior, _ = absorb(root(images), image_chunk, images.recipe)

    assert posterior.digest == expected.digest


def test_rows_that_ask_for_gradients_get_none() -> None:
    model = Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": [3]},
            "input": {"shape": [2]},
            "output": {"kind": "gaussian", "dims": 1},
            "recipe": {"epochs": 2},
        }
    )
    rows = [torch.randn(5, width, requires_grad=True) for width in (2, 1)]

    absorb(root(model), Chunk(rows[0] * 1, rows[1] * 1, torch.ones(5, requires_grad=True)), model.recipe)

    assert all(tensor.grad is None for tensor in rows)


def test_ivon_is_refused_for_a_posterior_of_another_family(
    learned: Posterior, images: Model, image_chunk: Chunk
) -> None:
    with pytest.raises(FamilyMismatch, match="ivon is for posteriors of family ffg"):
        absorb(convert(learned, "cfg"), image_chunk, replace(images.recipe, optimizer="ivon"))


def test_a_later_update_starts_at_the_prior_itself(learned: Posterior, images: Model, image_chunk: Chunk) -> None:
    start = starting_point(learned, image_chunk, images.recipe, generator("cpu", "anything"))

    for layer in learned.network.weighted:
        for key, tensor in learned.layer(layer.name).items():
            assert torch.equal(start[layer.name][key], tensor)


def test_the_first_update_starts_at_drawn_means_and_a_narrow_sigma(images: Model, image_chunk: Chunk) -> None:
    prior = root(images)

    start = starting_point(prior, image_chunk, images.recipe, generator("cpu", "a"))
    other = starting_point(prior, image_chunk, images.recipe, generator("cpu", "b"))

    assert bool(start["conv1"]["weight.mu"].all())
    assert not torch.equal(start["conv1"]["weight.mu"], other["conv1"]["weight.mu"])
    assert not bool(start["conv1"]["bias.mu"].any())
    assert {float(v) for v in start["conv1"]["weight.log_sigma"].flatten()} == {images.recipe.log_sigma_start}
    assert start[OWN] == {}


def test_a_prior_narrower_than_the_start_keeps_its_sigma(images: Model, image_chunk: Chunk) -> None:
    narrow = Model.from_description(images.to_description() | {"prior": {"kind": "gaussian", "sigma": 1e-4}})

    start = starting_point(root(narrow), image_chunk, narrow.recipe, generator("cpu", "a"))

    assert start["conv1"]["weight.log_sigma"].flatten()[0] == pytest.approx(math.log(1e-4))


def test_a_root_prior_with_means_of_its_own_is_started_from(images: Model, image_chunk: Chunk) -> None:
    means = torch.full((3, 2, 3, 3), 0.25)
    prior = root(images)
    prior = replace(prior, tensors={**prior.tensors, "conv1.weight.mu": means})

    start = starting_point(prior, image_chunk, images.recipe, generator("cpu", "a"))

    assert torch.equal(start["conv1"]["weight.mu"], means)


def test_the_bound_is_what_the_data_say_less_beta_times_the_kl_to_the_prior(images: Model, image_chunk: Chunk) -> None:
    prior = root(images)

    posterior, report = absorb(prior, image_chunk, images.recipe)

    assert report.kl_nats == kl_divergence(posterior, prior)
    assert report.elbo.kl_nats == sum(report.kl_nats.values())
    assert report.elbo.elbo == report.elbo.data_nats - images.recipe.beta * report.elbo.kl_nats
    assert report.elbo.data_nats < 0


def test_the_report_tells_signal_to_noise_and_the_way_of_log_sigma_by_layer(images: Model, image_chunk: Chunk) -> None:
    posterior, report = absorb(root(images), image_chunk, images.recipe)

    mu, log_sigma = (posterior.tensors[f"conv2.weight.{key}"].double() for key in ("mu", "log_sigma"))
    assert report.snr_median["conv2"] == pytest.approx(float((mu.abs() / log_sigma.exp()).median()), rel=1e-5)
    moved = (log_sigma - images.recipe.log_sigma_start).abs().mean()
    assert report.log_sigma_moved["conv2"] == pytest.approx(float(moved), rel=1e-5)
    assert list(report.kl_nats) == list(report.snr_median) == list(report.log_sigma_moved)


def test_the_report_is_json_with_its_seconds_from_the_given_clock(images: Model, image_chunk: Chunk) -> None:
    times = iter([10.0, 12.5])

    _, report = absorb(root(images), image_chunk, images.recipe, clock=lambda: next(times))

    written = report.to_dict()
    assert written["seconds"] == 2.5
    assert written["device"] == "cpu"
    assert written["warnings"] == list(report.warnings)
    assert isinstance(written["elbo"], dict)


def test_progress_is_told_at_most_fifty_times_and_at_the_last_step(images: Model, image_chunk: Chunk) -> None:
    told: list[Progress] = []

    absorb(root(images), image_chunk, with_recipe(images, epochs=40).recipe, progress=told.append)

    assert told[-1].step == told[-1].steps == 120
    assert 25 <= len(told) <= 50
    assert told[-1].elbo > told[0].elbo


def test_what_progress_raises_stops_the_update(images: Model, image_chunk: Chunk) -> None:
    class StopNow(Exception):  # noqa: N818
        pass

    def stop(progress: Progress) -> None:
        raise StopNow(progress.step)

    with pytest.raises(StopNow, match="1"):
        absorb(root(images), image_chunk, images.recipe, progress=stop)


def test_a_loss_that_is_not_finite_ends_the_update_before_it_is_told_as_progress(
    images: Model, image_chunk: Chunk
) -> None:
    told: list[Progress] = []

    with pytest.raises(UpdateDiverged, match="by step 2 of 9"):
        absorb(root(images), image_chunk, with_recipe(images, lr=1e30).recipe, progress=told.append)

    assert [progress.step for progress in told] == [1]


def test_a_last_step_out_of_the_finite_numbers_ends_the_update_with_an_error(images: Model, image_chunk: Chunk) -> None:
    with pytest.raises(UpdateDiverged, match="after 1 steps"):
        absorb(root(images), image_chunk, with_recipe(images, lr=1e30, epochs=1, batch_rows=20).recipe)


def test_a_log_sigma_that_could_hardly_move_is_warned_of(images: Model, image_chunk: Chunk) -> None:
    _, report = absorb(root(images), image_chunk, with_recipe(images, lr_log_sigma=1e-3).recipe)

    assert [w for w in report.warnings if "log sigma by 0.01 at most" in w]


def test_a_later_update_may_leave_log_sigma_where_the_prior_has_it(
    images: Model, image_chunk: Chunk, learned: Posterior
) -> None:
    _, report = absorb(learned, image_chunk, with_recipe(images, lr_log_sigma=1e-3).recipe)

    assert report.warnings == ()


@pytest.mark.parametrize(
    ("snr", "sigma_to_prior", "is_pruned"), [(0.05, 0.95, True), (0.05, 0.5, False), (2.0, 0.95, False)]
)
def test_over_pruned_means_more_noise_than_signal_and_a_sigma_back_at_the_prior(
    images: Model, snr: float, sigma_to_prior: float, is_pruned: bool
) -> None:
    facts = {"snr_median": snr, "sigma_to_prior_median": sigma_to_prior, "log_sigma_moved": 1.0}

    warnings = warnings_of({"conv1": facts}, root(images), images.recipe, steps=1000)

    assert bool(warnings) == is_pruned


def test_layers_that_fall_back_to_the_prior_are_warned_of_by_name(images: Model, image_chunk: Chunk) -> None:
    pruned = with_recipe(images, beta=1000.0, epochs=150, lr=0.03, lr_log_sigma=0.2)

    _, report = absorb(root(images), image_chunk, pruned.recipe)

    named = [layer for layer in report.kl_nats for w in report.warnings if f"{layer} looks over-pruned" in w]
    assert named == ["conv1", "conv2", "dense1"]


def test_a_well_learned_chunk_has_no_warnings(images: Model, image_chunk: Chunk) -> None:
    _, report = absorb(root(images), image_chunk, with_recipe(images, epochs=80).recipe)

    assert report.warnings == ()


def test_a_point_has_no_kl_and_no_width_to_report(images: Model, image_chunk: Chunk) -> None:
    point = Model.from_description(images.to_description() | {"family": "point"})

    posterior, report = absorb(root(point), image_chunk, point.recipe)

    assert report.elbo.kl_nats == 0.0
    assert report.snr_median == report.log_sigma_moved == {}
    assert report.warnings == ()
    assert set(posterior.tensors) == {f"{n}.{p}.mu" for n in ("conv1", "conv2", "dense1") for p in ("weight", "bias")}


def test_the_learning_rate_is_flat_for_half_the_steps_and_then_falls_linearly_to_its_final_part() -> None:
    rates = [decay(step, 8, 0.2) for step in range(1, 9)]

    assert rates == pytest.approx([1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert decay(1, 1, 0.2) == pytest.approx(0.2)


def test_labels_keep_the_location_and_scale_of_the_first_chunk(described: dict[str, object]) -> None:
    model = Model.from_description(described | {"output": {"kind": "gaussian"}, "recipe": {"epochs": 1}})
    rows = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))

    first, _ = absorb(root(model), Chunk(rows, rows[:, :1] * 3 + 100), model.recipe)
    second, _ = absorb(first, Chunk(rows, rows[:, :1] * 7 - 100), model.recipe)

    assert float(first.tensors["output.location"]) == pytest.approx(float(rows[:, 0].mean() * 3 + 100))
    for key in ("output.location", "output.scale"):
        assert torch.equal(first.tensors[key], second.tensors[key])
    assert not torch.equal(first.tensors["output.log_noise.mu"], second.tensors["output.log_noise.mu"])

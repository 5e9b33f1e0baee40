"""The sigma of a prior around weights, chosen by rows of the first chunk."""

import math

import pytest
import torch

from bayes import (
    Chunk,
    InvalidDescription,
    Model,
    Pretrained,
    Progress,
    UpdateDiverged,
    absorb,
    absorb_on_grid,
    predict,
    root,
    score,
)
from bayes.determinism import generator
from bayes.grid import split

INPUTS, CLASSES = 12, 2


def star() -> Pretrained:
    """Weights of a net that looks at the first of its inputs."""
    weight = torch.zeros(CLASSES, INPUTS)
    weight[:, 0] = torch.tensor([-1.0, 1.0])
    return Pretrained.of({"dense1.weight": weight, "dense1.bias": torch.zeros(CLASSES)})


def model(*sigmas: float, **recipe: object) -> Model:
    return Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": []},
            "input": {"shape": [INPUTS]},
            "output": {"kind": "categorical", "classes": CLASSES},
            "prior": {"kind": "weights", **star().digests, "sigmas": list(sigmas)},
            "recipe": {"epochs": 20, "batch_rows": 10, "beta": 1.0, "lr": 0.05, "lr_log_sigma": 0.1, **recipe},
        }
    )


def chunk(rows: int, *, is_as_before: bool, weights: torch.Tensor | None = None) -> Chunk:
    """Rows whose classes are drawn from that net, or the other one each."""
    stream = torch.Generator().manual_seed(rows)
    inputs = torch.randn((rows, INPUTS), generator=stream)
    drawn = torch.rand(rows, generator=stream) < (2 * inputs[:, 0]).sigmoid()
    return Chunk(inputs, (drawn == is_as_before).long(), weights)


@pytest.mark.parametrize(("is_as_before", "best"), [(True, 0.01), (False, 10.0)])
def test_a_narrow_prior_wins_where_the_weights_are_right_and_a_wide_one_where_they_are_not(
    is_as_before: bool, best: float
) -> None:
    _, report = absorb_on_grid(model(0.01, 10.0), star(), chunk(400, is_as_before=is_as_before))

    assert report.choice is not None
    assert report.choice.sigma == best
    assert report.choice.held_out_rows == 80
    assert report.to_dict()["choice"] == {"sigma": best, "held_out_rows": 80, "nll": report.choice.nll}


def test_the_posterior_is_the_best_priors_after_the_whole_chunk() -> None:
    rows = chunk(40, is_as_before=False)

    posterior, report = absorb_on_grid(model(0.01, 10.0), star(), rows)

    alone = model(10.0)
    expected, plain = absorb(root(alone, star()), rows, alone.recipe)
    assert posterior.digest == expected.digest
    assert report.kl_nats == plain.kl_nats


def test_each_sigma_is_judged_by_rows_that_it_has_not_learned_from() -> None:
    rows, grid = chunk(40, is_as_before=True), model(0.1, 1.0)
    taught, held_out = split(rows, generator("cpu", star().digests["blob"], rows.digest, "held out"))

    _, report = absorb_on_grid(grid, star(), rows)

    assert report.choice is not None
    assert (taught.rows, held_out.rows) == (32, 8)
    for sigma in (0.1, 1.0):
        alone = model(sigma)
        posterior, _ = absorb(root(alone, star()), taught, alone.recipe)
        assert (
            report.choice.nll[f"{sigma:g}"]
            == score(predict(posterior, held_out.inputs, method="ensemble"), held_out.labels)["nll"]
        )


def test_the_two_parts_of_a_chunk_share_no_row_and_leave_out_those_that_do_not_count() -> None:
    weights = torch.ones(11)
    weights[4] = 0.0
    rows = Chunk(torch.arange(11.0).unsqueeze(1), torch.zeros(11, dtype=torch.int64), weights)

    taught, held_out = split(rows, torch.Generator().manual_seed(0))

    numbers = [*taught.inputs[:, 0].tolist(), *held_out.inputs[:, 0].tolist()]
    assert sorted(numbers) == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert held_out.rows == 2


def test_a_single_row_teaches_and_judges() -> None:
    posterior, report = absorb_on_grid(model(0.01, 10.0), star(), chunk(1, is_as_before=True))

    assert posterior.chunks == 1
    assert report.choice is not None
    assert report.choice.held_out_rows == 1


def test_progress_and_check_see_one_update_over_all_of_it() -> None:
    told: list[Progress] = []
    checks: list[int] = []

    absorb_on_grid(
        model(0.01, 10.0),
        star(),
        chunk(40, is_as_before=True),
        progress=told.append,
        check=lambda: checks.append(1),
    )

    steps = [one.step for one in told]
    assert steps == sorted(set(steps))
    assert {one.steps for one in told} == {20 * (4 + 4 + 4)}
    assert steps[-1] == 240
    assert len(checks) >= 240


def test_what_check_raises_stops_the_trials() -> None:
    class Stop(Exception):  # noqa: N818
        pass

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        absorb_on_grid(model(0.01, 10.0), star(), chunk(40, is_as_before=True), check=stop)


def test_a_sigma_that_diverges_does_not_win() -> None:
    rows = chunk(40, is_as_before=True)

    with pytest.raises(UpdateDiverged, match="every sigma"):
        absorb_on_grid(model(0.01, 10.0, lr=1e38), star(), rows)


def test_the_same_chunk_gives_the_same_bytes_and_the_same_choice() -> None:
    (first, told), (again, retold) = (
        absorb_on_grid(model(0.01, 10.0), star(), chunk(40, is_as_before=True)) for _ in range(2)
    )

    assert first.digest == again.digest
    assert told.choice == retold.choice


def test_weights_of_rows_count_where_the_sigmas_learn() -> None:
    weights = torch.full((40,), 2.0)

    _, report = absorb_on_grid(model(0.01, 10.0), star(), chunk(40, is_as_before=True, weights=weights))

    assert report.choice is not None
    assert all(nll is not None and math.isfinite(nll) for nll in report.choice.nll.values())


def test_a_point_has_no_sigma_to_choose() -> None:
    described = model(0.01, 10.0).to_description()

    assert model(0.01, 10.0).is_on_grid
    assert not model(0.01).is_on_grid
    assert not Model.from_description({**described, "family": "point"}).is_on_grid


def test_other_bytes_than_the_prior_names_are_refused() -> None:
    other = Pretrained.of({"dense1.weight": torch.zeros(CLASSES, INPUTS)})

    with pytest.raises(InvalidDescription, match="other bytes"):
        absorb_on_grid(model(0.01, 10.0), other, chunk(40, is_as_before=True))

"""Forgetting by division over HTTP: what was learned of batches is divided out of head at once, and measured."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

import bayes
from bayes.likelihoods import OWN
from bayes.posterior import join
from service import dividing
from store.dividing import Divided, Division
from store.engine import for_examining
from store.invariants import violations
from tests.bayes.conjugate import FEATURES, PRIOR, Belief, exact, joined, optimum, orthogonal_rows
from tests.bayes.conjugate import parameters as parameters_of
from tests.service.expected import expect_problem
from tests.service.live import ROWS, TINY, Json, Live

OTHER: Json = {"inputs": [[5, 1], [0, 2]], "labels": [1, 1]}
THIRD: Json = {"inputs": [[-1, 0.5], [2, 2]], "labels": [2, 0]}
LINEAR: Json = TINY | {
    "net": {"kind": "mlp", "hidden": []},
    "input": {"shape": [FEATURES]},
    "output": {"kind": "gaussian", "dims": 1, "noise": 0.5},
}
"""Of this net, division is exact."""


def learned(live: Live, *rows: Json, description: Json = TINY) -> str:
    model = live.create(description)
    for one in rows:
        live.learn(model, one)
    return model


def divide(live: Live, model: str, *batches: int) -> Json:
    body = {"batches": list(batches), "method": "approximate", "reason": "asked"}
    answer = live.client.post(f"{model}/forget", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"{model}/forgets/{answer.json()['forget']}"
    return dict(answer.json())


def posterior_of(live: Live, model: str, version: int) -> bayes.Posterior:
    return bayes.Posterior.from_bytes(live.client.get(f"{model}/versions/{version}/posterior").content)


def belief_as_posterior(belief: Belief, chunks: int) -> bayes.Posterior:
    described = bayes.Model.from_description(LINEAR)
    tensors = parameters_of(belief.mu, belief.sigma.log())
    del tensors[OWN]
    own = {"output.location": torch.zeros(1), "output.scale": torch.ones(1)}
    stored = {name: tensor.float() for name, tensor in {**join(tensors), **own}.items()}
    return bayes.Posterior("ffg", described.net, described.input, described.output, stored, chunks)


def belief_of(posterior: bayes.Posterior) -> Belief:
    q = posterior.layer("dense1")
    mu, log_sigma = (torch.cat([q[f"{part}.{key}"].flatten() for part in ("weight", "bias")]) for key in KEYS)
    return Belief(mu, log_sigma.exp())


KEYS = ("mu", "log_sigma")


def sound(live: Live) -> bool:
    with for_examining(live.house.engine).begin() as connection:
        return violations(connection) == []


@pytest.mark.parametrize("forgotten", [(1,), (2,), (3,), (1, 3)])
def test_where_the_posterior_is_exact_the_result_is_that_of_the_other_batches(
    live: Live, forgotten: tuple[int, ...]
) -> None:
    chunks = [orthogonal_rows(seed) for seed in range(3)]
    model, belief = live.create(LINEAR), PRIOR
    # Version 1 is the prior that the exact updates start from: batch 1 stands for nothing.
    live.publish(model, belief_as_posterior(belief, 1))
    for number, chunk in enumerate(chunks, start=2):
        belief = optimum(belief, chunk, 0.3)
        live.publish(model, belief_as_posterior(belief, number))

    for batch in range(1, 5):
        live.client.delete(f"{model}/batches/{batch}").raise_for_status()

    done = divide(live, model, *(batch + 1 for batch in forgotten))

    others = [chunk for number, chunk in enumerate(chunks, start=1) if number not in forgotten]
    left = posterior_of(live, model, done["head"])
    wanted, found = exact(PRIOR, joined(*others), 0.3), belief_of(left)
    # As close as the stored numbers, float32, let it be.
    torch.testing.assert_close(found.mu.double(), wanted.mu, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.sigma.double(), wanted.sigma, rtol=1e-5, atol=1e-5)
    assert left.chunks == 4 - len(forgotten)
    assert sound(live)


def test_the_answer_the_version_and_the_batch_say_what_was_divided_and_that_it_stays_evidence(live: Live) -> None:
    model = learned(live, OTHER, ROWS, THIRD)
    before = live.client.get(f"{model}/versions/3").json()

    done = divide(live, model, 2)

    assert (done["state"], done["method"], done["base"], done["head"]) == ("done", "approximate", 3, 4)
    assert (done["divided"], done["updates"], done["steps"]["all"]) == ([2], [], 0)
    assert done == live.client.get(f"{model}/forgets/{done['forget']}").json()
    (warning,) = done["warnings"]
    assert "not exact, and no deletion" in warning
    version = live.client.get(f"{model}/versions/4").json()
    assert (version["publication"], version["parent"], version["rows"]) == ("approximate", 3, 0)
    assert (version["evidence"]["batches"], version["evidence"]["divided"]) == ([1, 2, 3], [2])
    assert (version["report"]["divided"], version["report"]["approximation"]) == ([2], done["approximation"])
    assert before["evidence"]["divided"] == []
    listed = live.client.get(f"{model}/versions").json()["versions"]
    assert [one["evidence"]["divided"] for one in listed] == [[], [], [], [], [2]]
    batch = live.client.get(f"{model}/batches/2").json()
    assert (batch["state"], batch["on_head"]) == ("forgotten", True)
    expected = bayes.unlearn(*(posterior_of(live, model, version) for version in (3, 1, 2)))
    assert posterior_of(live, model, 4).digest == expected.digest
    assert sound(live)


def test_what_was_measured_is_what_the_posteriors_say(live: Live) -> None:
    model = learned(live, OTHER, ROWS, THIRD)

    found = divide(live, model, 2)["approximation"]

    old, new, first = (posterior_of(live, model, version) for version in (3, 4, 1))
    layers = bayes.kl_divergence(new, old)
    assert found["kl_nats"] == {"total": sum(layers.values()), "layers": layers}
    assert live.client.get(f"{model}/versions/4").json()["kl_nats"] == found["kl_nats"]["total"]
    # The newest batch first.
    inputs = torch.tensor(THIRD["inputs"] + OTHER["inputs"], dtype=torch.float32)
    labels = torch.tensor(THIRD["labels"] + OTHER["labels"])
    differences = bayes.paired(bayes.predict(new, inputs), bayes.predict(old, inputs), labels)
    assert found["kept"]["rows"] == 4
    assert found["kept"]["differences"] == {name: vars(of) for name, of in differences.items()}
    inputs, labels = torch.tensor(ROWS["inputs"]), torch.tensor(ROWS["labels"])
    nll = {
        name: bayes.score(bayes.predict(one, inputs), labels)["nll"]
        for name, one in {"head": old, "divided": new, "before": first}.items()
    }
    assert found["forgotten"] == {"rows": 2, "nll": nll, "before": 1}


def test_it_needs_no_rows_and_then_measures_what_it_can(live: Live) -> None:
    model = learned(live, OTHER, ROWS, THIRD)
    for batch in (1, 2, 3):
        live.client.delete(f"{model}/batches/{batch}").raise_for_status()
    exact_one = live.client.post(f"{model}/forget", json={"batches": [2]})
    problem = expect_problem(exact_one, "rows-missing")
    assert '"method": "approximate"' in problem["detail"]

    found = divide(live, model, 2)["approximation"]

    assert (found["kept"], found["forgotten"]) == (None, None)
    assert found["kl_nats"]["total"] > 0.0


def test_learning_goes_on_from_the_divided_head_and_a_rollback_takes_the_division_back(live: Live) -> None:
    model = learned(live, OTHER, ROWS, THIRD)
    divide(live, model, 2)

    version = live.learn(model, OTHER | {"labels": [0, 0]})

    shown = live.client.get(f"{model}/versions/{version}").json()
    assert (shown["parent"], shown["evidence"]["divided"]) == (4, [2])
    live.client.post(f"{model}/rollback", json={"to": 3}).raise_for_status()
    assert live.client.get(f"{model}/batches/2").json()["state"] == "forgotten"
    again = divide(live, model, 2)
    assert (again["base"], again["divided"]) == (3, [2])
    assert sound(live)


def test_a_batch_that_was_divided_out_is_not_divided_out_again(live: Live) -> None:
    model = learned(live, OTHER, ROWS, THIRD)
    divide(live, model, 2)

    again, both = divide(live, model, 2), divide(live, model, 1, 2)

    assert (again["head"], again["divided"], again["approximation"]) == (4, [], None)
    assert (both["base"], both["head"], both["divided"]) == (4, 5, [1])
    assert sound(live)


def test_a_divided_version_can_be_exported_and_its_lineage_shows_the_division(live: Live) -> None:
    model = learned(live, OTHER, ROWS, THIRD)
    divide(live, model, 2)

    about = live.client.get(f"{model}/versions/4/export", params={"format": "json"}).json()
    archive = live.client.get(f"{model}/versions/4/export").content

    assert about["report"]["divided"] == [2]
    assert (about["lineage"][-1]["chunk"], about["lineage"][-1]["batches"], about["lineage"][-1]["parent"]) == (
        None,
        [],
        3,
    )
    name = f"{model.removeprefix('/v1/models/')}-again"
    answer = live.client.post(
        "/v1/imports", params={"name": name}, content=archive, headers={"Content-Type": "application/zip"}
    )
    assert answer.status_code == 201, answer.text
    there = f"/v1/models/{name}"
    out = live.client.get(f"{model}/batches/2").json()["digest"]
    assert live.client.get(there).json()["imported"]["divided"] == [out]
    live.learn(there, OTHER)
    further = live.client.get(f"{there}/versions/2/export", params={"format": "json"}).json()["lineage"]
    assert [one.get("divided") for one in further] == [None, None, None, None, [2], None]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"family": "mnf"}, "family mnf has no natural parameters"),
        ({"family": "point"}, "family point has no natural parameters"),
        ({"recipe": {"epochs": 1, "prior_power": 0.9}}, "prior_power"),
        ({"output": {"kind": "gaussian", "dims": 1}}, "only a line's first update sets"),
    ],
)
def test_a_model_whose_posterior_cannot_be_divided_says_why(live: Live, change: Json, said: str) -> None:
    rows = [one | {"labels": [1.5, 2.5]} for one in (OTHER, ROWS)] if "output" in change else [OTHER, ROWS]
    model = live.create(TINY | change)
    for one in rows:
        live.post_rows(model, one)
        live.close(model)
        live.work()

    answer = live.client.post(f"{model}/forget", json={"batches": [1], "method": "approximate"})

    assert said in expect_problem(answer, "approximation-impossible")["detail"]
    assert live.client.get(f"{model}/batches/1").json()["state"] == "absorbed"


def test_a_head_that_knows_nothing_else_is_to_be_rolled_back_instead(live: Live) -> None:
    model = learned(live, OTHER, ROWS)

    answer = live.client.post(f"{model}/forget", json={"batches": [1, 2], "method": "approximate"})

    assert "roll back to version 0" in expect_problem(answer, "approximation-impossible")["detail"]


def test_a_posterior_that_is_not_finite_is_never_published(live: Live) -> None:
    model = learned(live, OTHER, ROWS)
    kept = bayes.unlearn

    def unlearn(*given: bayes.Posterior) -> bayes.Posterior:
        found = kept(*given)
        return replace(found, tensors={key: tensor * torch.nan for key, tensor in found.tensors.items()})

    with patch.object(dividing, "unlearn", unlearn):
        answer = live.client.post(f"{model}/forget", json={"batches": [1], "method": "approximate"})

    assert "not finite" in expect_problem(answer, "approximation-impossible")["detail"]
    assert live.client.get(model).json()["versions"] == 2


def test_head_that_moves_meanwhile_is_divided_again(live: Live) -> None:
    model = learned(live, OTHER, ROWS, THIRD)
    kept = live.house.dividing.plan
    moved: list[int] = []

    def plan(name: str, numbers: list[int]) -> Division:
        found = kept(name, numbers)
        if not moved:
            moved.append(live.learn(model, OTHER | {"labels": [0, 0]}))
        return found

    with patch.object(live.house.dividing, "plan", plan):
        done = divide(live, model, 2)

    assert (done["base"], done["head"], moved) == (4, 5, [4])
    assert sound(live)


def test_bytes_that_others_remove_who_were_overtaken_as_well_hinder_nobody(live: Live) -> None:
    """They had divided the same head by the same batch, and put the same bytes there, just before."""
    model = learned(live, OTHER, ROWS, THIRD)
    kept = live.house.dividing.finish
    overtaken: list[str] = []

    def finish(division: Division, made: Divided | None, *, actor: str, reason: str) -> int:
        assert made is not None
        if not overtaken:
            live.client.post(f"{model}/rollback", json={"to": 2}).raise_for_status()
            overtaken.append(made.digest)
        if made.digest in overtaken:
            live.house.collecting.discard([made.digest])
        return kept(division, made, actor=actor, reason=reason)

    with patch.object(live.house.dividing, "finish", finish):
        done = divide(live, model, 2)

    assert (done["base"], done["head"]) == (2, 4)
    assert sound(live)


def test_head_that_moves_each_time_leaves_everything_as_it_was(live: Live) -> None:
    model = learned(live, OTHER, ROWS, THIRD)
    kept = live.house.dividing.plan

    def plan(name: str, numbers: list[int]) -> Division:
        found = kept(name, numbers)
        live.client.put(f"{model}/aliases/head", json={"version": 3 if found.head == 2 else 2}).raise_for_status()
        return found

    blobs = {one.digest for one in live.folder.listed()}
    with patch.object(live.house.dividing, "plan", plan):
        answer = live.client.post(f"{model}/forget", json={"batches": [2], "method": "approximate"})

    expect_problem(answer, "approximation-overtaken")
    assert live.client.get(f"{model}/forgets").json()["forgets"] == []
    assert live.client.get(f"{model}/batches/2").json()["state"] == "absorbed"
    assert {one.digest for one in live.folder.listed()} == blobs

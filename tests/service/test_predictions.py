"""Predictions over HTTP: of any version, in any encoding, the same bytes every time."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save

import bayes
from service.prediction_resources import CategoricalAnswer, GaussianAnswer, PredictionResource
from store.leases import Leases
from tests.service.expected import expect_problem
from tests.service.live import INPUTS, NAMED, REAL, TINY, Json, Live, running

SAFETENSORS = {"Content-Type": "application/x-safetensors"}
LEVELS: tuple[Json, ...] = ({}, {"interval": 0.99})
DRAWN: Json = {"method": "ensemble", "samples": 16, "seed": 0}


def predict(live: Live, model: str, body: Json = INPUTS, **query: object) -> Json:
    answer = live.client.post(
        f"{model}/predictions", json=body, params={key: str(value) for key, value in query.items()}
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_prediction_says_which_version_answered_and_how(live: Live, model: str) -> None:
    version = live.learn(model)

    found = predict(live, model)

    assert found["version"] == version
    assert found["digest"] == live.client.get(f"{model}/versions/{version}").json()["digest"]
    assert (found["method"], found["samples"], found["seed"]) == ("moments", None, None)
    assert not {"instead_of", "because"} & found.keys()


@pytest.mark.parametrize(
    ("asked", "how"),
    [
        ({"method": "moments"}, ("moments", None, None)),
        ({"method": "moments", "samples": 4, "seed": 1}, ("moments", None, None)),
        ({"samples": 4}, ("ensemble", 4, 0)),
        ({"seed": 0}, ("ensemble", 16, 0)),
        ({"method": "ensemble"}, ("ensemble", 16, 0)),
        ({"method": "ensemble", "samples": 1, "seed": 9}, ("ensemble", 1, 9)),
        ({"method": "mean"}, ("mean", None, None)),
        ({"method": "mean", "samples": 4, "seed": 1}, ("mean", None, None)),
    ],
    ids=str,
)
def test_whoever_states_samples_or_a_seed_and_no_method_is_answered_by_an_ensemble(
    live: Live, model: str, asked: Json, how: tuple[object, ...]
) -> None:
    by_body, by_query = predict(live, model, INPUTS | asked), predict(live, model, **asked)

    assert by_body == by_query
    assert (by_body["method"], by_body["samples"], by_body["seed"]) == how


def test_a_model_that_has_no_moments_is_answered_by_an_ensemble_and_told_why(live: Live) -> None:
    model = live.create(TINY | {"family": "mnf"})

    meant, stated, chosen = (predict(live, model, INPUTS | asked) for asked in ({}, {"method": "moments"}, DRAWN))

    assert meant == stated
    assert (meant["method"], meant["samples"], meant["seed"]) == ("ensemble", 16, 0)
    assert meant["instead_of"] == "moments"
    assert "mnf" in meant["because"]
    assert chosen == {name: said for name, said in meant.items() if name not in {"instead_of", "because"}}


def test_the_ensemble_that_stands_in_for_moments_has_no_more_nets_than_are_allowed(narrow: Live) -> None:
    model = narrow.create(TINY | {"family": "mnf"})

    assert predict(narrow, model)["samples"] == narrow.house.settings.samples_max == 8


def test_the_numbers_are_those_of_bayes_and_the_entropies_add_up(live: Live, model: str) -> None:
    found = PredictionResource.model_validate(predict(live, model, INPUTS | {"samples": 5, "seed": 7}))

    posterior = bayes.Posterior.from_bytes(live.house.blobs.get(found.digest))
    expected = bayes.predict(posterior, bayes_inputs(), samples=5, seed=7)
    assert isinstance(expected, bayes.CategoricalPrediction)
    for row, answer in enumerate(found.outputs):
        assert isinstance(answer, CategoricalAnswer)
        assert answer.probabilities == expected.probabilities[row].tolist()
        assert answer.label == int(np.argmax(answer.probabilities))
        assert answer.entropy == pytest.approx(-sum(p * math.log(p) for p in answer.probabilities), rel=1e-12)
        assert answer.entropy == pytest.approx(answer.aleatoric + answer.mutual_information, rel=1e-12)


def bayes_inputs() -> torch.Tensor:
    return torch.tensor(INPUTS["inputs"], dtype=torch.float32)


def test_real_labels_are_predicted_with_both_parts_of_their_spread(live: Live) -> None:
    found = PredictionResource.model_validate(predict(live, live.create(REAL)))

    for answer in found.outputs:
        assert isinstance(answer, GaussianAnswer)
        assert answer.noise_std == pytest.approx([0.5, 0.5])
        for std, epistemic, noise in zip(answer.std, answer.epistemic_std, answer.noise_std, strict=True):
            assert std**2 == pytest.approx(epistemic**2 + noise**2)


@pytest.mark.parametrize("noise", [1e-6, 1e9])
def test_the_least_and_the_greatest_noise_are_predicted_in_finite_numbers(live: Live, noise: float) -> None:
    model = live.create(TINY | {"output": {"kind": "gaussian", "noise": noise}})
    version = live.learn(model, {"inputs": INPUTS["inputs"], "labels": [[1.5], [-2]]})

    found = PredictionResource.model_validate(predict(live, model, INPUTS | {"interval": 0.9}))

    assert found.version == version
    for answer in found.outputs:
        assert isinstance(answer, GaussianAnswer)
        assert answer.noise_std == pytest.approx([noise])
        numbers = [*answer.mean, *answer.std, *answer.epistemic_std, *answer.lower, *answer.upper]
        assert all(math.isfinite(number) for number in numbers)


def test_numbers_are_predicted_with_the_interval_that_is_asked_for(live: Live) -> None:
    model = live.create(REAL)

    by_default, wide = (PredictionResource.model_validate(predict(live, model, INPUTS | asked)) for asked in LEVELS)

    assert (by_default.interval, wide.interval) == (0.9, 0.99)
    posterior = bayes.Posterior.from_bytes(live.house.blobs.get(by_default.digest))
    expected = bayes.predict(posterior, bayes_inputs())
    assert isinstance(expected, bayes.GaussianPrediction)
    for found, level in ((by_default, 0.9), (wide, 0.99)):
        lower, upper = expected.interval(level)
        for row, answer in enumerate(found.outputs):
            assert isinstance(answer, GaussianAnswer)
            assert (answer.lower, answer.upper) == (lower[row].tolist(), upper[row].tolist())
            assert answer.mean == expected.mean[row].tolist()


def test_the_interval_is_asked_for_in_the_query_as_in_the_body_and_the_etag_knows_it(live: Live) -> None:
    model, binary = live.create(REAL), save({"x": np.array(INPUTS["inputs"], "float32")})
    small = {"inputs": json.dumps(INPUTS["inputs"])}

    by_body = live.client.post(f"{model}/predictions", json=INPUTS | {"interval": 0.5})
    by_query = live.client.post(f"{model}/predictions?interval=0.5", content=binary, headers=SAFETENSORS)
    absent, stated, other = (
        live.client.get(f"{model}/predictions", params=small | asked)
        for asked in ({}, {"interval": "0.9"}, {"interval": "0.5"})
    )

    assert by_body.content == by_query.content == other.content
    assert absent.content == stated.content
    assert absent.headers["ETag"] == stated.headers["ETag"] != other.headers["ETag"]


@pytest.mark.parametrize("level", [0, 1, -0.1, 2, "wide", True])
def test_a_level_that_is_no_probability_between_zero_and_one_is_refused(live: Live, level: object) -> None:
    model = live.create(REAL)

    by_body = live.client.post(f"{model}/predictions", json=INPUTS | {"interval": level})
    by_query = live.client.post(f"{model}/predictions?interval={level}", json=INPUTS)

    assert expect_problem(by_body, "body-invalid")["errors"][0]["where"] == "interval"
    assert "interval" in expect_problem(by_query, "query-invalid")["detail"]


def test_classes_refuse_an_interval_whatever_answer_is_held(live: Live, model: str) -> None:
    first = live.client.get(f"{model}/predictions", params={"inputs": "[[1, 2]]"})
    held = {"If-None-Match": first.headers["ETag"]}

    asked = {"inputs": "[[1, 2]]", "interval": "0.9"}
    expect_problem(live.client.get(f"{model}/predictions", params=asked, headers=held), "interval-of-classes")
    assert "interval" not in first.json()


def test_classes_with_names_are_answered_by_name(live: Live) -> None:
    for output in predict(live, live.create(NAMED))["outputs"]:
        assert output["name"] == ["cat", "dog", "owl"][output["label"]]


def test_the_mean_weights_know_of_no_uncertainty_of_the_weights(live: Live, model: str) -> None:
    for output in predict(live, model, INPUTS | {"method": "mean"})["outputs"]:
        assert output["mutual_information"] == 0


def test_every_encoding_of_the_inputs_gives_the_same_answer(live: Live, model: str) -> None:
    x = np.array(INPUTS["inputs"], "float32")
    encoded = {"b64": base64.b64encode(x.tobytes()).decode(), "dtype": "float32", "shape": [2, 2]}

    lists = live.client.post(f"{model}/predictions", json=INPUTS)
    base64s = live.client.post(f"{model}/predictions", json={"inputs": encoded})
    binary = live.client.post(f"{model}/predictions", content=save({"x": x}), headers=SAFETENSORS)
    query = live.client.get(f"{model}/predictions", params={"inputs": json.dumps(INPUTS["inputs"])})

    assert lists.content == base64s.content == binary.content == query.content


def test_the_query_says_how_to_predict_and_the_body_may_say_otherwise(live: Live, model: str) -> None:
    binary = save({"x": np.array(INPUTS["inputs"], "float32")})
    query = {"samples": "3", "seed": "9", "method": "ensemble"}

    by_query = live.client.post(f"{model}/predictions", content=binary, params=query, headers=SAFETENSORS)
    by_body = live.client.post(f"{model}/predictions", json=INPUTS | {"samples": 3, "seed": 9}, params={"seed": "1"})

    assert by_query.content == by_body.content
    assert (by_body.json()["samples"], by_body.json()["seed"]) == (3, 9)


def test_another_seed_gives_another_answer(live: Live, model: str) -> None:
    assert predict(live, model, seed=1)["outputs"] != predict(live, model, seed=2)["outputs"]


def test_a_rollback_is_visible_to_the_next_request_and_the_old_version_answers_the_same_bytes(
    live: Live, model: str
) -> None:
    def asked(path: str) -> bytes:
        return live.client.post(f"{model}{path}", json=INPUTS).content

    one = live.learn(model)
    at_one = asked("/predictions")
    two = live.learn(model)
    at_two = asked("/predictions")

    live.client.post(f"{model}/rollback", json={"steps": 1}).raise_for_status()

    assert at_one != at_two
    assert asked("/predictions") == at_one
    assert asked(f"/predictions?version={one}") == asked(f"/versions/{one}/predictions") == at_one
    assert asked(f"/predictions?version={two}") == asked(f"/versions/{two}/predictions") == at_two


def test_an_alias_answers_with_its_version(live: Live, model: str) -> None:
    version = live.learn(model)
    live.client.put(f"{model}/aliases/review", json={"version": 0}).raise_for_status()

    assert predict(live, model, alias="review")["version"] == 0
    assert predict(live, model)["version"] == version


def test_another_process_on_the_same_store_answers_the_same_bytes(tmp_path: Path) -> None:
    body = {"name": "kept"} | TINY
    with running(tmp_path) as before:
        before.client.post("/v1/models", json=body).raise_for_status()
        before.learn("/v1/models/kept")
        first = before.client.post("/v1/models/kept/predictions", json=INPUTS).content

    with running(tmp_path) as after:
        assert after.client.post("/v1/models/kept/predictions", json=INPUTS).content == first


def test_an_answer_with_the_same_etag_is_not_sent_again_until_head_moves(live: Live, model: str) -> None:
    url, query = f"{model}/predictions", {"inputs": "[[1, 2]]"}
    first = live.client.get(url, params=query)
    held = {"If-None-Match": f'"other", W/{first.headers["ETag"]}'}

    same = live.client.get(url, params={"inputs": "[[1.0,2.0]]"}, headers=held)
    others = [
        live.client.get(url, params=query | change, headers=held)
        for change in ({"inputs": "[[2, 1]]"}, {"seed": "1"}, {"samples": "2"}, {"method": "mean"})
    ]
    live.learn(model)
    moved = live.client.get(url, params=query, headers=held)

    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["ETag"] == first.headers["ETag"]
    assert [other.status_code for other in others] == [200] * 4
    assert (moved.status_code, moved.json()["version"]) == (200, 1)


def test_another_version_with_the_same_posterior_has_another_etag(live: Live, model: str) -> None:
    live.learn(live.create())
    live.post_rows(model)
    live.close(model)
    leases = Leases(live.house.engine, lease_seconds=60.0, attempts_max=1, retry_seconds=0.0)
    claim = leases.claim("test")
    assert claim is not None
    url, query = f"{model}/predictions", {"inputs": "[[1, 2]]"}
    first = live.client.get(url, params=query)

    leases.publish(claim, digest=claim.prior_digest, kl_nats=0.0, report={})
    second = live.client.get(url, params=query, headers={"If-None-Match": first.headers["ETag"]})

    assert second.json()["digest"] == first.json()["digest"]
    assert (first.json()["version"], second.json()["version"]) == (0, 1)

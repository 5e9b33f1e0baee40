"""How well a version's confidence agrees with labels: as it was kept, on batches, and on rows of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import bayes
from bayes.diagrams import LEVELS
from service import calibrating
from service.asking import LabeledRows
from service.calibrating import Respondent
from service.diagrams import CalibrationResource
from service.house import House
from tests.service.encoded import Sent, Tensors, base64s, lists, npz, raw, safetensors
from tests.service.expected import expect_problem
from tests.service.keyed import make_key
from tests.service.live import REAL, TINY, Json, Live, running
from tests.service.test_metrics import rows

PLACE = "versions/{}/calibration"


def posterior(live: Live, model: str, version: int) -> bayes.Posterior:
    return bayes.Posterior.from_bytes(live.client.get(f"{model}/versions/{version}/posterior").content)


def asked(live: Live, model: str, version: int, **query: str | int) -> Json:
    answer = live.client.get(f"{model}/{PLACE.format(version)}", params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def posted(live: Live, model: str, version: int, body: Json, **query: str | int) -> Json:
    answer = live.client.post(f"{model}/{PLACE.format(version)}", json=body, params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def joined(*parts: Json) -> Json:
    return {name: [row for part in parts for row in part[name]] for name in ("inputs", "labels")}


def scored(live: Live, model: str, version: int, body: Json, **way: object) -> tuple[bayes.Scores, list[Json]]:
    """What the version makes of these rows, by the functions of `bayes`; and its bins."""
    inputs, labels = torch.tensor(body["inputs"]), torch.tensor(body["labels"])
    scores = bayes.Scores.of(bayes.predict(posterior(live, model, version), inputs, **way), labels)  # type: ignore[arg-type]
    outputs = scores.outputs
    return scores, [] if hasattr(outputs, "values") else [vars(one) for one in bayes.bins_of(outputs)]


def three_batches(live: Live) -> tuple[str, list[Json]]:
    """A model whose root predicted batches 1 and 2, and version 1 batch 3, before they were learned."""
    draws = np.random.default_rng(0)
    model, batches = live.create(), [rows(draws, count) for count in (9, 7, 8)]
    for batch in batches:
        live.post_rows(model, batch)
        if batch is not batches[0]:
            live.close(model)
            live.work()
    return model, batches


def test_the_kept_scores_tell_of_the_batches_that_a_version_predicted_as_head(live: Live) -> None:
    model, batches = three_batches(live)

    found = {version: asked(live, model, version) for version in (0, 1)}

    for version, body in ((0, joined(*batches[:2])), (1, batches[2])):
        scores, bins = scored(live, model, version, body)
        said = found[version]
        assert (said["source"], said["rows"], said["batches"]) == ("kept", len(body["labels"]), None)
        assert (said["method"], said["samples"], said["seed"], said["levels"]) == (None, None, None, None)
        assert said["metrics"] == pytest.approx(scores.metrics())
        assert said["standard_errors"] == pytest.approx(scores.standard_errors())
        assert len(said["bins"]) == 15
        for one, expected in zip(said["bins"], bins, strict=True):
            assert one == pytest.approx(expected)
    digest = live.client.get(f"{model}/versions/1").json()["digest"]
    assert (found[1]["model"], found[1]["version"], found[1]["digest"]) == (model.rpartition("/")[2], 1, digest)


def test_a_version_that_predicted_nothing_as_head_has_no_kept_scores(live: Live) -> None:
    model, _ = three_batches(live)

    found = asked(live, model, 2)

    nothing: Json = {"rows": 0, "metrics": None, "standard_errors": None, "bins": [], "levels": None}
    assert {name: found[name] for name in nothing} == nothing
    assert asked(live, live.create(REAL), 0)["levels"] == []


def test_batches_are_predicted_now_and_said_to_be_learned_where_they_are(live: Live) -> None:
    model, batches = three_batches(live)
    pending, more = rows(np.random.default_rng(1), 6), live
    more.post_rows(model, pending)

    found = asked(live, model, 1, batch="4,2,3")

    assert found["source"] == "batches"
    assert found["batches"] == [
        {"batch": 4, "rows": 6, "learned": False},
        {"batch": 2, "rows": 7, "learned": True},
        {"batch": 3, "rows": 8, "learned": False},
    ]
    assert found["method"] == "moments"
    scores, bins = scored(live, model, 1, joined(pending, *batches[1:]))
    assert found["rows"] == 21
    assert found["metrics"] == pytest.approx(scores.metrics())
    assert [one["rows"] for one in found["bins"]] == [one["rows"] for one in bins]
    assert [one["batch"] for one in asked(live, model, 2, batch=3)["batches"] if one["learned"]] == [3]


def test_a_batch_that_was_left_out_of_its_chunk_is_not_said_to_be_learned(live: Live, model: str) -> None:
    draws = np.random.default_rng(5)
    numbers = [live.post_rows(model, rows(draws, 4))["batch"] for _ in range(2)]
    assert live.client.post(f"{model}/batches/{numbers[1]}/park", json={}).status_code == 200
    live.close(model)
    live.work()

    found = asked(live, model, 1, batch="1,2")

    assert [(one["batch"], one["learned"]) for one in found["batches"]] == [(1, True), (2, False)]


def test_rows_of_one_s_own_give_what_the_batch_of_them_gives(live: Live) -> None:
    model, batches = three_batches(live)

    by_rows, by_batch = posted(live, model, 1, batches[2]), asked(live, model, 1, batch=3)

    assert (by_rows["source"], by_rows["batches"]) == ("rows", None)
    own = {"source", "batches"}
    assert {name: by_rows[name] for name in by_rows.keys() - own} == {
        name: by_batch[name] for name in by_batch.keys() - own
    }


@pytest.mark.parametrize("encode", [base64s, safetensors, npz, raw], ids=lambda encode: encode.__name__)
def test_rows_with_labels_come_in_any_encoding_that_has_a_place_for_both(
    live: Live, model: str, encode: Callable[[Tensors], Sent]
) -> None:
    tensors = {"x": np.array([[1, 2], [3, 4.5]], np.float32), "y": np.array([0, 2])}

    content, headers = encode(tensors)
    answer = live.client.post(f"{model}/{PLACE.format(0)}", content=content, headers=headers)

    assert answer.status_code == 200, answer.text
    as_lists, headers = lists(tensors)
    assert answer.json() == live.client.post(f"{model}/{PLACE.format(0)}", content=as_lists, headers=headers).json()


def test_an_ensemble_answers_where_it_is_asked_for(live: Live, model: str) -> None:
    body = rows(np.random.default_rng(3), 30)
    live.learn(model, body)

    found = posted(live, model, 1, body, method="ensemble", samples=3, seed=5)

    assert (found["method"], found["samples"], found["seed"]) == ("ensemble", 3, 5)
    assert found["metrics"] == pytest.approx(
        scored(live, model, 1, body, method="ensemble", samples=3, seed=5)[0].metrics()
    )
    assert found["metrics"] != posted(live, model, 1, body)["metrics"]
    assert asked(live, model, 1, batch=1, samples=3, seed=5)["metrics"] == found["metrics"]


def test_the_levels_of_numbers_say_how_many_labels_their_intervals_hold(live: Live) -> None:
    model, draws = live.create(REAL), np.random.default_rng(4)
    body = {"inputs": draws.normal(size=(25, 2)).tolist(), "labels": draws.normal(size=(25, 2)).tolist()}
    live.post_rows(model, body)
    live.close(model)
    live.work()

    kept, own, by_batch = asked(live, model, 0), posted(live, model, 0, body), asked(live, model, 0, batch=1)

    prediction = bayes.predict(posterior(live, model, 0), torch.tensor(body["inputs"]))
    assert isinstance(prediction, bayes.GaussianPrediction)
    labels = torch.tensor(body["labels"])
    assert own["bins"] is by_batch["bins"] is kept["bins"] is None
    assert [one["level"] for one in own["levels"]] == list(LEVELS)
    for one in own["levels"]:
        share = bayes.coverage(prediction, labels, level=one["level"])
        low, high = bayes.wilson(share, 25)
        assert one == pytest.approx({"level": one["level"], "share": share, "low": low, "high": high})
    assert by_batch["levels"] == own["levels"]
    assert kept["levels"] == [one for one in own["levels"] if one["level"] == 0.9]
    assert own["metrics"].keys() == own["standard_errors"].keys() == {"rmse", "nll", "coverage"}


def test_batches_are_asked_about_only_with_a_key_that_may_see_them(tmp_path: Path) -> None:
    with running(tmp_path) as live:
        model = live.create()
        live.learn(model)
        url = f"{model}/{PLACE.format(1)}"
        scopes = {"asks": ["predict"], "both": ["predict", "ingest"], "all": ["admin"], "posts": ["ingest"]}
        keys = {name: make_key(live, name, *held) for name, held in scopes.items()}

        found = {name: live.client.get(url, params={"batch": 1}, headers=key) for name, key in keys.items()}
        unknown = live.client.get(url, params={"batch": 7}, headers=keys["asks"])
        plain = {name: live.client.get(url, headers=key).status_code for name, key in keys.items()}
        own = live.client.post(url, headers=keys["asks"], json={"inputs": [[1, 2]], "labels": [0]})

    statuses = {name: answer.status_code for name, answer in found.items()}
    assert statuses == {"asks": 403, "both": 200, "all": 200, "posts": 403}
    assert (unknown.status_code, unknown.json()["code"]) == (403, "key-not-allowed")
    assert "to ask for the calibration on a batch needs admin or ingest" in found["asks"].json()["detail"]
    assert plain == {"asks": 200, "both": 200, "all": 200, "posts": 403}
    assert own.status_code == 200


@pytest.mark.parametrize(
    ("body", "query", "code"),
    [
        ({"inputs": [[1, 2]]}, {}, "body-invalid"),
        ({"inputs": [[1, 2]], "labels": None}, {}, "body-invalid"),
        ({"inputs": [[1, 2]], "labels": [0], "weights": [1]}, {}, "body-invalid"),
        ({"inputs": [[1, 2]], "labels": [7]}, {}, "label-out-of-range"),
        ({"inputs": [[1, 2]], "labels": [0, 1]}, {}, "label-shape"),
        ({"inputs": [[1, 2, 3]], "labels": [0]}, {}, "input-shape"),
        ({"inputs": [], "labels": []}, {}, "batch-empty"),
        ({"inputs": [[1, 2]], "labels": [0]}, {"samples": 10**6}, "samples-too-many"),
        ({"inputs": [[1, 2]], "labels": [0]}, {"batch": 1}, "query-invalid"),
    ],
)
def test_rows_that_are_none_of_the_model_or_have_no_labels_are_refused(
    live: Live, model: str, body: Json, query: dict[str, str | int], code: str
) -> None:
    expect_problem(live.client.post(f"{model}/{PLACE.format(0)}", json=body, params=query), code)


@pytest.mark.parametrize(
    ("version", "query", "code"),
    [
        (7, {}, "version-not-found"),
        (7, {"batch": "1"}, "version-not-found"),
        (0, {"batch": "2,9"}, "batch-not-found"),
        (0, {"batch": "2,1"}, "rows-deleted"),
        (0, {"batch": "2,2"}, "query-invalid"),
        (0, {"batch": "0"}, "query-invalid"),
        (0, {"batch": "2;1"}, "query-invalid"),
        (0, {"batch": "1\n"}, "query-invalid"),
        (0, {"batch": "٣"}, "query-invalid"),
        (0, {"batch": ""}, "query-invalid"),
        (0, {"batch": ",".join(map(str, range(1, 102)))}, "query-invalid"),
        (0, {"method": "mean"}, "query-invalid"),
        (0, {"batch": "2", "interval": "0.5"}, "query-invalid"),
    ],
)
def test_what_cannot_be_asked_about_is_refused(live: Live, version: int, query: dict[str, str], code: str) -> None:
    model = live.create()
    live.learn(model)
    live.learn(model)
    live.client.delete(f"{model}/batches/1")

    expect_problem(live.client.get(f"{model}/{PLACE.format(version)}", params=query), code)


def test_a_batch_named_twice_is_refused_because_its_rows_would_count_twice(live: Live, model: str) -> None:
    answer = live.client.get(f"{model}/{PLACE.format(0)}", params={"batch": "3,3"})

    assert "3 is named 2 times" in expect_problem(answer, "query-invalid")["detail"]


def test_each_batch_may_have_as_many_rows_as_a_prediction(narrow: Live) -> None:
    model = narrow.create(TINY)
    few, many = (narrow.post_rows(model, {"inputs": [[1, 2]] * n, "labels": [0] * n})["batch"] for n in (4, 5))
    another = narrow.post_rows(model, {"inputs": [[1, 3]] * 4, "labels": [0] * 4})["batch"]
    url = f"{model}/{PLACE.format(0)}"

    whole = narrow.client.get(url, params={"batch": f"{few},{another}"})
    refused = narrow.client.get(url, params={"batch": f"{few},{many}"})
    own = narrow.client.post(url, json={"inputs": [[1, 2]] * 5, "labels": [0] * 5})

    assert whole.json()["rows"] == 8
    expect_problem(refused, "batch-too-large")
    expect_problem(own, "batch-too-large")


@pytest.mark.parametrize("query", [{"batch": "1"}, None], ids=["batch", "rows"])
def test_no_calibration_is_worked_out_for_longer_than_it_is_of_use(
    live: Live, model: str, query: dict[str, str] | None
) -> None:
    live.post_rows(model)
    url, late = f"{model}/{PLACE.format(0)}", {"Prefer": "wait=0"}

    if query is None:
        answer = live.client.post(url, json={"inputs": [[1, 2]], "labels": [0]}, headers=late)
    else:
        answer = live.client.get(url, params=query, headers=late)

    expect_problem(answer, "prediction-late")


def test_as_many_are_worked_out_at_once_as_compare_predictions_and_beside_the_event_loop(
    live: Live, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    borrowed: list[tuple[int, object]] = []

    def watched(
        house: House, respondent: Respondent, rows: LabeledRows, check: Callable[[], None]
    ) -> calibrating.Measured:
        borrowed.append((live.house.comparing.borrowed_tokens, asyncio._get_running_loop()))
        return measure(house, respondent, rows, check)

    measure = calibrating._measured
    monkeypatch.setattr(calibrating, "_measured", watched)
    live.post_rows(model)

    answers = [
        live.client.post(f"{model}/{PLACE.format(0)}", json={"inputs": [[1, 2]], "labels": [0]}),
        live.client.get(f"{model}/{PLACE.format(0)}", params={"batch": 1}),
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert borrowed == [(1, None), (1, None)]


def test_an_answer_has_the_fields_that_the_document_says(live: Live, model: str) -> None:
    live.post_rows(model)

    for found in (asked(live, model, 0), asked(live, model, 0, batch=1)):
        assert CalibrationResource.model_validate(found).model_dump(mode="json") == found

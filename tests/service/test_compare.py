"""Two versions on the same rows over HTTP: which is better by how much, and where they predict otherwise."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

import bayes
from bayes import Categorical, Input
from service import compare
from service.posted import comparison_posted
from service.resources import ComparisonResource
from tests.service.encoded import base64s, kind_of
from tests.service.keyed import make_key
from tests.service.live import REAL, ROWS, TINY, Json, Live, running

MANY: Json = {"inputs": [[i / 4, 1.0 - i / 8] for i in range(12)], "labels": [i % 3 for i in range(12)]}
LESS = {"inputs": MANY["inputs"]}


def posterior(live: Live, model: str, version: int) -> bayes.Posterior:
    return bayes.Posterior.from_bytes(live.client.get(f"{model}/versions/{version}/posterior").content)


def compared(live: Live, model: str, body: Json, **query: str | int) -> Json:
    answer = live.client.post(f"{model}/versions/1/compare/0", json=body, params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["predictions"]
    return found


def test_labeled_rows_say_how_much_better_a_version_is_with_its_standard_error(live: Live, model: str) -> None:
    live.learn(model, MANY)
    ours, theirs = (posterior(live, model, version) for version in (1, 0))
    inputs, labels = torch.tensor(MANY["inputs"]), torch.tensor(MANY["labels"])

    found = compared(live, model, MANY)

    expected = bayes.paired(bayes.predict(ours, inputs), bayes.predict(theirs, inputs), labels)
    assert found["rows"] == 12
    assert found["method"] == "moments"
    assert found["metrics"].keys() == {"accuracy", "nll", "brier"}
    for name, difference in expected.items():
        said = found["metrics"][name]
        assert said["difference"] == pytest.approx(difference.mean)
        assert said["standard_error"] == pytest.approx(difference.standard_error)


def test_the_rows_that_differ_most_come_first_with_what_both_versions_say_of_them(live: Live, model: str) -> None:
    live.learn(model, MANY)
    said = [
        live.client.post(f"{model}/versions/{version}/predictions", json=LESS).json()["outputs"] for version in (1, 0)
    ]

    found = compared(live, model, LESS, most=12)

    ours, theirs = (torch.tensor([row["probabilities"] for row in rows], dtype=torch.float64) for rows in said)
    middle = (ours + theirs) / 2
    divergence = ((ours * (ours / middle).log()).sum(1) + (theirs * (theirs / middle).log()).sum(1)) / 2
    assert found["metrics"] is None
    assert found["unit"] == "nats"
    assert found["mean_distance"] == pytest.approx(float(divergence.mean()))
    assert sorted(one["row"] for one in found["most"]) == list(range(12))
    assert [one["distance"] for one in found["most"]] == pytest.approx(divergence.sort(descending=True).values.tolist())
    first = found["most"][0]
    assert first["row"] == int(divergence.argmax())
    assert first["version"]["probabilities"] == said[0][first["row"]]["probabilities"]
    assert first["other"]["probabilities"] == said[1][first["row"]]["probabilities"]
    assert [one["row"] for one in compared(live, model, LESS)["most"]] == [one["row"] for one in found["most"][:10]]


def test_a_version_compared_with_itself_differs_in_nothing(live: Live, model: str) -> None:
    answer = live.client.post(f"{model}/versions/0/compare/0", json=MANY).json()

    assert answer["kl_nats"]["total"] == 0
    assert answer["predictions"]["mean_distance"] == 0
    assert all(found == {"difference": 0, "standard_error": 0} for found in answer["predictions"]["metrics"].values())


def test_numbers_differ_in_standard_deviations_of_their_predictions(live: Live) -> None:
    model = live.create(REAL)
    rows = {"inputs": [[1, 2], [3, 4.5]], "labels": [[1.0, 0.5], [2.0, -1.0]]}
    live.learn(model, rows)
    said = [
        live.client.post(f"{model}/versions/{version}/predictions", json={"inputs": rows["inputs"]}).json()["outputs"]
        for version in (1, 0)
    ]

    found = compared(live, model, rows)

    assert found["unit"] == "standard deviations"
    assert found["metrics"].keys() == {"nll", "mse"}
    for one in found["most"]:
        ours, theirs = (outputs[one["row"]] for outputs in said)
        assert one["version"] == {"probabilities": None, "mean": ours["mean"], "std": ours["std"]}
        apart = [
            (a - b) ** 2 / ((s**2 + t**2) / 2)
            for a, b, s, t in zip(ours["mean"], theirs["mean"], ours["std"], theirs["std"], strict=True)
        ]
        assert one["distance"] == pytest.approx(math.sqrt(sum(apart) / 2))


def test_the_rows_of_a_batch_say_which_of_the_two_has_learned_from_them(live: Live, model: str) -> None:
    live.learn(model, MANY)
    pending = live.post_rows(model, ROWS)["batch"]
    url = f"{model}/versions/1/compare/0"

    learned = live.client.get(url, params={"batch": 1}).json()["predictions"]
    fresh = live.client.get(url, params={"batch": pending}).json()["predictions"]

    assert (learned["batch"], learned["rows"]) == (1, 12)
    assert (learned["learned_by_version"], learned["learned_by_other"]) == (True, False)
    assert (fresh["learned_by_version"], fresh["learned_by_other"]) == (False, False)
    posted = compared(live, model, MANY)
    assert {name: learned[name] for name in ("metrics", "most")} == {name: posted[name] for name in ("metrics", "most")}
    assert live.client.get(url).json()["predictions"] is None


def test_a_batch_is_compared_only_with_a_key_that_may_see_batches(tmp_path: Path) -> None:
    with running(tmp_path) as live:
        model = live.create()
        live.learn(model, MANY)
        url = f"{model}/versions/1/compare/0"
        scopes = {"asks": ["predict"], "both": ["predict", "ingest"], "all": ["admin"]}
        keys = {name: make_key(live, name, *held) for name, held in scopes.items()}

        found = {name: live.client.get(url, params={"batch": 1}, headers=key) for name, key in keys.items()}
        unknown = live.client.get(url, params={"batch": 7}, headers=keys["asks"])
        plain = live.client.get(url, headers=keys["asks"])

    assert {name: answer.status_code for name, answer in found.items()} == {"asks": 403, "both": 200, "all": 200}
    assert (unknown.status_code, unknown.json()["code"]) == (403, "key-not-allowed")
    assert "has the scope predict; to compare by a batch needs admin or ingest" in found["asks"].json()["detail"]
    assert plain.status_code == 200


def test_a_batch_whose_rows_are_deleted_or_that_is_none_is_refused(live: Live, model: str) -> None:
    live.learn(model)
    live.client.delete(f"{model}/batches/1")
    url = f"{model}/versions/1/compare/0"

    gone = live.client.get(url, params={"batch": 1})
    none = live.client.get(url, params={"batch": 7})

    assert (gone.status_code, gone.json()["code"]) == (409, "rows-deleted")
    assert "rows of batch 1" in gone.json()["detail"]
    assert (none.status_code, none.json()["code"]) == (404, "batch-not-found")


def test_rows_come_in_any_encoding_and_an_ensemble_answers_where_it_is_asked_for(live: Live, model: str) -> None:
    live.learn(model, MANY)
    body = save({"x": torch.tensor(MANY["inputs"]), "y": torch.tensor(MANY["labels"])})
    ways: dict[str, str | int] = {"method": "ensemble", "samples": 3, "seed": 5}

    answer = live.client.post(
        f"{model}/versions/1/compare/0",
        content=body,
        headers={"Content-Type": "application/x-safetensors"},
        params=ways,
    ).json()["predictions"]

    assert (answer["method"], answer["samples"], answer["seed"]) == ("ensemble", 3, 5)
    assert answer == compared(live, model, MANY, **ways)
    assert answer != compared(live, model, MANY)


@pytest.mark.parametrize(
    ("body", "query", "code"),
    [
        ({"inputs": [[1, 2]], "labels": [7]}, {}, "label-out-of-range"),
        ({"inputs": [[1, 2]], "labels": [0, 1]}, {}, "label-shape"),
        ({"inputs": [[1, 2, 3]]}, {}, "input-shape"),
        ({"inputs": []}, {}, "batch-empty"),
        ({"inputs": [[1, 2]], "weights": [1]}, {}, "body-invalid"),
        ({"inputs": [[1, 2]]}, {"most": -1}, "query-invalid"),
        ({"inputs": [[1, 2]]}, {"method": "ensemble", "samples": 10**6}, "samples-too-many"),
    ],
)
def test_rows_that_are_none_of_the_model_are_refused(
    live: Live, model: str, body: Json, query: dict[str, str | int], code: str
) -> None:
    answer = live.client.post(f"{model}/versions/0/compare/0", json=body, params=query)

    assert answer.json()["code"] == code


def test_a_comparison_of_rows_is_written_beside_the_event_loop(
    live: Live, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loops: list[object] = []
    write = ComparisonResource.model_dump_json

    def written(found: ComparisonResource) -> str:
        loops.append(asyncio._get_running_loop())
        return write(found)

    monkeypatch.setattr(ComparisonResource, "model_dump_json", written)
    batch = live.post_rows(model)["batch"]

    answers = [
        live.client.post(f"{model}/versions/0/compare/0", json=LESS),
        live.client.get(f"{model}/versions/0/compare/0", params={"batch": batch}),
    ]

    assert [len(answer.json()["predictions"]["most"]) for answer in answers] == [10, 2]
    assert loops == [None, None]


def test_rows_to_compare_are_no_views_of_their_body() -> None:
    content, headers = base64s({"x": np.zeros((2, 2), np.float32), "y": np.zeros(2, np.int64)})
    of, labeled = Input((2,), "float32"), Categorical(3)

    found = comparison_posted(content, kind=kind_of(headers), of=of, labeled=labeled, rows_max=2, bytes_max=1000)

    for array in found:
        assert array is not None
        assert array.flags.writeable, "torch takes no memory that may not be written"


def test_more_rows_than_a_prediction_takes_are_refused(narrow: Live) -> None:
    model = narrow.create(TINY)

    answer = narrow.client.post(f"{model}/versions/0/compare/0", json={"inputs": [[1, 2]] * 5})

    assert answer.json()["code"] == "batch-too-large"


def test_how_far_two_versions_are_apart_is_not_worked_out_for_longer_than_it_is_of_use(live: Live, model: str) -> None:
    answer = live.client.get(f"{model}/versions/0/compare/0", headers={"Prefer": "wait=0"})

    assert (answer.status_code, answer.json()["code"]) == (503, "prediction-late")


@pytest.mark.parametrize("body", [None, LESS], ids=["alone", "with-rows"])
def test_how_far_two_versions_are_apart_is_worked_out_by_as_many_at_once_as_compare_predictions(
    live: Live, model: str, monkeypatch: pytest.MonkeyPatch, body: Json | None
) -> None:
    borrowed: list[int] = []

    def watched(*posteriors: bayes.Posterior, check: Callable[[], None]) -> dict[str, float]:
        borrowed.append(live.house.comparing.borrowed_tokens)
        return bayes.kl_divergence(*posteriors, check=check)

    monkeypatch.setattr(compare, "kl_divergence", watched)

    path = f"{model}/versions/0/compare/0"
    answer = live.client.get(path) if body is None else live.client.post(path, json=body)

    assert answer.status_code == 200
    assert borrowed == [1]


def test_how_to_predict_is_refused_where_no_rows_are_named(live: Live, model: str) -> None:
    answer = live.client.get(f"{model}/versions/0/compare/0", params={"method": "mean"})

    assert answer.json()["code"] == "query-invalid"


def test_the_branches_of_a_tree_are_listed_with_their_ends_and_aliases(live: Live, model: str) -> None:
    live.learn(model)
    live.learn(model)
    live.client.post(f"{model}/rollback", json={"to": 1})
    live.learn(model)
    live.client.put(f"{model}/aliases/champion", json={"version": 2})

    whole = live.client.get(f"{model}/branches").json()
    first = live.client.get(f"{model}/branches", params={"limit": 1}).json()
    rest = live.client.get(f"{model}/branches", params={"limit": 1, "cursor": first["next_cursor"]}).json()

    assert whole["branches"] == [
        {"branch": 0, "fork": None, "parent_branch": None, "first": 0, "tip": 2, "versions": 3}
        | {"is_on_head": True, "aliases": {"champion": 2}},
        {"branch": 1, "fork": 1, "parent_branch": 0, "first": 3, "tip": 3, "versions": 1}
        | {"is_on_head": True, "aliases": {"head": 3}},
    ]
    assert first["branches"] + rest["branches"] == whole["branches"]
    assert rest["next_cursor"] is None

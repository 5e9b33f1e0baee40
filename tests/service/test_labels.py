"""Labels that arrive later: kept predictions and their labels over HTTP; each row once, whatever else is asked."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save
from sqlalchemy import update

from service.label_bodies import LABELS_MAX
from service.rejected import LabelOutOfRange
from store.schema.beside import predictions
from store.schema.learning import models
from store.values import DEFAULTS_SINCE
from tests.service.expected import expect_problem
from tests.service.live import IMAGES, INPUTS, NAMED, REAL, TINY, Json, Live

ONE: Json = {"inputs": [[1, 2.5]]}
EMPTY: Json = {name: [] for name in ("labeled", "already", "conflicting", "expired", "unknown", "refused")}


def keep(live: Live, model: str, body: Json = ONE) -> Json:
    answer = live.client.post(f"{model}/predictions", json=body | {"keep": True})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def label(live: Live, model: str, *given: Json, key: str | None = None) -> Json:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = live.client.post(f"{model}/labels", json=list(given), headers=headers)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def of(prediction: str, label: Any, **more: Any) -> Json:  # noqa: ANN401 - whatever a client may post
    return {"prediction": prediction, "label": label, **more}


def stored(live: Live, model: str, batch: int) -> dict[str, Any]:
    """The rows of the batch, as their bytes say."""
    digest = live.client.get(f"{model}/batches/{batch}").json()["digest"]
    return load(live.house.blobs.get(digest))


def expire(live: Live, prediction: str) -> str:
    """The same prediction as if its time were over; its id, which says so."""
    past = f"p{0:011x}{prediction[12:]}"
    with live.house.ledger.engine.begin() as connection:
        this = predictions.c.id == prediction
        connection.execute(update(predictions).where(this).values(id=past, kept_until=0.0))
    return past


def test_the_label_of_a_kept_prediction_makes_a_row_of_its_inputs_once(live: Live, model: str) -> None:
    kept = keep(live, model)

    first = label(live, model, of(kept["prediction"], 2))
    again = label(live, model, of(kept["prediction"], 2))

    assert first == {
        "model": model.rpartition("/")[2], "batch": 1, "rows": 1, "key": first["key"],
        **EMPTY, "labeled": [kept["prediction"]],
    }  # fmt: skip
    assert again == first | {"batch": None, "rows": 0, "key": None, "labeled": [], "already": [kept["prediction"]]}
    rows = stored(live, model, 1)
    assert rows["x"].tolist() == ONE["inputs"]
    assert rows["y"].tolist() == [2]
    assert set(rows) == {"x", "y"}
    assert live.client.get(model).json()["rows"] == 1


def test_a_kept_answer_is_the_plain_one_with_ids_and_the_plain_one_has_none(live: Live, model: str) -> None:
    plain = live.client.post(f"{model}/predictions", json=INPUTS)
    kept = keep(live, model, INPUTS)

    id_ = kept.pop("prediction")
    assert kept.pop("kept_until")
    assert [row.pop("prediction") for row in kept["outputs"]] == [f"{id_}.0", f"{id_}.1"]
    assert kept == plain.json()
    assert live.client.post(f"{model}/predictions", json=INPUTS).content == plain.content
    assert live.client.post(f"{model}/predictions", json=INPUTS | {"keep": False}).content == plain.content


@pytest.mark.parametrize("path", ["predictions", "versions/0/predictions"])
@pytest.mark.parametrize("encoding", ["json", "json with a query of its own", "safetensors", "raw"])
def test_a_prediction_is_kept_in_every_encoding(live: Live, model: str, path: str, encoding: str) -> None:
    x = np.array(INPUTS["inputs"], np.float32)
    url, tensor = f"{model}/{path}", {"name": "x", "shape": [2, 2], "datatype": "FP32"}
    head = {"inputs": [tensor | {"parameters": {"binary_data_size": 16}}], "parameters": {"keep": True}}
    raw = json.dumps(head).encode()

    match encoding:
        case "json":
            answer = live.client.post(url, params={"keep": "true"}, json=INPUTS)
        case "json with a query of its own":
            answer = live.client.post(url, params={"keep": "true", "samples": 2}, json=INPUTS)
        case "safetensors":
            headers = {"Content-Type": "application/x-safetensors"}
            answer = live.client.post(url, params={"keep": "true"}, content=save({"x": x}), headers=headers)
        case _:
            headers = {"Inference-Header-Content-Length": str(len(raw)), "Content-Type": "application/octet-stream"}
            answer = live.client.post(url, content=raw + x.tobytes(), headers=headers)

    assert answer.status_code == 200, answer.text
    shown = live.client.get(f"{model}/predictions/{answer.json()['prediction']}").json()
    assert shown["inputs"] == x.tolist()
    assert (shown["version"], shown["labels"], shown["predicted_by"]) == (0, [], "client")
    assert {name: shown[name] for name in answer.json()} == answer.json()


def test_a_get_keeps_nothing_and_says_that_it_cannot(live: Live) -> None:
    model = live.create(TINY | {"predictions": {"keep": True}})
    query = {"inputs": "[[1, 2]]"}

    assert "prediction" not in live.client.get(f"{model}/predictions", params=query).json()
    refused = live.client.get(f"{model}/predictions", params=query | {"keep": "true"})

    expect_problem(refused, "query-invalid")
    assert "'keep' is no query parameter of this call" in refused.json()["detail"]


def test_a_model_may_keep_what_does_not_say_otherwise(live: Live) -> None:
    model = live.create(TINY | {"predictions": {"keep": True, "seconds": 60}})

    by_default = live.client.post(f"{model}/predictions", json=ONE).json()
    but_not = live.client.post(f"{model}/predictions", json=ONE | {"keep": False}).json()

    shown = live.client.get(f"{model}/predictions/{by_default['prediction']}").json()
    assert "prediction" not in but_not
    assert live.client.get(model).json()["predictions"] == {"keep": True, "seconds": 60.0}
    seconds = datetime.fromisoformat(shown["kept_until"]) - datetime.fromisoformat(shown["predicted_at"])
    assert seconds.total_seconds() == pytest.approx(60, abs=0.01)


@pytest.mark.parametrize("stated", [{"seconds": 0.5}, {"seconds": 1e9}, {"keep": 1}, {"days": 3}, None])
def test_what_no_model_keeps_is_refused(live: Live, stated: object) -> None:
    described = {"name": "unkept"} | TINY | {"predictions": stated}

    expect_problem(live.client.post("/v1/models", json=described), "description-invalid")


def test_a_model_from_before_predictions_were_kept_is_the_same_model_still(live: Live) -> None:
    path = live.create()
    name = path.rpartition("/")[2]
    shown = live.client.get(path).json()
    with live.house.ledger.engine.begin() as connection:
        this = models.c.name == name
        described = live.house.history.model(name).description
        before = {key: value for key, value in described.items() if key not in DEFAULTS_SINCE}
        connection.execute(update(models).where(this).values(description=before, posted=None))

    again = live.client.post("/v1/models", json={"name": name} | TINY)
    other = live.client.post("/v1/models", json={"name": name} | TINY | {"predictions": {"keep": True}})

    assert (again.status_code, again.json()) == (200, shown)
    assert shown["predictions"] == {"keep": False, "seconds": 604_800.0}
    expect_problem(other, "model-exists")
    assert "prediction" in keep(live, path)


def test_each_row_of_a_prediction_has_its_label_by_itself(live: Live, model: str) -> None:
    id_ = keep(live, model, INPUTS)["prediction"]

    whole = label(live, model, of(id_, 1))
    second = label(live, model, of(f"{id_}.1", 1))
    both = label(live, model, of(f"{id_}.1", 1), of(f"{id_}.0", 0), of(f"{id_}.2", 0), of(f"{id_}.01", 0))

    assert [refused["code"] for refused in whole["refused"]] == ["label-shape"]
    assert "such as" in whole["refused"][0]["message"]
    assert second["labeled"] == [f"{id_}.1"]
    assert both["labeled"] == [f"{id_}.0"]
    assert both["already"] == [f"{id_}.1"]
    assert both["unknown"] == [f"{id_}.2", f"{id_}.01"]
    assert stored(live, model, second["batch"])["x"].tolist() == [INPUTS["inputs"][1]]
    assert stored(live, model, both["batch"])["x"].tolist() == [INPUTS["inputs"][0]]


def test_the_only_row_of_a_prediction_goes_by_both_of_its_names(live: Live, model: str) -> None:
    id_ = keep(live, model)["prediction"]

    answer = label(live, model, of(f"{id_}.0", 1), of(id_, 1), of(id_, 2))

    assert (answer["labeled"], answer["already"], answer["conflicting"]) == ([f"{id_}.0"], [id_], [id_])


def test_what_cannot_be_labeled_is_named_and_the_rest_is_labeled_all_the_same(live: Live, model: str) -> None:
    good, done, over, bad, heavy = (keep(live, model, {"inputs": [[n, n]]})["prediction"] for n in range(5))
    of_another = keep(live, live.create())["prediction"]
    over = expire(live, over)
    label(live, model, of(done, 1))

    answer = label(
        live, model,
        of(done, 0), of("never", 0), of(of_another, 0), of(over, 0), of(bad, 3), of(heavy, 0, weight=0), of(good, 2),
        of("p\x00", 0), of("", 0),
    )  # fmt: skip

    assert (answer["labeled"], answer["rows"]) == ([good], 1)
    assert answer["conflicting"] == [done]
    assert answer["expired"] == [over]
    assert answer["unknown"] == ["never", of_another, "p\x00", ""]
    assert [(one["where"], one["prediction"], one["code"]) for one in answer["refused"]] == [
        ("labels[4]", bad, "label-out-of-range"), ("labels[5]", heavy, "weights-invalid"),
    ]  # fmt: skip
    assert answer["refused"][0]["message"] == str(LabelOutOfRange(row=4, found=3, expected="0 to 2"))
    assert stored(live, model, answer["batch"])["x"].tolist() == [[0, 0]]


def test_labels_that_are_none_of_the_models_leave_their_rows_to_be_labeled(live: Live) -> None:
    model = live.create(NAMED)
    ids = [keep(live, model, {"inputs": [[n, n]]})["prediction"] for n in range(9)]
    given = ["owl", 1, "cow", 1.0, True, None, ["cat"], 10**400, {"label": 1}]

    answer = label(live, model, *(of(id_, one) for id_, one in zip(ids, given, strict=True)))
    later = label(live, model, *(of(id_, "cat") for id_ in ids[2:]))

    assert answer["labeled"] == ids[:2]
    assert [one["where"] for one in answer["refused"]] == [f"labels[{index}]" for index in range(2, 9)]
    assert {one["code"] for one in answer["refused"]} == {"label-out-of-range", "label-dtype"}
    assert stored(live, model, answer["batch"])["y"].tolist() == [2, 1]
    assert later["labeled"] == ids[2:]


def test_numbers_are_labels_of_a_model_of_numbers(live: Live) -> None:
    model = live.create(REAL)
    ids = [keep(live, model, {"inputs": [[n, n]]})["prediction"] for n in range(4)]

    answer = label(live, model, of(ids[0], [0.1, 2]), of(ids[1], [1, -1], weight=2.5), of(ids[2], [1]), of(ids[3], 1))
    again = label(live, model, of(ids[0], [0.1, 2.0]), of(ids[1], [1, 1]))

    rows = stored(live, model, answer["batch"])
    assert answer["labeled"] == ids[:2]
    assert [one["code"] for one in answer["refused"]] == ["label-shape", "label-shape"]
    assert rows["y"].tolist() == np.array([[0.1, 2], [1, -1]], np.float32).tolist()
    assert rows["weights"].tolist() == [1, 2.5]
    assert (again["already"], again["conflicting"]) == ([ids[0]], [ids[1]])


def test_a_batch_of_later_labels_has_the_bytes_of_one_that_was_posted_whole(live: Live) -> None:
    model = live.create(IMAGES)
    inputs = [[[[0, 255], [7, n]]] for n in range(3)]
    id_ = keep(live, model, {"inputs": inputs})["prediction"]

    labeled = label(live, model, *(of(f"{id_}.{n}", n) for n in range(3)))
    posted = live.post_rows(model, {"inputs": inputs, "labels": [0, 1, 2]})

    digests = [live.client.get(f"{model}/batches/{one['batch']}").json()["digest"] for one in (labeled, posted)]
    assert digests[0] == digests[1]


def test_the_idempotency_key_of_the_request_names_the_batch(live: Live, model: str) -> None:
    one, other, third = (keep(live, model, {"inputs": [[n, n]]})["prediction"] for n in range(3))

    first = label(live, model, of(one, 0), key="monday")
    again = label(live, model, of(one, 0), key="monday")
    posted = {"inputs": [[1, 1]], "labels": [1]}
    live.post_rows(model, posted, key="tuesday")

    assert (first["key"], again["batch"], again["already"]) == ("monday", None, [one])
    for key, id_ in (("monday", other), ("tuesday", other)):
        body = [of(id_, 1)]
        refused = live.client.post(f"{model}/labels", json=body, headers={"Idempotency-Key": key})
        expect_problem(refused, "idempotency-key-reused")
    assert label(live, model, of(other, 1), of(third, 1))["labeled"] == [other, third]


def test_a_kept_prediction_shows_the_labels_that_came(live: Live, model: str) -> None:
    id_ = keep(live, model, INPUTS)["prediction"]
    answer = label(live, model, of(f"{id_}.1", 2))

    shown = live.client.get(f"{model}/predictions/{id_}").json()

    [came] = shown["labels"]
    assert came["labeled_at"] > shown["predicted_at"]
    assert came | {"row": 1, "label": 2, "batch": answer["batch"], "batch_row": 0} == came
    assert live.client.get(f"{model}/predictions/{id_}.1").json() == shown
    expect_problem(live.client.get(f"{model}/predictions/{id_}.2"), "prediction-not-found")


def test_many_inputs_are_shown_as_base64(live: Live) -> None:
    model = live.create(TINY | {"input": {"shape": [1500]}})
    x = np.arange(7 * 1500, dtype=np.float32).reshape(7, 1500)

    shown = live.client.get(f"{model}/predictions/{keep(live, model, {'inputs': x.tolist()})['prediction']}").json()

    assert (shown["inputs"]["dtype"], shown["inputs"]["shape"]) == ("float32", [7, 1500])
    assert base64.b64decode(shown["inputs"]["b64"]) == x.tobytes()


def test_the_record_of_a_prediction_names_the_version_that_answered(live: Live, model: str) -> None:
    version = live.learn(model)
    by_head, by_root = keep(live, model), live.client.post(f"{model}/predictions?version=0&keep=true", json=ONE).json()
    live.client.post(f"{model}/rollback", json={"to": 0}).raise_for_status()

    shown = live.client.get(f"{model}/predictions/{by_head['prediction']}").json()
    digest = live.client.get(f"{model}/versions/{version}").json()["digest"]

    assert (shown["version"], shown["digest"]) == (version, digest)
    assert live.client.get(f"{model}/predictions/{by_root['prediction']}").json()["version"] == 0


@pytest.mark.parametrize("is_swept", [False, True])
def test_a_prediction_whose_time_is_over_says_so_also_when_it_is_gone(live: Live, model: str, is_swept: bool) -> None:
    labeled = keep(live, model)["prediction"]
    label(live, model, of(labeled, 1))
    ids = [expire(live, keep(live, model)["prediction"]), expire(live, labeled)]
    if is_swept:
        assert live.house.kept.sweep() >= 2

    answer = label(live, model, of(ids[0], 0), of(labeled, 1), of(labeled, 2))

    assert (answer["expired"], answer["already"], answer["conflicting"]) == ([ids[0]], [labeled], [labeled])
    for id_ in ids:
        expect_problem(live.client.get(f"{model}/predictions/{id_}"), "prediction-expired")
    expect_problem(live.client.get(f"{model}/predictions/7"), "prediction-not-found")
    other = keep(live, live.create())["prediction"]
    expect_problem(live.client.get(f"{model}/predictions/{other}"), "prediction-not-found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], "batch-empty"),
        ({"labels": []}, "batch-empty"),
        ({}, "body-invalid"),
        ("7", "body-invalid"),
        ({"labels": [of("a", 0)], "more": 1}, "body-invalid"),
        ([of("a", 0, more=1)], "body-invalid"),
        ([{"prediction": "a"}], "body-invalid"),
        ([{"label": 1}], "body-invalid"),
        ([of("a" * 201, 0)], "body-invalid"),
        ([of("a", 0), 7], "body-invalid"),
    ],
)
def test_what_holds_no_labels_is_refused(live: Live, model: str, body: object, code: str) -> None:
    expect_problem(live.client.post(f"{model}/labels", json=body), code)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "json-invalid"),
        (b'[{"prediction": "a", "label": 0, "label": 1}]', "json-invalid"),
        (b'[{"prediction": "a", "label": 0}', "json-invalid"),
        (b"[" * 100_000, "json-invalid"),
        (b'[{"prediction": "a", "label": ' + b"[" * 100_000, "json-invalid"),
        (b'[{"prediction": "a", "label": 0, ' + b'"x": 0, ' * 400_000 + b'"y": 0}]', "json-too-large"),
        (b"[" + b",".join([b'{"prediction": "a", "label": 0}'] * (LABELS_MAX + 1)) + b"]", "batch-too-large"),
        (b"[" + b",".join([b'{"prediction": "a", "label": 0}'] * 100_000) + b"]", "batch-too-large"),
        (b"[" + b",".join([b"{}"] * 300_000) + b"]", "batch-too-large"),
        (
            b'[{"prediction": "a", "label": 0, ' + b",".join(b'"%d": 0' % n for n in range(20_000)) + b"}]",
            "body-invalid",
        ),
    ],
)
def test_a_body_that_is_hard_to_read_is_refused(live: Live, model: str, content: bytes, code: str) -> None:
    headers = {"Content-Type": "application/json"}

    expect_problem(live.client.post(f"{model}/labels", content=content, headers=headers), code)


def test_a_service_keeps_and_labels_no_more_than_its_limits(narrow: Live) -> None:
    model = narrow.create()
    too_many = [of("a", 0)] * 6

    expect_problem(narrow.client.post(f"{model}/labels", json=too_many), "batch-too-large")


def test_what_is_too_large_to_keep_is_refused_and_answered_where_it_need_not_be_kept(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = live.create(TINY | {"predictions": {"keep": True}})
    monkeypatch.setitem(live.house.settings.__dict__, "kept_bytes_max", 2000)
    inputs, outputs = {"inputs": [[0.5, 0.5]] * 251}, {"inputs": [[0.5, 0.5]] * 100}

    for body, said in ((inputs, "inputs have 2008 bytes"), (outputs, "answer has")):
        refused = live.client.post(f"{model}/predictions", json=body)
        expect_problem(refused, "kept-too-large")
        assert said in refused.json()["detail"]
        assert live.client.post(f"{model}/predictions", json=body | {"keep": False}).status_code == 200


def test_labels_of_more_inputs_than_a_batch_has_are_refused_as_a_whole(
    live: Live, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [keep(live, model)["prediction"] for _ in range(3)]
    monkeypatch.setattr(live.house.labeling, "_bytes_max", 16)

    refused = live.client.post(f"{model}/labels", json=[of(id_, 0) for id_ in ids])

    expect_problem(refused, "labels-too-large")
    assert label(live, model, *(of(id_, 0) for id_ in ids[:2]))["labeled"] == ids[:2]

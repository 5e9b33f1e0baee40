"""Many labels at once, and many that are wrong: each is told of by itself, at a bounded length and price."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from bayes import Categorical
from service.faults import MESSAGE_MAX
from service.label_bodies import LABELS_MAX
from tests.service.live import NAMED, TINY, Json, Live

CLASSES = 3_000
MANY_NAMES = TINY | {"output": {"kind": "categorical", "classes": [f"class-{n:090}" for n in range(CLASSES)]}}
WRONG_WEIGHTS = ['"2"', "true", "1e999", "-1e999", "NaN", "[1]", "{}", "0", "-1", "1e7", "1e-50", "1" + "0" * 400]


def labeled(live: Live, model: str, given: str) -> Json:
    headers = {"Content-Type": "application/json"}
    answer = live.client.post(f"{model}/labels", content=given.encode(), headers=headers)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def kept(live: Live, model: str, rows: int) -> list[str]:
    """The names of so many rows of a kept prediction."""
    body = {"inputs": [[0, n] for n in range(rows)], "keep": True, "method": "mean"}
    answer: httpx.Response = live.client.post(f"{model}/predictions", json=body)
    return [row["prediction"] for row in answer.json()["outputs"]]


def test_each_label_that_is_refused_is_told_at_a_bounded_length(live: Live) -> None:
    model = live.create(MANY_NAMES)
    ids = kept(live, model, 10)

    answer = labeled(live, model, json.dumps([{"prediction": id_, "label": "z" * 10_000} for id_ in ids]))

    assert {one["code"] for one in answer["refused"]} == {"label-out-of-range"}
    assert [one["prediction"] for one in answer["refused"]] == ids
    assert max(len(one["message"]) for one in answer["refused"]) <= MESSAGE_MAX


def test_what_names_stand_for_is_made_out_once_however_many_labels_are_wrong(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = live.create(MANY_NAMES)
    ids, made = kept(live, model, 50), []
    numbers = Categorical.__dict__["numbers"]
    make = numbers.func

    def counted(output: Categorical) -> Any:  # noqa: ANN401 - whatever it makes
        made.append(output.classes)
        return make(output)

    monkeypatch.setattr(numbers, "func", counted)
    wrong = [{"prediction": id_, "label": "no class"} for id_ in ids[1:]]

    answer = labeled(live, model, json.dumps([{"prediction": ids[0], "label": f"class-{7:090}"}, *wrong]))

    assert answer["labeled"] == ids[:1]
    assert len(answer["refused"]) == 49
    assert made == [CLASSES]


def test_so_many_labels_are_taken_at_once(live: Live) -> None:
    model = live.create(NAMED)
    given = [{"prediction": "never", "label": "cow", "weight": 1}] * LABELS_MAX

    answer = labeled(live, model, json.dumps(given))

    assert len(answer["unknown"]) == LABELS_MAX


@pytest.mark.parametrize("weight", WRONG_WEIGHTS, ids=lambda weight: weight[:8])
def test_a_weight_that_is_none_refuses_its_label_and_no_other(live: Live, model: str, weight: str) -> None:
    wrong, *others = kept(live, model, 4)
    weights = ["null", "2", "0.5"]
    given = [(wrong, weight), *zip(others, weights, strict=True)]
    body = ",".join(f'{{"prediction": "{id_}", "label": 1, "weight": {one}}}' for id_, one in given)

    answer = labeled(live, model, f"[{body}]")
    later = labeled(live, model, json.dumps([{"prediction": wrong, "label": 1}]))

    [refused] = answer["refused"]
    assert (refused["where"], refused["prediction"], refused["code"]) == ("labels[0]", wrong, "weights-invalid")
    assert len(refused["message"]) <= MESSAGE_MAX
    assert answer["labeled"] == others
    assert later["labeled"] == [wrong]

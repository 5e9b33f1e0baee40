"""An answer has so many numbers and no more: how many rows that is depends on what is said of each."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
import torch
from safetensors.torch import save

from tests.service.expected import expect_problem
from tests.service.live import REAL, TINY, Json, Live, running

NUMBERS, ROWS_PREDICT = 24, 10
POSTED = {
    "quick": "predictions",
    "body": "predictions?alias=head",
    "kept": "predictions?keep=true",
    "version": "versions/0/predictions",
    "compared": "versions/0/compare/0?most=1",
}
WAYS_IN = (*POSTED, "query", "safetensors")


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    limits = {"numbers_predict_max": NUMBERS, "rows_predict_max": ROWS_PREDICT}
    with running(tmp_path_factory.mktemp("tight"), **limits) as live:
        yield live


def asked(live: Live, model: str, way: str, rows: int) -> httpx.Response:
    """So many rows, by one of the ways in which a service is asked about some."""
    inputs = [[0.5, 1.5]] * rows
    if way == "query":
        return live.client.get(f"{model}/predictions", params={"inputs": json.dumps(inputs)})
    if way == "safetensors":
        headers = {"Content-Type": "application/x-safetensors"}
        return live.client.post(f"{model}/predictions", content=save({"x": torch.tensor(inputs)}), headers=headers)
    return live.client.post(f"{model}/{POSTED[way]}", json={"inputs": inputs})


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize(
    ("described", "most"),
    [
        (TINY, NUMBERS // 3),
        (REAL, NUMBERS // (6 * 2)),
        (TINY | {"output": {"kind": "categorical", "classes": 100}}, 1),
        (TINY | {"output": {"kind": "categorical", "classes": 2}}, ROWS_PREDICT),
    ],
    ids=["classes", "numbers", "one row is more", "few classes"],
)
def test_no_more_rows_are_predicted_than_an_answer_has_numbers_for(
    tight: Live, way: str, described: Json, most: int
) -> None:
    model = tight.create(described)

    whole, refused = asked(tight, model, way, most), asked(tight, model, way, most + 1)

    assert whole.status_code == 200, whole.text
    problem = expect_problem(refused, "batch-too-large")
    assert f"{most + 1} rows" in problem["detail"]
    assert f"accepts {most} at once" in problem["detail"]


def test_a_batch_is_compared_as_far_as_its_rows_may_be_predicted(tight: Live) -> None:
    model = tight.create()
    few = tight.post_rows(model, {"inputs": [[0, 1]] * 8, "labels": [0] * 8})["batch"]
    many = tight.post_rows(model, {"inputs": [[0, 1]] * 9, "labels": [0] * 9})["batch"]

    whole, refused = (
        tight.client.get(f"{model}/versions/0/compare/0", params={"batch": batch, "most": 1}) for batch in (few, many)
    )

    assert whole.json()["predictions"]["rows"] == 8
    assert "accepts 8 at once" in expect_problem(refused, "batch-too-large")["detail"]


def test_a_comparison_tells_of_no_more_rows_than_an_answer_has_numbers_for(tight: Live) -> None:
    path = f"{tight.create()}/versions/0/compare/0"
    many, few = ({"inputs": [[0.5, 1.5]] * rows} for rows in (5, 4))

    whole = tight.client.post(path, json=many, params={"most": 4})
    refused = tight.client.post(path, json=many, params={"most": 5})
    has_no_more = tight.client.post(path, json=few, params={"most": 1000})

    assert len(whole.json()["predictions"]["most"]) == 4
    assert "at most 4 rows" in expect_problem(refused, "query-invalid")["detail"]
    assert len(has_no_more.json()["predictions"]["most"]) == 4

"""The benchmark of late labels sees a row that is missing, there twice, or labeled as nobody said."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from benchmarks.delayed_labels import claims, contradicted, in_random_order, measure, wrong
from tests.benchmarks.served import serving

KEPT = 100
RIGHT = [(float(number), number % 3) for number in range(KEPT)]


def test_a_round_finds_every_row_once(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, server, _):
        found = measure(server, tmp_path, "late", kept=KEPT, seed=0)

    assert (found["rows"], found["missing"], found["doubled"], found["mislabeled"]) == (KEPT, 0, 0, 0)
    assert found["unknown_unnamed"] == 0
    assert found["labels"] > KEPT * 1.2
    assert min(found["predictions_per_second"], found["kept_per_second"], found["labels_per_second"]) > 0


def test_rows_that_are_not_as_they_should_be_are_counted() -> None:
    assert wrong(RIGHT, KEPT) == {"missing": 0, "doubled": 0, "mislabeled": 0}
    assert wrong([*RIGHT[1:], RIGHT[7]], KEPT) == {"missing": 1, "doubled": 1, "mislabeled": 0}
    said_otherwise, never_said = [(0.0, 1), *RIGHT[1:]], [*RIGHT[:-1], (99.0, 1)]
    assert contradicted(KEPT) == 6
    assert wrong(said_otherwise, KEPT)["mislabeled"] == 0
    assert wrong(never_said, KEPT)["mislabeled"] == 1


def test_every_prediction_is_labeled_in_some_request() -> None:
    ids = [f"p{number:011x}{number:022}" for number in range(1, KEPT + 1)]

    requests, unknown = in_random_order(ids, Random(3))

    posted = [label["prediction"] for request in requests for label in request]
    assert set(posted) == {*ids, *unknown}
    assert len(unknown) == 4
    assert not unknown & set(ids)


def test_the_claim_holds_only_where_nothing_is_wrong() -> None:
    rates = {f"{name}_per_second": [1.0] for name in ("labels", "kept", "predictions")}
    result: dict[str, Any] = {"kept": KEPT, "rounds": 1, "clients": 16, "rows": [KEPT], "labels": [120], **rates}
    result |= {name: [0] for name in ("missing", "doubled", "mislabeled", "unknown_unnamed")}

    assert claims(result)[0].holds
    assert not claims(result | {"rows": [KEPT + 1]})[0].holds
    for name in ("missing", "doubled", "mislabeled", "unknown_unnamed"):
        assert not claims(result | {name: [1]})[0].holds

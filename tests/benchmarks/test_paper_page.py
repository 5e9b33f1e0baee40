from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import pytest

from benchmarks.paper import claims, page, results
from benchmarks.paper.plots import Curve, Panel, svg, ticks
from benchmarks.paper.sets import Experiment, Kind, Row, SetName, experiments
from benchmarks.paper.tables import markdown, table
from tests.benchmarks import given

POINTS = "{http://www.w3.org/2000/svg}polyline"


def experiment(kind: Kind, *labels: str) -> Experiment:
    return Experiment("name", kind, "Title", tuple(Row(label, (given.LINE,)) for label in labels))


def test_the_page_says_just_what_the_results_beside_it_say() -> None:
    text = page.PAGE.read_text()
    stated = page.STATED.search(text)
    assert stated is not None
    (name,) = (name for name in get_args(SetName) if name == stated[1])

    made, plots = page.made(name, results.FOLDER)

    assert made == text
    assert {path: path.read_text() for path in plots} == plots


def test_the_page_has_a_place_for_every_experiment() -> None:
    places = {match[1] for match in page.BLOCK.finditer(page.PAGE.read_text())}

    named = {experiment.name for name in get_args(SetName) for experiment in experiments(name)}
    assert places == named | {"set", "claims"}


def test_every_family_and_method_of_the_sets_is_explained_on_the_page() -> None:
    words = re.findall(r"\*([\w-]+)\*", page.PAGE.read_text())

    methods = {
        row.label for name in get_args(SetName) for e in experiments(name) for row in e.rows if e.name == "mnist-500"
    }
    assert {method.split()[0] for method in methods} <= set(words)


def test_a_page_keeps_its_words_and_is_the_same_written_twice(tmp_path: Path) -> None:
    here = tmp_path / "paper.md"
    here.write_text("Before.\n<!-- results: mnist-500 -->\nold\n<!-- end of results -->\nAfter.\n")
    line = next(experiments("laptop")[0].lines)
    results.write(tmp_path / "results", given.result(line, 0.97))

    page.write("laptop", tmp_path / "results", here)
    once = here.read_text()
    page.write("laptop", tmp_path / "results", here)

    assert here.read_text() == once
    assert once.startswith("Before.\n<!-- results: mnist-500 -->\n**MNIST, LeNet-5: 10 parts of 500 rows")
    assert once.endswith("<!-- end of results -->\nAfter.\n")
    assert "| point | 97.00 | 0.5000 |" in once
    assert (tmp_path / "paper" / "mnist-500.svg").exists()


def test_a_row_has_means_over_the_seeds_and_their_standard_deviation() -> None:
    headings, row = table(experiment("parts", "ffg"), {"ffg": given.seeds(given.LINE, 0.96, 0.97, 0.98)})

    assert dict(zip(headings, row, strict=True)) == {
        "": "ffg",
        "accuracy %": "97.00 ± 1.00",
        "NLL": "0.5000 ± 0.0000",
        "ECE": "0.0100 ± 0.0000",
        "Brier": "0.1000 ± 0.0000",
        "accuracy %, mean weights": "97.00 ± 1.00",
        "NLL, mean weights": "0.5000 ± 0.0000",
        "ms per step": "20.0 ± 0.0",
        "seeds": "1, 2, 3",
    }


def test_a_row_without_results_is_left_out_and_one_seed_has_no_spread() -> None:
    rows = table(experiment("parts", "point", "ffg"), {"point": [], "ffg": given.seeds(given.LINE, 0.5)})

    assert [row[:2] for row in rows[1:]] == [["ffg", "50.00"]]


def test_the_sigmas_that_were_chosen_stand_behind_the_label() -> None:
    first = given.result(given.LINE, 0.5)
    chosen = replace(first, parts=[replace(first.parts[0], sigma=0.03), *first.parts[1:]])

    rows = table(experiment("parts", "ffg, grid"), {"ffg, grid": [chosen, first]})

    assert rows[1][0] == "ffg, grid (0.03)"


def test_a_drifting_stream_is_scored_before_and_after_each_part_but_the_first() -> None:
    whole = given.result(replace(given.LINE, stream="rotation", parts=3), 0.5)
    first = replace(whole.parts[0], before=None, scores={"ensemble": {"accuracy": 0.0, "nll": 9.0}})

    headings, row = table(experiment("drift", "a"), {"a": [replace(whole, parts=[first, *whole.parts[1:]])]})

    cells = dict(zip(headings, row, strict=True))
    assert (cells["accuracy % before"], cells["NLL after"]) == ("50.00", "0.5000")


def test_markdown_has_a_rule_below_its_headings() -> None:
    assert markdown([["a", "b"], ["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_claim_is_held_to_its_threshold_where_its_rows_are_there() -> None:
    line = given.LINE
    found = {"point": given.seeds(line, 0.96), "ffg": given.seeds(line, 0.975), "joint point": given.seeds(line, 0.98)}

    said = claims.table({"mnist-500": found, "mnist-6000": {**found, "ffg": given.seeds(line, 0.965)}, "cifar10": {}})

    poorly = "| Fine-tuning performs poorly: at least 1 point below ffg"
    assert f"{poorly} | MNIST, 500 | point 96.00 %, ffg 97.50 %, joint 98.00 % | yes |" in said
    assert f"{poorly} | MNIST, 6,000 | point 96.00 %, ffg 96.50 %, joint 98.00 % | **no** |" in said
    assert "CIFAR-10" not in said


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 10.0, [0, 2, 4, 6, 8, 10]), (92.3, 97.1, [93, 94, 95, 96, 97]), (0.11, 0.29, [0.15, 0.2, 0.25])],
)
def test_ticks_are_round_numbers_within_the_range(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_a_plot_places_its_points_by_their_logarithm_and_bounds_across_the_panel() -> None:
    curve = Curve("a & b", ((0.01, 1.0), (0.1, 2.0), (1.0, 3.0)))
    panel = Panel("NLL", (curve, Curve("bound", ((1, 2.0),), is_bound=True)))

    drawn = ElementTree.fromstring(svg((panel, panel), x_title="beta", is_log=True))  # noqa: S314 - our own text.

    first, bound, *_ = (
        [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()] for line in drawn.iter(POINTS)
    )
    assert first[1] == pytest.approx(((first[0][0] + first[2][0]) / 2, (first[0][1] + first[2][1]) / 2))
    assert bound == [(first[0][0], first[1][1]), (first[2][0], first[1][1])]
    assert "a & b" in [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]

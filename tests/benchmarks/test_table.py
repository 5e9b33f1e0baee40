"""The page of the benchmarks says what their results say, and leaves no script out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import claimed, record, table
from benchmarks.__main__ import command

FOLDER = table.PAGE.parent
PAGE = "Before.\n<!-- results: claims -->\nold\n<!-- end of results -->\nAfter.\n"
ROLLBACK: dict[str, Any] = {
    "rollback_and_prediction": {"median_ms": 9.8, "p5_ms": 8.9, "p95_ms": 12.2},
    "commit": "abc",
    "machine": "two cores",
}


def test_the_page_says_just_what_the_results_beside_it_say() -> None:
    text = table.PAGE.read_text()

    assert table.made(text, record.RESULTS) == text


def test_every_script_and_every_result_is_in_the_table() -> None:
    runs = {path.stem for path in FOLDER.glob("*.py") if 'if __name__ == "__main__"' in path.read_text()}
    results = {path.stem for path in record.RESULTS.glob("*.json")}

    named = {script.name for script in table.SCRIPTS}
    assert named == runs - {"table", "__main__"}
    assert results <= named


def test_a_script_takes_just_the_options_that_it_is_given() -> None:
    for script in table.SCRIPTS:
        text = (FOLDER / f"{script.name}.py").read_text()
        assert ("report.is_quick(" in text or "report.options(" in text) == script.can_be_quick, script.name
        assert ("--data" in text) == script.needs_data, script.name

    quick, whole = (
        table.Script("a", claimed.rollback, can_be_quick=True),
        table.Script("b", claimed.step, needs_data=True),
    )
    assert command(quick, None, quick=True)[1:] == ["-m", "benchmarks.a", "--quick"]
    assert command(whole, Path("there"), quick=False)[1:] == ["-m", "benchmarks.b", "--data", "there"]


def test_a_result_is_a_row_with_its_commit_machine_and_script(tmp_path: Path) -> None:
    (tmp_path / "rollback.json").write_text(json.dumps(ROLLBACK))

    text = table.made(PAGE, tmp_path)

    figure = "9.8 ms (5 % under 8.9, 5 % over 12.2)"
    assert (
        f"| {figure} |  | abc, two cores | [rollback](results/rollback.json): `python -m benchmarks.rollback` |" in text
    )
    assert text.startswith("Before.\n<!-- results: claims -->\n| claim | bound |")
    assert text.endswith("<!-- end of results -->\nAfter.\n")
    assert table.made(text, tmp_path) == text


def test_a_script_that_has_not_run_says_so(tmp_path: Path) -> None:
    rows = table.claims_table(tmp_path)

    assert [row[2] for row in rows[1:-1]] == ["no result yet"] * len(table.SCRIPTS)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [((-0.002, 0.002), "within -0.002 and +0.002"), ((-1.0, 0.003), "≤ +0.003"), ((-0.005, 1.0), "≥ -0.005")],
)
def test_a_bound_of_quality_is_said_by_the_side_it_is_on(bounds: tuple[float, float], expected: str) -> None:
    result = {"bounds": {"nll": bounds}, "posteriors": {"a": {"difference": {"nll": 0.004}}}, "holds": {"nll": False}}

    (claim,) = claimed.quality(result)

    assert claim.cells == [claim.words, expected, "+0.0040 (+0.0040 to +0.0040)", "**no**"]

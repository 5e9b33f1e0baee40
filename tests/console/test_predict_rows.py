"""Predicting many rows of a CSV: a table of what a version says of each, one in detail, and all as a file."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.acting import console, expect_prediction, learned, predicted, second, url_of
from tests.console.browsing import THEMES, WIDTHS, Theme, visiting
from tests.console.test_csv_files import drop
from tests.console.test_predict_page import short
from tests.service.live import NAMED, REAL, Json, Live

ROWS = [[at % 7, (3 * at) % 5 + 0.5] for at in range(230)]
LINES = "".join(f"{left},{right}\n" for left, right in ROWS)
LEARNED: Json = {"inputs": [[1, 2], [3, 4.5]], "labels": ["cat", "owl"]}
NUMBERS: Json = {"inputs": [[1, 2], [3, 4.5]], "labels": [[10.0, -1.0], [20.0, -2.0]]}


def each_predicted(live: Live, model: str, **more: object) -> list[Json]:
    body = {"inputs": ROWS, "method": "ensemble", "samples": 64, "seed": 0} | more
    answer = live.client.post(f"{model}/versions/1/predictions", json=body)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["outputs"]
    return found


def table(page: Page) -> list[list[str]]:
    region = page.get_by_role("region", name="The answers to the first 100 of 230 rows")
    expect(region.locator("tbody tr")).to_have_count(100)
    expect(region.get_by_text("…", exact=True)).to_have_count(0)
    return [row.inner_text().split("\t") for row in region.locator("tbody tr").all()]


def download(page: Page, path: Path) -> list[dict[str, str]]:
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download predictions as CSV").click()
    waiting.value.save_as(path)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_rows_of_classes_are_a_table_and_a_file(
    browser: Browser, live: Live, tmp_path: Path, theme: Theme, width: int
) -> None:
    model = learned(live, NAMED, [LEARNED])
    outputs = each_predicted(live, model)
    with visiting(browser, url_of(live), theme=theme, width=width) as visit:
        page = visit.go(console(model, "predict"))
        drop(page, f"left,right\n{LINES}".encode())
        shown = table(page)
        visit.check()
        saved = download(page, tmp_path / "saved.csv")

        for cells, output in zip(shown, outputs[:100], strict=True):
            best = max(output["probabilities"])
            doubt = [f"{output['entropy']:.3f}", f"{output['mutual_information']:.3f}"]
            assert [cell.strip() for cell in cells[1:]] == [output["name"], f"{100 * best:.1f} %", *doubt]
        assert [line["row"] for line in saved] == [f"line {at + 2}" for at in range(230)]
        for line, output in zip(saved, outputs, strict=True):
            assert line["label"] == output["name"]
            assert float(line["probability of owl"]) == pytest.approx(output["probabilities"][2], rel=1e-5)
            assert float(line["mutual_information"]) == pytest.approx(output["mutual_information"], abs=1e-5)

        page.get_by_role("radio", name="line 2", exact=True).focus()
        page.keyboard.press("ArrowDown")
        expect_prediction(second(page), predicted(live, model, 1, [ROWS[1]]))
        page.get_by_role("row", name="line 4 ").get_by_role("cell").nth(1).click()
        expect_prediction(second(page), predicted(live, model, 1, [ROWS[2]]))
        visit.check()


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_of_numbers_are_a_table_and_a_file(browser: Browser, live: Live, tmp_path: Path, width: int) -> None:
    model = learned(live, REAL, [NUMBERS])
    outputs = each_predicted(live, model, interval=0.9)
    with visiting(browser, url_of(live), width=width) as visit:
        page = visit.go(console(model, "predict"))
        drop(page, LINES.encode())
        shown = table(page)
        visit.check()
        saved = download(page, tmp_path / "saved.csv")

    for cells, output in zip(shown, outputs[:100], strict=True):
        part = output["epistemic_std"][1] ** 2 / output["std"][1] ** 2
        interval = f"{short(output['lower'][1])} to {short(output['upper'][1])}"
        assert [cell.strip() for cell in cells[4:]] == [short(output["mean"][1]), interval, f"{100 * part:.1f} %"]
    for line, output in zip(saved, outputs, strict=True):
        assert float(line["mean_2"]) == pytest.approx(output["mean"][1], rel=1e-5, abs=1e-6)
        assert float(line["upper_1"]) == pytest.approx(output["upper"][0], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ["label", "Class", "target"])
def test_the_labels_of_a_file_that_was_meant_for_posting_are_left_out(browser: Browser, live: Live, name: str) -> None:
    model = learned(live, NAMED, [LEARNED])
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        drop(page, f"left,{name},right\n1,cat,2\n3,owl,4.5\n".encode())

        expect(page.get_by_text(f"2 rows below a header; the column “{name}” is left out.")).to_be_visible()
        expect_prediction(second(page), predicted(live, model, 1, [[1, 2]]))
        visit.check()


def test_columns_beside_those_that_the_model_names_are_left_out(browser: Browser, live: Live) -> None:
    model = learned(live, NAMED | {"input": {"shape": [2], "names": ["left", "right"]}}, [LEARNED])
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        drop(page, b"kind,right,left\ncat,2,1\nowl,4.5,3\n")

        expect_prediction(second(page), predicted(live, model, 1, [[1, 2]]))
        visit.check()


def test_another_column_too_many_is_still_told(browser: Browser, live: Live) -> None:
    model = live.create(NAMED)
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        drop(page, b"left,day,right\n1,7,2\n")

        expect(page.get_by_role("alert")).to_contain_text("has 3 cells, the model takes 2 numbers")
        visit.check()

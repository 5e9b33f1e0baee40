"""CSV files that cannot be read as they are: each page that takes one says why, once, and what to do."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.acting import console, url_of
from tests.console.browsing import THEMES, WIDTHS, Theme, visiting
from tests.service.live import NAMED, TINY, Json, Live

REGRESSION = TINY | {"output": {"kind": "gaussian"}}
HOUSES = "nr,size,price\n" + "".join(f"{900 - at},{(37 * at) % 50},{1.5 * at}\n" for at in range(12))
IDS = "id,size,kind\n" + "".join(f"x{at:02},{(37 * at) % 50},{'cat' if at % 2 else 'owl'}\n" for at in range(12))


def pages(live: Live, described: Json) -> list[str]:
    model = live.create(described)
    return ["/console/new", console(model, "post"), console(model, "predict")]


def drop(page: Page, content: bytes, name: str = "rows.csv") -> None:
    way = page.get_by_role("button", name="CSV", exact=True)
    expect(page.get_by_label("CSV file").or_(way).first).to_be_visible()
    if way.count():
        way.click()
    page.get_by_label("CSV file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "“rows.csv” is empty."),
        (b"\n \n", "“rows.csv” is empty."),
        (b"left,right,label\n", "“rows.csv” has no rows below its header."),
        ("left,Jährliches,label\n1,2,0\n".encode("latin-1"), "“rows.csv” is not UTF-8: save it as CSV UTF-8."),
        ("left,right,label\n1,2,0\n".encode("utf-16"), "“rows.csv” is not UTF-8: save it as CSV UTF-8."),
    ],
)
def test_a_file_that_nothing_can_be_read_of_is_told_on_each_page(
    browser: Browser, live: Live, content: bytes, said: str
) -> None:
    for path in pages(live, NAMED):
        with visiting(browser, url_of(live), theme="dark") as visit:
            page = visit.go(path)

            drop(page, content)

            expect(page.get_by_role("alert")).to_contain_text(said)
            visit.check()


def test_a_file_that_can_be_read_takes_the_message_away(browser: Browser, live: Live) -> None:
    for path in pages(live, TINY):
        with visiting(browser, url_of(live)) as visit:
            page = visit.go(path)
            drop(page, b"")
            expect(page.get_by_role("alert")).to_be_visible()

            drop(page, b"1,2\n3,4\n" if "predict" in path else b"1,2,0\n3,4,1\n")

            expect(page.get_by_text("2 rows").first).to_be_visible()
            expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("header", ["left;right;label\n", ""])
def test_decimal_commas_are_said_once(browser: Browser, live: Live, header: str) -> None:
    for path in pages(live, REGRESSION):
        lines = "".join(f"{at},5;{at + 1},25" + ("\n" if "predict" in path else f";{at},5\n") for at in range(50))
        named = header.replace(";label", "") if "predict" in path else header
        with visiting(browser, url_of(live)) as visit:
            page = visit.go(path)

            drop(page, (named + lines).encode())

            alert = page.get_by_role("alert")
            expect(alert).to_contain_text("“0,5” looks like a decimal comma: save with points")
            expect(alert.locator("li")).to_have_count(1)
            visit.check()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("content", "column"), [(HOUSES, "nr"), (IDS, "id")])
def test_a_column_that_numbers_the_rows_is_left_out_until_it_is_put_back(
    browser: Browser, live: Live, theme: Theme, width: int, content: str, column: str
) -> None:
    with visiting(browser, url_of(live), theme=theme, width=width) as visit:
        page = visit.go("/console/new")

        drop(page, content.encode())

        expect(page.get_by_text(f"“{column}” numbers the rows and is left out")).to_be_visible()
        assert json.loads(page.locator(".posts > pre").inner_text())["input"]["names"] == ["size"]
        visit.check()

        page.get_by_text("Columns that are input", exact=True).click()
        page.get_by_role("checkbox", name=column).check()

        expect(page.get_by_text("numbers the rows")).to_have_count(0)
        assert json.loads(page.locator(".posts > pre").inner_text())["input"]["names"] == [column, "size"]
        visit.check()

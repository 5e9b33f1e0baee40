"""Describing a model in the browser: a form that shows the JSON it posts, with refusals at their fields."""

from __future__ import annotations

import json

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.console.acting import console, refused, url_of
from tests.console.browsing import THEMES, WIDTHS, Theme, visiting
from tests.console.test_post_page import csv
from tests.service.live import Live

FLOWERS = """length,width,stage,kind
5.1,3.5,1,reed
4.9,3.0,1,bell
6.3,3.3,1,lily
5.8,2.7,1,bell
"""


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_model_is_described_by_a_csv(browser: Browser, live: Live, theme: Theme, width: int) -> None:
    name = f"flowers-{theme}-{width}"
    with visiting(browser, url_of(live), theme=theme, width=width) as visit:
        page = visit.go("/console/new")
        page.get_by_label("A CSV file").set_input_files(csv(FLOWERS, f"{name}.csv"))
        expect(page.get_by_role("textbox", name="Name (")).to_have_value(name)
        expect(page.get_by_text("4 rows, 3 columns as input.")).to_be_visible()
        visit.check()
        shown = json.loads(page.locator(".posts > pre").inner_text())

        page.get_by_role("button", name="Create the model").click()

        expect(page.get_by_role("heading", name="The model is there")).to_be_visible()
        expect(page.get_by_role("main").get_by_role("link", name="Post rows")).to_have_attribute(
            "href", console(name, "post")
        )
        visit.check()
    created = live.client.get(f"/v1/models/{name}").json()
    rows = np.array([[5.1, 3.5], [4.9, 3.0], [6.3, 3.3], [5.8, 2.7]])
    assert created["output"] == {"kind": "categorical", "classes": ["bell", "lily", "reed"]}
    assert created["input"]["shape"] == [3]
    assert created["input"]["mean"] == pytest.approx([*rows.mean(0), 1])
    assert created["input"]["std"] == pytest.approx([*rows.std(0), 1]), "a column that does not vary is divided by 1"
    assert created["net"]["hidden"] == [32], "as `posterity describe` says"
    assert shown["name"] == name
    assert shown["input"]["mean"] == created["input"]["mean"]


def test_a_label_of_many_numbers_is_a_number_and_classes_from_0_are_counted(browser: Browser, live: Live) -> None:
    prices = "size,price\n" + "".join(f"{size},{1.5 * size}\n" for size in range(30))
    digits = "ink,label\n" + "".join(f"{at},{at % 4}\n" for at in range(12))
    with visiting(browser, url_of(live)) as visit:
        page = visit.go("/console/new")

        page.get_by_label("A CSV file").set_input_files(csv(prices))
        expect(page.locator(".posts > pre")).to_contain_text('"kind": "gaussian"')
        page.get_by_label("A CSV file").set_input_files(csv(digits))
        expect(page.locator(".posts > pre")).to_contain_text('"classes": 4')
        visit.check()


def test_a_column_of_words_is_named_and_can_be_left_out(browser: Browser, live: Live) -> None:
    with visiting(browser, url_of(live)) as visit:
        page = visit.go("/console/new")
        page.get_by_label("A CSV file").set_input_files(csv("city,size,label\nRome,1,0\nOslo,2,1\n"))
        expect(page.get_by_role("alert")).to_contain_text("line 2, column “city” “Rome” is not a number")
        expect(page.get_by_role("button", name="Create the model")).to_be_disabled()

        page.get_by_text("Columns that are input").click()
        page.get_by_role("checkbox", name="city").uncheck()

        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.locator(".posts > pre")).to_contain_text('"shape": [1]')
        visit.check()


def test_what_the_service_refuses_is_told_at_its_fields(browser: Browser, live: Live) -> None:
    with visiting(browser, url_of(live)) as visit:
        page = visit.go("/console/new")
        page.get_by_role("button", name="Pictures").click()
        name = page.get_by_role("textbox", name="Name (")
        name.fill("no such name")
        page.get_by_label("Rows of a chunk").fill("0")

        with refused(visit, 422):
            page.get_by_role("button", name="Create the model").click()
            expect(name).to_have_attribute("aria-invalid", "true")
        expect(name).to_be_focused()
        expect(page.locator("#wrong-chunkRows")).to_be_visible()
        expect(page.get_by_text("What is wrong is said at the fields.")).to_be_visible()
        visit.check()

        name.fill("pictures-mended")
        page.get_by_label("Rows of a chunk").fill("100")
        page.get_by_label("Width").fill("9")
        with refused(visit, 422):
            page.get_by_role("button", name="Create the model").click()
            expect(page.get_by_role("alert").first).to_be_visible()

        page.get_by_label("Width").fill("28")
        page.get_by_label("Classes (").fill("cat\ndog\nowl")
        page.get_by_role("button", name="Create the model").click()
        expect(page.get_by_role("heading", name="The model is there")).to_be_visible()
        visit.check()
    created = live.client.get("/v1/models/pictures-mended").json()
    assert created["net"] == {"kind": "lenet5"}
    assert created["input"]["shape"] == [1, 28, 28]
    assert created["output"]["classes"] == ["cat", "dog", "owl"]


def test_a_name_that_is_taken_by_another_model_is_told_at_the_name(browser: Browser, live: Live) -> None:
    taken = live.create().removeprefix("/v1/models/")
    with visiting(browser, url_of(live)) as visit:
        page = visit.go("/console/new")
        page.get_by_role("button", name="Pictures").click()
        page.get_by_role("textbox", name="Name (").fill(taken)

        with refused(visit, 409):
            page.get_by_role("button", name="Create the model").click()
            expect(page.locator("#wrong-name")).to_contain_text(taken)
        visit.check()


def test_the_json_itself_is_edited_by_keyboard(browser: Browser, live: Live) -> None:
    with visiting(browser, url_of(live), width=390) as visit:
        page = visit.go("/console/new")
        page.get_by_role("button", name="Pictures").press("Enter")
        page.get_by_role("textbox", name="Name (").press_sequentially("by-hand")
        page.get_by_role("button", name="Advanced: edit the JSON").press("Enter")
        field = page.get_by_label("The description, as JSON")
        described = json.loads(field.input_value()) | {"prior": {"kind": "gaussian", "sigma": 0.25}}

        field.fill("{")
        with refused(visit, 400):
            page.get_by_role("button", name="Create the model").press("Enter")
            expect(page.get_by_role("alert")).to_contain_text("json-invalid")
        field.fill(json.dumps(described))
        page.get_by_role("button", name="Create the model").press("Enter")

        expect(page.get_by_role("heading", name="The model is there")).to_be_visible()
        visit.check()
    assert live.client.get("/v1/models/by-hand").json()["prior"]["sigma"] == 0.25

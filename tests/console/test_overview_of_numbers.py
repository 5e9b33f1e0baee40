"""The overview of a model of numbers: axes with labels that can be read, and an untrained start that hides nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.console.browsing import THEMES, WIDTHS, Theme
from tests.console.seen import at, learned, looking
from tests.service.live import TINY, Json, Live

PRICES: Json = TINY | {
    "net": {"kind": "mlp", "hidden": []},
    "output": {"kind": "gaussian", "noise": 1.0},
    "recipe": {"epochs": 400, "lr": 3.0},
}
UNDRAWN = "Batch 1 is not drawn, nor are averages with it: the untrained version 0"


def rows(offset: float) -> Json:
    inputs = [[at % 5 / 5, at % 7 / 7] for at in range(40)]
    return {"inputs": inputs, "labels": [offset + left - 2 * right for left, right in inputs]}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_start_that_is_far_off_is_in_the_numbers_and_not_in_the_drawing(
    browser: Browser, live: Live, theme: Theme, width: int
) -> None:
    model = live.create(PRICES)
    for _ in range(3):
        learned(live, model, rows(300))
    scored = live.client.get(f"{model}/metrics").json()["batches"]
    first, *later = [abs(one["metrics"]["nll"]) for one in scored]
    assert first > 100 * max(later)
    with looking(browser, live, theme=theme, width=width) as (visit, page):
        visit.go(at(model))

        figure = page.get_by_role("figure").filter(has_text="NLL, nats per row")
        expect(figure.locator("xpath=..")).to_contain_text(UNDRAWN)
        figure.get_by_text("The numbers").click()
        expect(figure.get_by_role("row").nth(1)).to_contain_text(f"{first:,.3f}")
        visit.check()


def test_a_start_that_is_near_is_drawn(browser: Browser, live: Live) -> None:
    model = live.create(PRICES)
    for _ in range(3):
        learned(live, model, rows(1))
    with looking(browser, live) as (visit, page):
        visit.go(at(model))

        expect(page.get_by_role("figure").filter(has_text="NLL, nats per row")).to_be_visible()
        expect(page.get_by_text("is not drawn")).to_have_count(0)


@pytest.mark.parametrize(
    ("splits", "labels"),
    [
        ([0, 0.5, 1], ["0", "0.5", "1"]),
        ([0, 100_000, 200_000, 300_000], ["0", "100K", "200K", "300K"]),
        ([300_000.001, 300_000.002], ["300,000.001", "300,000.002"]),
        ([0, 2e9, 4e9], ["0", "2B", "4B"]),
        ([0, 1e18], ["0", "1.0e+18"]),
    ],
)
def test_labels_of_an_axis_are_short_and_differ(
    browser: Browser, live: Live, splits: list[float], labels: list[str]
) -> None:
    with looking(browser, live) as (visit, page):
        visit.go("/console")
        said = page.evaluate("async (splits) => (await import('/console/assets/chart.js')).labelsOf(splits)", splits)
    assert said == labels


PLOT = """async (values) => {
  const [{ render }, { html }, { Chart }] = await Promise.all(
    ["preact", "/console/assets/ui.js", "/console/assets/chart.js"].map((one) => import(one)));
  const place = document.body.appendChild(document.createElement("div"));
  render(html`<${Chart} title="wide" x=${[1, 2, 3]} xName="batch" series=${[{ name: "one", values }]} />`, place);
}"""
WIDEST = """(plot) => {
  const context = document.createElement("canvas").getContext("2d");
  context.font = "12px system-ui";
  return context.measureText("300,000.0015").width - plot.offsetLeft;
}"""


def test_the_axis_has_room_for_the_longest_of_its_labels(browser: Browser, live: Live) -> None:
    with looking(browser, live) as (visit, page):
        visit.go("/console")
        page.evaluate(PLOT, [300_000.001, 300_000.002, 300_000.0025])

        over = page.locator(".u-over")
        expect(over).to_be_attached()
        assert over.evaluate(WIDEST) < 0, "the label ends before the plot begins, and begins within the chart"

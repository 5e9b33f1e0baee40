"""A person in a browser, nothing else: a model is made, learns, is asked, doubts, and is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from client import Client
from client.prediction import Prediction
from tests.console.acting import expect_prediction, first, inputs_asked, second, stroke
from tests.console.browsing import THEMES, WIDTHS, Theme, Visit, chromium, visiting
from tests.promises.house import digits, house

ROWS = 300
LEARNED_MILLISECONDS = 240_000
DROP = """([field, name, text]) => {
  const moved = new DataTransfer();
  moved.items.add(new File([text], name, { type: "text/csv" }));
  const place = field.closest(".drop");
  for (const kind of ["dragover", "drop"])
    place.dispatchEvent(new DragEvent(kind, { dataTransfer: moved, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service in a process of its own, with a worker in another."""
    folder = tmp_path_factory.mktemp("console")
    with house(folder / "house", f"sqlite:///{folder / 'ledger.sqlite'}") as installation:
        _, url = installation.serve(workers=1)
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_model_is_made_learns_is_asked_and_is_rolled_back(
    browser: Browser, url: str, theme: Theme, width: int
) -> None:
    name = f"digits-{theme}-{width}"
    with visiting(browser, url, theme=theme, width=width) as visit:
        create(visit, name)
        learn(visit, name, csv(0, shift=0), version=1)
        learn(visit, name, csv(ROWS, shift=1), version=2)

        page = visit.go(f"/console/models/{name}/predict")
        stroke(page)
        expect(second(page).locator(".winner")).to_be_visible()
        inputs = inputs_asked(page, (1, 8, 8))
        with Client(url) as client:
            before, wrong = (drawn(client, name, inputs, version) for version in (1, 2))
        expect_prediction(first(page), before.raw["outputs"][0])
        expect_prediction(second(page), wrong.raw["outputs"][0])
        expect(page.get_by_role("region", name="What differs")).to_contain_text("Doubt about the model")
        visit.check()

        roll_back(page, to=1, reason="its labels were shifted")
        expect(second(page).get_by_role("combobox")).to_contain_text("head (version 1)")
        expect_prediction(second(page), before.raw["outputs"][0])
        assert before.labels[0] != wrong.labels[0]
        visit.check()

        page = visit.go(f"/console/models/{name}/history")
        expect(page.get_by_role("main")).to_contain_text("its labels were shifted")
        visit.check()
        page = visit.go(f"/console/models/{name}")
        expect(page.get_by_role("main")).to_contain_text("version 1")
        visit.check()


def drawn(client: Client, name: str, inputs: list[Any], version: int) -> Prediction:
    """What the API answers, asked as the page asks it."""
    rows = np.array(inputs, np.uint8)
    return client.predict(name, rows, version=version, method="ensemble", samples=64, seed=0)


def create(visit: Visit, name: str) -> None:
    """The form has made the model; it has the pages of every other."""
    page = visit.go("/console")
    page.get_by_role("main").get_by_role("link", name="New model").click()
    page.get_by_role("button", name="Pictures").click()
    page.get_by_role("textbox", name="Name (").fill(name)
    for field, value in (("Width", "8"), ("Height", "8"), ("Brightest pixel", "16"), ("Rows of a chunk", str(ROWS))):
        page.get_by_label(field).fill(value)
    page.get_by_label("Layers").select_option("mlp")
    page.get_by_label("Seconds at most").fill("")
    visit.check()
    page.get_by_role("button", name="Create the model").click()
    expect(page.get_by_role("heading", name="The model is there")).to_be_visible()
    visit.check()


def learn(visit: Visit, name: str, content: str, *, version: int) -> None:
    """The rows were dropped on the page, posted, and followed until the worker had made this version of them."""
    page = visit.go(f"/console/models/{name}/post")
    page.get_by_role("button", name="CSV").click()
    field: Locator = page.get_by_label("A CSV file")
    page.evaluate(DROP, [field.element_handle(), f"rows-{version}.csv", content])
    page.get_by_role("button", name=f"Post {ROWS} rows").click()
    followed = page.get_by_role("region", name=f"Batch {version}")
    expect(followed).to_be_visible()
    link = followed.get_by_role("link", name=f"version {version}")
    expect(link).to_be_visible(timeout=LEARNED_MILLISECONDS)
    visit.check()
    link.click()
    expect(page.get_by_role("heading", name=f"Version {version}", exact=True)).to_be_visible()
    visit.check()


def roll_back(page: Page, *, to: int, reason: str) -> None:
    """The button beside the answers was pressed, and what it said confirmed."""
    page.get_by_role("button", name=f"Roll back to version {to}").click()
    dialog = page.get_by_role("dialog", name="Roll back")
    expect(dialog).to_contain_text(f"Predictions without a version are answered by {to} from the next request on.")
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=f"Roll back to version {to}").click()
    expect(dialog).to_have_count(0)


def csv(start: int, *, shift: int) -> str:
    """So many digits from this one on, their labels behind them, shifted by so much."""
    images, labels = digits()
    rows = zip(images[start : start + ROWS].reshape(ROWS, -1), labels[start : start + ROWS], strict=True)
    return "".join(f"{','.join(map(str, map(int, pixels)))},{(int(label) + shift) % 10}\n" for pixels, label in rows)

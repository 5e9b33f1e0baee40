"""What a person does on the pages that do something, and what they are then told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from playwright.sync_api import Locator, Page, expect
from sklearn.datasets import load_digits

from tests.console.browsing import Visit
from tests.service.live import Json, Live

DIGITS: Json = {
    "net": {"kind": "mlp", "hidden": [16]},
    "input": {"shape": [1, 8, 8], "dtype": "uint8", "std": 16},
    "output": {"kind": "categorical", "classes": 10},
    "recipe": {"epochs": 6},
    "chunk": {"rows": 10_000, "seconds": None},
}
THREE = ((0.3, 0.25), (0.5, 0.15), (0.7, 0.25), (0.65, 0.45), (0.45, 0.5), (0.65, 0.55), (0.72, 0.75), (0.5, 0.88))
"""A stroke that looks like a 3, in parts of the pad's side."""
ARM = """async ([name, props]) => {
  const [{ render }, { html }, changes] = await Promise.all(
    ["preact", "/console/assets/ui.js", "/console/assets/changes.js"].map((one) => import(one)));
  const place = document.body.appendChild(document.createElement("div"));
  const told = (answer) => { document.title = `done ${answer?.model ?? ""}`; };
  render(html`<${changes[name]} ...${props} onDone=${told} />`, place);
}"""


def url_of(live: Live) -> str:
    return str(live.client.base_url)


def console(model: str, *parts: str) -> str:
    """The page of a model, by the path of its calls."""
    return "/".join(["/console/models", model.removeprefix("/v1/models/"), *parts])


def digits(first: int, last: int) -> Json:
    """Rows of scikit-learn's digits, as a batch."""
    images, labels = load_digits(return_X_y=True)
    rows = images[first:last].astype(np.uint8).reshape(-1, 1, 8, 8)
    return {"inputs": rows.tolist(), "labels": labels[first:last].tolist()}


def learned(live: Live, description: Json, batches: Sequence[Json]) -> str:
    """A model with a version of each of these batches."""
    model = live.create(description)
    for rows in batches:
        live.post_rows(model, rows)
        live.close(model)
        live.work()
    return model


def stroke(page: Page, points: Sequence[tuple[float, float]] = THREE) -> None:
    """The mouse draws a line through these points."""
    box = pad(page).bounding_box()
    assert box is not None
    x, y, side = box["x"], box["y"], box["width"]
    page.mouse.move(x + side * points[0][0], y + side * points[0][1])
    page.mouse.down()
    for across, down in points[1:]:
        page.mouse.move(x + side * across, y + side * down, steps=4)
    page.mouse.up()


def touch_stroke(page: Page, points: Sequence[tuple[float, float]] = THREE) -> None:
    """A finger draws a line through these points."""
    pad(page).scroll_into_view_if_needed()
    box = pad(page).bounding_box()
    assert box is not None
    at = [{"x": box["x"] + box["width"] * x, "y": box["y"] + box["width"] * y} for x, y in points]
    session = page.context.new_cdp_session(page)
    for kind, touches in (("touchStart", at[:1]), *(("touchMove", [one]) for one in at[1:]), ("touchEnd", [])):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


def pad(page: Page) -> Locator:
    return page.get_by_role("application", name="Drawing")


def side(page: Page, name: str) -> Locator:
    """One of the two answers."""
    return page.get_by_role("region", name=name)


def first(page: Page) -> Locator:
    return side(page, "First version")


def second(page: Page) -> Locator:
    return side(page, "Second version")


def asked(page: Page) -> Json:
    """The body that the command on the page posts."""
    page.get_by_text("The same as a command").last.click()
    command = page.locator(".by-hand pre").last.inner_text()
    page.get_by_text("The same as a command").last.click()
    body: Json = json.loads(command.split("-d '", 1)[1].rstrip().removesuffix("'"))
    return body


def inputs_asked(page: Page, shape: Sequence[int]) -> list[Any]:
    """The rows that the page asked about, as lists of this shape."""
    tensor = asked(page)["inputs"][0]
    rows: list[Any] = np.array(tensor["data"]).reshape(-1, *shape).tolist()
    return rows


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def expect_prediction(shown: Locator, output: Json) -> None:
    """The page says what the API answers: the class and its probability, those of all classes, and the doubt."""
    best = int(np.argmax(output["probabilities"]))
    expect(shown.locator(".winner")).to_have_text(str(output.get("name", best)))
    values = shown.locator("tbody .value")
    for label, probability in enumerate(output["probabilities"]):
        expect(values.nth(label)).to_contain_text(percent(probability))
    expect(shown).to_contain_text(f"Data {output['aleatoric']:.3f}")
    expect(shown).to_contain_text(f"Model {output['mutual_information']:.3f}")
    expect(shown).to_contain_text(f"{output['entropy']:.3f} of at most {np.log(len(output['probabilities'])):.3f} nats")


def predicted(live: Live, model: str, version: int, inputs: list[Any]) -> Json:
    """What the API says of the first of these rows."""
    body = {"inputs": inputs, "method": "ensemble", "samples": 64, "seed": 0}
    answer = live.client.post(f"{model}/versions/{version}/predictions", json=body)
    assert answer.status_code == 200, answer.text
    output: Json = answer.json()["outputs"][0]
    return output


@contextmanager
def refused(visit: Visit, status: int) -> Iterator[None]:
    """A browser says of every refusal that it could not load something; nothing else was complained of."""
    yield
    told = [one for one in visit.complaints if f"status of {status}" in one]
    assert told, visit.complaints
    visit.complaints = [one for one in visit.complaints if one not in told]


def button_on(page: Page, name: str, **props: object) -> Locator:
    """A button that changes something, put on the page as a page of the console would."""
    page.evaluate(ARM, [name, props])
    return page.locator("body > div:last-of-type > button")

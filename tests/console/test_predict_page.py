"""Predicting in the browser: what is drawn, dropped or typed is answered as the API answers it, by two versions."""

from __future__ import annotations

import io
import itertools
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.console.acting import (
    DIGITS,
    console,
    digits,
    expect_prediction,
    first,
    inputs_asked,
    learned,
    pad,
    predicted,
    second,
    stroke,
    touch_stroke,
    url_of,
)
from tests.console.browsing import THEMES, WIDTHS, Theme, visiting
from tests.service.live import INPUTS, NAMED, REAL, TINY, Json, Live

SHAPE = (1, 8, 8)
TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture(scope="module")
def model(live: Live) -> str:
    """Digits in two versions; tests that move its head move it back."""
    return learned(live, DIGITS, [digits(0, 60), digits(60, 400)])


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_drawn_stroke_is_answered_as_the_api_answers_its_pixels(
    browser: Browser, live: Live, model: str, theme: Theme, width: int
) -> None:
    with visiting(browser, url_of(live), theme=theme, width=width) as visit:
        page = visit.go(console(model, "predict"))

        stroke(page)

        expect(second(page).locator(".winner")).to_be_visible()
        inputs = inputs_asked(page, SHAPE)
        assert 0 < np.count_nonzero(inputs) < 64
        assert np.max(inputs) > 12
        expect_prediction(first(page), predicted(live, model, 1, inputs))
        expect_prediction(second(page), predicted(live, model, 2, inputs))
        expect(page.get_by_role("region", name="What differs")).to_contain_text("version 2")
        visit.check()


def test_a_finger_draws_on_a_phone(browser: Browser, live: Live, model: str) -> None:
    with visiting(browser, url_of(live), width=390) as visit:
        page = visit.go(console(model, "predict"))

        touch_stroke(page)

        expect(second(page).locator(".winner")).to_be_visible()
        expect_prediction(second(page), predicted(live, model, 2, inputs_asked(page, SHAPE)))
        visit.check()


def test_a_digit_is_drawn_and_cleared_by_keyboard_alone(browser: Browser, live: Live, model: str) -> None:
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        expect(pad(page)).to_be_visible()
        while not pad(page).evaluate("pad => pad === document.activeElement"):
            page.keyboard.press("Tab")

        for key in ("ArrowUp", "ArrowUp", "ArrowUp", "Space", *["ArrowDown"] * 7, "Space"):
            page.keyboard.press(key)

        expect(second(page).locator(".winner")).to_be_visible()
        inputs = inputs_asked(page, SHAPE)
        drawn = np.array(inputs).reshape(8, 8)
        assert (drawn.sum(axis=1) > 0).all()
        assert (drawn[:, [0, 7]] == 0).all()
        expect_prediction(second(page), predicted(live, model, 2, inputs))

        pad(page).press("Delete")

        expect(second(page)).to_contain_text("Give an input")
        visit.check()


def test_answers_follow_head_when_it_is_rolled_back_elsewhere(browser: Browser, live: Live, model: str) -> None:
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        stroke(page)
        expect(page.get_by_text("Answers follow head when it moves.")).to_be_visible()
        expect(second(page).get_by_role("combobox")).to_contain_text("head (version 2)")
        inputs = inputs_asked(page, SHAPE)

        live.client.post(f"{model}/rollback", json={"to": 1})

        expect(second(page).get_by_role("combobox")).to_contain_text("head (version 1)")
        expect_prediction(second(page), predicted(live, model, 1, inputs))
        expect(first(page).get_by_role("combobox")).to_contain_text("head's parent (version 0)")
        visit.check()
    live.client.put(f"{model}/aliases/head", json={"version": 2})


def test_any_two_versions_are_compared_by_alias_and_by_number(browser: Browser, live: Live, model: str) -> None:
    live.client.put(f"{model}/aliases/stable", json={"version": 1})
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        stroke(page)
        expect(second(page).locator(".winner")).to_be_visible()
        inputs = inputs_asked(page, SHAPE)

        first(page).get_by_role("combobox").select_option("stable")
        second(page).get_by_role("combobox").select_option("number")
        second(page).get_by_role("spinbutton", name="Number").fill("0")

        expect_prediction(first(page), predicted(live, model, 1, inputs))
        expect_prediction(second(page), predicted(live, model, 0, inputs))
        expect(page.get_by_role("region", name="What differs")).to_contain_text("Doubt about the model rose")
        visit.check()


def test_the_rollback_beside_the_answers_changes_what_head_says(browser: Browser, live: Live, model: str) -> None:
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        stroke(page)
        expect(second(page).locator(".winner")).to_be_visible()
        inputs = inputs_asked(page, SHAPE)

        page.get_by_role("button", name="Roll back to version 1").click()
        dialog = page.get_by_role("dialog", name="Roll back")
        expect(dialog).to_contain_text("Head moves from version 2 to version 1.")
        dialog.get_by_label("Reason").fill("worse on the shop floor")
        dialog.get_by_role("button", name="Roll back to version 1").click()

        expect(second(page).get_by_role("combobox")).to_contain_text("head (version 1)")
        expect_prediction(second(page), predicted(live, model, 1, inputs))
        assert live.client.get(f"{model}/aliases/head").json()["reason"] == "worse on the shop floor"
        visit.check()
    live.client.put(f"{model}/aliases/head", json={"version": 2})


def test_what_is_said_of_the_doubt_is_said_of_the_version_alone(browser: Browser, live: Live) -> None:
    model = learned(live, NAMED, [{"inputs": [[1, 2], [3, 4.5]], "labels": ["cat", "owl"]}])
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        page.get_by_role("textbox", name="Number 1").fill("0.5")

        expect(second(page)).to_contain_text("As this version sees it, inputs like this")
        expect(second(page)).to_contain_text("The drawn nets")
        expect(first(page)).to_contain_text("Version 0 has learned nothing yet")
        visit.check()


def test_a_picture_of_the_models_size_is_taken_as_it_is_and_a_larger_one_is_cut(
    browser: Browser, live: Live, model: str
) -> None:
    small = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    wide = np.kron(small, np.ones((10, 10), np.uint8))
    wide = np.concatenate([wide[:, :0], np.full((80, 20), 7, np.uint8), wide, np.full((80, 20), 9, np.uint8)], axis=1)
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        page.get_by_role("button", name="Picture").click()
        page.get_by_text("Pixels from 0 to 16").click()
        page.get_by_label("Full").fill("255")

        page.get_by_label("A PNG or JPEG").set_input_files(
            {"name": "small.png", "mimeType": "image/png", "buffer": png(small)}
        )

        expect(page.get_by_text(f"8 {TIMES} 8 pixels, taken as they are")).to_be_visible()
        expect(second(page).locator(".winner")).to_be_visible()
        assert inputs_asked(page, (8, 8)) == [small.tolist()]
        body = {"inputs": [[small.tolist()]], "method": "ensemble", "samples": 64, "seed": 0}
        answer = live.client.post(f"{model}/predictions", json=body).json()["outputs"][0]
        expect_prediction(second(page), answer)

        page.get_by_label("A PNG or JPEG").set_input_files(
            {"name": "wide.png", "mimeType": "image/png", "buffer": png(wide)}
        )

        expect(
            page.get_by_text(f"120 {TIMES} 80 pixels, cut to the middle 80 {TIMES} 80, scaled to 8 {TIMES} 8")
        ).to_be_visible()
        expect(second(page).locator(".winner")).to_be_visible()
        assert inputs_asked(page, (8, 8)) == [small.tolist()]
        visit.check()


def test_colours_become_grey_as_the_service_makes_them(browser: Browser, live: Live, model: str) -> None:
    colours = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = png(colours)
    answer = live.client.post(
        f"{model}/predictions?samples=64&seed=0", content=picture, headers={"Content-Type": "image/png"}
    )
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        page.get_by_role("button", name="Picture").click()
        page.get_by_text("Pixels from 0 to 16").click()
        page.get_by_label("Full").fill("255")

        page.get_by_label("A PNG or JPEG").set_input_files(
            {"name": "colours.png", "mimeType": "image/png", "buffer": picture}
        )

        expect(page.get_by_text(f"8 {TIMES} 8 pixels, colours made grey")).to_be_visible()
        expect_prediction(second(page), answer.json()["outputs"][0])
        assert inputs_asked(page, (8, 8)) == [np.asarray(Image.open(io.BytesIO(picture)).convert("L")).tolist()]
        visit.check()


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_of_a_csv_are_asked_about_and_a_bad_line_is_named(browser: Browser, live: Live, width: int) -> None:
    model = learned(live, NAMED, [{"inputs": [[1, 2], [3, 4.5]], "labels": ["cat", "owl"]}])
    with visiting(browser, url_of(live), width=width) as visit:
        page = visit.go(console(model, "predict"))
        page.get_by_role("button", name="CSV").click()

        page.get_by_label("Rows, each 2 numbers").fill("left,right\n1,2\n3,4.5\n")

        expect(page.get_by_text("2 rows below a header")).to_be_visible()
        expect_prediction(second(page), predicted(live, model, 1, [[1, 2]]))
        page.get_by_role("radio", name="line 3").check()
        expect_prediction(second(page), predicted(live, model, 1, [[3, 4.5]]))

        page.get_by_label("Rows, each 2 numbers").fill("1,2\n3,many\n5\n")

        expect(page.get_by_role("alert")).to_contain_text("line 2, column 2 “many” is not a number")
        expect(page.get_by_role("alert")).to_contain_text("line 3 has 1 cell, the model takes 2 numbers")
        expect(second(page)).to_contain_text("Give an input")
        visit.check()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_numbers_are_answered_with_their_interval_and_where_the_variance_comes_from(
    browser: Browser, live: Live, theme: Theme, width: int
) -> None:
    model = learned(live, REAL, [{"inputs": INPUTS["inputs"], "labels": [[10.0, -1.0], [20.0, -2.0]]}])
    with visiting(browser, url_of(live), theme=theme, width=width) as visit:
        page = visit.go(console(model, "predict"))

        page.get_by_role("textbox", name="Number 1").fill("3")
        page.get_by_role("textbox", name="Number 2").fill("4.5")

        output = predicted(live, model, 1, [[3, 4.5]])
        parts = second(page).locator(".predicted")
        expect(parts).to_have_count(2)
        for dim, part in enumerate(parts.all()):
            expect(part.locator(".winner")).to_have_text(short(output["mean"][dim]))
            expect(part).to_contain_text(f"between {short(output['lower'][dim])} and {short(output['upper'][dim])}")
            model_part = output["epistemic_std"][dim] ** 2 / output["std"][dim] ** 2
            expect(part).to_contain_text(f"Model {100 * model_part:.1f} %")
        visit.check()


def test_a_number_that_the_model_does_not_take_is_told_at_its_field(browser: Browser, live: Live) -> None:
    model = live.create({**REAL, "input": {"shape": [2], "dtype": "uint8"}})
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))

        page.get_by_role("textbox", name="Number 2").fill("256")

        expect(page.get_by_role("textbox", name="Number 2")).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_text("is no whole number from 0 to 255")).to_be_visible()
        expect(second(page)).to_contain_text("Give an input")
        visit.check()


def test_a_model_that_learned_nothing_yet_answers_with_its_prior(browser: Browser, live: Live) -> None:
    model = live.create(TINY)
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        page.get_by_role("textbox", name="Number 1").fill("0.5")
        expect(page.get_by_role("region", name="What differs")).to_contain_text("Both sides are version 0")
        expect(second(page)).to_contain_text("Version 0 has learned nothing yet")
        expect(second(page)).not_to_contain_text("Inputs like this")
        expect(second(page)).not_to_contain_text("The drawn nets")
        visit.check()


@pytest.mark.parametrize("width", WIDTHS)
def test_long_class_names_are_shown_whole_within_the_page(browser: Browser, live: Live, width: int) -> None:
    names = [f"{'Prefix' * 9}-{at:03}" for at in range(100)]
    rows = {"inputs": INPUTS["inputs"], "labels": [names[0], names[2]]}
    model = learned(live, NAMED | {"output": {"kind": "categorical", "classes": names}}, [rows])
    with visiting(browser, url_of(live), width=width) as visit:
        page = visit.go(console(model, "predict"))
        page.get_by_role("textbox", name="Number 1").fill("3")
        difference = page.get_by_role("region", name="What differs")
        expect(difference).to_contain_text("Prefix")

        for shown in (difference, *second(page).locator(".chances tbody th").all()):
            assert shown.evaluate("(one) => one.scrollWidth - one.clientWidth") <= 0
        visit.check()


@pytest.mark.parametrize("description", [TINY, REAL])
def test_the_headings_of_answers_leave_out_no_level(browser: Browser, live: Live, description: Json) -> None:
    model = live.create(description)
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "predict"))
        page.get_by_role("textbox", name="Number 1").fill("3")
        expect(second(page).get_by_role("heading", name=re.compile("Uncertainty|variance")).first).to_be_visible()

        levels = [int(one.evaluate("(one) => one.tagName[1]")) for one in page.get_by_role("heading").all()]
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
        visit.check()


def png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def short(value: Json | float) -> str:
    """Four figures that count, as the page writes them."""
    assert isinstance(value, float)
    return f"{float(f'{value:.4g}'):,.10g}"

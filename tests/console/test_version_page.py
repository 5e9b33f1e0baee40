"""The page of a version: where it comes from, how far it can be believed, and how it differs from others."""

from __future__ import annotations

from hashlib import sha256

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.console.browsing import THEMES, WIDTHS, Theme
from tests.console.seen import FIVE, OTHER, at, check_but_for_refusals, connected, learned, looking
from tests.service.live import REAL, Json, Live

NUMBERS: Json = {"inputs": [[1, 2], [3, 4.5], [0, 1]], "labels": [[0.5, 1.0], [2.0, -1.0], [0.0, 0.25]]}


@pytest.fixture(scope="module")
def model(live: Live) -> str:
    """Versions 1 and 2, each of a batch; a third batch that nothing has learned from."""
    model = live.create()
    learned(live, model)
    learned(live, model, OTHER)
    live.post_rows(model)
    return model


@pytest.fixture(scope="module")
def of_numbers(live: Live) -> str:
    model = live.create(REAL)
    learned(live, model, NUMBERS)
    live.post_rows(model, NUMBERS)
    return model


def part(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_where_a_version_comes_from_is_what_the_api_says(
    browser: Browser, live: Live, model: str, theme: Theme, width: int
) -> None:
    version = live.client.get(f"{model}/versions/2").json()
    with looking(browser, live, theme=theme, width=width) as (visit, page):
        visit.go(at(model, "versions", 2))
        connected(page)

        origin = part(page, "Where it comes from")
        expect(origin.get_by_role("link", name="version 1")).to_have_attribute("href", at(model, "versions", 1))
        expect(origin).to_contain_text("3 rows of chunk 2")
        expect(origin).to_contain_text("8 rows")
        expect(origin).to_contain_text("1\u20132")
        expect(origin).to_contain_text(version["digest"])
        before = part(page, "Its rows, before they were learned")
        expect(before).to_contain_text(f"NLL{version['prequential']['nll']:.3f}")
        visit.check()


def test_kl_is_shown_in_total_and_by_layer(browser: Browser, live: Live, model: str) -> None:
    version = live.client.get(f"{model}/versions/1").json()
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "versions", 1))

        distance = part(page, "KL from its parent")
        layers = distance.get_by_role("listitem")
        expect(layers).to_have_count(len(version["report"]["kl_nats"]))
        for shown, (name, nats) in zip(layers.all(), version["report"]["kl_nats"].items(), strict=True):
            expect(shown).to_contain_text(name)
            expect(shown).to_contain_text(f"{nats:.3f}" if nats < 10 else f"{nats:,.1f}")
        visit.check()


def test_the_root_prior_has_no_parent_and_says_so(browser: Browser, live: Live, model: str) -> None:
    with looking(browser, live, width=390) as (visit, page):
        visit.go(at(model, "versions", 0))

        expect(part(page, "Where it comes from")).to_contain_text("none: the root prior")
        expect(part(page, "KL from its parent")).to_contain_text("The root prior has no parent.")
        visit.check()


def test_a_version_that_is_not_there_is_said_not_to_be(browser: Browser, live: Live, model: str) -> None:
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "versions", 99))

        expect(page.get_by_role("alert")).to_contain_text("version-not-found")
        check_but_for_refusals(visit, 404)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_reliability_diagram_is_of_what_it_predicted_as_head(
    browser: Browser, live: Live, model: str, theme: Theme, width: int
) -> None:
    said = live.client.get(f"{model}/versions/1/calibration").json()
    bins = [one for one in said["bins"] if one["rows"]]
    with looking(browser, live, theme=theme, width=width) as (visit, page):
        visit.go(at(model, "versions", 1))
        shown = part(page, "Can its confidence be believed?")

        expect(
            shown.get_by_role("img", name="Accuracy against confidence; the numbers are in the table")
        ).to_be_visible()
        expect(shown).to_contain_text("A fair test")
        expect(shown).to_contain_text(f"ECE {said['metrics']['ece']:.3f}: over 3 rows")
        shown.get_by_text("The numbers").click()
        rows = shown.get_by_role("row").all()[1:]
        for row, one in zip(rows, bins, strict=True):
            cells = row.locator("th, td").all_inner_texts()
            assert cells[1:] == [
                str(one["rows"]),
                f"{one['confidence']:.3f}",
                f"{one['accuracy']:.3f}",
                f"{one['low']:.3f} to {one['high']:.3f}",
            ]
        visit.check()


def test_a_batch_that_the_version_has_learned_from_is_no_fair_test(browser: Browser, live: Live, model: str) -> None:
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "versions", 1))
        shown = part(page, "Can its confidence be believed?")
        batch = shown.get_by_role("textbox", name="or on batch")

        batch.fill("1")
        batch.press("Enter")
        expect(shown).to_contain_text("No fair test. This version has learned from batch 1")
        batch.fill("3")
        batch.press("Enter")

        expect(shown).to_contain_text("A fair test: it has not learned from this batch")
        expect(shown).not_to_contain_text("No fair test")
        visit.check()


def test_a_version_that_predicted_nothing_as_head_asks_for_a_batch(browser: Browser, live: Live, model: str) -> None:
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "versions", 2))

        expect(part(page, "Can its confidence be believed?")).to_contain_text(
            "Choose a batch: its rows are predicted now."
        )
        visit.check()


def test_of_numbers_it_is_the_stated_against_the_observed_coverage(
    browser: Browser, live: Live, of_numbers: str
) -> None:
    levels = live.client.get(f"{of_numbers}/versions/1/calibration", params={"batch": 2}).json()["levels"]
    with looking(browser, live, width=390) as (visit, page):
        visit.go(f"{at(of_numbers, 'versions', 1)}?batch=2")
        shown = part(page, "Can its confidence be believed?")

        expect(shown.get_by_role("img", name="Share of labels inside")).to_be_visible()
        shown.get_by_text("The numbers").click()
        rows = shown.get_by_role("row").all()[1:]
        for row, one in zip(rows, levels, strict=True):
            assert row.locator("td").first.inner_text() == f"{one['share']:.3f}"
        visit.check()


@pytest.mark.parametrize("theme", THEMES)
def test_two_versions_are_compared_on_a_batch(browser: Browser, live: Live, model: str, theme: Theme) -> None:
    said = live.client.get(f"{model}/versions/2/compare/1", params={"batch": 3}).json()
    nll = said["predictions"]["metrics"]["nll"]
    with looking(browser, live, theme=theme) as (visit, page):
        visit.go(at(model, "versions", 2))
        shown = part(page, "Compare with another version")
        shown.get_by_role("spinbutton", name="Version").fill("1")
        shown.get_by_role("spinbutton", name="on batch").fill("3")
        shown.get_by_role("button", name="Compare").press("Enter")

        expect(shown).to_contain_text("Newest common ancestorversion 1")
        expect(shown).to_contain_text("3 rows of 1 batch")
        cells = shown.get_by_role("row").filter(has_text="nll").locator("td").all_inner_texts()
        assert cells[0].lstrip("+\u2212") == f"{abs(nll['difference']):.3f} ± {1.96 * nll['standard_error']:.3f}"
        is_seen = abs(nll["difference"]) > 1.96 * nll["standard_error"]
        better = f"version {1 if nll['difference'] > 0 else 2}" if is_seen else "no difference that these rows can show"
        assert cells[1] == better
        expect(page).to_have_url(f"{visit.url}{at(model, 'versions', 2)}?with=1&of=3")
        visit.check()


def test_two_versions_are_compared_without_a_batch(browser: Browser, live: Live, model: str) -> None:
    said = live.client.get(f"{model}/versions/2/compare/1").json()
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "versions", 2))
        shown = part(page, "Compare with another version")
        shown.get_by_role("spinbutton", name="Version").fill("1")
        shown.get_by_role("button", name="Compare").press("Enter")

        expect(shown).to_contain_text(f"{said['kl_nats']['total']:.3f}")
        expect(page).to_have_url(f"{visit.url}{at(model, 'versions', 2)}?with=1")
        page.reload()

        expect(shown).to_contain_text("Newest common ancestorversion 1")
        expect(page.get_by_role("alert")).to_have_count(0)
        visit.check()


def test_a_comparison_on_a_batch_that_one_has_learned_says_so(browser: Browser, live: Live, model: str) -> None:
    with looking(browser, live) as (visit, page):
        visit.go(f"{at(model, 'versions', 2)}?with=1&of=2")

        expect(part(page, "Compare with another version")).to_contain_text("Version 2 has learned from this batch.")
        visit.check()


def test_the_posterior_is_downloaded_byte_for_byte(browser: Browser, live: Live, model: str) -> None:
    version = live.client.get(f"{model}/versions/1").json()
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "versions", 1))
        with page.expect_download() as download:
            page.get_by_role("button", name="Download posterior").click()

        with open(download.value.path(), "rb") as file:
            assert f"sha256:{sha256(file.read()).hexdigest()}" == version["digest"]
        assert download.value.suggested_filename == f"{model.removeprefix('/v1/models/')}-1.safetensors"
        visit.check()


def test_head_is_rolled_back_from_the_page_which_sees_it(browser: Browser, live: Live) -> None:
    model = live.create()
    learned(live, model)
    learned(live, model, FIVE)
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "versions", 1))
        connected(page)
        page.get_by_role("button", name="Roll back to version 1").click()
        page.get_by_role("dialog").get_by_role("button", name="Roll back to version 1").click()

        expect(page.get_by_role("main").get_by_text("head", exact=True).first).to_be_visible()
        expect(page.get_by_role("button", name="Roll back to version 1")).to_have_count(0)
        assert live.client.get(model).json()["head"] == 1
        visit.check()

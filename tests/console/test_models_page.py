"""The first page: all models, and how each of them stands."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.console.browsing import THEMES, WIDTHS, Theme, visiting
from tests.service.live import Live


def url_of(live: Live) -> str:
    return str(live.client.base_url)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_models_are_shown_with_their_heads(browser: Browser, live: Live, theme: Theme, width: int) -> None:
    model = live.create()
    version = live.learn(model)

    with visiting(browser, url_of(live), theme=theme, width=width) as visit:
        page = visit.go("/")

        card = page.get_by_role("listitem").filter(has_text=model.removeprefix("/v1/models/"))
        expect(card).to_contain_text(f"version {version}")
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        visit.check()


def test_the_theme_is_changed_by_keyboard_and_stays(browser: Browser, live: Live) -> None:
    with visiting(browser, url_of(live)) as visit:
        page = visit.go("/console")
        page.get_by_role("button", name="Change to dark theme").press("Enter")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")

        page.reload()

        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        visit.check()

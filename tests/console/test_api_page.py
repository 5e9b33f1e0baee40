"""The page of the API: Swagger UI, from the service itself, with the key that the console was given."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.console.browsing import THEMES, Theme, visiting
from tests.service.keyed import make_key
from tests.service.live import Live, running


@pytest.mark.parametrize("has_keys", [False, True])
def test_every_call_can_be_read_without_asking_anybody_else(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, has_keys: bool
) -> None:
    with running(tmp_path_factory.mktemp("docs")) as live, visiting(browser, str(live.client.base_url)) as visit:
        if has_keys:
            key = make_key(live, "reader", "predict")["Authorization"].removeprefix("Bearer ")
            visit.page.add_init_script(f"sessionStorage.setItem('posterity-key', '{key}')")

        page = visit.go("/docs")

        expect(page.locator("#operations-models-create_model")).to_be_visible()
        assert visit.complaints == []


@pytest.mark.parametrize("theme", THEMES)
def test_it_has_the_theme_of_the_console(browser: Browser, live: Live, theme: Theme) -> None:
    with visiting(browser, str(live.client.base_url), theme=theme) as visit:
        page = visit.go("/docs")

        expect(page.locator("#operations-models-create_model")).to_be_visible()
        light = page.evaluate("Number(getComputedStyle(document.querySelector('.swagger-ui')).color.match(/\\d+/)[0])")
        assert (light > 150) == (theme == "dark")
        page.evaluate("localStorage.setItem('posterity-theme', 'dark')")
        page.reload()
        expect(page.locator("html")).to_have_class("dark-mode")
        assert visit.complaints == []

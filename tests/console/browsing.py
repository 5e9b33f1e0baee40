"""A real Chromium on a real service: pages that tell what a person would complain of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
WIDTHS = (1440, 390)
HEIGHTS = {1440: 900, 390: 844}
QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--no-first-run",
)
SERIOUS = {"serious", "critical"}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's own Chromium, without a window.

    Raises:
        AssertionError: there is none here.
    """
    path = shutil.which("chromium")
    assert path is not None, "The console is tested in a real browser: install Debian's package chromium."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page, and what went wrong on it so far: errors in the console, refused loads, requests to elsewhere."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        self.page.goto(f"{self.url}{path}")
        return self.page

    def check(self) -> None:
        """Nothing was complained of, by the page itself, by axe, or by its width."""
        assert self.complaints == []
        assert self.violations() == []
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"the page is {wide} px wider than its window"

    def violations(self) -> list[str]:
        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes']]}"
            for one in found
            if one["impact"] in SERIOUS
        ]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.complaints.append(f"asked elsewhere: {request.url}")


@contextmanager
def visiting(browser: Browser, url: str, *, theme: Theme = "light", width: int = 1440) -> Iterator[Visit]:
    """A fresh visitor with this theme and window; the device can be touched where the window is a phone's."""
    context = browser.new_context(
        color_scheme=theme,
        viewport={"width": width, "height": HEIGHTS[width]},
        has_touch=width < 600,
        is_mobile=width < 600,
        reduced_motion="reduce",
    )
    try:
        page = context.new_page()
        visit = Visit(page, url.rstrip("/"))
        page.on("console", visit._heard)
        page.on("pageerror", lambda error: visit.complaints.append(f"page error: {error}"))
        page.on("request", visit._asked)
        yield visit
    finally:
        context.close()

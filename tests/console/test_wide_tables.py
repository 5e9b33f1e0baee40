"""Tables that are wider than a phone show at which side there is more."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from tests.console.acting import console, learned, url_of
from tests.console.browsing import THEMES, Theme, visiting
from tests.console.test_csv_files import drop
from tests.service.live import NAMED, Live


def shades(box: Locator) -> tuple[int, int]:
    """How far the left and the right side of the box are, in a typical pixel, from the page in its middle."""
    pixels = np.asarray(Image.open(io.BytesIO(box.screenshot())).convert("L")).astype(int)
    below = pixels[pixels.shape[0] // 2 : -4]
    typical = [int(np.median(below[:, at : at + 2])) for at in (3, -5)]
    return abs(typical[0] - int(np.median(below))), abs(typical[1] - int(np.median(below)))


@pytest.mark.parametrize("theme", THEMES)
def test_a_wide_table_fades_at_the_side_that_has_more(browser: Browser, live: Live, theme: Theme) -> None:
    model = learned(live, NAMED, [{"inputs": [[1, 2], [3, 4.5]], "labels": ["cat", "owl"]}])
    with visiting(browser, url_of(live), theme=theme, width=390) as visit:
        page = visit.go(console(model, "predict"))
        drop(page, b"1,2\n" * 12)
        box = page.get_by_role("region", name="The answers to 12 rows")
        expect(box.get_by_text("…", exact=True)).to_have_count(0)

        left, right = shades(box)
        assert left < 4 < right

        box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
        left, right = shades(box)
        assert right < 4 < left
        visit.check()


def test_a_tree_that_fits_a_phone_has_nothing_beside_it(browser: Browser, live: Live) -> None:
    rows = {"inputs": [[1, 2], [3, 4.5]], "labels": ["cat", "owl"]}
    model = learned(live, NAMED, [rows, rows])
    live.client.post(f"{model}/rollback", json={"to": 1}).raise_for_status()
    with visiting(browser, url_of(live), width=390) as visit:
        page = visit.go(console(model))
        expect(page.get_by_role("link", name="Version 2", exact=True)).to_be_visible()
        wide = page.locator(".tree-rows").evaluate("box => box.scrollWidth - box.clientWidth")
        assert wide == 0
        visit.check()

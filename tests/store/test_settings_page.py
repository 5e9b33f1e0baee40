"""The settings' page says what the settings are."""

from __future__ import annotations

from pathlib import Path

from store.__main__ import settings_table

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_holds_the_table_of_all_settings() -> None:
    assert PAGE.read_text().rstrip().endswith(settings_table())

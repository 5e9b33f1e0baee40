"""The page of what can be observed names every metric there is, with what it means.

`python -m tests.house.test_observability_page` writes the tables into the page.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.app import create_app
from store.registry import table
from store.settings import Settings
from worker.meters import Meters

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"


def tables() -> dict[str, str]:
    app = create_app(Settings())
    try:
        return {"service": app.state.scraping.table(), "worker": table(Meters().registry)}
    finally:
        app.state.house.close()


def written(page: str, name: str, found: str) -> str:
    """The page with this table in its place."""
    place = rf"(<!-- metrics of the {name} -->\n).*?(\n<!-- end -->)"
    return re.sub(place, lambda marks: f"{marks[1]}\n{found}\n{marks[2]}", page, count=1, flags=re.DOTALL)


@pytest.mark.parametrize("name", ["service", "worker"])
def test_the_page_has_the_table_of_all_metrics(name: str) -> None:
    page = PAGE.read_text()

    assert f"<!-- metrics of the {name} -->\n\n{tables()[name]}\n\n<!-- end -->" in page


def test_every_metric_has_a_name_of_ours_a_base_unit_and_a_sentence() -> None:
    lines = [line.split(" | ") for found in tables().values() for line in found.splitlines()[2:]]

    for name, kind, _, meaning in lines:
        assert name.startswith("| `posterity_"), name
        assert name.endswith("_total`") == (kind == "counter"), name
        assert re.fullmatch(r"[A-Z].*\. \|", meaning), meaning
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|megabytes|percent)\b", name), name


if __name__ == "__main__":
    text = PAGE.read_text()
    for one, its_table in tables().items():
        text = written(text, one, its_table)
    PAGE.write_text(text)

"""The pages tell the truth where a machine can check it: links, commands, targets, files and choices exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

import bayes
from bayes.families import family_names
from bayes.recipe import OptimizerName
from client.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")], key=str)
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def headings(page: Path) -> set[str]:
    """The names under which GitHub leads to the page's headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    words = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower() for heading in found)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text())
    led = [((page.parent / link).resolve() if link else page, heading) for link, heading in links]

    assert [(str(to), heading) for to, heading in led if to.suffix == ".md" and heading not in headings(to)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_source_or_test_file_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"`((?:[\w.]+/)*\w+\.py)`", page.read_text()))
    existing = {path.name for path in ROOT.glob("[!.]*/**/*.py")}

    assert [name for name in sorted(named) if Path(name).name not in existing] == []


def test_every_command_and_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", README, re.DOTALL | re.MULTILINE))
    commands = set(re.findall(r"^\$ posterity ([a-z]+)", shown, re.MULTILINE))

    assert set(re.findall(r"^make ([a-z]+)", README, re.MULTILINE)) <= targets
    assert commands == {"models", "ingest", "predict", "versions", "rollback", "history"}
    for command in commands:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0, command


def test_the_readme_offers_just_the_families_and_recipe_fields_there_are() -> None:
    offered = {row[0]: row[1] for row in re.findall(r"^\| `(\w+)` \| (.*) \|$", README, re.MULTILINE)}

    assert set(re.findall(r"`([\w-]+)` \(", offered["family"])) == set(family_names())
    said = set(re.findall(r"\b\w+\b", offered["recipe"].split("any of ")[1]))
    assert said == {*bayes.Recipe.__dataclass_fields__, *get_args(OptimizerName)}

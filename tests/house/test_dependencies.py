"""What is installed, and why: pyproject.toml, constraints.txt and the page of reasons say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
DEVELOPMENT = [Requirement(line) for line in PROJECT["optional-dependencies"]["dev"]]
PEERS = [Requirement(line) for line in PROJECT["optional-dependencies"]["peers"]]
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
REASONS = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text()
DECISIONS = ROOT / "docs" / "decisions"


@pytest.mark.parametrize(
    ("heading", "requirements"),
    [("## To run it", RUNTIME), ("## To develop it", DEVELOPMENT), ("## To measure the neighbours", PEERS)],
)
def test_every_dependency_has_its_line_of_reason_and_every_line_its_dependency(
    heading: str, requirements: list[Requirement]
) -> None:
    table = REASONS.partition(heading)[2].partition("\n## ")[0]

    reasons = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", table, flags=re.MULTILINE))

    assert sorted(reasons) == sorted(requirement.name for requirement in requirements)
    assert all(reason.endswith(".") for reason in reasons.values())


@pytest.mark.parametrize("requirement", [*RUNTIME, *DEVELOPMENT, *PEERS], ids=lambda requirement: requirement.name)
def test_every_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    pins = {canonicalize_name(name): version for name, version in PINS.items()}

    assert requirement.specifier.contains(Version(pins[canonicalize_name(requirement.name)]))


def test_the_constraints_are_pins_only_and_name_no_registry() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line), line


def test_the_index_lists_every_decision_and_nothing_else() -> None:
    listed = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", (DECISIONS / "README.md").read_text())

    pages = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert sorted(listed) == pages
    assert len({name[:4] for name in pages}) == len(pages)

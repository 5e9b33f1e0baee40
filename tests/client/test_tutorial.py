"""The tutorial works when it is pasted from its beginning to its end, and prints what it says it prints."""

from __future__ import annotations

import re
from pathlib import Path

from client import Client
from tests.client.pasted import ROOT, blocks, form, paste

PAGE = ROOT / "docs" / "tutorial.md"
BY_HAND = re.compile(r"^(make install|source .venv|posterity serve|mkdir -p tutorial|cd tutorial)", re.MULTILINE)
"""What the tests have done otherwise: the environment, the service and the folder are there."""


def test_the_tutorial_can_be_pasted_and_prints_what_it_shows(url: str, tmp_path: Path) -> None:
    pasted = [block for block in blocks(PAGE) if not BY_HAND.search(block.typed)]
    shown = 0
    for block in pasted:
        printed = paste(block, url=url, folder=tmp_path)
        if block.shown is not None:
            assert form(printed) == form(block.shown), block.typed
            shown += 1

    assert (len(pasted), shown) == (13, 13)
    with Client(url) as client:
        assert [move.kind for move in client.history("wine")] == ["create", "publish", "publish", "rollback", "put"]
        assert client.model("my-digits").rows == 1001


def test_what_is_done_by_hand_is_as_the_readme_has_it() -> None:
    first, second = (block.typed for block in blocks(PAGE) if BY_HAND.search(block.typed))

    assert first.split("\n") == ["make install", "source .venv/bin/activate", "posterity serve", ""]
    assert second.split("\n") == ["source .venv/bin/activate", "mkdir -p tutorial", "cd tutorial", ""]

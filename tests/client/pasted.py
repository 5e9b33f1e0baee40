"""The shell blocks of a page, pasted in their order into one folder, and what they print beside what the page shows.

``python -m tests.client.pasted docs/tutorial.md`` writes what they print now into the page.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.client.test_cli import POSTERITY

ROOT = Path(__file__).parents[2]
LOCAL = "http://127.0.0.1:8000"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FUNCTIONS = f"""set -eo pipefail
python() {{ {sys.executable} "$@"; }}
posterity() {{ {" ".join(POSTERITY)} "$@"; }}
curl() {{ command curl --fail-with-body --silent --show-error "$@"; }}
"""


@dataclass(frozen=True)
class Block:
    """What a page gives to be pasted, and what it shows below it as printed; None: nothing."""

    typed: str
    shown: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    fences = list(FENCE.finditer(text))
    found = []
    for fence, after in zip(fences, [*fences[1:], None], strict=True):
        if not fence[1]:
            is_shown = after is not None and after[1] == "text" and text[fence.end() : after.start()] == "\n\n"
            found.append(Block(fence[2], after[2] if after is not None and is_shown else None))
    return found


def paste(block: Block, *, url: str, folder: Path) -> str:
    """What it prints; every command of it has succeeded."""
    own = {"POSTERITY_URL": url, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "NO_COLOR": "1"}
    typed = block.typed.replace(LOCAL, url).replace("localhost:8000", url.removeprefix("http://"))
    done = subprocess.run(
        ["bash", "-c", FUNCTIONS + re.sub(r"^\$ ", "", typed, flags=re.MULTILINE)],
        cwd=folder,
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{block.typed}\n{done.stdout}"
    return done.stdout


def form(printed: str) -> list[str]:
    """The words of each line, without what another machine or moment changes: numbers, ids, the widths of columns."""
    plain = re.sub(r"sha256:[0-9a-f]+|\bp1[\w-]{16,}(\.\d+)?|[0-9a-f]{12,}|[\d][\d.,:TZe+-]*", "#", printed)
    lines = (re.sub(r"[─━┏┓┗┛┃│╭╮╰╯┳┻╇╈┡┩└┘├┤┼┬┴┄ ]+", " ", line).strip() for line in plain.splitlines())
    return [line for line in lines if line]


def renewed(page: Path, *, url: str, folder: Path, skipped: re.Pattern[str]) -> str:
    """The page, with what its blocks print now; the others are for readers to do by hand."""
    text, at = page.read_text(), 0
    for block in blocks(page):
        if skipped.search(block.typed):
            continue
        printed = paste(block, url=url, folder=folder).replace(url, LOCAL)
        at = text.index(block.typed, at) + len(block.typed)
        if block.shown is not None:
            at = text.index(f"```text\n{block.shown}```", at)
            lines = "\n".join(line.rstrip() for line in printed.splitlines())
            text = f"{text[:at]}```text\n{lines}\n```{text[at + len(block.shown) + len('```text') + 4 :]}"
    return text

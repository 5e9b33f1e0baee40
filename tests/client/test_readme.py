"""What README shows to be pasted works when it is pasted, in its order; and so do the Python lines of the concepts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from client import Client
from tests.client.pasted import LOCAL, ROOT, Block, blocks, paste

README = ROOT / "README.md"
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MADE = re.compile(r"^make (demo|serve) ", re.MULTILINE)
"""`make demo` has a test of its own (tests/promises/test_the_demo.py), and the service is there."""
NAMES = ("flowers", "digits", "points", "elsewhere")
FILE_SHOWN = re.compile(r"\A\$ cat (\S+)\n(.*?)\n\n", re.DOTALL)


def run_python(lines: str, url: str, folder: Path) -> str:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + lines.replace(LOCAL, url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_ten_lines_of_the_first_screen_are_the_whole_chain(url: str, tmp_path: Path) -> None:
    [lines] = PYTHON.findall(README.read_text())

    printed = run_python(lines, url, tmp_path)

    assert float(printed.split()[0]) > 0.9
    with Client(url) as client:
        assert [move.kind for move in client.history("wines")] == ["create", "publish", "rollback"]


def test_the_shell_blocks_work_in_their_order(url: str, tmp_path: Path) -> None:
    pasted = [block for block in blocks(README) if not MADE.search(block.typed)]
    for block in pasted:
        typed = FILE_SHOWN.sub(r"cat > \1 <<'END'\n\2\nEND\n", block.typed)
        paste(Block(typed, block.shown), url=url, folder=tmp_path)

    assert len(pasted) == len(blocks(README)) - 1 == 4
    with Client(url) as client:
        kinds = {name: [move.kind for move in client.history(name)] for name in NAMES}
    assert kinds["flowers"] == ["create", "publish", "rollback"]
    assert kinds["digits"] == ["create", "publish", "rollback", "put", "forget"]
    assert kinds["points"] == ["create", "publish", "rollback"]
    assert kinds["elsewhere"][0] == "create"


@pytest.mark.parametrize("page", ["uncertainty"])
def test_the_python_lines_of_a_concept_work_as_they_stand(url: str, tmp_path: Path, page: str) -> None:
    for lines in PYTHON.findall((ROOT / "docs" / "concepts" / f"{page}.md").read_text()):
        run_python(lines, url, tmp_path)

    with Client(url) as client:
        assert client.model("diabetes").head == 4

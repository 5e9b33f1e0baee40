"""Each example, with small sizes: what it checks holds, it exits 0, and it leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from client import Client
from client.demo.place import run_example
from client.demo.report import Report

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent.name for path in ROOT.glob("examples/*/run.py"))
SMALL = {
    "labels_that_trickle_in": ("--seeds", "1", "--rounds", "4"),
    "pretrained_resnet": ("--passes", "5", "--chunks", "1"),
    "regression_with_drift": ("--clean", "5", "--after", "1", "--drifting", "4"),
}


def example(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    own = {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / name / "run.py"), *arguments]
    return subprocess.run(
        command, env=inherited | own, cwd=folder, capture_output=True, text=True, check=False, timeout=580
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_holds_what_it_checks_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    done = example(name, tmp_path, *SMALL[name])

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"All [2-9] checks hold", done.stdout)
    assert [path.name for path in tmp_path.iterdir() if "posterity" in path.name] == []


def test_an_example_whose_service_is_not_there_says_so_and_fails(tmp_path: Path) -> None:
    done = example("labels_that_trickle_in", tmp_path, "--url", "http://127.0.0.1:9", "--seeds", "1")

    assert done.returncode == 1
    assert "The example ends:" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_example_whose_claim_does_not_hold_fails(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def steps(client: Client, report: Report) -> None:
        report.check(holds=client.ready().is_ready, claim="the service is ready")
        report.check(holds=client.url != url, claim="it is another service")

    assert run_example("An example", steps, url=url) == 1
    printed = capsys.readouterr()
    assert "ok  the service is ready" in printed.out
    assert "This does not hold: it is another service" in printed.err


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_of_an_example_shows_what_the_program_prints(name: str) -> None:
    """Not its numbers, which are of the machine that the page names; but each claim and each heading of it."""
    page = (ROOT / "examples" / name / "README.md").read_text()
    program = (ROOT / "examples" / name / "run.py").read_text()
    [printed] = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)

    claims = re.findall(r"^  ok  (\w+ \w+)", printed, re.MULTILINE)
    assert len(claims) == int(re.findall(r"All (\d+) checks hold", printed)[0])
    assert [claim for claim in claims if claim not in program] == []
    assert re.search(r"2 CPU cores, torch \d+\.\d+\.\d+, seeds? \d", page)

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
from tests.client.pasted import form

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent.name for path in ROOT.glob("examples/*/run.py"))
SMALL = {
    "labels_that_trickle_in": ("--seeds", "1", "--rounds", "4"),
    "pretrained_resnet": ("--passes", "5", "--chunks", "1"),
    "regression_with_drift": ("--clean", "5", "--after", "1", "--drifting", "4"),
}


def example(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    own = {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / name / "run.py"), *arguments]
    return subprocess.run(
        command, env=inherited | own, cwd=folder, capture_output=True, text=True, check=False, timeout=580
    )


def shown(name: str) -> str:
    """What the page of the example says it printed; and it names the machine and the seeds."""
    page = (ROOT / "examples" / name / "README.md").read_text()
    [printed] = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert re.search(r"2 CPU cores, torch \d+\.\d+\.\d+, seeds? \d", page)
    return str(printed)


def claims(printed: str) -> list[str]:
    """What was checked, without the numbers of a run."""
    return [line for line in form(printed) if line.startswith("ok ")]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_holds_what_it_checks_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    done = example(name, tmp_path, *SMALL[name])

    assert done.returncode == 0, done.stdout + done.stderr
    assert claims(done.stdout) == claims(shown(name))
    assert f"All {len(claims(done.stdout))} checks hold" in done.stdout
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

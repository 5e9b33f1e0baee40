from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from bayes import Model, UpdateDiverged
from bayes.families import family_names
from benchmarks.paper import results
from benchmarks.paper.__main__ import main
from benchmarks.paper.absorb import absorb
from benchmarks.paper.lines import Line, Result
from benchmarks.paper.perform import perform
from benchmarks.paper.sets import SetName, experiments
from tests.benchmarks import given

DIGESTS = {"vague": (), "weights": ("blob",), "laplace": ("blob", "batch")}
OTHER: dict[str, object] = {
    "dataset": "cifar10",
    "family": "point",
    "recipe": {"epochs": 3},
    "stream": "rotation",
    "held_out": "validation",
    "prior": "laplace",
    "sigmas": (0.1,),
}


PERFORMING = """
from pathlib import Path
from benchmarks.paper.lines import Line
from benchmarks.paper.perform import perform

def told(key, done):
    print(key, done, flush=True)

if __name__ == "__main__":
    perform({lines}, Path("{root}"), Path("{folder}"), device="cpu", processes=1, told=told)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A root of data sets, beside a cache folder of its own; lines compute in one thread, as in their processes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield given.mnist(tmp_path / "root")
    torch.set_num_threads(threads)


def figures(result: Result) -> Result:
    """The result without what a clock has to say."""
    return replace(result, seconds=0.0, cpu_seconds=0.0)


@pytest.mark.parametrize("name", [field.name for field in fields(Line)])
def test_lines_that_differ_in_anything_have_different_keys(name: str) -> None:
    other = OTHER[name] if name in OTHER else getattr(given.LINE, name) + 1

    changed: dict[str, Any] = {name: other}
    assert replace(given.LINE, **changed).key != given.LINE.key


def test_the_sets_describe_models_of_every_family_and_no_line_twice() -> None:
    digests = {"blob": f"sha256:{0:064}", "batch": f"sha256:{1:064}"}
    described = set()
    for name in get_args(SetName):
        for experiment in experiments(name):
            assert len({line.key for line in experiment.lines}) == len(list(experiment.lines)), experiment.name
            for line in experiment.lines:
                named = {key: digests[key] for key in DIGESTS[line.prior]}
                described.add(Model.from_description(line.description(named)).family)

    assert described == set(family_names())


def test_the_same_line_gives_the_same_figures_and_another_seed_others(root: Path) -> None:
    first, again, other = (absorb(replace(given.LINE, seed=seed), root) for seed in (1, 1, 2))

    assert figures(first) == figures(again)
    assert first.final != other.final
    assert (first.steps, len(first.parts)) == (8, 2)


def test_a_result_is_kept_as_it_is(root: Path, tmp_path: Path) -> None:
    kept = replace(absorb(replace(given.LINE, stream="rotation"), root), surroundings={})

    results.write(tmp_path / "results", kept)

    found = results.read(tmp_path / "results", kept.line)
    assert found is not None
    assert replace(found, surroundings={}) == kept
    assert {"commit", "machine", "torch", "processor", "threads"} <= found.surroundings.keys()


def test_lines_of_a_seed_share_the_weights_they_start_around(root: Path) -> None:
    blank = replace(given.LINE, stream="new-classes", old_rows=100, old_epochs=1)
    one = absorb(replace(blank, prior="weights", sigmas=(0.03,)), root)
    grid = absorb(replace(blank, prior="weights", sigmas=(0.03, 0.1)), root)
    laplace = absorb(replace(blank, prior="laplace", old_batch_rows=50), root)

    priors = [result.model["prior"] for result in (one, grid, laplace)]
    assert len({prior["blob"] for prior in priors if isinstance(prior, dict)}) == 1
    assert one.parts[0].sigma is None
    assert grid.parts[0].sigma in (0.03, 0.1)


def test_what_is_there_is_not_performed_again(root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "paper.md"
    page.write_text("<!-- results: set -->\n<!-- end of results -->\n")
    asked = ["--data", str(root), "--quick", "--only", "mnist-500", "--methods", "point", "--parts", "1", "--jobs", "1"]
    asked += ["--set", "epochs=1", "--results", str(tmp_path / "results"), "--page", str(page), "--device", "cpu"]

    main(asked)
    (kept,) = (tmp_path / "results").iterdir()
    written = kept.stat().st_mtime_ns
    main(asked)

    assert kept.stat().st_mtime_ns == written
    assert "1 lines, 1 of them in" in capfd.readouterr().out
    main([*asked, "--again"])
    assert kept.stat().st_mtime_ns > written


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_signal_costs_only_the_lines_under_way_and_leaves_no_process(
    number: signal.Signals, root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    lines = [replace(given.LINE, seed=seed) for seed in (1, 2)]
    endless = replace(given.LINE, recipe={"epochs": 5_000, "batch_rows": 10, "beta": 0.01})
    script = tmp_path / "performing.py"
    script.write_text(PERFORMING.format(lines=[*lines, endless], root=str(root), folder=str(folder)))
    surroundings = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=surroundings
    ) as process:
        assert process.stdout is not None
        assert any(endless.key in line for line in process.stdout)

        process.send_signal(number)
        process.stdout.read()  # Ends when no process is left that could write.

    assert sorted(folder.iterdir()) == sorted(results.path_of(folder, line) for line in lines)
    assert all(results.read(folder, line) is not None for line in lines)


def test_a_line_that_fails_stops_no_other(root: Path, tmp_path: Path) -> None:
    diverging = replace(given.LINE, recipe={**given.LINE.recipe, "lr": 1e30})
    lines = [diverging, given.LINE]

    with pytest.raises(BaseExceptionGroup, match="1 of 2 lines failed") as raised:
        perform(lines, root, tmp_path, device="cpu", processes=1, told=lambda *_: None)

    assert raised.group_contains(UpdateDiverged)
    assert results.read(tmp_path, given.LINE) is not None
    assert results.read(tmp_path, diverging) is None

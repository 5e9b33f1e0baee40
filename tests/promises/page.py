"""The table of promises in docs/operations.md: `python -m tests.promises.page` makes it anew of the results.

Every promise names the tests that show it; a test looks whether they are there, and whether the table is made of the
results that are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import corruption, hostile_api, hostile_clients, record, sleeping_listeners
from benchmarks.paper.page import BLOCK
from benchmarks.paper.tables import markdown

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
HEADINGS = ["promise", "tests", "last long run"]
NONE_YET = "no result yet"

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Promise:
    """What an installation promises, the tests that show it, and results that say how it went for long."""

    words: str
    tests: tuple[str, ...]
    results: tuple[str, ...] = ()
    figures: Callable[[list[Result]], str] = lambda _: ""
    command: str = ""


def walked(results: list[Result]) -> str:
    engines = results[0]["engines"]
    each = [
        f"{kind}: {found['examples']} examples, {found['steps']:,} steps, {found['violations']} violations"
        for kind, found in engines.items()
    ]
    return f"{'; '.join(each)}; seed {results[0]['seed']}"


def noticed(results: list[Result]) -> str:
    return f"{results[0]['mutants']} mutants, {results[0]['unnoticed']} unnoticed; seed {results[0]['seed']}"


def stormed(results: list[Result]) -> str:
    return "; ".join(
        f"{one['engine']}, {one['seconds_of_faults']:.0f} s, seed {one['seed']}: {one['sigkills']} SIGKILLs "
        f"({sum(one['sigkills_at_named_places'].values())} at named places), {sum(one['faults'].values())} other "
        f"faults, {one['acknowledged_batches']:,} batches acknowledged, {one['posteriors_recomputed']:,} posteriors "
        f"learned once more, {len(one['wrong'])} things wrong"
        for one in results
    )


def fuzzed(results: list[Result]) -> str:
    return "; ".join(
        f"{decoder}: {'a fault' if of['fault'] else 'none'} in {of['executions']:,} bodies, {of['accepted']:,} of them "
        f"accepted, the slowest in {of['slowest_seconds'] * 1000:.0f} ms, memory at most "
        f"{of['peak_mib'] - of['peak_mib_before']:.0f} MiB above that of the start"
        for decoder, of in results[0]["decoders"].items()
    )


def claimed(claims: Callable[[Result], Any]) -> Callable[[list[Result]], str]:
    return lambda results: "; ".join(f"{claim.words}: {claim.figure}" for claim in claims(results[0]))


PROMISES = (
    Promise(
        "Evidence is counted once on every line, nothing accepted is lost, versions never change, no history has a gap",
        ("promises/test_ledger_machine.py", "promises/test_ledger_at_once.py", "store/test_invariants.py"),
        ("promises/ledger_machine",),
        walked,
        "python -m tests.promises.machine --examples 400",
    ),
    Promise(
        "Each guard of the ledger is needed, and its loss would be noticed",
        ("promises/test_mutants.py",),
        ("promises/ledger_mutants",),
        noticed,
        "python -m tests.promises.mutate",
    ),
    Promise(
        "An acknowledged batch survives kills anywhere, full disks, silent stores and restarted databases; every "
        "posterior is the one that its parent, chunk and recipe give",
        ("promises/test_storm.py", "promises/test_storm_books.py", "promises/test_killed_processes_cost_only_time.py"),
        ("promises/storm-sqlite", "promises/storm-postgresql"),
        stormed,
        "make storm",
    ),
    Promise(
        "Labels that arrive later count once, whoever posts them and however often",
        ("promises/test_late_labels_count_once.py", "store/test_labeling.py", "service/test_labels.py"),
    ),
    Promise(
        "Damaged bytes are never taken for whole ones, and the doctor names them",
        ("benchmarks/test_corruption.py", "store/test_blobs.py", "store/test_doctor.py"),
        ("corruption",),
        claimed(corruption.claims),
        "python -m benchmarks.corruption",
    ),
    Promise(
        "What is needed is never removed, and what retention deletes is gone",
        ("store/test_collecting.py", "store/test_retention.py", "service/test_deletions.py", "promises/test_storm.py"),
    ),
    Promise(
        "Blobs in an S3-type store are kept as those in a folder are",
        ("store/test_blobs.py", "store/test_object_store.py", "promises/test_blobs_in_an_object_store.py"),
    ),
    Promise(
        "A copy that was taken while the installation was used has the same evidence",
        (
            "store/test_backup.py",
            "store/test_backup_folder.py",
            "store/test_copies_of_postgresql.py",
            "store/test_commands.py",
        ),
    ),
    Promise(
        "Every migration keeps every row; posteriors of every released format are read",
        ("store/test_migrations_filled.py", "store/test_migrations.py", "bayes/test_kept_files.py"),
    ),
    Promise(
        "Nobody does what their key does not allow",
        ("service/test_access.py", "service/test_needs.py", "service/test_keys.py", "service/test_rates.py"),
    ),
    Promise(
        "No request is answered 500 or above, or with a status that the document does not name",
        ("benchmarks/test_hostile_api.py", "service/test_problems.py", "service/test_refusals_leave_nothing.py"),
        ("hostile_api",),
        claimed(hostile_api.claims),
        "make hostile",
    ),
    Promise(
        "No body crashes a decoder, or takes time or memory without bound",
        ("benchmarks/test_fuzzing.py", "service/test_bombs.py", "service/test_bodies_at_once.py"),
        ("fuzz",),
        fuzzed,
        "make fuzz",
    ),
    Promise(
        "Clients that stall, vanish or send too much do not keep others waiting",
        ("service/test_slow_clients.py", "service/test_connections.py"),
        ("hostile_clients",),
        claimed(hostile_clients.claims),
        "python -m benchmarks.hostile_clients",
    ),
    Promise(
        "Who listens and comes back, or reads slowly, misses no event",
        ("benchmarks/test_sleeping_listeners.py", "service/test_events.py", "client/test_listening.py"),
        ("sleeping_listeners",),
        claimed(sleeping_listeners.claims),
        "python -m benchmarks.sleeping_listeners",
    ),
    Promise("The log tells nothing of what clients send", ("service/test_logged.py", "store/test_logs.py")),
)


def made(text: str, results: Path = record.RESULTS) -> str:
    """The page with its table made of the results in the folder."""
    table = markdown([HEADINGS, *(_row(promise, results) for promise in PROMISES)])
    return BLOCK.sub(lambda match: f"<!-- results: {match[1]} -->\n{table}\n<!-- end of results -->", text)


def _row(promise: Promise, results: Path) -> list[str]:
    tests = ", ".join(f"[{Path(test).stem}](../tests/{test})" for test in promise.tests)
    if not promise.results:
        return [promise.words, tests, "with every `make test`"]
    found = [_read(results / f"{name}.json") for name in promise.results]
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return [promise.words, tests, f"{NONE_YET}: `{promise.command}`"]
    links = ", ".join(f"[{Path(name).name}](../benchmarks/results/{name}.json)" for name in promise.results)
    return [promise.words, tests, f"{promise.figures(known)} ({links}: `{promise.command}`)"]


def _read(path: Path) -> Result | None:
    return dict(json.loads(path.read_text())) if path.exists() else None


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text()))

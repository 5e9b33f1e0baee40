"""What the command line prints of a tree of versions, and of two versions compared."""

from collections.abc import Iterable, Sequence

from rich.tree import Tree

from client.columns import Fitted, table
from client.comparing import Branch, Comparison, Said
from client.tables import number


def tree_of(branches: Sequence[Branch]) -> Tree:
    """The branches below those that they start from, in the order of where they do."""
    drawn: dict[int, Tree] = {}
    for one in sorted(branches, key=lambda branch: (branch.parent_branch is not None, branch.fork or 0, branch.branch)):
        if one.parent_branch is None:
            drawn[one.branch] = Tree(_words(one), highlight=False)
    # A branch may start from one with a later fork, so each waits for its parent.
    waiting = sorted((one for one in branches if one.branch not in drawn), key=lambda one: (one.fork or 0, one.branch))
    while waiting:
        ready = [one for one in waiting if one.parent_branch in drawn]
        assert ready, "every branch starts from another or from the root prior"
        for one in ready:
            assert one.parent_branch is not None
            drawn[one.branch] = drawn[one.parent_branch].add(f"from version {one.fork}: {_words(one)}")
        waiting = [one for one in waiting if one.branch not in drawn]
    return next(iter(drawn.values()))


def comparison_of(found: Comparison) -> Iterable[Fitted | str]:
    """KL by layer and what only one has learned from; of rows the scores, and those that are predicted otherwise."""
    yield f"both were learned from version {found.common_ancestor}"
    layers = [*found.kl_nats.layers.items(), ("in total", found.kl_nats.total)]
    yield table((f"KL({found.version} || {found.other}) of", "nats"), ((name, number(kl, 2)) for name, kl in layers))
    sides = (
        (found.version, found.rows_only_in_version, found.batches_only_in_version, found.chunks_only_in_version),
        (found.other, found.rows_only_in_other, found.batches_only_in_other, found.chunks_only_in_other),
    )
    yield table(
        ("only in version", "rows", "batches", "chunks"),
        ((version, rows, _runs(batches), _runs(chunks)) for version, rows, batches, chunks in sides),
    )
    said = found.predictions
    if said is None:
        return
    if said.metrics is not None:
        yield f"predictions of the same {said.rows} rows{_learned(found)}"
        yield table(
            ("score", f"{found.version} less {found.other}", "standard error"),
            ((name, number(one.difference, 4), number(one.standard_error, 4)) for name, one in said.metrics.items()),
        )
    yield f"the rows that differ most; mean distance {said.mean_distance:.4f} {said.unit}, {said.method}"
    yield table(
        ("row", "distance", f"version {found.version} says", f"version {found.other} says"),
        ((one.row, number(one.distance, 4), _said(one.version), _said(one.other)) for one in said.most),
    )


def _words(branch: Branch) -> str:
    span = f"version {branch.first}" if branch.versions == 1 else f"versions {branch.first} to {branch.tip}"
    counted = "" if branch.versions == 1 else f" ({branch.versions:,})"
    named = "".join(f", {alias} at {version}" for alias, version in sorted(branch.aliases.items()))
    return f"{span}{counted}{named}"


def _learned(found: Comparison) -> str:
    said = found.predictions
    if said is None or said.batch is None:
        return ""
    flags = ((found.version, said.learned_by_version), (found.other, said.learned_by_other))
    who = [str(version) for version, has in flags if has]
    return f" of batch {said.batch}, which {' and '.join(who) or 'neither'} has learned from"


def _said(said: Said) -> str:
    if said.probabilities is not None:
        return " ".join(f"{value:.3f}" for value in said.probabilities)
    pairs = zip(said.mean or (), said.std or (), strict=True)
    return " ".join(f"{mean:.5g} ± {std:.2g}" for mean, std in pairs)


def _runs(numbers: Sequence[int]) -> str:
    """Numbers that follow each other as one run: 1-3, 7."""
    runs: list[list[int]] = []
    for one in numbers:
        if runs and one == runs[-1][1] + 1:
            runs[-1][1] = one
        else:
            runs.append([one, one])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)

"""Lines of versions: those that some installation writes are read, those that contradict themselves are refused."""

import pytest

from bayes import InvalidDescription
from bayes.lineage import read_lineage, write_lineage
from tests.bayes.exported import DIGEST, Json


def line(*steps: Json) -> list[Json]:
    """A root and these steps: each the child of the one before, with a batch of its own, but for what they say."""
    root_alone = {"model": "images", "version": 0, "parent": None, "digest": DIGEST, "kl_nats": 0.0, "rows": 0}
    told: list[Json] = [root_alone | {"chunk": None, "batches": [], "created_at": "2026-11-28T00:00:00+00:00"}]
    for number, step in enumerate(steps, start=1):
        batch = {"batch": step.get("batch", number), "rows": 12, "digest": DIGEST}
        own = {"version": number, "parent": number - 1, "chunk": number, "rows": 12, "batches": [batch]}
        told.append(told[0] | own | {key: value for key, value in step.items() if key != "batch"})
    return told


DIVIDED: Json = {"chunk": None, "rows": 0, "batches": []}


@pytest.mark.parametrize(
    "steps",
    [
        [{}, {}, {}],
        [{"version": 3}, {"version": 4, "parent": 3}],
        [{}, {"batch": 3}, {"chunk": 2, "batch": 2}],
        [{}, {}, DIVIDED | {"divided": [1]}, {}],
        [{"kl_nats": -1e-9}],
        [{"model": "elsewhere"}, {"model": "elsewhere"}],
        [{}, {}, {"version": 2, "parent": 1, "batch": 1}, {"version": 3, "parent": 2}],
        [{}, {"version": 2, "parent": 1, "batch": 1}],
        [{}, {}, {"model": "elsewhere", "version": 2, "parent": 1, "batch": 1}],
    ],
    ids=[
        "a line",
        "a second line",
        "a batch released later",
        "a division",
        "a distance of nothing, rounded",
        "a root learned from elsewhere",
        "learned on elsewhere under the same name",
        "version 1 learned on elsewhere",
        "learned on elsewhere under another name",
    ],
)
def test_a_line_that_can_be_exported_is_read(steps: list[Json]) -> None:
    assert write_lineage(read_lineage(line(*steps))) == line(*steps)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{}, {}, {"batch": 2}], "lineage.3.batches: has batch 2, which a version before it absorbed"),
        ([{}, {}, {}, {"batch": 2}], "lineage.4.batches: has batch 2"),
        ([{}, {}, {"version": 2, "parent": 1, "batch": 1}, {"version": 3, "parent": 2, "batch": 1}], "has batch 1"),
        ([{}, {}, {"parent": 0}], "lineage.3.parent: must be the version before it"),
        ([{}, {}, {"version": 4, "parent": 3}], "lineage.3.parent: must be the version before it"),
        ([{}, {}, {"model": "elsewhere"}], "lineage.3.parent: must be the version before it"),
        ([{}, {}, {"version": 2}], "lineage.3.version: must be a later one"),
        ([{}, {"version": 1}], "lineage.2.version: must be a later one"),
        ([{}, {"chunk": 0}], "lineage.2.chunk: must be between 1 and"),
        ([{}, {"kl_nats": -1}], "lineage.2.kl_nats: must be finite and above -1"),
        ([{}, {}, DIVIDED], "lineage.3: has absorbed nothing"),
        ([{}, {}, DIVIDED | {"divided": [3]}], "lineage.3.divided: must be batches"),
        ([{}, {}, DIVIDED | {"rows": 1, "divided": [1]}], "lineage.3.rows: must be the 0 rows"),
    ],
)
def test_a_line_that_contradicts_itself_is_refused(steps: list[Json], message: str) -> None:
    with pytest.raises(InvalidDescription, match=message):
        read_lineage(line(*steps))

"""A model's metrics: how head predicted each batch before it learned from it, as a running and a windowed series."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import reduce
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from bayes import Scores
from service.house import House
from service.problems import declared
from service.rejected import QueryInvalid
from service.requests import ModelName, PageAsked, TheHouse
from service.resources import NextCursor, moment
from service.running_scores import Before, Sum, added, scores_of
from store.errors import ModelNotFound
from store.kinds import Publication
from store.scoring import Notice, ScoreRow

router = APIRouter(prefix="/v1/models/{model}", tags=["metrics"])

Window = Annotated[int, Query(ge=1, le=1000, description="Batches of the windowed series.")]
Metrics = Annotated[
    dict[str, float | None],
    Field(
        description="Of classes: accuracy, nll, ece, brier. Of numbers: rmse, nll, coverage (of 90 % intervals). "
        "null: beyond the numbers of JSON."
    ),
]
StandardErrors = Annotated[
    dict[str, float | None],
    Field(
        description="Of the metrics of the same names: accuracy and coverage binomial, nll from the scatter of the "
        "surprisal around what the prediction expected, ece from the bins' variances. null: of brier and rmse, which "
        "the kept sums do not tell; of nll where there is one row."
    ),
]


class BatchMetrics(BaseModel):
    """A batch, as the version that was head predicted it before anything learned from it."""

    batch: int
    version: int
    update: int
    rows: int
    metrics: Metrics | None = Field(description="null: the version predicted nothing finite.")
    standard_errors: StandardErrors | None
    running: Metrics | None = Field(description="Of all batches up to this one.")
    running_standard_errors: StandardErrors | None
    windowed: Metrics | None = Field(description="Of the last batches up to this one, as many as the window has.")
    windowed_standard_errors: StandardErrors | None
    surprise: dict[str, Any] | None
    scored_at: datetime


class VersionMetrics(BaseModel):
    """All batches that a version predicted before they were learned from."""

    version: int
    batches: int
    rows: int
    metrics: Metrics | None
    standard_errors: StandardErrors | None


class NoticeResource(BaseModel):
    """What an update had to say."""

    kind: Literal["warning", "held", "surprise"]
    update: int
    version: int
    batch: int | None = None
    message: str


class MetricsResource(BaseModel):
    """Test-then-train: every batch is predicted by head before it is learned from."""

    model: str
    window: int
    rows: int = Field(description="All rows that were predicted before they were learned from.")
    metrics: Metrics | None = Field(description="Of all of them.")
    standard_errors: StandardErrors | None
    batches: list[BatchMetrics]
    versions: list[VersionMetrics] = Field(description="The versions that predicted the batches of this page.")
    notices: list[NoticeResource] = Field(description="Of the updates of this page.")
    next_cursor: NextCursor


@router.get("/metrics", operation_id="get_metrics", responses=declared(ModelNotFound, QueryInvalid))
def get_metrics(model: ModelName, page: PageAsked, house: TheHouse, window: Window = 10) -> MetricsResource:
    """How well each batch was predicted before it was learned from: by batch, by version, running and in a window."""
    first = page.after_number(0)
    before = house.running_scores.before(model, first)
    found = list(_batches(house, model, before, shown=range(first + 1, first + page.limit + 2), window=window))
    shown, next_cursor = page.cut(found, lambda one: one[0])
    batches = [batch for _, batch in shown]
    total = before.total.scores
    return MetricsResource(
        model=model,
        window=window,
        rows=0 if total is None else total.rows,
        metrics=metrics_of(total),
        standard_errors=errors_of(total),
        batches=batches,
        versions=[
            _version(version, before.of_versions[version]) for version in sorted({one.version for one in batches})
        ],
        notices=_notices(house, model, batches),
        next_cursor=next_cursor,
    )


def _batches(
    house: House, model: str, before: Before, *, shown: range, window: int
) -> Iterator[tuple[int, BatchMetrics]]:
    """The batches in these places of the series, counted from 1, as far as there are any."""
    nearest = before.nearest
    count = min(shown.stop - 1, before.total.batches) - nearest.total.batches
    if count <= 0:
        return
    earlier = house.scoring.series_until(model, until=nearest.place, limit=window)
    last = deque((scores_of(row) for row in earlier), maxlen=window)
    running = nearest.total
    for row in house.scoring.series(model, after=nearest.place, limit=count):
        scores = scores_of(row)
        running = running.plus(scores)
        if scores is not None:
            last.append(scores)
        if running.batches in shown:
            windowed = reduce(added, last, None)
            yield running.batches, _batch(row, scores, running=running.scores, windowed=windowed)


def _batch(row: ScoreRow, scores: Scores | None, *, running: Scores | None, windowed: Scores | None) -> BatchMetrics:
    return BatchMetrics(
        batch=row.batch,
        version=row.version,
        update=row.update,
        rows=0 if scores is None else scores.rows,
        metrics=metrics_of(scores),
        standard_errors=errors_of(scores),
        running=metrics_of(running),
        running_standard_errors=errors_of(running),
        windowed=metrics_of(windowed),
        windowed_standard_errors=errors_of(windowed),
        surprise=row.surprise,
        scored_at=moment(row.scored_at),
    )


def _version(version: int, total: Sum) -> VersionMetrics:
    return VersionMetrics(
        version=version,
        batches=total.batches,
        rows=0 if total.scores is None else total.scores.rows,
        metrics=metrics_of(total.scores),
        standard_errors=errors_of(total.scores),
    )


def metrics_of(scores: Scores | None) -> dict[str, float | None] | None:
    return None if scores is None else scores.metrics()


def errors_of(scores: Scores | None) -> dict[str, float | None] | None:
    return None if scores is None else scores.standard_errors()


def _notices(house: House, model: str, batches: Sequence[BatchMetrics]) -> list[NoticeResource]:
    if not batches:
        return []
    numbers = [batch.update for batch in batches]
    of_updates = house.scoring.notices(model, first=min(numbers), last=max(numbers))
    found = [said for notice in of_updates for said in _said(notice)]
    surprising = [batch for batch in batches if batch.surprise is not None and batch.surprise["is_surprising"]]
    born = {notice.update: notice.version for notice in of_updates}
    return found + [
        NoticeResource(
            kind="surprise",
            update=batch.update,
            version=born.get(batch.update, batch.version),
            batch=batch.batch,
            message=_surprised(batch),
        )
        for batch in surprising
    ]


def _surprised(batch: BatchMetrics) -> str:
    assert batch.surprise is not None
    z = batch.surprise["z"]
    how = "beyond all bounds" if z is None else f"z = {z:.1f}"
    return (
        f"Version {batch.version} predicted batch {batch.batch} worse than it expects to ({how}), and it was learned."
    )


def _said(notice: Notice) -> Iterator[NoticeResource]:
    for warning in notice.report.get("warnings", []):
        yield NoticeResource(kind="warning", update=notice.update, version=notice.version, message=warning)
    if notice.publication == Publication.GATED:
        worse = ", ".join(notice.report["gate"]["worse"])
        said = f"Head did not move: version {notice.version} is worse than its parent in {worse}."
        yield NoticeResource(kind="held", update=notice.update, version=notice.version, message=said)
    elif notice.publication == Publication.MANUAL:
        said = f"Head did not move: it is moved by hand. PUT the alias head to version {notice.version}, or back."
        yield NoticeResource(kind="held", update=notice.update, version=notice.version, message=said)

"""A model's metrics: how head predicted each batch before it learned from it, as a running and a windowed series."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from bayes import Scores
from service.house import House
from service.problems import declared
from service.rejected import QueryInvalid
from service.requests import ModelName, PageAsked, TheHouse
from service.resources import NextCursor, moment
from store.errors import ModelNotFound
from store.kinds import Publication
from store.scoring import Notice
from store.values import ScoreRow

router = APIRouter(prefix="/v1/models/{model}", tags=["metrics"])

Window = Annotated[int, Query(ge=1, le=1000, description="Batches of the windowed series.")]
Metrics = Annotated[
    dict[str, float | None],
    Field(
        description="Of classes: accuracy, nll, ece, brier. Of numbers: rmse, nll, coverage (of 90 % intervals). "
        "null: beyond the numbers of JSON."
    ),
]


class BatchMetrics(BaseModel):
    """A batch, as the version that was head predicted it before anything learned from it."""

    batch: int
    version: int
    update: int
    rows: int
    metrics: Metrics | None = Field(description="null: the version predicted nothing finite.")
    running: Metrics | None = Field(description="Of all batches up to this one.")
    windowed: Metrics | None = Field(description="Of the last batches up to this one, as many as the window has.")
    surprise: dict[str, Any] | None
    scored_at: datetime


class VersionMetrics(BaseModel):
    """All batches that a version predicted before they were learned from."""

    version: int
    batches: int
    rows: int
    metrics: Metrics | None


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
    batches: list[BatchMetrics]
    versions: list[VersionMetrics] = Field(description="The versions that predicted the batches of this page.")
    notices: list[NoticeResource] = Field(description="Of the updates of this page.")
    next_cursor: NextCursor


@router.get("/metrics", operation_id="get_metrics", responses=declared(ModelNotFound, QueryInvalid))
def get_metrics(model: ModelName, page: PageAsked, house: TheHouse, window: Window = 10) -> MetricsResource:
    """How well each batch was predicted before it was learned from: by batch, by version, running and in a window."""
    series = house.scoring.series(model)
    first = page.after_number(0)
    rows = list(enumerate(_batches(series, window), start=1))
    shown, next_cursor = page.cut(rows[first : first + page.limit + 1], lambda row: row[0])
    batches = [batch for _, batch in shown]
    total = _sum(series)
    return MetricsResource(
        model=model,
        window=window,
        rows=0 if total is None else total.rows,
        metrics=None if total is None else total.metrics(),
        batches=batches,
        versions=_versions(series, {batch.version for batch in batches}),
        notices=_notices(house, model, batches),
        next_cursor=next_cursor,
    )


def _batches(series: Sequence[ScoreRow], window: int) -> Iterator[BatchMetrics]:
    running: Scores | None = None
    last = deque[Scores](maxlen=window)
    for row in series:
        scores = _scores(row)
        if scores is not None:
            running = scores if running is None else running + scores
            last.append(scores)
        windowed = _add(last)
        yield BatchMetrics(
            batch=row.batch,
            version=row.version,
            update=row.update,
            rows=0 if scores is None else scores.rows,
            metrics=None if scores is None else scores.metrics(),
            running=None if running is None else running.metrics(),
            windowed=None if windowed is None else windowed.metrics(),
            surprise=row.surprise,
            scored_at=moment(row.scored_at),
        )


def _versions(series: Sequence[ScoreRow], chosen: set[int]) -> list[VersionMetrics]:
    of_version = defaultdict[int, list[ScoreRow]](list)
    for row in series:
        if row.version in chosen:
            of_version[row.version].append(row)
    return [_version(version, of_version[version]) for version in sorted(of_version)]


def _version(version: int, rows: Sequence[ScoreRow]) -> VersionMetrics:
    total = _sum(rows)
    return VersionMetrics(
        version=version,
        batches=len(rows),
        rows=0 if total is None else total.rows,
        metrics=None if total is None else total.metrics(),
    )


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


def _sum(rows: Iterable[ScoreRow]) -> Scores | None:
    return _add(scores for row in rows if (scores := _scores(row)) is not None)


def _add(parts: Iterable[Scores]) -> Scores | None:
    total: Scores | None = None
    for part in parts:
        total = part if total is None else total + part
    return total


def _scores(row: ScoreRow) -> Scores | None:
    return None if row.scores is None else Scores.from_json(row.scores)

"""What is told of each model, and of all: the names, and how each follows from where the model stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from store.overview import SCORES, VERSIONS
from store.standing import Learned, Overview, Standing

Value = Callable[[Standing, float], float | None]
"""Of a model, at this moment; None: it has none."""


def families(found: Overview | None) -> Iterator[Metric]:
    """All of them; without a value where nothing was found."""
    models = GaugeMetricFamily("posterity_models", "All models, also those without metrics of their own.")
    if found is not None:
        models.add_metric([], found.models)
    yield models
    yield _updates(found)
    for name, (text, value) in COUNTERS.items():
        yield _filled(CounterMetricFamily(name, text, labels=["model"]), value, found)
    for name, (text, value) in GAUGES.items():
        yield _filled(GaugeMetricFamily(name, text, labels=["model"]), value, found)


def _updates(found: Overview | None) -> Metric:
    family = GaugeMetricFamily("posterity_updates", "Updates by their state.", labels=["model", "state"])
    for standing in () if found is None else found.standings:
        for state, count in standing.updates.items():
            family.add_metric([standing.name, state.value], count)
    return family


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily, value: Value, found: Overview | None
) -> CounterMetricFamily | GaugeMetricFamily:
    for standing in () if found is None else found.standings:
        if found is not None and (number := value(standing, found.now)) is not None:
            family.add_metric([standing.name], number)
    return family


def _since(moment: float | None, now: float) -> float:
    return 0.0 if moment is None else max(0.0, now - moment)


def _newest(of: Callable[[Learned], float | None]) -> Value:
    return lambda standing, _now: of(standing.learned[-1]) if standing.learned else None


def _pace(learned: Learned) -> float | None:
    return learned.steps / learned.steps_seconds if learned.steps and learned.steps_seconds else None


def _mean(score: str) -> Value:
    """Over the rows of the newest versions' chunks, each as head predicted it before it learned from it."""
    return lambda standing, _now: _weighted(score, standing.learned, lambda value: value)


def _root_mean_square(standing: Standing, _now: float) -> float | None:
    mean = _weighted("rmse", standing.learned, lambda value: value * value)
    return None if mean is None else math.sqrt(mean)


def _weighted(score: str, learned: Sequence[Learned], of: Callable[[float], float]) -> float | None:
    # A score beyond the numbers of JSON is kept as None.
    said = [(_rows(one), one.prequential[score]) for one in learned if score in one.prequential]
    rows = sum(count for count, _ in said)
    return sum(count * of(math.inf if value is None else value) for count, value in said) / rows if rows else None


def _rows_scored(standing: Standing, _now: float) -> float:
    return sum(_rows(one) for one in standing.learned if len(one.prequential) > 1)


def _rows(learned: Learned) -> int:
    return int(learned.prequential["rows"])


def _z(standing: Standing, _now: float) -> float | None:
    if not standing.surprises:
        return None
    z, _ = standing.surprises[-1]
    return math.inf if z is None else z


COUNTERS: dict[str, tuple[str, Value]] = {
    "posterity_batches": ("Batches that the ledger has accepted.", lambda one, _: one.batches),
    "posterity_versions": ("Versions, without the root prior.", lambda one, _: one.versions),
    "posterity_head_moves": ("Moves of head, by updates and by hand.", lambda one, _: one.head_moves),
}

OVER = f"over the rows of the {VERSIONS} newest versions' chunks, predicted by head before it learned from them"

GAUGES: dict[str, tuple[str, Value]] = {
    "posterity_pending_rows": (
        "Rows that wait for their chunk to be closed, without those that are set aside.",
        lambda one, _: one.pending_rows,
    ),
    "posterity_pending_batches": (
        "Batches that wait for their chunk to be closed, without those that are set aside.",
        lambda one, _: one.pending_batches,
    ),
    "posterity_queued_rows": (
        "Rows of closed chunks whose updates are queued or running.",
        lambda one, _: one.queued_rows,
    ),
    "posterity_waiting_seconds": (
        "How long the oldest row has waited that is pending, queued or being learned; 0 where none is.",
        lambda one, now: _since(one.waiting_since, now),
    ),
    "posterity_lag_seconds": (
        "From accepting the first batch of a chunk to the move of head that brought it live; of the newest such chunk.",
        lambda one, _: one.lag_seconds,
    ),
    "posterity_head_version": ("The version that head points at.", lambda one, _: one.head),
    "posterity_head_moved_timestamp_seconds": (
        "When head moved last, in seconds since 1970.",
        lambda one, _: one.head_moved_at,
    ),
    "posterity_update_seconds": (
        "How long the newest version's update took: reading, scoring and learning.",
        _newest(lambda one: one.seconds),
    ),
    "posterity_update_steps": ("Steps of the newest version's update.", _newest(lambda one: one.steps)),
    "posterity_update_steps_per_second": ("Steps a second of the newest version's update.", _newest(_pace)),
    "posterity_update_rows": ("Rows that the newest version learned from.", _newest(lambda one: one.rows)),
    "posterity_update_kl_nats": (
        "KL of the newest version to its prior.",
        _newest(lambda one: one.kl_nats),
    ),
    "posterity_update_gpu_peak_bytes": (
        "Most GPU memory of the newest version's update, where its worker had a GPU.",
        _newest(lambda one: one.gpu_bytes_peak),
    ),
    "posterity_online_accuracy": (f"Of classes: how often the label was the likeliest, {OVER}.", _mean("accuracy")),
    "posterity_online_nll_nats": (f"Negative log-likelihood per row, {OVER}.", _mean("nll")),
    "posterity_online_rmse": (f"Of numbers: root mean squared error, {OVER}.", _root_mean_square),
    "posterity_online_rows": (
        f"Rows of these: of the {VERSIONS} newest versions' chunks, as far as head predicted them.",
        _rows_scored,
    ),
    "posterity_surprise_z": (
        "How surprising the newest scored batch was to head; +Inf: beyond all bounds.",
        _z,
    ),
    "posterity_surprising_batches": (
        f"Of the {SCORES} batches that were scored last, those that were surprising.",
        lambda one, _: sum(is_surprising for _, is_surprising in one.surprises),
    ),
    "posterity_parked_batches": ("Batches that are parked, for somebody to decide.", lambda one, _: one.parked),
    "posterity_webhooks": ("Webhooks.", lambda one, _: one.webhooks),
    "posterity_webhooks_failing": (
        "Webhooks whose last event was not taken.",
        lambda one, _: one.webhooks_failing,
    ),
    "posterity_webhook_waiting_events": (
        "Events that the webhook furthest behind has not been sent.",
        lambda one, _: one.webhook_events,
    ),
}

"""The metrics of one process, for Prometheus: a registry of its own, with what the system knows of the process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Info, Metric, ProcessCollector


class Registry(CollectorRegistry):
    """A registry that leaves out when each series was created: nobody asks that, and it doubles their number."""

    def __init__(self) -> None:
        super().__init__()
        ProcessCollector(registry=self)
        Info("posterity", "The release.", registry=self).info({"version": version("posterity")})

    def collect(self) -> Iterable[Metric]:
        for family in super().collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def table(registry: Registry, told: Iterable[Metric] = ()) -> str:
    """A line of Markdown for each metric of the registry, and what is told beside it: its name, labels and meaning."""
    labels = {name: _labels(collector) for collector, names in registry._collector_to_names.items() for name in names}
    lines = [
        f"| `{_name(one)}` | {one.type} | {labels.get(one.name) or _labels(one)} | {one.documentation} |"
        for one in sorted([*registry.collect(), *told], key=lambda family: family.name)
        # What the system knows of a process has the names of all processes.
        if not one.name.startswith("process_")
    ]
    return "\n".join(["| metric | type | labels | meaning |", "| --- | --- | --- | --- |", *lines])


def _name(family: Metric) -> str:
    return family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")


def _labels(one: object) -> str:
    names: Sequence[str] = getattr(one, "_labelnames", ())
    return ", ".join(f"`{name}`" for name in names)

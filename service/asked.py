"""What a request for a prediction asks: of which version, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query

from bayes import Categorical, Output
from service.rejected import IntervalOfClasses, QueryInvalid
from service.schemas import NUMBER_MAX, SEED_MAX, Method, PredictionBody
from store.values import HEAD

SAMPLES, SEED, INTERVAL = 16, 0, 0.9


@dataclass(frozen=True)
class Way:
    """How to predict; interval: the level of the intervals of numbers, None where it is left to us."""

    method: Method
    samples: int
    seed: int
    interval: float | None

    def or_by(self, body: PredictionBody) -> Way:
        """The way that the body states, and where it states nothing, this one."""
        return Way(
            method=body.method or self.method,
            samples=self.samples if body.samples is None else body.samples,
            seed=self.seed if body.seed is None else body.seed,
            interval=self.interval if body.interval is None else body.interval,
        )

    def level(self, output: Output) -> float | None:
        """The probability that the intervals of such a model have; None: it has none.

        Raises:
            IntervalOfClasses: intervals are asked for, and the labels are classes.
        """
        if isinstance(output, Categorical):
            if self.interval is not None:
                raise IntervalOfClasses
            return None
        return INTERVAL if self.interval is None else self.interval


async def _way(
    method: Annotated[Method, Query(description="`ensemble` of weight draws, or the `mean` weights.")] = "ensemble",
    samples: Annotated[int, Query(ge=1, description="Weight draws.")] = SAMPLES,
    seed: Annotated[int, Query(ge=0, le=SEED_MAX, description="Which draws.")] = SEED,
    interval: Annotated[
        float | None, Query(gt=0, lt=1, description=f"Probability of a number's interval; absent: {INTERVAL}.")
    ] = None,
) -> Way:
    return Way(method, samples, seed, interval)


@dataclass(frozen=True)
class Target:
    """Which version is asked: a number, else where an alias points."""

    version: int | None
    alias: str


async def _target(
    version: Annotated[int | None, Query(ge=0, le=NUMBER_MAX, description="Absent: where `alias` points.")] = None,
    alias: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$", description=f"Absent: {HEAD}.")] = None,
) -> Target:
    if version is not None and alias is not None:
        raise QueryInvalid(reason="version and alias: name one of the two")
    return Target(version, HEAD if alias is None else alias)


WayAsked = Annotated[Way, Depends(_way)]
TargetAsked = Annotated[Target, Depends(_target)]

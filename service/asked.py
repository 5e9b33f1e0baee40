"""What a request for a prediction asks: of which version, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Header, Query

from bayes import Categorical, Output
from bayes.draws import nbytes_of_a_net
from bayes.ready import SAMPLES, SEED, default_method
from service.known import Known
from service.loaded import Chosen
from service.rejected import IntervalOfClasses, QueryInvalid, SamplesTooMany
from service.requests import TheHouse
from service.schemas import KEEP, METHODS, NUMBER_MAX, SEED_MAX, Method, WayBody
from store.kinds import HEAD
from store.settings import Settings

INTERVAL = 0.9
ARRAYS_OF_NUMBERS = ("mean", "std", "epistemic_std", "noise_std", "lower", "upper")
"""What is said of each number that is predicted."""
WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6}(?:\.\d{1,6})?)(?![\w.+-])", re.IGNORECASE)


@dataclass(frozen=True)
class Way:
    """How to predict, as far as it was said.

    interval: the level of the intervals of numbers; keep: whether the inputs are kept for later labels.
    """

    method: Method | None = None
    samples: int | None = None
    seed: int | None = None
    interval: float | None = None
    keep: bool | None = None

    def or_by(self, body: WayBody) -> Way:
        """The way that the body states, and where it states nothing, this one."""
        return Way(
            method=self.method if body.method is None else body.method,
            samples=self.samples if body.samples is None else body.samples,
            seed=self.seed if body.seed is None else body.seed,
            interval=self.interval if body.interval is None else body.interval,
            keep=self.keep if body.keep is None else body.keep,
        )

    def chosen(self, known: Known, settings: Settings) -> Chosen:
        """The method that answers, with what it depends on.

        Raises:
            SamplesTooMany: an ensemble of so many draws cannot be had.
        """
        method = self.method or default_method(self.samples, self.seed)
        if method == "moments" and known.obstacle is not None:
            method = "ensemble"
        if method != "ensemble":
            return Chosen(method)
        samples = min(SAMPLES, settings.samples_max) if self.samples is None else self.samples
        samples_max = settings.samples_max
        if known.model.network.is_chain:
            samples_max = min(samples_max, draws_held_max(known, settings))
        if samples > samples_max:
            raise SamplesTooMany(samples=samples, samples_max=samples_max)
        return Chosen(method, samples, SEED if self.seed is None else self.seed)

    def is_instead(self, chosen: Chosen) -> bool:
        """True where moments were meant, and something else was chosen."""
        meant = self.method or default_method(self.samples, self.seed)
        return meant == "moments" != chosen.method

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
    method: Annotated[Method | None, Query(description=METHODS)] = None,
    samples: Annotated[int | None, Query(ge=1, description=f"Weight draws of the ensemble; absent: {SAMPLES}.")] = None,
    seed: Annotated[int | None, Query(ge=0, le=SEED_MAX, description=f"Which draws; absent: {SEED}.")] = None,
    interval: Annotated[
        float | None, Query(gt=0, lt=1, description=f"Probability of a number's interval; absent: {INTERVAL}.")
    ] = None,
) -> Way:
    return Way(method, samples, seed, interval)


WayAsked = Annotated[Way, Depends(_way)]


async def _way_to_keep(way: WayAsked, keep: Annotated[bool | None, Query(description=KEEP)] = None) -> Way:
    return replace(way, keep=keep)


def rows_answered_max(known: Known, settings: Settings) -> int:
    """How many rows of this model are predicted at once: at most as many as of any, or as fill an answer."""
    return max(1, min(settings.rows_predict_max, settings.numbers_predict_max // _numbers_of_a_row(known.model.output)))


def rows_drawn_max(known: Known, settings: Settings, draws: int) -> int:
    """How many rows are predicted at once where the answer has what each of so many draws says of them.

    Raises:
        SamplesTooMany: what all of them say of one row is more than an answer may have.
    """
    units = known.model.output.units
    if draws > (draws_max := max(1, settings.numbers_predict_max // units)):
        raise SamplesTooMany(samples=draws, samples_max=draws_max)
    return max(1, min(rows_answered_max(known, settings), settings.numbers_predict_max // (draws * units)))


def _numbers_of_a_row(output: Output) -> int:
    return output.units if isinstance(output, Categorical) else len(ARRAYS_OF_NUMBERS) * output.units


def draws_held_max(known: Known, settings: Settings) -> int:
    """How many nets of this model there is memory for."""
    return settings.loaded_bytes_max // nbytes_of_a_net(known.model.network)


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


async def _patience(
    house: TheHouse,
    prefer: Annotated[
        str | None,
        Header(
            alias="Prefer",
            description="`wait=2`: after so many seconds no answer is of use (RFC 7240).",
            examples=["wait=2"],
        ),
    ] = None,
) -> float:
    """For how many seconds an answer is of use to the caller, and no longer than the service lets anything wait."""
    most = house.settings.predict_seconds
    stated = WAIT.search(prefer) if prefer is not None else None
    return most if stated is None else min(most, float(stated[1]))


Patience = Annotated[float, Depends(_patience)]
WayToKeep = Annotated[Way, Depends(_way_to_keep)]
TargetAsked = Annotated[Target, Depends(_target)]

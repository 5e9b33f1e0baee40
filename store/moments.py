"""Moments are kept as seconds, in binary fractions, and shown rounded to the microsecond."""

from __future__ import annotations

import math

MICROSECONDS = 10**6


def last_shown_as(moment: float) -> float:
    """The last moment that is shown as this one.

    It is looked for from the middle between two microseconds on, so in a few steps: about 1970 a microsecond has room
    for billions of numbers.
    """
    shown = shown_microseconds(moment)
    last = (2 * shown + 1) / (2 * MICROSECONDS)
    while shown_microseconds(later := math.nextafter(last, math.inf)) == shown:
        last = later
    while shown_microseconds(last) > shown:
        last = math.nextafter(last, -math.inf)
    return last


def shown_microseconds(moment: float) -> int:
    """As `datetime.fromtimestamp` rounds it, which does not know every moment."""
    fraction, whole = math.modf(moment)
    return int(whole) * MICROSECONDS + round(fraction * 1e6)

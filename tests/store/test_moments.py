from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from store.moments import last_shown_as

EPOCH = datetime.fromtimestamp(0, UTC)
SAID = st.datetimes(timezones=st.just(UTC)) | st.datetimes(
    EPOCH.replace(year=1969, tzinfo=None), EPOCH.replace(year=1971, tzinfo=None), timezones=st.just(UTC)
)


@given(said=SAID)
@example(said=EPOCH)
@example(said=EPOCH.replace(microsecond=1))
@example(said=EPOCH.replace(microsecond=500_000))
@example(said=EPOCH.replace(year=1969, microsecond=999_999))
@example(said=datetime.min.replace(tzinfo=UTC))
def test_it_is_shown_as_the_moment_and_the_next_one_is_not(said: datetime) -> None:
    last = last_shown_as(said.timestamp())

    assert shown(last) == shown(said.timestamp())
    assert shown(math.nextafter(last, math.inf)) > shown(said.timestamp())


@pytest.mark.parametrize("said", [datetime.max.replace(tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_the_last_days_that_can_be_said_have_one_too(said: datetime) -> None:
    assert last_shown_as(said.timestamp()) >= said.timestamp()


def shown(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)

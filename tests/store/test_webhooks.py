"""Webhooks and what is owed to them: in order, by one sender at a time, and none left out."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from store.deliveries import Deliveries, Delivery, Full
from store.engine import for_writing
from store.errors import ModelNotFound, WebhookNotFound, WebhooksTooMany
from store.events import Events, tell
from store.history import History
from store.kinds import EventKind
from store.ledger import Ledger
from store.webhooks import PREFIX, WEBHOOKS_MAX, NewWebhook, Webhooks
from tests.conftest import FakeClock
from tests.store.given import a_model

LEASE_SECONDS = 60.0
URL = "https://hooks.example.com/posterity"


@pytest.fixture
def webhooks(engine: Engine, ledger: Ledger, clock: FakeClock) -> Webhooks:
    a_model(ledger)
    return Webhooks(engine, clock=clock)


@pytest.fixture
def deliveries(engine: Engine, clock: FakeClock) -> Deliveries:
    return Deliveries(engine, lease_seconds=LEASE_SECONDS, clock=clock)


def happen(engine: Engine, *kinds: EventKind, model: str = "digits") -> list[int]:
    numbers = []
    for kind in kinds:
        with for_writing(engine).begin() as connection:
            tell(connection, History(engine).model(model).id, kind, {"version": 1}, at=1.0)
        numbers.append(Events(engine).newest(model))
    return numbers


def a_webhook(webhooks: Webhooks, *kinds: EventKind) -> NewWebhook:
    return webhooks.create("digits", URL, kinds=kinds or None, created_by="operator")


def claimed(deliveries: Deliveries) -> Delivery:
    delivery = deliveries.claim()
    assert delivery is not None
    return delivery


def told(deliveries: Deliveries, delivery: Delivery) -> list[int]:
    """The numbers of all that is sent now, each of which is taken."""
    numbers = []
    while (event := deliveries.next(delivery)) is not None:
        numbers.append(event.number)
        assert deliveries.took(delivery, event.number)
    return numbers


def test_a_webhook_is_told_what_happens_after_it_was_made(
    engine: Engine, webhooks: Webhooks, deliveries: Deliveries
) -> None:
    happen(engine, EventKind.ACCEPTED)
    made = a_webhook(webhooks)
    assert deliveries.claim() is None

    numbers = happen(engine, EventKind.CLOSED, EventKind.STARTED)

    assert told(deliveries, claimed(deliveries)) == numbers
    assert webhooks.find("digits", made.row.number).delivered == numbers[-1]
    assert deliveries.claim() is None


def test_the_secret_is_shown_once_and_has_256_bits(webhooks: Webhooks) -> None:
    made = a_webhook(webhooks)

    assert made.secret.startswith(PREFIX)
    assert len(base64.b64decode(made.secret.removeprefix(PREFIX), validate=True)) == 32
    assert made.secret not in repr(made)
    assert made.secret not in repr(webhooks.find("digits", made.row.number))
    assert made.secret != a_webhook(webhooks).secret


def test_only_the_kinds_asked_for_are_sent_and_others_count_as_delivered(
    engine: Engine, webhooks: Webhooks, deliveries: Deliveries
) -> None:
    made = a_webhook(webhooks, EventKind.MOVED, EventKind.FAILED)
    numbers = happen(engine, EventKind.ACCEPTED, EventKind.MOVED, EventKind.ACCEPTED, EventKind.FAILED)
    [last] = happen(engine, EventKind.CLOSED)

    assert told(deliveries, claimed(deliveries)) == [numbers[1], numbers[3]]
    row = webhooks.find("digits", made.row.number)
    assert (row.delivered, row.newest, row.kinds) == (last, last, (EventKind.FAILED, EventKind.MOVED))


def test_one_sender_at_a_time_until_its_lease_runs_out(
    engine: Engine, webhooks: Webhooks, deliveries: Deliveries, clock: FakeClock
) -> None:
    a_webhook(webhooks)
    first, second = happen(engine, EventKind.CLOSED, EventKind.STARTED)
    died = claimed(deliveries)
    assert deliveries.next(died) is not None
    assert deliveries.claim() is None

    clock.pass_by(LEASE_SECONDS)
    later = claimed(deliveries)

    assert not deliveries.took(died, first)
    assert not deliveries.failed(died, "late", pause_seconds=9.0)
    assert not deliveries.gone(died)
    assert not deliveries.release(died)
    assert deliveries.next(died) is None
    assert told(deliveries, later) == [first, second]


def test_a_sender_that_sends_keeps_its_lease(
    engine: Engine, webhooks: Webhooks, deliveries: Deliveries, clock: FakeClock
) -> None:
    a_webhook(webhooks)
    numbers = happen(engine, *[EventKind.ACCEPTED] * 4)
    delivery = claimed(deliveries)

    for number in numbers:
        clock.pass_by(LEASE_SECONDS - 1)
        assert deliveries.claim() is None
        assert deliveries.took(delivery, number)


def test_what_failed_is_sent_again_after_the_pause_and_what_came_meanwhile_waits_behind_it(
    engine: Engine, webhooks: Webhooks, deliveries: Deliveries, clock: FakeClock
) -> None:
    number = a_webhook(webhooks).row.number
    first = happen(engine, EventKind.CLOSED)
    for failures in (1, 2):
        assert deliveries.failed(claimed(deliveries), "answered 500", pause_seconds=30.0)
        row = webhooks.find("digits", number)
        assert (row.failures, row.last_error, row.not_before) == (failures, "answered 500", clock.seconds + 30.0)
        assert deliveries.claim() is None
        clock.pass_by(30.0)
    second = happen(engine, EventKind.STARTED)

    again = claimed(deliveries)
    assert again.failures == 2
    assert told(deliveries, again) == first + second
    row = webhooks.find("digits", number)
    assert (row.failures, row.last_error, row.not_before, row.delivered_at) == (0, None, None, clock.seconds)


def test_who_waited_longest_is_sent_to_first_and_one_that_fails_is_in_nobodys_way(
    engine: Engine, webhooks: Webhooks, deliveries: Deliveries, clock: FakeClock
) -> None:
    one, other = (a_webhook(webhooks).row.number for _ in range(2))
    happen(engine, EventKind.CLOSED)
    failing = claimed(deliveries)
    assert failing.webhook == one
    deliveries.failed(failing, "no answer", pause_seconds=5.0)

    well = claimed(deliveries)

    assert well.webhook == other
    assert told(deliveries, well) == [webhooks.find("digits", other).newest]
    clock.pass_by(5.0)
    assert claimed(deliveries).webhook == one


def test_what_others_are_owed_is_found_behind_all_of_a_model_that_is_full(
    engine: Engine, ledger: Ledger, webhooks: Webhooks, deliveries: Deliveries
) -> None:
    for _ in range(WEBHOOKS_MAX):
        a_webhook(webhooks)
    happen(engine, EventKind.CLOSED)
    full = claimed(deliveries)
    a_model(ledger, "faces")
    webhooks.create("faces", URL, kinds=None, created_by="operator")
    happen(engine, EventKind.CLOSED, model="faces")

    found = deliveries.claim(but=Full(models=frozenset({full.model_id})))

    assert found is not None
    assert (full.model, found.model) == ("digits", "faces")
    assert deliveries.claim(but=Full(models=frozenset({full.model_id, found.model_id}))) is None


def test_those_that_failed_wait_where_only_others_have_a_place(
    engine: Engine, webhooks: Webhooks, deliveries: Deliveries, clock: FakeClock
) -> None:
    failing, well = (a_webhook(webhooks).row.number for _ in range(2))
    happen(engine, EventKind.CLOSED)
    first = claimed(deliveries)
    deliveries.failed(first, "no answer", pause_seconds=5.0)
    clock.pass_by(5.0)

    for full in (Full(failing=frozenset({first.model_id})), Full(is_failing=True)):
        found = deliveries.claim(but=full)
        assert found is not None
        assert found.webhook == well
        assert deliveries.claim(but=full) is None
        deliveries.release(found)
    assert claimed(deliveries).webhook == failing


def test_a_model_that_has_as_many_webhooks_as_it_may_is_given_no_more(webhooks: Webhooks) -> None:
    for _ in range(WEBHOOKS_MAX):
        a_webhook(webhooks)

    with pytest.raises(WebhooksTooMany):
        a_webhook(webhooks)

    webhooks.remove("digits", 7)
    assert a_webhook(webhooks).row.number == WEBHOOKS_MAX + 1


def test_a_removed_webhook_is_told_nothing_and_its_secret_is_gone(
    engine: Engine, webhooks: Webhooks, deliveries: Deliveries
) -> None:
    made = a_webhook(webhooks)
    [number] = happen(engine, EventKind.CLOSED)
    sending = claimed(deliveries)

    webhooks.remove("digits", made.row.number)

    assert not deliveries.took(sending, number)
    assert deliveries.claim() is None
    assert webhooks.list("digits") == []
    with pytest.raises(WebhookNotFound):
        webhooks.remove("digits", made.row.number)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT secret FROM webhooks").scalar_one() == ""
    assert a_webhook(webhooks).row.number == made.row.number + 1


def test_a_receiver_that_is_gone_removes_its_webhook(
    engine: Engine, webhooks: Webhooks, deliveries: Deliveries
) -> None:
    number = a_webhook(webhooks).row.number
    happen(engine, EventKind.CLOSED)

    assert deliveries.gone(claimed(deliveries))

    assert deliveries.claim() is None
    with pytest.raises(WebhookNotFound):
        webhooks.find("digits", number)


def test_a_right_that_nobody_has_changes_nothing(engine: Engine, webhooks: Webhooks, deliveries: Deliveries) -> None:
    number = a_webhook(webhooks).row.number
    [event] = happen(engine, EventKind.CLOSED)
    forged = replace(claimed(deliveries), owner="somebody else")

    assert not deliveries.took(forged, event)
    assert webhooks.find("digits", number).delivered == event - 1


def test_a_released_webhook_is_anybodys_at_once(engine: Engine, webhooks: Webhooks, deliveries: Deliveries) -> None:
    a_webhook(webhooks)
    happen(engine, EventKind.CLOSED)

    assert deliveries.release(claimed(deliveries))

    assert deliveries.claim() is not None


def test_webhooks_are_of_a_model(webhooks: Webhooks) -> None:
    with pytest.raises(ModelNotFound):
        webhooks.create("nobody", URL, kinds=None, created_by="operator")
    with pytest.raises(ModelNotFound):
        webhooks.list("nobody")
    with pytest.raises(WebhookNotFound):
        webhooks.find("digits", 7)

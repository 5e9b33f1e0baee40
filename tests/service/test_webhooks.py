"""Webhooks against a receiver on a real socket that fails, hangs, dies and comes back."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from service import delivering, places
from service.delivering import RETRY_SECONDS, RETRY_SECONDS_MAX, Delivering
from service.places import OF_ONE_MODEL
from service.receivers import Receivers
from service.signing import signature
from store.deliveries import Deliveries
from store.settings import Settings
from tests.postgres import PostgresServer
from tests.service.expected import expect_problem
from tests.service.listening import eventually, happen
from tests.service.live import Json, Live, running
from tests.service.receiving import Deed, Receiver, receiver

SENDER = """
import sys
from service.delivering import Delivering
from service.receivers import Receivers
from store.deliveries import Deliveries
from store.engine import connect
from store.settings import Settings

sender = Delivering(Deliveries(connect(sys.argv[1]), lease_seconds=2.0), Receivers(Settings()))
sender.start()
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LOOK_SECONDS": 0.05, "RETRY_SECONDS": 0.2, "ANSWER_SECONDS": 1.0}.items():
        monkeypatch.setattr(delivering, name, value)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Live]:
    with running(tmp_path) as live:
        yield live


def a_webhook(live: Live, model: str, to: Receiver, **more: object) -> Json:
    answer = live.client.post(f"{model}/webhooks", json={"url": to.url, **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{model}/webhooks/{answer.json()['webhook']}"
    return dict(answer.json())


def shown(live: Live, model: str, webhook: Json) -> Json:
    return dict(live.client.get(f"{model}/webhooks/{webhook['webhook']}").json())


def errors(live: Live, model: str) -> list[str | None]:
    """Why the receivers of the model's webhooks failed last."""
    return [shown["last_error"] for shown in live.client.get(f"{model}/webhooks?limit=100").json()["webhooks"]]


def test_the_signature_is_that_of_the_specifications_own_example() -> None:
    made = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        b'{"test": 2432232314}',
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp="1614265330",
    )

    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_sent_is_signed_by_the_secret_that_was_shown_once(own: Live) -> None:
    model = own.create()
    with receiver() as to:
        webhook = a_webhook(own, model, to)
        [number] = happen(own.house.engine, model, 1)
        eventually(lambda: to.took)

    [(headers, body)] = to.got
    told = json.loads(body)
    facts = {"model": model.rpartition("/")[2], "number": number, "kind": "published", "version": 0}
    assert told == {"type": "published", "timestamp": told["data"]["at"], "data": facts | {"at": told["data"]["at"]}}
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    named = {"message_id": headers["webhook-id"], "timestamp": headers["webhook-timestamp"]}
    assert headers["webhook-signature"] == signature(webhook["secret"], body, **named)
    assert "secret" not in shown(own, model, webhook)
    assert "secret" not in own.client.get(f"{model}/webhooks").json()["webhooks"][0]


def test_a_receiver_that_fails_in_every_way_gets_everything_once_in_order_and_its_failures_are_seen(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = own.create()
    with receiver(500, "hang", "die", "drip", "redirect", 429, 200, 503, 200) as to:
        webhook = a_webhook(own, model, to)
        monkeypatch.setattr(delivering, "RETRY_SECONDS", 0.05)
        numbers = happen(own.house.engine, model, 4)
        eventually(lambda: shown(own, model, webhook)["last_error"] == "answered 500")
        assert shown(own, model, webhook)["pending"] == 4
        eventually(lambda: shown(own, model, webhook)["failures"] >= 3)
        eventually(lambda: to.took == numbers)
        eventually(lambda: shown(own, model, webhook)["pending"] == 0)

    assert to.numbers() == [numbers[0]] * 7 + [numbers[1]] * 2 + numbers[2:]
    assert len(set(to.ids())) == 4
    assert len({headers["webhook-signature"] for headers, _ in to.got}) >= 4
    after = shown(own, model, webhook)
    assert (after["failures"], after["last_error"], after["next_attempt_at"]) == (0, None, None)


def test_a_receiver_that_dies_and_comes_back_gets_what_it_missed(own: Live) -> None:
    model = own.create()
    with receiver() as to:
        webhook = a_webhook(own, model, to)
        first = happen(own.house.engine, model, 2)
        eventually(lambda: to.took == first)
        port = to.port
    missed = happen(own.house.engine, model, 2)
    eventually(lambda: shown(own, model, webhook)["last_error"] == "no answer: ConnectError")

    with receiver(port=port) as back:
        eventually(lambda: back.took == missed)


def test_an_answer_without_an_end_is_not_read(own: Live) -> None:
    model = own.create()
    with receiver("flood", "flood") as to:
        a_webhook(own, model, to)
        numbers = happen(own.house.engine, model, 3)
        eventually(lambda: to.took == numbers)

    assert to.numbers() == numbers


def test_a_receiver_that_hangs_delays_nobody_else(own: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "ANSWER_SECONDS", 20.0)
    model = own.create()
    with receiver("hang") as hanging, receiver() as well:
        a_webhook(own, model, hanging)
        a_webhook(own, model, well)
        numbers = happen(own.house.engine, model, 5)
        eventually(lambda: well.took == numbers)

        assert hanging.took == []
        began = time.monotonic()
        own.house.delivering.close()
        assert time.monotonic() - began < delivering.STOP_SECONDS + 3.0


@contextmanager
def names_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names below never.test that are looked up, which takes until the block ends."""
    asked, is_over, look_up = list[str](), threading.Event(), socket.getaddrinfo

    def hang(host: Any, *more: Any, **named: Any) -> Any:  # noqa: ANN401 - the library's own
        name = host.decode() if isinstance(host, bytes) else str(host)
        if not name.endswith(".never.test"):
            return look_up(host, *more, **named)
        asked.append(name)
        is_over.wait(60.0)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        yield asked
    finally:
        is_over.set()


def test_forty_receivers_that_hang_delay_only_their_own_models_webhooks(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "ANSWER_SECONDS", 60.0)
    model, other = own.create(), own.create()
    script: list[Deed] = ["hang"] * 40
    with receiver(*script) as hanging, receiver() as well:
        for _ in range(40):
            a_webhook(own, model, hanging)
        happen(own.house.engine, model, 1)
        eventually(lambda: len(hanging.got) >= OF_ONE_MODEL)

        a_webhook(own, other, well)
        numbers = happen(own.house.engine, other, 3)
        eventually(lambda: well.took == numbers)

        assert hanging.took == []
        assert len(hanging.got) == OF_ONE_MODEL
        own.house.delivering.close()


def test_names_that_are_looked_up_for_ever_delay_nobody_and_hold_no_more_than_their_models_places(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, other = own.create(), own.create()
    with names_without_an_answer(monkeypatch) as asked, receiver() as well:
        for index in range(40):
            body = {"url": f"http://h{index}.never.test/"}
            assert own.client.post(f"{model}/webhooks", json=body).status_code == 201
        happen(own.house.engine, model, 1)
        eventually(lambda: len(asked) == OF_ONE_MODEL)
        eventually(lambda: errors(own, model).count("no answer within 1 s") == OF_ONE_MODEL)

        named = well.url.replace("127.0.0.1", "localhost")
        assert own.client.post(f"{other}/webhooks", json={"url": named}).status_code == 201
        numbers = happen(own.house.engine, other, 3)
        eventually(lambda: well.took == numbers)

        # The deliveries are given up, and what looks their names up is not over.
        assert len(asked) == OF_ONE_MODEL
        began = time.monotonic()
        own.house.delivering.close()
        assert time.monotonic() - began < delivering.STOP_SECONDS + 3.0


def test_receivers_that_fail_leave_places_to_the_others_of_their_model(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "ANSWER_SECONDS", 60.0)
    model = own.create()
    with receiver(*[500] * 1000) as failing, receiver() as well:
        for _ in range(8):
            a_webhook(own, model, failing)
        happen(own.house.engine, model, 1)
        eventually(lambda: errors(own, model).count("answered 500") == 8)
        # All have failed before the first of them hangs.
        with failing.lock:
            failing.script[:] = ["hang"] * 8
        eventually(lambda: len(failing.script) == 8 - OF_ONE_MODEL // 2)

        a_webhook(own, model, well)
        numbers = happen(own.house.engine, model, 3)
        eventually(lambda: well.took == numbers)

        assert len(failing.script) == 8 - OF_ONE_MODEL // 2
        own.house.delivering.close()


def test_a_webhook_that_is_owed_much_has_its_turn_and_then_another(own: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "OF_ONE_MODEL", 1)
    monkeypatch.setattr(delivering, "TURN_SECONDS", 0.0)
    model = own.create()
    with receiver() as to:
        for _ in range(2):
            a_webhook(own, model, to)
        numbers = happen(own.house.engine, model, 10)
        eventually(lambda: sorted(to.took) == sorted(numbers * 2))

    told = [named.split("_")[2] for named in to.ids()]
    assert told.index("2") < 19 - told[::-1].index("1")
    assert told.index("1") < 19 - told[::-1].index("2")


def test_a_receiver_that_says_gone_is_told_nothing_any_more(own: Live) -> None:
    model = own.create()
    with receiver(410) as to:
        webhook = a_webhook(own, model, to)
        happen(own.house.engine, model, 2)
        eventually(lambda: own.client.get(f"{model}/webhooks").json()["webhooks"] == [])
        happen(own.house.engine, model, 2)
        time.sleep(0.5)

    assert len(to.got) == 1
    expect_problem(own.client.get(f"{model}/webhooks/{webhook['webhook']}"), "webhook-not-found")


def test_only_the_kinds_asked_for_are_sent(own: Live) -> None:
    model = own.create()
    with receiver() as to:
        webhook = a_webhook(own, model, to, kinds=["moved"])
        [last] = happen(own.house.engine, model, 1)
        eventually(lambda: shown(own, model, webhook)["delivered"] == last)

    assert to.got == []


def test_a_removed_webhook_is_not_there_any_more(own: Live) -> None:
    model = own.create()
    with receiver() as to:
        webhook = a_webhook(own, model, to)
        path = f"{model}/webhooks/{webhook['webhook']}"
        assert own.client.delete(path).status_code == 204
        happen(own.house.engine, model, 1)

        expect_problem(own.client.delete(path), "webhook-not-found")
        expect_problem(own.client.get(path), "webhook-not-found")
        time.sleep(0.5)
    assert to.got == []


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "https:///path",
        "http://user:secret@example.com/",
        "http://example.com/#part",
        "http://[::1",
        "http://a:x/",
        "http://xn--aaa",
        "http://XN--A-.example.com/",
        f"http://xn--{'a' * 1900}",
        f"http://{'xn--a.' * 300}",
    ],
)
def test_an_address_that_cannot_be_sent_to_is_refused(live: Live, model: str, url: str) -> None:
    answer = live.client.post(f"{model}/webhooks", json={"url": url})

    assert answer.json()["code"] in {"webhook-unusable", "body-invalid"}
    assert live.client.get(f"{model}/webhooks").json()["webhooks"] == []


@pytest.mark.parametrize(
    "body", [{}, {"url": "ftp://a/"}, {"url": "http://a/", "kinds": []}, {"url": "http://a/", "kinds": ["progress"]}]
)
def test_a_body_that_makes_no_webhook_is_refused(live: Live, model: str, body: Json) -> None:
    expect_problem(live.client.post(f"{model}/webhooks", json=body), "body-invalid")


def test_hosts_that_the_setting_does_not_allow_are_refused_and_not_sent_to_either(tmp_path: Path) -> None:
    with receiver() as to:
        with running(tmp_path) as live:
            model = live.create()
            webhook = a_webhook(live, model, to)
        with running(tmp_path, webhook_hosts="hooks.example.com, *.internal") as live:
            expect_problem(live.client.post(f"{model}/webhooks", json={"url": to.url}), "webhook-unusable")
            for host in ("hooks.example.com", "a.b.internal", "HOOKS.example.com:8443"):
                assert live.client.post(f"{model}/webhooks", json={"url": f"https://{host}/"}).status_code == 201
            happen(live.house.engine, model, 1)
            eventually(lambda: "POSTERITY_WEBHOOK_HOSTS" in str(shown(live, model, webhook)["last_error"]))
    assert to.got == []


def test_two_services_on_one_ledger_send_each_event_once(
    tmp_path: Path, postgres: PostgresServer, migrated: str
) -> None:
    url = postgres.create_database(template=migrated)
    with (
        receiver() as to,
        running(tmp_path / "a", database_url=url) as one,
        running(tmp_path / "b", database_url=url) as other,
    ):
        model = one.create()
        a_webhook(one, model, to)
        numbers = []
        for live in (one, other) * 5:
            numbers += happen(live.house.engine, model, 4)
            time.sleep(0.05)
        eventually(lambda: to.took == numbers)

    assert to.numbers() == numbers


def test_what_a_killed_sender_had_on_its_way_comes_again_from_another_and_nothing_else_does(
    own: Live, tmp_path: Path
) -> None:
    model = own.create()
    with receiver(200, "hang") as to:
        a_webhook(own, model, to)
        own.house.delivering.close()
        numbers = happen(own.house.engine, model, 4)
        with subprocess.Popen(
            [sys.executable, "-c", SENDER, own.house.settings.database], stdin=subprocess.PIPE
        ) as sender:
            try:
                eventually(lambda: len(to.got) == 2)
            finally:
                sender.send_signal(signal.SIGKILL)
        other = Delivering(Deliveries(own.house.engine, lease_seconds=2.0), Receivers(own.house.settings))
        other.start()
        try:
            eventually(lambda: to.took == numbers)
        finally:
            other.close()

    assert to.numbers() == [numbers[0], numbers[1], *numbers[1:]]
    assert len(set(to.ids())) == 4


def test_a_service_that_stops_leaves_its_webhooks_to_others_at_once(own: Live) -> None:
    model = own.create()
    with receiver("hang") as to:
        a_webhook(own, model, to)
        numbers = happen(own.house.engine, model, 2)
        eventually(lambda: to.got)
        own.house.delivering.close()
        other = Delivering(Deliveries(own.house.engine, lease_seconds=60.0), Receivers(own.house.settings))
        other.start()
        try:
            eventually(lambda: to.took == numbers)
        finally:
            other.close()


def test_after_an_outage_of_the_database_webhooks_are_told_what_happened(
    tmp_path: Path, postgres: PostgresServer, migrated: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = "webhooks are told nothing until the database answers"
    with receiver() as to, running(tmp_path, database_url=postgres.create_database(template=migrated)) as live:
        model = live.create()
        a_webhook(live, model, to)
        with postgres.away():
            eventually(lambda: said in caplog.text)
            time.sleep(0.3)
        numbers = happen(live.house.engine, model, 2)
        eventually(lambda: to.took == numbers)

    assert caplog.text.count(said) == 1


def test_the_log_says_neither_the_secret_nor_the_address(own: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "posterity")
    model = own.create()
    with receiver(500) as to:
        webhook = a_webhook(own, model, to)
        numbers = happen(own.house.engine, model, 1)
        eventually(lambda: to.took == numbers)

    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("posterity"))
    assert "webhook 1 of model" in ours
    assert "answered 500" in ours
    assert "t0ken" not in ours
    assert webhook["secret"] not in caplog.text


def test_pauses_double_up_to_hours_and_are_not_the_same_for_all() -> None:
    sender = Delivering(None, Receivers(Settings()), random=Random(0))  # type: ignore[arg-type]

    pauses = [sender.pause_seconds(failures) for failures in (0, 0, 3, 40, 10**6)]

    assert pauses[0] != pauses[1]
    for pause, plain in zip(pauses, [0.2, 0.2, 1.6, *[RETRY_SECONDS_MAX] * 2], strict=True):
        assert 0.8 * plain <= pause <= 1.2 * plain
    assert (RETRY_SECONDS, RETRY_SECONDS_MAX) == (5.0, 10_800.0)

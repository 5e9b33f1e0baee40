"""What every answer has, whoever gave it: an id, and what browsers have to be told; and which pages may ask at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.expected import expect_problem
from tests.service.live import INPUTS, ROWS, Live, running
from tests.service.wire import answer_in, head, line_to, rest_of

MADE = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def known(live: Live, model: str) -> str:
    """A model that the shortcuts know."""
    live.client.post(f"{model}/predictions", json=INPUTS).raise_for_status()
    return model


def everything(live: Live, model: str, **headers: str) -> Iterator[httpx.Response]:
    """Answers of shortcuts and routes, successes and problems."""
    client = live.client
    yield client.post(f"{model}/predictions", json=INPUTS, headers=headers)
    yield client.post(f"{model}/predictions?samples=2", json=INPUTS, headers=headers)
    yield client.post(f"{model}/predictions", json={"inputs": [[1]]}, headers=headers)
    yield client.post(f"{model}/batches", json=ROWS, headers={"Idempotency-Key": "k"} | headers)
    yield client.get(f"{model}/versions/0", headers=headers)
    yield client.get("/v1/models/nobody", headers=headers)
    yield client.patch(model, headers=headers)
    yield client.get("/docs", headers=headers)
    yield client.head("/livez", headers=headers)
    yield client.get(model, headers={"Host": "rebound.example"} | headers)


def test_every_answer_has_an_id_of_its_own(live: Live, known: str) -> None:
    ids = [answer.headers["X-Request-Id"] for answer in everything(live, known)]

    assert all(MADE.fullmatch(one) for one in ids)
    assert len(set(ids)) == len(ids)


def test_an_id_that_the_caller_gave_comes_back(live: Live, known: str) -> None:
    stated = "01HV/trace-7:a.b_c=+@"

    assert {one.headers["X-Request-Id"] for one in everything(live, known, **{"X-Request-Id": stated})} == {stated}


@pytest.mark.parametrize("stated", ["", "a b", "x" * 129, "caf\xe9", "a\tb", '"quoted"', "<script>"])
def test_an_id_that_could_do_harm_is_replaced(live: Live, known: str, stated: str) -> None:
    answer = live.client.post(f"{known}/predictions", json=INPUTS, headers={b"X-Request-Id": stated.encode("latin-1")})

    assert MADE.fullmatch(answer.headers["X-Request-Id"])


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET /livez HTTP/1.1\r\nX: " + b"x" * 70_000])
def test_answers_to_what_is_no_request_have_an_id_too(live: Live, sent: bytes) -> None:
    with line_to(live) as line:
        line.sendall(sent)
        answer = answer_in(rest_of(line))

    assert MADE.fullmatch(answer.headers["X-Request-Id"])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_no_answer_is_to_be_taken_for_what_it_is_not(live: Live, known: str) -> None:
    assert {one.headers["X-Content-Type-Options"] for one in everything(live, known)} == {"nosniff"}


def test_answers_that_can_be_asked_for_again_are_kept_only_where_they_can_be_compared(live: Live, known: str) -> None:
    plain = live.client.get(known)
    tagged = live.client.get(f"{known}/predictions", params={"inputs": "[[1, 2]]"})
    alias = live.client.get(f"{known}/aliases/head")

    assert plain.headers["Cache-Control"] == "no-store"
    assert (tagged.headers["Cache-Control"], "ETag" in tagged.headers) == ("no-cache", True)
    assert "ETag" in alias.headers
    assert "Cache-Control" not in alias.headers


def test_the_documentation_may_load_what_it_needs_and_be_in_no_frame(live: Live) -> None:
    answer = live.client.get("/docs")

    policy = answer.headers["Content-Security-Policy"]
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert allowed["default-src"] == "'none'"
    assert allowed["frame-ancestors"] == "'none'"
    assert allowed["script-src"] == "'self'"
    assert loaded
    assert {live.client.get(one).status_code for one in loaded if one.startswith("/console/assets/")} == {200}
    assert all(one.startswith("/console/assets/") for one in loaded)
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "text/html" not in live.client.get("/openapi.json").headers["Content-Type"]
    assert "/redoc" not in answer.text
    assert live.client.get("/redoc").status_code == 404


@pytest.mark.parametrize(
    "origin", ["https://page.example", "null", "http://localhost:1", "http://127.0.0.1.evil.example"]
)
def test_a_page_of_another_origin_is_refused_and_never_invited(live: Live, known: str, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answers = [
        live.client.options(f"{known}/updates", headers=asked),
        live.client.post(f"{known}/updates", headers={"Origin": origin, "Content-Type": "text/plain"}),
        live.client.post(f"{known}/predictions", json=INPUTS, headers={"Origin": origin}),
        live.client.get(known, headers={"Origin": origin}),
    ]

    for answer in answers:
        expect_problem(answer, "origin-foreign")
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert live.client.get(f"{known}/updates").json()["updates"] == []


def test_a_page_of_the_service_itself_may_call_it(live: Live, known: str) -> None:
    own = str(live.client.base_url).rstrip("/")

    answer = live.client.post(f"{known}/predictions", json=INPUTS, headers={"Origin": own})

    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        *(
            ("localhost", True),
            ("LOCALHOST:8000", True),
            ("127.0.0.1:1", True),
            ("127.8.0.9", True),
            ("[::1]:80", True),
        ),
        *(("rebound.example", False), ("127.0.0.1.evil.example", False), ("10.0.0.1", False), ("localhost.", False)),
        *(("", False), ("[::1].evil.example", False), ("evil.example:localhost", False)),
    ],
)
def test_on_loopback_only_names_of_this_machine_are_answered(live: Live, host: str, *, is_ours: bool) -> None:
    for _ in range(2):  # What was found right once is remembered.
        answer = live.client.get("/livez", headers={"Host": host})
        if is_ours:
            assert answer.status_code == 200
        else:
            expect_problem(answer, "host-unknown")


def test_a_request_of_http_1_0_need_not_name_a_host(live: Live) -> None:
    with line_to(live) as line:
        line.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert rest_of(line).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((), "names no Host"),
        (("Host: evil.example", "Host: localhost"), "names Host more than once"),
        (("Host: localhost", "Host: localhost"), "names Host more than once"),
        (("Host: localhost", "HOST: localhost", "X-Request-Id: 7"), "names Host more than once"),
        (("Host: localhost", "Origin: http://a.example", "Origin: http://localhost"), "names Origin more than once"),
    ],
)
@pytest.mark.parametrize("path", ["/livez", "/v1/models"])
def test_a_request_that_names_not_one_host_or_two_origins_is_none(
    live: Live, headers: tuple[str, ...], reason: str, path: str
) -> None:
    with line_to(live) as line:
        line.sendall("\r\n".join([f"GET {path} HTTP/1.1", *headers, "", ""]).encode())
        answer = answer_in(rest_of(line), path)

    assert reason in expect_problem(answer, "request-invalid")["detail"]
    assert answer.headers["Connection"] == "close"


def test_even_a_request_of_http_1_0_names_no_more_than_one_host(live: Live) -> None:
    with line_to(live) as line:
        line.sendall(b"GET /livez HTTP/1.0\r\nHost: evil.example\r\nHost: localhost\r\n\r\n")
        assert rest_of(line).startswith(b"HTTP/1.1 400 ")


def test_a_request_id_that_is_stated_twice_harms_nobody(live: Live) -> None:
    with line_to(live) as line:
        line.sendall(head("GET", "/livez", "X-Request-Id: 1", "X-Request-Id: 2", "Connection: close"))
        assert answer_in(rest_of(line)).headers["X-Request-Id"] == "2"


def test_names_that_are_stated_may_be_asked_and_their_pages_may_call(tmp_path: Path) -> None:
    with running(tmp_path, hosts="posterity.example, other.example") as named:
        for host in ("posterity.example", "Other.Example:443", "localhost"):
            assert named.client.get("/livez", headers={"Host": host}).status_code == 200
        headers = {"Host": "127.0.0.1", "Origin": "https://posterity.example"}
        assert named.client.get("/livez", headers=headers).status_code == 200
        expect_problem(named.client.get("/livez", headers={"Host": "third.example"}), "host-unknown")


def test_what_traces_a_request_does_not_keep_it_from_the_short_way(live: Live, known: str) -> None:
    traced = {"X-Request-Id": "mine", "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "tracestate": "v=1"}
    answer = live.client.post(f"{known}/predictions", json=INPUTS, headers=traced)

    # What FastAPI's route answers has its length before its type; the shortcut says no more than these.
    assert list(answer.headers) == ["date", "content-length", "content-type", "x-request-id", "x-content-type-options"]
    assert answer.status_code == 200


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", '"iso-8859-1"'])
@pytest.mark.parametrize("path", ["/predictions", "/batches", "/rollback"])
def test_json_in_another_charset_than_utf_8_is_refused(live: Live, known: str, path: str, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}", "Idempotency-Key": "k"}

    expect_problem(live.client.post(known + path, content=b"{}", headers=headers), "media-type-unsupported")


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"'])
def test_json_that_says_it_is_utf_8_is_taken(live: Live, known: str, charset: str) -> None:
    headers = {"Content-Type": f"application/json;charset={charset}"}

    assert live.client.post(f"{known}/predictions", json=INPUTS, headers=headers).status_code == 200


def test_a_fault_of_the_service_does_not_end_the_connection(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(live.house.history, "models", fail)
    with line_to(live) as line:
        line.sendall(head("GET", "/v1/models"))
        first = line.recv(65536)
        line.sendall(head("GET", "/livez"))
        second = line.recv(65536)

    assert first.startswith(b"HTTP/1.1 500 ")
    assert b"x-request-id" in first
    assert second.startswith(b"HTTP/1.1 200 ")

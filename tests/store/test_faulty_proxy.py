"""The proxy of the fault tests does what it is told, byte for byte, and nothing else."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.faulty_proxy import FaultyProxy, To

DATA = os.urandom(200_000)


class Echo:
    """A server that sends back what it gets, and keeps it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.got = bytearray()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=self.listener.accept()[:1], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(2**16):
                self.got += data
                connection.sendall(data)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultyProxy]:
    with FaultyProxy("127.0.0.1", echo.port) as proxy:
        yield proxy


def connected(proxy: FaultyProxy, seconds: float = 10.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=seconds)


def received(client: socket.socket, count: int) -> bytes:
    """So many bytes, or what came until the connection was cut."""
    found = bytearray()
    with suppress(ConnectionError):
        while len(found) < count and (data := client.recv(count - len(found))):
            found += data
    return bytes(found)


def sent_and_received(client: socket.socket, data: bytes = DATA) -> bytes:
    """What comes back of the data."""
    sending = threading.Thread(target=_send, args=(client, data))
    sending.start()
    found = received(client, len(data))
    sending.join()
    return found


def _send(client: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        client.sendall(data)


def test_everything_passes_where_nothing_was_told(proxy: FaultyProxy) -> None:
    with connected(proxy) as client:
        assert sent_and_received(client) == DATA
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""

    assert proxy.faults_done == 0


@pytest.mark.parametrize("after", [0, 1, 65_536, 100_000])
def test_a_connection_is_cut_after_so_many_bytes_and_the_next_one_is_not(
    proxy: FaultyProxy, echo: Echo, after: int
) -> None:
    proxy.cut(To.CLIENT, after_bytes=after)

    with connected(proxy) as client:
        assert sent_and_received(client) == DATA[:after]
    with connected(proxy) as client:
        assert sent_and_received(client) == DATA

    assert proxy.faults_done == 1


def test_bytes_are_counted_from_the_command_on(proxy: FaultyProxy) -> None:
    with connected(proxy) as client:
        assert sent_and_received(client) == DATA
        proxy.cut(To.SERVER, after_bytes=3)
        assert sent_and_received(client, b"abcdef") == b""
    proxy.wait_for_faults(1)


def test_an_answer_that_is_swallowed_was_given_and_its_connection_stays_silent(proxy: FaultyProxy, echo: Echo) -> None:
    proxy.swallow(To.CLIENT)

    with connected(proxy, seconds=0.2) as client:
        client.sendall(b"question")
        proxy.wait_for_faults(1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert echo.got == b"question"
        proxy.heal()
        assert received(client, 1) == b""


def test_what_is_held_arrives_when_it_is_healed(proxy: FaultyProxy, echo: Echo) -> None:
    proxy.hold(To.SERVER)
    with connected(proxy, seconds=0.2) as client:
        client.sendall(b"question")
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert echo.got == b""

        proxy.heal()
        client.settimeout(10.0)
        assert received(client, 8) == b"question"


@pytest.mark.parametrize(("after", "times"), [(0, 1), (70_000, 1), (50_000, 3), (10, 2)])
def test_bits_are_flipped_where_they_are_told_to_be(proxy: FaultyProxy, after: int, times: int) -> None:
    expected = bytearray(DATA)
    for number in range(times):
        expected[after + number * (after + 1)] ^= 1
    proxy.flip(To.CLIENT, after_bytes=after, times=times)

    with connected(proxy) as client:
        assert sent_and_received(client) == expected
        assert sent_and_received(client) == DATA

    assert proxy.faults_done == times


def test_whoever_is_refused_is_cut_at_once_until_it_is_healed(proxy: FaultyProxy) -> None:
    with connected(proxy) as before:
        assert sent_and_received(before, b"question") == b"question"
        proxy.refuse()
        assert received(before, 1) == b""
        with connected(proxy) as client:
            assert received(client, 1) == b""

        proxy.heal()
        with connected(proxy) as client:
            assert sent_and_received(client) == DATA


def test_what_is_delayed_arrives_later(proxy: FaultyProxy) -> None:
    proxy.delay(0.2, To.CLIENT)
    began = time.monotonic()

    with connected(proxy) as client:
        assert sent_and_received(client, b"question") == b"question"

    assert time.monotonic() - began >= 0.2


def test_it_ends_also_while_it_holds_and_delays(echo: Echo) -> None:
    with FaultyProxy("127.0.0.1", echo.port) as proxy:
        proxy.hold()
        proxy.delay(60.0, To.SERVER)
        client = connected(proxy)
        client.sendall(b"question")

    with client:
        assert received(client, 1) == b""

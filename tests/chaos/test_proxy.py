from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.proxy import Proxy
from tests.waiting import wait_until

PATIENCE = 10.0
MOMENT = 0.3
"""Seconds in which something that should not come would have come."""


class Echo:
    """Answers what it is sent; closes when the other side does. ``heard``: all that came."""

    def __init__(self) -> None:
        self.heard = b""
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while piece := connection.recv(1000):
                    self.heard += piece
                    connection.sendall(piece)
            except OSError:
                pass  # cut, as the tests do

    def close(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy() as made:
        made.target = echo.port
        yield made


@contextmanager
def connected(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as connection:
        connection.sendall(b"hello")
        assert connection.recv(1000) == b"hello"
        yield connection


def test_what_is_said_passes_in_both_directions_and_so_does_the_end(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        assert proxy.connections == 1
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""
    wait_until(lambda: proxy.connections == 0)


def test_a_reset_ends_all_connections_and_new_ones_are_taken(proxy: Proxy) -> None:
    with connected(proxy) as one, connected(proxy) as two:
        proxy.reset()
        for each in (one, two):
            with pytest.raises(ConnectionResetError):
                each.recv(1000)
    with connected(proxy):
        assert proxy.connections == 1


def test_while_it_stalls_nothing_passes_and_then_everything(proxy: Proxy, echo: Echo) -> None:
    with connected(proxy) as connection:
        proxy.stall()
        connection.sendall(b"late")
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as new:
            new.sendall(b"new")
            for each in (connection, new):
                each.settimeout(MOMENT)
                with pytest.raises(TimeoutError):
                    each.recv(1000)
                each.settimeout(PATIENCE)
            assert echo.heard == b"hello"
            proxy.flow()
            assert connection.recv(1000) == b"late"
            assert new.recv(1000) == b"new"


def test_after_a_blackhole_the_connections_that_waited_are_reset(proxy: Proxy, echo: Echo) -> None:
    with connected(proxy) as connection:
        proxy.stall()
        connection.sendall(b"gone")
        proxy.flow(after_reset=True)
        with pytest.raises(ConnectionResetError):
            connection.recv(1000)
    with connected(proxy):
        assert b"gone" not in echo.heard


def test_when_it_is_slow_every_piece_comes_late(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        proxy.delay(MOMENT / 2)
        connection.sendall(b"slow")
        connection.settimeout(MOMENT * 0.9)
        with pytest.raises(TimeoutError):  # once there, once back
            connection.recv(1000)
        connection.settimeout(PATIENCE)
        assert connection.recv(1000) == b"slow"


def test_after_a_half_close_the_client_hears_the_end_and_the_server_still_hears_the_client(
    proxy: Proxy, echo: Echo
) -> None:
    with connected(proxy) as connection:
        proxy.half_close()
        assert connection.recv(1000) == b""
        connection.sendall(b"still there")
        wait_until(lambda: b"still there" in echo.heard, PATIENCE)
    wait_until(lambda: proxy.connections == 0, PATIENCE)


def test_where_nobody_listens_the_connection_ends(proxy: Proxy, echo: Echo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        proxy.target = free.getsockname()[1]
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as connection:
        try:
            assert connection.recv(1000) == b""
        except ConnectionResetError:
            pass  # as good an end

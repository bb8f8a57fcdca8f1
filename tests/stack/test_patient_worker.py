"""Functions served by threads that stay with a connection for a moment: nobody waits for that."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from turnout.stack import parts
from turnout.stack.patient_worker import STAY

BODY = b"0123456789"


def echo(environ: Any, start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(body)))])
    return [body]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def port(listening: socket.socket, served: int) -> int:
    return int(listening.getsockname()[1])


@pytest.fixture
def served(listening: socket.socket) -> Iterator[int]:
    """The process that serves."""
    child = os.fork()
    if child == 0:  # pragma: no cover: the child's lines are not seen
        try:
            parts.run_functions(listening.detach(), lambda: None, lambda: echo)
        finally:
            os._exit(0)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


def opened(port: int) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.connect()
    return connection


def ask(connection: http.client.HTTPConnection, body: bytes) -> bytes:
    connection.request("POST", "/", body)
    return connection.getresponse().read()


def test_requests_of_one_connection_are_answered_one_after_another(port: int) -> None:
    connection = opened(port)
    for number in range(50):
        assert ask(connection, str(number).encode()) == str(number).encode()
    time.sleep(STAY + 0.1)
    assert ask(connection, BODY) == BODY
    connection.close()


def test_requests_that_come_together_are_both_answered(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        one = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\none"
        last = b"POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 3\r\n\r\ntwo"
        connection.sendall(one + last)
        answered = b""
        while piece := connection.recv(65536):
            answered += piece
    assert answered.count(b"200 OK") == 2
    assert answered.endswith(b"two")


def test_many_clients_that_ask_once_and_stay_keep_nobody_waiting(port: int) -> None:
    connections = [opened(port) for _ in range(3 * parts.THREADS)]
    began = time.monotonic()
    for _ in range(2):
        for each in connections:
            assert ask(each, BODY) == BODY
    assert time.monotonic() - began < 10
    for each in connections:
        each.close()


def test_a_client_that_stays_does_not_keep_the_functions_from_ending(served: int, port: int) -> None:
    connection = opened(port)
    assert ask(connection, BODY) == BODY
    os.kill(served, signal.SIGTERM)
    began = time.monotonic()
    os.waitid(os.P_PID, served, os.WEXITED | os.WNOWAIT)
    assert time.monotonic() - began < 10
    connection.close()

from __future__ import annotations

import socket
import time

from tests.waiting import wait_until
from turnout.adapters.slow_clients import SlowClients


def test_who_waits_for_a_slow_client_sees_the_end_of_the_request_when_the_time_is_over() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(20)
        watched = SlowClients(within=0.05)
        began = time.monotonic()
        watched.begin(ours)
        theirs.sendall(b"G")
        assert ours.recv(1) == b"G"
        assert ours.recv(1) == b"", "nothing more will be read"
        assert time.monotonic() - began < 10
        ours.sendall(b"HTTP/1.1 400 ")
        assert theirs.recv(13) == b"HTTP/1.1 400 ", "it can still be answered"


def test_a_request_that_is_there_in_time_is_left_alone_and_so_is_the_next_one() -> None:
    ours, theirs = socket.socketpair()
    late, gone = socket.socketpair()
    with ours, theirs, late, gone:
        watched = SlowClients(within=0.05)
        ticket = watched.begin(ours)
        watched.end(ticket)
        watched.end(ticket)
        watched.begin(late)
        late.settimeout(20)
        assert wait_until(lambda: late.recv(1) == b"", 20, "the one beside it is over")
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"


def test_a_connection_that_is_closed_meanwhile_does_no_harm() -> None:
    ours, theirs = socket.socketpair()
    watched = SlowClients(within=0.0)
    watched.begin(ours)
    ours.close()
    theirs.close()
    other, end = socket.socketpair()
    with other, end:
        other.settimeout(20)
        watched.begin(other)
        assert other.recv(1) == b""

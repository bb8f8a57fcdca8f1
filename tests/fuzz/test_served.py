"""The functions as they are served, over sockets: whatever arrives, nobody answers 5xx, nobody hangs, nobody dies."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.system import SECRET, System
from tests.functions.serving import Served, Site
from tests.fuzz import requests
from tests.waiting import wait_until
from turnout.adapters.slow_clients import WITHIN
from turnout.stack import parts
from turnout.webhook import sign

SLOW = 30.0
"""Seconds for one answer, on a machine that does other things besides."""


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("fuzz"), TURNOUT_WEBHOOK_SECRET=requests.SIGNED_BY.decode())
    site.start("webhook", "orchestrator", "reporter")
    yield site
    site.stop()


def memory(process: int) -> int:
    """Bytes that the process, and those it started, hold."""
    total = 0
    for each in [process, *_children(process)]:
        lines = Path(f"/proc/{each}/status").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
    return total


def _children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(each) for each in text.split()]


def answers(served: Served, sent: Iterator[tuple[str, bytes]]) -> dict[str, int]:
    """By name of the request; each must be answered in time."""
    found = {}
    for name, content in sent:
        began = time.monotonic()
        found[name] = requests.status(served.port, content)
        took = time.monotonic() - began
        assert took < SLOW, f"{name}: {took:.1f} s"
        assert served.process.poll() is None, f"{name} ended {served.name}"
    return found


def refused(found: dict[str, int]) -> None:
    broken = {name: status for name, status in found.items() if status >= 500}
    # gunicorn answers 501 to what HTTP/1.1 has and it has not: it never reaches the function
    assert {name: status for name, status in broken.items() if status not in (501, 505)} == {}


def test_an_event_function_refuses_whatever_is_no_event_for_it(functions: Site) -> None:
    found = answers(functions["orchestrator"], requests.to_an_event_function())
    refused(found)
    assert found["binary, deep lists"] == found["structured, very deep lists"] == 422
    assert len(found) > 200


def test_the_webhook_refuses_whatever_github_never_sends(functions: Site) -> None:
    found = answers(functions["webhook"], requests.to_the_webhook())
    refused(found)
    assert {found[name] for name in found if name.startswith("signature, ")} == {401}
    assert found["two signatures"] == 401
    assert len(found) > 200


def test_after_all_that_the_functions_still_do_their_work_and_have_not_grown(functions: Site) -> None:
    webhook = functions["webhook"]
    before = memory(webhook.process.pid)
    for number in range(3):
        answers(webhook, ((f"{number} {name}", sent) for name, sent in _large()))
    assert memory(webhook.process.pid) - before < 200 * 1024 * 1024
    assert webhook.deliver({"zen": "…"}, event="ping", delivery="after", secret="between us").status == 202


def _large() -> Iterator[tuple[str, bytes]]:
    for name, sent in requests.to_the_webhook():
        if any(word in name for word in ("bytes", "mega", "bomb", "deep", "digits")):
            yield name, sent


# --- turnout up, for real ------------------------------------------------------------------------------------


@pytest.fixture
def system(session_home: None, tmp_path: Path) -> Iterator[System]:
    with System(tmp_path) as made:
        made.start()
        yield made


def port_of(system: System) -> int:
    return int(system.running.urls["webhook"].split(":")[2].split("/")[0])


def ping(system: System, delivery: str) -> int:
    body = b'{"zen": "Keep it logically awesome."}'
    headers = {"x-github-event": "ping", "x-github-delivery": delivery}
    url = system.running.urls["webhook"]
    signed = headers | {"x-hub-signature-256": sign(SECRET.encode(), body)}
    return httpx.post(url, content=body, headers=signed, timeout=60).status_code


@pytest.mark.real
def test_all_of_it_at_once_against_a_whole_stack_ends_no_part_and_keeps_nobody_out(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight clients at a time, every request to every function."""
    port, before = port_of(system), dict(system.running.parts)
    everything = [
        (f"{path}: {name}", sent.replace(b" / HTTP", f" /{path} HTTP".encode(), 1))
        for path in ("webhook", "orchestrator", "reporter", "launcher", "sweeper")
        for name, sent in [*requests.to_an_event_function(), *requests.to_the_webhook()]
    ]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        found = dict(
            zip(
                (name for name, _ in everything),
                pool.map(lambda each: requests.status(port, each[1], 60), everything),
                strict=True,
            )
        )
    took = time.monotonic() - began
    refused(found)
    assert ping(system, "after all that") == 202
    assert system.running.parts == before, "no part had to be started again"
    assert memory(before["functions"]) < 600 * 1024 * 1024
    with capsys.disabled():
        grown = memory(before["functions"]) // 1024**2
        print(f"\n  {len(found)} hostile requests in {took:.0f} s; the functions hold {grown} MB")


@pytest.mark.real
def test_clients_that_send_drop_by_drop_are_let_go_and_others_served_again(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """More of them than the server has threads, in the head and in the body of a request."""
    port = port_of(system)
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(2 * parts.THREADS)]
    body = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    began = time.monotonic()
    for number, each in enumerate(slow):
        each.sendall(body if number % 2 else b"POST /webhook HTTP/1.1\r\nX-A: ")
    open_ = list(slow)

    def drip() -> bool:
        for each in list(open_):
            try:
                each.send(b"x")
                if each.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b"":
                    open_.remove(each)
            except BlockingIOError:
                pass
            except OSError:
                open_.remove(each)
        return len(open_) < parts.THREADS

    wait_until(drip, 6 * WITHIN, "half of them are let go", poll=0.2)
    assert ping(system, "in spite of them") == 202
    took = time.monotonic() - began
    assert took < 6 * WITHIN
    for each in slow:
        each.close()
    with capsys.disabled():
        print(
            f"\n  {len(slow)} slow clients held {parts.THREADS} threads; a delivery got in after {took:.1f} s"
        )

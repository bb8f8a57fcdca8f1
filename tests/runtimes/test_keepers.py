"""Keepers that are forked: one keeps a tool after another."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.runtimes.watching import living, unique_seconds
from tests.waiting import wait_until
from turnout.runtimes import keeper_forker
from turnout.runtimes.keepers import Forker
from turnout.runtimes.sandbox import Exit, Limits, NoSandbox, Prepared, SandboxSpec

NONE = NoSandbox("not needed for this", None)


class Forking:
    """``pid``: of what forks keepers. ``life``: it ends when this is closed."""

    def __init__(self) -> None:
        asked, asks = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        read, self.life = os.pipe()
        self.pid = keeper_forker.start(asked.fileno(), read)
        asked.close()
        os.close(read)
        self.starter = Forker(asks)

    def prepared(self) -> Prepared:
        return Prepared(NONE, Limits(), starter=self.starter)

    def run(self, folder: Path, script: str) -> tuple[Exit, bytes, int]:
        """How it ended, what it said, who kept it."""
        with self.prepared().run(["sh", "-c", script], SandboxSpec(folder), merged=True) as tool:
            assert tool.stdout is not None
            return tool.wait(), tool.stdout.read(), tool.pid


@pytest.fixture
def forking() -> Iterator[Forking]:
    with _ending(Forking()) as made:
        yield made


@contextmanager
def _ending(made: Forking) -> Iterator[Forking]:
    yield made
    os.close(made.life)
    made.starter.close()
    wait_until(lambda: os.waitpid(made.pid, os.WNOHANG)[0] == made.pid, 20, "all of it has ended")


def test_one_keeper_keeps_one_tool_after_another_and_nothing_of_the_one_is_the_next_ones(
    forking: Forking, tmp_path: Path
) -> None:
    seconds = unique_seconds()
    first = forking.run(tmp_path, f"echo one; setsid sleep {seconds} & exit 3")
    assert not living(seconds)
    second = forking.run(tmp_path, "ls /proc/self/fd; exit 4")
    assert [*first, *second] == [Exit(3), b"one\n", first[2], Exit(4), b"0\n1\n2\n3\n", first[2]]


def test_a_keeper_that_was_killed_is_asked_for_no_further_tool(forking: Forking, tmp_path: Path) -> None:
    _, _, keeper = forking.run(tmp_path, "true")
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{keeper}").exists(), 20, "it has ended")
    ended, said, other = forking.run(tmp_path, "echo here")
    assert (ended, said) == (Exit(0), b"here\n")
    assert other != keeper


def test_a_keeper_leaves_no_descriptor_behind(forking: Forking, tmp_path: Path) -> None:
    _, _, keeper = forking.run(tmp_path, "true")
    before = len(os.listdir(f"/proc/{keeper}/fd"))
    for _ in range(3):
        forking.run(tmp_path, "exit 1")
    assert forking.run(tmp_path, "true")[2] == keeper
    wait_until(lambda: len(os.listdir(f"/proc/{keeper}/fd")) == before, 20, "it has as many as before")


def test_what_was_prepared_and_is_not_wanted_ends_with_its_keeper(forking: Forking) -> None:
    forking.prepared().discard()
    wait_until(lambda: not _children(forking.pid), 20, "no keeper is left")


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()

"""Buildbot, measured: five steps on a worker of its own, asked for by a signed webhook."""

from __future__ import annotations

import http.client
import secrets
import threading
import time
from contextlib import closing
from pathlib import Path

from tests.bench.memory import resident
from tests.bench.sending import send_all
from tests.bench.timeline import STAGES, STAMP, Burst, Timeline, read_stamp
from tests.peers.buildbot import Buildbot, push_payload
from tests.waiting import wait_until


class BuildbotPipelines:
    """``workers``: builds that can run at once."""

    def __init__(self, name: str, folder: Path, *, workers: int = 1) -> None:
        self.name = name
        self._buildbot = Buildbot([STAMP] * STAGES, folder=folder, workers=workers)
        self._posted = 0

    def start(self) -> None:
        self._buildbot.start()

    def stop(self) -> None:
        self._buildbot.close()

    def memory(self) -> float:
        """The master and its workers."""
        return resident(self._buildbot.pids)

    def one(self) -> Timeline:
        with closing(self._connect()) as connection:
            sent = time.time_ns()
            self._post(connection)
            answered = time.time_ns()
        wait_until(lambda: self._buildbot.ended() == self._posted, 120, "the build ends", poll=0.01)
        return Timeline(sent, answered, self._stamps(self._posted))

    def burst(self, pipelines: int) -> Burst:
        first = self._posted + 1
        began = time.time_ns()
        send_all(pipelines, [self._connect], self._post)
        taken = time.time_ns()
        last = first + pipelines - 1
        wait_until(lambda: self._buildbot.ended() == last, 900, "all builds have ended", poll=0.1)
        ended = max(max(self._stamps(build)) for build in range(first, last + 1))
        return Burst(pipelines, began, taken, ended)

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(*self._buildbot.address, timeout=120)
        connection.connect()
        return connection

    def _post(self, connection: http.client.HTTPConnection) -> None:
        status = self._buildbot.post_on(connection, secrets.token_hex(8), push_payload(secrets.token_hex(20)))
        assert status == 200, status
        with _counting:
            self._posted += 1

    def _stamps(self, build: int) -> tuple[int, ...]:
        outputs = self._buildbot.output(build)
        stamps = tuple(read_stamp(outputs.get(f"s{number}", b"")) or 0 for number in range(1, STAGES + 1))
        assert all(stamps), f"build {build}: {outputs}"
        return stamps


_counting = threading.Lock()

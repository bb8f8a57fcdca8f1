"""Functions as they are deployed: each served alone by the functions-framework command, spoken to over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.waiting import wait_until
from turnout.adapters.cloudevents import to_http
from turnout.adapters.settings import read_settings
from turnout.core.envelope import Envelope, Received, Record, open_record
from turnout.stack.layout import source_of
from turnout.webhook import sign
from turnout.wiring import Wiring, prepare

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).parent / "functions-framework"
SECRET = "between us"


@dataclass(frozen=True)
class Answer:
    """``headers`` have names in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.text
        assert "site-packages" not in self.text

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.text)
        assert isinstance(found, dict)
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def read(connection: http.client.HTTPConnection) -> Answer:
    got = connection.getresponse()
    text = got.read().decode()
    return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, text)


@dataclass
class Served:
    """One function in a process of its own."""

    name: str
    environ: Mapping[str, str]
    log: Path
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        argv = [str(COMMAND), "--target", self.name, "--source", str(source_of(self.name))]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*argv, "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=ROOT,
                env=dict(self.environ),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_up(self) -> None:
        def listening() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(listening, 60, f"{self.name} listens", poll=0.05)

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def send(
        self,
        method: str = "POST",
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        path: str = "/",
    ) -> Answer:
        """An iterable is sent in chunks."""
        connection = self.connection()
        try:
            try:
                connection.request(method, path, body, dict(headers or {}))
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has answered before the end of the body
            return read(connection)
        finally:
            connection.close()

    def raw(self, text: bytes) -> str:
        """What is answered to these bytes, up to the end of the connection or of five seconds."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(text)
            found, deadline = b"", time.monotonic() + 5
            while b"\r\n\r\n" not in found and time.monotonic() < deadline:
                got = connection.recv(65536)
                if not got:
                    break
                found += got
            return found.decode()

    def deliver(
        self, payload: Any, *, event: str = "push", delivery: str = "d1", secret: str = SECRET, **headers: str
    ) -> Answer:
        """As GitHub does. ``headers``: others, or others instead; an underscore stands for a hyphen."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        named = {
            "content-type": "application/json",
            "x-github-event": event,
            "x-github-delivery": delivery,
            "x-hub-signature-256": sign(secret.encode(), body),
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", body, {name: value for name, value in named.items() if value})

    def hand(self, event: Envelope | Record) -> Answer:
        """As the dispatcher does: a CloudEvent in binary mode."""
        record = event.to_record("t", "k") if isinstance(event, Envelope) else event
        headers, body = to_http(Received(record, 0, 0, 0.0))
        return self.send("POST", body, headers)


class Site:
    """A home with its store, and the functions that serve it; each is started when it is first asked for, or before."""

    def __init__(self, home: Path, **settings: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TURNOUT_")}
        self.home = home
        self.environ = kept | {
            "TURNOUT_HOME": str(home / "state"),
            "TURNOUT_WEBHOOK_SECRET": SECRET,
            "TURNOUT_ORCHESTRATOR_TIMERS": "false",
            **settings,
        }
        self.wiring = Wiring(read_settings(self.environ))
        prepare(self.wiring.settings)
        self._served: dict[str, Served] = {}

    def start(self, *names: str) -> None:
        """They come up side by side."""
        for name in names:
            if name in self._served:
                continue
            self._served[name] = Served(name, self.environ, self.home / f"{name}.log")
            self._served[name].start()

    def __getitem__(self, name: str) -> Served:
        self.start(name)
        self._served[name].wait_up()
        return self._served[name]

    def stop(self) -> None:
        for each in self._served.values():
            each.stop()
        self.wiring.store.close()

    def published(self, topic: str) -> list[Envelope]:
        """All that is on a topic of the embedded log."""
        tail = self.wiring.bus.tail([topic], from_start=True)
        try:
            found: list[Envelope] = []
            while some := tail.poll(0.05):
                found += [open_record(each.record) for each in some]
            return found
        finally:
            tail.close()

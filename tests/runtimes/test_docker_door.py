"""The door to a Docker Engine opens for the docker runtime, and for nothing else."""

from __future__ import annotations

import http.client
import json
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.job_runtime import a_task
from turnout.adapters.system_clock import SystemClock
from turnout.core.errors import PermanentError
from turnout.core.events import Timing
from turnout.core.images import Images
from turnout.core.model import Runtime
from turnout.gateway import Passes
from turnout.runtimes.docker import DockerRuntime, DockerSettings, connect
from turnout.runtimes.docker_door import LONGEST_BODY, Door, rules
from turnout.runtimes.docker_rules import Asked, Refused, Rules

RULES = Rules(frozenset({"turnout-script:1", "registry.example.org/turnout-lint:1"}), "jobs", "here")
ID = "a" * 64


@dataclass
class Engine:
    """As much of one as the runtime talks to. ``asked``: method, path, body. ``state``: of its only container."""

    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    state: dict[str, Any] = field(
        default_factory=lambda: {"Status": "created", "Running": False, "ExitCode": 0}
    )
    labels: dict[str, str] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.asked.append((method, path, body))
        verb = path.partition("?")[0].rpartition("/")[2]
        match method, verb:
            case "GET", "version":
                return 200, {"ApiVersion": "1.41"}
            case "POST", "create" if body is not None:
                self.labels = body["Labels"]
                return 201, {"Id": ID}
            case "POST", "create":
                return 200, {"status": "pulled"}
            case "GET", "json" if path.partition("?")[0].endswith("/containers/json"):
                return 200, [{"Id": ID, "Created": 0}]
            case "GET", "json":
                return 200, {"Config": {"Labels": self.labels, "Tty": False}, "State": self.state}
            case _:
                return 204, None


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def port(engine: Engine) -> Iterator[int]:
    """Of a door before the engine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, said = engine.answer(self.command, self.path, json.loads(content) if content else None)
            body = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _any

        def address_string(self) -> str:
            return "the door"

        def log_message(self, *_: object) -> None: ...

    with tempfile.TemporaryDirectory(prefix="turnout-door-") as folder:
        path = Path(folder) / "s"
        with (
            socketserver.ThreadingUnixStreamServer(str(path), Handler) as behind,
            Door(RULES, str(path), ("127.0.0.1", 0)) as door,
        ):
            behind.daemon_threads = True
            for each in (behind, door):
                threading.Thread(
                    target=each.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
                ).start()
            yield door.server_address[1]
            door.shutdown()
            behind.shutdown()


def runtime(port: int, **more: Any) -> DockerRuntime:
    passes = Passes("http://gateway:8080", b"key", SystemClock(), Timing())
    settings = DockerSettings(network="jobs", owner="here", **more)
    environ = {"DOCKER_HOST": f"tcp://127.0.0.1:{port}"}
    return DockerRuntime(Images("turnout-{agent}:1"), passes, settings, connect=lambda: connect(environ))


def test_a_launch_a_look_and_a_cancel_go_through_as_they_are(port: int, engine: Engine) -> None:
    through = runtime(port, memory=64 << 20, cpus=0.5)
    task = a_task(Runtime.DOCKER)
    assert through.launch(task)
    ((path, body),) = [(path, body) for method, path, body in engine.asked if body is not None]
    assert path == f"/v1.41/containers/create?name=turnout-here-{task.attempt}"
    assert body["HostConfig"]["CapDrop"] == ["ALL"]
    assert body["HostConfig"]["Memory"] == 64 << 20
    assert "Privileged" not in body["HostConfig"]
    engine.state = {"Status": "running", "Running": True, "ExitCode": 0}
    assert through.state(task.attempt).phase == "running"
    through.cancel(task.attempt)
    assert engine.asked[-1][:2] == ("POST", f"/v1.41/containers/turnout-here-{task.attempt}/stop")


def test_what_is_refused_never_reaches_the_engine_and_is_said_to_the_launcher(
    port: int, engine: Engine
) -> None:
    other = DockerRuntime(
        Images("evil:1"),
        Passes("http://gateway:8080", b"key", SystemClock(), Timing()),
        DockerSettings(network="jobs", owner="here"),
        connect=lambda: connect({"DOCKER_HOST": f"tcp://127.0.0.1:{port}"}),
    )
    with pytest.raises(PermanentError, match="evil:1"):
        other.launch(a_task(Runtime.DOCKER))
    assert [path for _, path, _ in engine.asked] == ["/version"]


def test_a_body_that_is_too_long_or_of_no_length_is_not_read(port: int, engine: Engine) -> None:
    for headers in ({"Content-Length": str(LONGEST_BODY + 1)}, {"Transfer-Encoding": "chunked"}):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.putrequest("POST", "/v1.41/containers/create?name=turnout-here-x")
        for name, value in headers.items():
            client.putheader(name, value)
        client.endheaders()
        assert client.getresponse().status == 403
        client.close()
    assert engine.asked == []


def usual() -> dict[str, Any]:
    return {
        "Image": "turnout-script:1",
        "User": "10001:10001",
        "Labels": {"turnout.owner": "here"},
        "HostConfig": {
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "NetworkMode": "jobs",
            "Mounts": [{"Type": "volume", "Target": "/var/tmp"}],
            "RestartPolicy": {"Name": "no"},
        },
    }


def create(body: bytes | dict[str, Any], query: str = "name=turnout-here-x") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RULES.admit(Asked("POST", "/v1.41/containers/create", query, content), lambda _: None)


def test_a_container_as_the_runtime_wants_it_is_let_through() -> None:
    assert json.loads(create(usual())) == usual()
    assert json.loads(create(usual() | {"Cmd": None, "Tty": False, "AttachStdout": True})) == usual() | {
        "AttachStdout": True
    }


@pytest.mark.parametrize(
    "change",
    [
        {"Image": "debian:12"},
        {"User": "0"},
        {"User": ""},
        {"User": "root"},
        {"Labels": {}},
        {"Labels": {"turnout.owner": "another"}},
        {"Cmd": ["sh"]},
        {"Entrypoint": ["sh"]},
        {"Volumes": {"/x": {}}},
        {"hostconfig": {"Privileged": True}},
        {"NetworkingConfig": {"EndpointsConfig": {"bridge": {}}}},
        {"Runtime": "other"},
        {"HostConfig": None},
    ],
)
def test_a_container_of_another_kind_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        create(usual() | change)


@pytest.mark.parametrize(
    "change",
    [
        {"Privileged": True},
        {"Binds": ["/:/host"]},
        {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]},
        {"Mounts": [{"Type": "volume", "Source": "turnout_home", "Target": "/var/tmp"}]},
        {"CapAdd": ["SYS_ADMIN"]},
        {"CapDrop": []},
        {"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]},
        {"SecurityOpt": None},
        {"NetworkMode": "host"},
        {"NetworkMode": "container:turnout-postgres-1"},
        {"ReadonlyRootfs": False},
        {"PidMode": "host"},
        {"IpcMode": "host"},
        {"UsernsMode": "host"},
        {"Devices": [{"PathOnHost": "/dev/sda"}]},
        {"VolumesFrom": ["turnout-gateway-1"]},
        {"RestartPolicy": {"Name": "always"}},
        {"Tmpfs": {"/etc": "rw"}},
        {"Tmpfs": {"/tmp": "rw,suid,dev"}},
        {"ExtraHosts": ["gateway:10.0.0.1"]},
        {"LogConfig": {"Type": "syslog"}},
        {"PidsLimit": -1},
        {"Memory": "all"},
        {"privileged": True},
    ],
)
def test_a_container_with_other_rights_is_refused(change: dict[str, Any]) -> None:
    body = usual()
    body["HostConfig"] |= change
    with pytest.raises(Refused):
        create(body)


def test_what_the_engine_would_read_twice_it_is_told_once() -> None:
    """Its reader takes the last of two keys, whatever their case."""
    said = json.dumps(usual()).encode()
    twice = said.replace(b'"ReadonlyRootfs": true', b'"ReadonlyRootfs": true, "readonlyrootfs": false')
    assert json.loads(create(twice)) == usual()
    with pytest.raises(Refused):
        create(said.replace(b'"User": "10001:10001"', b'"User": "10001", "User": "0"'))


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/v1.41/containers/json", ""),
        ("GET", "/v1.41/containers/json", 'filters={"label": ["other=1"]}'),
        ("GET", "/v1.41/containers/json", "filters=x"),
        ("GET", "/v1.41/containers/turnout-postgres-1/json", ""),
        ("POST", f"/v1.41/containers/{ID}/start", ""),
        ("DELETE", "/v1.41/containers/turnout-postgres-1", ""),
        ("POST", "/v1.41/containers/turnout-here-x/exec", ""),
        ("POST", "/v1.41/containers/turnout-here-x/update", ""),
        ("GET", "/v1.41/containers/turnout-here-x/archive", "path=/"),
        ("PUT", "/v1.41/containers/turnout-here-x/archive", "path=/"),
        ("GET", "/v1.41/containers/turnout-here-x/../turnout-postgres-1/json", ""),
        ("GET", "/v1.41/containers/turnout-here-x%2f..%2fy/json", ""),
        ("POST", "/v1.41/images/create", "fromImage=debian&tag=12"),
        ("POST", "/v1.41/images/create", "fromImage=turnout-script&tag=1&fromSrc=x"),
        ("POST", "/v1.41/images/create", "fromImage=turnout-script&fromimage=debian&tag=1"),
        ("POST", "/v1.41/build", ""),
        ("GET", "/v1.41/info", ""),
        ("POST", "/v1.24/containers/turnout-here-x/start", ""),
        ("POST", "/containers/turnout-here-x/start", ""),
        ("POST", "/v1.41/volumes/prune", ""),
    ],
)
def test_what_the_runtime_never_asks_is_refused(method: str, path: str, query: str) -> None:
    with pytest.raises(Refused):
        RULES.admit(Asked(method, path, query), lambda _: "another")


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        (
            "GET",
            "/v1.41/containers/json",
            'all=1&filters={"label": ["turnout.owner=here"], "status": ["dead"]}',
        ),
        ("DELETE", f"/v1.41/containers/{ID}", "v=True&link=False&force=False"),
        ("GET", "/v1.41/containers/turnout-here-x/logs", "stdout=1&tail=20"),
        ("POST", "/v1.41/images/create", "fromImage=registry.example.org%2Fturnout-lint&tag=1"),
    ],
)
def test_what_it_asks_otherwise_is_let_through(method: str, path: str, query: str) -> None:
    assert RULES.admit(Asked(method, path, query), lambda id: "here" if id == ID else None) == b""


def test_nothing_is_started_with_a_body() -> None:
    """Old engines take a container's settings there."""
    with pytest.raises(Refused):
        RULES.admit(Asked("POST", "/v1.41/containers/turnout-here-x/start", "", b"{}"), lambda _: "here")


def test_its_settings_are_the_launchers() -> None:
    found = rules(
        {
            "TURNOUT_AGENT_IMAGES": "r.example.org/turnout-{agent}:1, script=ours:2",
            "TURNOUT_DOCKER_NETWORK": "jobs",
            "TURNOUT_NODE": "here",
        }
    )
    assert {"r.example.org/turnout-lint:1", "ours:2"} <= found.images
    assert "r.example.org/turnout-script:1" not in found.images
    with pytest.raises(PermanentError, match="TURNOUT_DOCKER_NETWORK"):
        rules({"TURNOUT_AGENT_IMAGES": "turnout-{agent}:1"})

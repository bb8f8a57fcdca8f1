"""The gateway's door and who comes to it: HTTP as values, a gateway's process around production code, what it keeps.

Between `agents.sdk.remote_client` and `functions.gateway.door` everything is as it is on a wire: methods, paths,
headers, bytes. The wire itself is the world's network.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

import httpx
from flask import Request

from functions.gateway.door import answered
from tests.simulation import threads
from tests.simulation.kernel import Process
from tests.simulation.wires import ARTIFACTS, SECRETS, Wire
from turnout import gateway as g
from turnout.core.errors import NotFound, PermanentError
from turnout.core.ports import Secrets, StoredArtifact, Uploads, UploadUrl
from turnout.core.posting import Reply
from turnout.gateway.visits import mark_of

if TYPE_CHECKING:
    from tests.simulation.world import World

URL = "http://gateway"
IMPATIENT = 0.2
"""So much of its real patience a job has with one answer: whoever gives up asks again while the first is under way."""
SECRET_OF_A_PROJECT = "hunter2 of the project"


@dataclass(frozen=True, slots=True)
class Asked:
    """``length``: of the whole body, where not all of it comes."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What httpx makes of a response, as far as our client reads it."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes

    def iter_bytes(self) -> Iterator[bytes]:
        yield self.body


# --- what a gateway keeps, and gives ----------------------------------------------------------------


class SimArtifacts:
    """`turnout.core.ports.Uploads` in memory: a step of it is a step for everybody."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, key: str, content: bytes, media_type: str = "") -> StoredArtifact:
        self.kept[key] = content
        return StoredArtifact(key, len(content), hashlib.sha256(content).hexdigest())

    def upload_url(self, key: str, *, size: int, sha256: str, media_type: str) -> UploadUrl | None:
        return None

    def put_stream(
        self, key: str, chunks: Iterable[bytes], *, size: int, sha256: str, media_type: str
    ) -> StoredArtifact:
        content = b"".join(chunks)
        if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
            raise PermanentError(f"{key} is not what was announced")
        return self.put(key, content)

    def append(self, key: str, content: bytes) -> None:
        self.kept[key] = self.kept.get(key, b"") + content

    def append_at(self, key: str, offset: int, content: bytes) -> int:
        have = self.size(key)
        if offset <= have:
            self.append(key, content[have - offset :])
        return self.size(key)

    def size(self, key: str) -> int:
        return len(self.kept.get(key, b""))

    def usage(self, prefix: str) -> tuple[int, int]:
        sizes = [len(content) for key, content in self.kept.items() if key.startswith(prefix)]
        return len(sizes), sum(sizes)

    def get(self, key: str, start: int = 0) -> bytes:
        if key not in self.kept:
            raise NotFound(key)
        return self.kept[key][start:]

    def list(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.kept if key.startswith(prefix)))


class Bound:
    """`turnout.core.ports.Secrets`."""

    def resolve(self, project: str, environment: str, names: Iterable[str]) -> dict[str, str]:
        return dict.fromkeys(names, SECRET_OF_A_PROJECT)


# --- the gateway's side -------------------------------------------------------------------------------


def serve_gateway(world: World, wire: Wire) -> None:
    """The main task of a gateway's process."""
    found = g.Gateway(
        world.store_of(wire),
        world.bus_of(wire).producer(),
        cast(Uploads, wire.port(world.artifacts, "artifacts", ARTIFACTS)),
        cast(Secrets, wire.port(Bound(), "secrets", SECRETS)),
        wire.process,
        world.key,
        world.scenario.limits,
    )

    def serve(asked: Asked) -> Reply:
        attempt = asked.path.split("/")[2]
        over = attempt in world.watch.ended
        try:
            response = answered(request_of(asked), lambda: found)
        except Exception as error:
            world.watch.defect(error)
            return cast(Reply, Answer(500, {}, b""))
        answer = Answer(response.status_code, dict(response.headers), response.get_data())
        if answer.status_code == 200 and over:
            world.watch.fail("an attempt that has ended has no door", f"{asked.method} {asked.path}")
        if answer.status_code == 200 and asked.path.endswith("/grants"):
            world.launched.handed_out(attempt, mark_of(asked.headers["Turnout-Session"]))
        return cast(Reply, answer)

    world.network.serve(wire, "gateway", serve)


def request_of(asked: Asked) -> Request:
    """Source: PEP 3333."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": asked.method,
        "PATH_INFO": unquote(asked.path, "latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "gateway",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(asked.body),
        "CONTENT_LENGTH": str(len(asked.body) if asked.length is None else asked.length),
    }
    for name, value in asked.headers.items():
        known = name.upper().replace("-", "_")
        environ[known if known == "CONTENT_TYPE" else f"HTTP_{known}"] = value
    return Request(environ)


# --- the job's side -----------------------------------------------------------------------------------


class JobProcess(Process):
    """``orders``: what its handlers of signals do. ``disk``: its own."""

    def __init__(self, world: World, name: str) -> None:
        skew = world.scenario.skew
        super().__init__(
            world.kernel, name, offset=skew * (2 * world.kernel.chance_of(f"clock of {name}").random() - 1)
        )
        self.world = world
        self.disk: object = None
        self.wire = Wire(self, world.faults, world.tell if world.story is not None else None)
        self.orders: list[Callable[..., object]] = []


class Http:
    """`httpx.Client`, for the process that makes it."""

    def __init__(
        self, *, headers: Mapping[str, str] | None = None, timeout: httpx.Timeout, **_: object
    ) -> None:
        self._headers = dict(headers or {})
        self._timeout = timeout
        self._open = True

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> Iterator[Answer]:
        """Raises: httpx.HTTPError; RuntimeError once it is closed."""
        if not self._open:
            raise RuntimeError("the client has been closed")
        body = content if json is None else _dumps(json)
        asked = Asked(method, urlsplit(url).path, self._headers | dict(headers or {}), body)
        here = threads.kernel().process
        assert isinstance(here, JobProcess)
        patience = IMPATIENT * ((timeout or self._timeout).read or 30.0)
        if method == "PUT" and here.world.launched.luck(0.05):
            cut = replace(asked, body=body[: len(body) // 2], length=len(body))
            here.world.network.ask(here.wire, "gateway", cut, patience)
            raise httpx.WriteError("the connection was reset in mid-upload")
        reply: object = here.world.network.ask(here.wire, "gateway", asked, patience)
        if not isinstance(reply, Answer):
            raise httpx.ReadError(str(reply))
        yield reply

    def close(self) -> None:
        self._open = False


def _dumps(said: Any) -> bytes:
    return json.dumps(said, ensure_ascii=False).encode()


def _session(_bytes: int) -> str:
    return session_of(threads.kernel().process.name)


def session_of(name: str) -> str:
    return f"the session of {name}"


HTTPX = SimpleNamespace(
    Client=Http, HTTPError=httpx.HTTPError, InvalidURL=httpx.InvalidURL, Timeout=httpx.Timeout
)
RANDOM = SimpleNamespace(token_hex=_session)

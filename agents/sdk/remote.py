"""A launched job's parts: the ports of a worker, all of them through the gateway.

The job holds its attempt's pass and nothing else: no bus, no store, no credential of the artifacts'.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import structlog

from agents.sdk.channel import GitCredential
from agents.sdk.remote_answers import Earlier, Granted, Place, Standing, understood
from agents.sdk.remote_client import GatewayClient, NotWanted, pause_after
from agents.sdk.remote_log import RemoteLog
from turnout.core import messages as m
from turnout.core.artifact_keys import LOG_NAME, attempt_key
from turnout.core.envelope import Record, open_record
from turnout.core.errors import NotFound, PermanentError, TransientError
from turnout.core.ports import ClaimState, Consumer, Producer, StoredArtifact

RECORDED = 30.0  # seconds that a start may take to be recorded before it is said again
LOOK = (0.03, 0.05, 0.1, 0.2, 0.5)  # seconds between looks whether it is; the last one again and again
AWAY = 600.0  # seconds that the gateway may be away while an attempt waits for it
LOG_PATIENCE = 120.0  # seconds that a result waits for the end of its log, while the gateway answers
_log = structlog.get_logger()


@dataclass
class Heard:
    """What the gateway has said about going on. ``stop``: why not, empty: go on. ``recorded``: our start is."""

    recorded: threading.Event = field(default_factory=lambda: threading.Event())
    stop: str = ""
    over: threading.Event = field(default_factory=lambda: threading.Event())


class RemoteClaims:
    """The fence is the store's record of who started. Nothing is given back: no start, no claim."""

    def __init__(self, client: GatewayClient, heard: Heard) -> None:
        self._client = client
        self._heard = heard

    def claim(self, attempt: str, worker: str) -> bool:  # noqa: ARG002 - the port's
        try:
            standing = understood(Standing, self._client.get())
        except NotWanted:
            return False
        self._heard.stop = standing.stop
        return standing.state == "waiting"

    def cancelled(self, attempt: str) -> bool:  # noqa: ARG002 - the port's
        return bool(self._heard.stop)

    def state(self, attempt: str) -> ClaimState:  # noqa: ARG002 - the port's
        return "running" if self._heard.recorded.is_set() else "claimed"

    def finished(self, attempt: str) -> None:  # noqa: ARG002 - the port's
        self._heard.over.set()

    def release(self, attempt: str) -> None: ...

    def running(self, attempt: str) -> None: ...

    def cancel(self, attempt: str) -> None: ...

    def orphans(self) -> Sequence[str]:
        return ()

    def prune(self, older_than: float) -> int:  # noqa: ARG002 - the port's
        return 0


class Pulse:
    """Heartbeats from a thread of its own, also while something large is sent; their answers say whether to stop."""

    def __init__(self, client: GatewayClient, heard: Heard, every: float) -> None:
        self._client = client
        self._heard = heard
        self._every = every
        self._thread = threading.Thread(target=self._work, name="pulse", daemon=True)

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()

    def _work(self) -> None:
        number = tries = 0
        pause = self._every
        while not self._heard.over.wait(pause):
            try:
                standing = understood(Standing, self._client.post("heartbeat", {"number": number}))
                self._heard.stop = self._heard.stop or standing.stop
                number, tries, pause = number + 1, 0, self._every
            except TransientError as error:
                pause = min(pause_after(error, tries), self._every)
                tries += 1
            except PermanentError as error:
                self._heard.stop = self._heard.stop or str(error)
                return


@dataclass
class RemoteProducer:
    """Records of the attempt, each said at its own place. Log chunks are not: the log's sender says them."""

    client: GatewayClient
    heard: Heard
    pulse: Pulse
    log: RemoteLog

    def publish(self, records: Sequence[Record], timeout: float = 30.0) -> None:  # noqa: ARG002 - the port's
        """Raises: NotWanted when another job has started first; TransientError, PermanentError."""
        for each in records:
            match m.parse(open_record(each)):
                case m.TaskStarted() as started:
                    self._started(started)
                case m.TaskFinished() as finished:
                    self._finished(finished)
                case _:
                    pass  # the pulse beats by itself

    def close(self) -> None: ...

    def _started(self, message: m.TaskStarted) -> None:
        said = {"worker": message.worker, "sandbox": message.sandbox[:1000]}
        standing = understood(Standing, self.client.post("started", said))
        until, looks = time.monotonic() + RECORDED, 0
        while standing.state == "waiting":
            if time.monotonic() > until:
                raise TransientError("the start of the attempt is not recorded yet")
            time.sleep(LOOK[min(looks, len(LOOK) - 1)])
            looks += 1
            standing = understood(Standing, self.client.get())
        if standing.state != "yours":
            raise NotWanted("another job of this attempt has started first")
        self.heard.stop = self.heard.stop or standing.stop
        self.heard.recorded.set()
        self.pulse.start()

    def _finished(self, message: m.TaskFinished) -> None:
        if self.heard.recorded.is_set() and not self.log.flush(LOG_PATIENCE):
            self.client.get()  # is it away? then the result waits, and the log with it
            _log.warning("the end of the log did not get through in time")
        try:
            self.client.post("finished", {"result": message.result.to_json()})
        except NotWanted as error:
            _log.warning("the result is not wanted any more", reason=str(error))


class RemoteBus:
    """A launched job speaks, and hears nothing but answers."""

    def __init__(self, producer: RemoteProducer) -> None:
        self._producer = producer

    def producer(self) -> Producer:
        return self._producer

    def consumer(self, group: str, topics: Sequence[str], *, member: str = "") -> Consumer:  # noqa: ARG002
        raise PermanentError("a launched job reads no topic")

    def tail(self, topics: Sequence[str], *, from_start: bool = False) -> Consumer:  # noqa: ARG002 - the port's
        raise PermanentError("a launched job reads no topic")

    def lag(self, group: str, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:  # noqa: ARG002 - the port's
        return {}

    def ensure_topics(self) -> None: ...


class RemoteArtifacts:
    """``task``: whose artifacts they are."""

    def __init__(self, client: GatewayClient, log: RemoteLog, task: m.TaskRequested) -> None:
        self._client = client
        self._log = log
        self._own = attempt_key(task.run, task.task, task.number, "")
        self._baseline = task.baseline.key if task.baseline else ""

    def put(self, key: str, content: bytes, media_type: str = "application/octet-stream") -> StoredArtifact:
        digest = hashlib.sha256(content).hexdigest()
        name = key.removeprefix(self._own)

        def send() -> None:
            if key == self._baseline:
                self._client.put("baseline", content, media_type, digest)
                return
            said = {"name": name, "size": len(content), "sha256": digest, "media_type": media_type}
            place = understood(Place, self._client.post("artifacts", said))
            if place.url:
                self._client.put_elsewhere(place.url, content, {"Content-Type": media_type} | place.headers)
            else:
                self._client.put(f"artifacts/{quote(name)}", content, media_type, digest)

        self._client.patiently(send, AWAY)
        return StoredArtifact(key, len(content), digest)

    def append(self, key: str, content: bytes) -> None:
        if key != f"{self._own}{LOG_NAME}":
            raise PermanentError(f"{key} is not the attempt's log")
        self._log.append(content)

    def get(self, key: str, start: int = 0) -> bytes:
        """Only what findings are compared with. Raises: NotFound, PermanentError, TransientError."""
        if key != self._baseline:
            raise PermanentError("a launched job reads no artifacts")
        found = self._client.patiently(lambda: understood(Earlier, self._client.get("baseline")), AWAY)
        if found.text is None:
            raise NotFound(f"there is no artifact {key!r}")
        return found.text.encode()[start:]

    def list(self, prefix: str) -> Iterator[str]:  # noqa: ARG002 - the port's
        raise PermanentError("a launched job reads no artifacts")


class Grants:
    """What is handed out once the attempt has started, asked for once: secrets, and a credential for the checkout."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._given: Granted | None = None

    def resolve(self, project: str, environment: str, names: Collection[str]) -> Mapping[str, str]:  # noqa: ARG002
        """Those that the task names. Raises: PermanentError, TransientError."""
        found = self._asked().secrets
        return {name: found[name] for name in names if name in found}

    def credential(self, checkout: m.Checkout) -> GitCredential | None:  # noqa: ARG002 - of the task's own
        return self._asked().credential

    def _asked(self) -> Granted:
        with self._lock:
            if self._given is None:
                self._given = self._client.patiently(
                    lambda: understood(Granted, self._client.post("grants")), AWAY
                )
            return self._given


def fetch_task(client: GatewayClient, patience: float) -> m.TaskRequested:
    """Raises: NotWanted, PermanentError, TransientError."""
    found = client.patiently(lambda: client.get("task"), patience)
    try:
        return m.TaskRequested.model_validate_json(json.dumps(found | {"token": ""}), extra="ignore")
    except ValueError as error:
        raise PermanentError(
            "the gateway gave a task that this agent does not understand",
            "use images of the server's version",
        ) from error

"""The ports: what the use cases need from the world, as protocols. Adapters and fakes implement them.

Errors: an adapter raises `TransientError` where trying again can help and `PermanentError` where not;
nothing else leaves an adapter on purpose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from turnout.core.attestation import Attestation
from turnout.core.change import Change
from turnout.core.envelope import Received, Record
from turnout.core.environments import NO_TURNS, Turns
from turnout.core.events import Event
from turnout.core.messages import TaskRequested
from turnout.core.run import Run

# --- time -------------------------------------------------------------------------------------


class Clock(Protocol):
    def now(self) -> datetime:
        """Timezone-aware, UTC."""
        ...


# --- the bus ----------------------------------------------------------------------------------


class Producer(Protocol):
    """Thread-safe."""

    def publish(self, records: Sequence[Record], timeout: float = 30.0) -> None:
        """Return once every record is durable (acknowledged by all in-sync replicas, or committed).

        Records of one key keep their order. Raises: TransientError when it isn't known that all are
        durable (some may be); PermanentError for a record that can never be taken (too large).
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Position:
    """``offset`` is the next one to be read: everything below it is done."""

    topic: str
    partition: int
    offset: int


class Consumer(Protocol):
    """A member of a group. Not thread-safe, but for `wake`.

    Every partition of the subscribed topics is owned by one live member of the group; reading starts at
    the group's committed position (at the beginning where there is none). Delivery is at least once.
    """

    def poll(self, timeout: float, max_records: int = 100) -> Sequence[Received]:
        """Records in order of offset within a partition; waits at most ``timeout`` seconds for the first."""
        ...

    def commit(self, positions: Sequence[Position]) -> None:
        """Raises: Rebalanced (a TransientError) when a partition is not ours any more; nothing of it is committed."""
        ...

    def pause(self, partitions: Collection[tuple[str, int]]) -> None: ...

    def resume(self, partitions: Collection[tuple[str, int]]) -> None: ...

    def assignment(self) -> frozenset[tuple[str, int]]:
        """The (topic, partition) pairs owned now; changes only within `poll`."""
        ...

    def wake(self) -> None:
        """Make a `poll` under way, or the next one, return at once. From any thread."""
        ...

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        ...


class Bus(Protocol):
    """Both ends of the transport. ``member``: a stable name that lets a restarted process take its partitions back."""

    def producer(self) -> Producer: ...

    def consumer(self, group: str, topics: Sequence[str], *, member: str = "") -> Consumer: ...

    def tail(self, topics: Sequence[str], *, from_start: bool = False) -> Consumer:
        """A reader of all partitions that belongs to no group and commits nothing (`commit` does nothing)."""
        ...

    def lag(self, group: str, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
        """Records not yet committed by the group, by (topic, partition)."""
        ...

    def ensure_topics(self) -> None:
        """Make the topics of `turnout.core.topics` that are missing. Idempotent."""
        ...


# --- the store --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """``id`` is the order of writing within a store."""

    id: int
    run: str
    record: Record


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request. ``status``: ``received``, ``published``, ``run``, ``ignored`` or ``failed``.

    ``reason`` says why nothing ran. ``message``: id of the envelope it became.
    """

    id: str
    source: str
    event: str
    repository: str
    status: str
    received_at: datetime
    run: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    run: str
    version: int
    at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class RunRow:
    """The projection that lists are made from. ``status``: ``queued``, ``running``, ``cancelling`` or ``finished``."""

    id: str
    project: str
    repository: str
    branch: str
    sha: str
    title: str
    author: str
    kind: str
    status: str
    outcome: str
    created_at: datetime
    finished_at: datetime | None
    group: str
    version: int
    number: int


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """What the sweeper needs to know of an attempt that has not finished. ``lease_until``: lost after this."""

    id: str
    run: str
    task: str
    agent: str
    number: int
    status: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class ReportRow:
    """The idempotency record of one outward effect: ``(run, channel, fact)`` is unique.

    ``status``: ``sending`` (reserved; a crash may have happened after the effect), ``sent``, ``failed`` (this try ended
    with an error) or ``skipped`` (there was nothing to tell; the reference says why).
    ``reference``: what finds the effect again (Slack's channel and ts, an e-mail's Message-ID).
    """

    run: str
    channel: str
    fact: str
    status: str
    reference: str
    version: int
    at: datetime


@dataclass(frozen=True, slots=True)
class EnvironmentRow:
    """Who deploys to an environment. ``holder``: a run, empty: none. ``waiting``: runs and when they were created, the
    oldest first."""

    holder: str = ""
    waiting: tuple[tuple[str, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class Commit:
    """What one handled message changes, all of it in one transaction.

    ``expected``: the run's version that was decided on (0: the run does not exist yet). ``run``: the state after
    ``events``. ``due_at``: when the run must be looked at again, None: only when a message comes.
    ``leases``: attempt id to the end of its lease, for those launched or heard of now.
    ``inbox``: the envelope id that was handled, empty: none (a timer). ``turns``: environments that the
    run takes, gives back, waits for.
    """

    run: Run | None
    expected: int
    events: tuple[Event, ...]
    records: tuple[Record, ...]
    at: datetime
    inbox: str = ""
    due_at: datetime | None = None
    leases: Mapping[str, datetime] = field(default_factory=dict)
    delivery: Delivery | None = None
    turns: Turns = NO_TURNS
    attestations: tuple[Attestation, ...] = ()


class Signer(Protocol):
    """A key. ``public``: its public half in PEM."""

    @property
    def keyid(self) -> str: ...

    @property
    def public(self) -> str: ...

    def sign(self, payload: str) -> str:
        """The signature of an in-toto envelope with this payload, in base64; always the same of the same."""
        ...


class Store(Protocol):
    """Thread-safe. Every method is one transaction."""

    # orchestration
    def seen(self, message: str) -> bool:
        """Whether the inbox holds this envelope id."""
        ...

    def load(self, run: str) -> Run | None: ...

    def commit(self, change: Commit) -> Sequence[OutboxRow]:
        """Write all of ``change`` or nothing; the rows still to be published (none where the outbox is the log).

        Raises: Conflict when the run is not at ``expected``, or another has an environment that it takes; Duplicate
        when the inbox holds the message already.
        """
        ...

    def unpublished(
        self, run: str = "", limit: int = 500, older_than: datetime | None = None
    ) -> Sequence[OutboxRow]:
        """Rows not marked published, in order; of one run, or of all."""
        ...

    def mark_published(self, rows: Sequence[int], at: datetime) -> None: ...

    def heartbeat(self, attempt: str, at: datetime, lease_until: datetime) -> None:
        """Extend the lease of an attempt that is running; anything else is left as it is."""
        ...

    def last_heard(self, attempts: Collection[str]) -> Mapping[str, datetime]:
        """The end of the lease of each attempt that has one."""
        ...

    def due(self, now: datetime, limit: int = 100) -> Sequence[str]:
        """Runs with a due time, or an unfinished attempt whose lease has ended, at or before ``now``."""
        ...

    def next_due(self) -> datetime | None: ...

    def group_runs(self, project: str, group: str) -> Sequence[RunRow]:
        """The runs of a concurrency group that have not finished, oldest first."""
        ...

    def environments(self, project: str, names: Collection[str]) -> Mapping[str, EnvironmentRow]:
        """Who holds these environments of the project, and who waits for them; those of nobody are left out."""
        ...

    def previous_outcome(self, project: str, branch: str, before: str) -> str:
        """The outcome of the newest finished run on the branch that was created before run ``before``; empty: none."""
        ...

    def unfinished_launches(self, before: datetime, limit: int = 500) -> Sequence[AttemptRow]:
        """Attempts launched before then that have not started, oldest first: their task may be lost."""
        ...

    def open_attempts(self, after: tuple[str, str] = ("", ""), limit: int = 100) -> Sequence[AttemptRow]:
        """Attempts that have not finished, by run and id, from the first after (run, attempt) on."""
        ...

    def unanswered(self, before: datetime, limit: int = 500) -> Sequence[OutboxRow]:
        """Triggers published before then that nobody has handled: they may have been lost on the way."""
        ...

    # reading
    def events(self, run: str, after: int = 0) -> Sequence[StoredEvent]: ...

    def runs(
        self, *, limit: int = 50, before: str = "", project: str = "", branch: str = "", status: str = ""
    ) -> Sequence[RunRow]:
        """Newest first; ``before`` is a run id to go on after."""
        ...

    def find_runs(self, prefix: str) -> Sequence[RunRow]:
        """Runs whose id begins so (``latest``: the newest), at most 10."""
        ...

    def attempts(self, run: str) -> Sequence[AttemptRow]: ...

    def run_of(self, attempt: str) -> str:
        """The run that an attempt belongs to, also after it has ended; empty: there is no such attempt."""
        ...

    # attestations
    def attestations(self, run: str) -> Sequence[Attestation]:
        """Of the results of a run, in the order in which they came."""
        ...

    def attestations_of(self, image: str, *, gave: bool, limit: int = 100) -> Sequence[Attestation]:
        """Newest first; ``image``: ``sha256:…``. ``gave``: of stages that gave it; else of those that were given it."""
        ...

    # the webhook's ledger
    def receive(self, delivery: Delivery) -> Delivery:
        """Insert, or return what is there already for ``(source, id)``."""
        ...

    def update_delivery(self, delivery: Delivery) -> None: ...

    def deliveries(self, *, limit: int = 50, repository: str = "") -> Sequence[Delivery]: ...

    # reports
    def reserve_report(self, report: ReportRow) -> ReportRow | None:
        """None: reserved now, go on. Otherwise the record that is there already."""
        ...

    def record_report(self, report: ReportRow) -> None:
        """Insert or replace by ``(run, channel, fact)``."""
        ...

    def settle_reports(self, reports: Sequence[ReportRow]) -> None:
        """Like `record_report` for each, except where the fact is ``sent`` or ``skipped`` already at that version."""
        ...

    def find_report(self, run: str, channel: str, fact: str) -> ReportRow | None: ...

    # housekeeping
    def prune(self, now: datetime) -> int:
        """Forget inbox ids and published records older than their retention; the number of rows removed."""
        ...

    def close(self) -> None: ...


# --- everything else ----------------------------------------------------------------------------


class Source(Protocol):
    """Reads a repository at a commit, without a working tree (a git mirror, or GitHub's API)."""

    def read(self, change: Change, path: str) -> str | None:
        """The file's text at ``change.config_sha or change.sha``; None where there is no such file.

        Raises: TransientError (remote away), PermanentError (no such commit or repository; not text; over 1 MB).
        """
        ...

    def changed_paths(self, change: Change) -> tuple[str, ...] | None:
        """Files that differ between ``before`` (or the merge base with ``base_branch``) and ``sha``; None: unknown."""
        ...


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    key: str
    size: int
    sha256: str


class Artifacts(Protocol):
    """Keys are relative posix paths; ``..`` and absolute ones are refused with PermanentError."""

    def put(
        self, key: str, content: bytes, media_type: str = "application/octet-stream"
    ) -> StoredArtifact: ...

    def append(self, key: str, content: bytes) -> None:
        """Add to the end (logs). The adapter may buffer until `get` or `close`."""
        ...

    def get(self, key: str, start: int = 0) -> bytes:
        """Raises: NotFound."""
        ...

    def list(self, prefix: str) -> Iterator[str]: ...


class Uploads(Artifacts, Protocol):
    """Artifacts that come from elsewhere, of somebody who is not trusted with the store."""

    def upload_url(self, key: str, *, size: int, sha256: str, media_type: str) -> str | None:
        """Where exactly this content may be put within minutes, by HTTP PUT; None: this store offers no such address.

        ``sha256`` in hex.
        """
        ...

    def put_stream(
        self, key: str, chunks: Iterable[bytes], *, size: int, sha256: str, media_type: str
    ) -> StoredArtifact:
        """Kept whole or not at all. Raises: PermanentError when the content is not what it was said to be."""
        ...

    def append_at(self, key: str, offset: int, content: bytes) -> int:
        """Add what is missing of ``content``, whose first byte is byte ``offset``; how many bytes there are then.

        Nothing is added where ``offset`` lies beyond the end. No other writer comes in between, in any process.
        """
        ...

    def size(self, key: str) -> int:
        """Bytes; 0: there is none."""
        ...

    def usage(self, prefix: str) -> tuple[int, int]:
        """How many there are below ``prefix`` (a folder, with its ``/``), and their bytes."""
        ...


@runtime_checkable
class Secrets(Protocol):
    def resolve(self, project: str, environment: str, names: Sequence[str]) -> Mapping[str, str]:
        """Raises: PermanentError naming every secret that is not bound, and where to bind it."""
        ...


ClaimState = Literal["free", "claimed", "running", "lost", "finished"]
"""``lost``: marked running, and the worker's process is gone."""


class Claims(Protocol):
    """Fences an attempt: of all workers that were handed it, one runs it, once."""

    def claim(self, attempt: str, worker: str) -> bool:
        """False: it runs, or ran, already. A claim of one's own that never became `running` is given again.

        Raises: TransientError while another living worker holds it without having started: it may yet give it back.
        """
        ...

    def release(self, attempt: str) -> None:
        """Give back a claim of one's own whose attempt has not been started; anything else is left as it is."""
        ...

    def state(self, attempt: str) -> ClaimState:
        """How far it has come. A claim whose worker died before it started is ``free``."""
        ...

    def running(self, attempt: str) -> None:
        """From here on the attempt may have effects: it is never claimed again, also not after a crash."""
        ...

    def finished(self, attempt: str) -> None: ...

    def cancel(self, attempt: str) -> None:
        """Ask whoever runs it to stop; also before anyone has claimed it."""
        ...

    def cancelled(self, attempt: str) -> bool: ...

    def orphans(self) -> Sequence[str]:
        """Attempts marked running whose worker's process is gone."""
        ...

    def prune(self, older_than: float) -> int:
        """Forget what finished more than so many seconds ago; how many that were."""
        ...


# --- launched jobs ------------------------------------------------------------------------------


JobPhase = Literal["unknown", "waiting", "running", "ended"]
"""``unknown``: never launched here, or forgotten. ``waiting``: launched, its process has not begun (no room yet, its
image is being pulled). ``ended``: its process is gone, or will never begin; nothing more comes of it."""


@dataclass(frozen=True, slots=True)
class JobState:
    """What a runtime knows of an attempt's job, whatever the job itself said.

    ``reason``: why it ended, or what it waits for; one line. ``since``: when it ended, None: not known.
    ``log``: the last lines it wrote, where nothing else tells why.
    """

    phase: JobPhase
    reason: str = ""
    since: datetime | None = None
    log: str = ""


class JobRuntime(Protocol):
    """Launches attempts as jobs of their own. Every call is idempotent, also across processes and crashes: launching
    twice launches once, cancelling what is over or unknown does nothing. Thread-safe.
    """

    def launch(self, task: TaskRequested) -> bool:
        """False: it was launched before, whatever came of it.

        Raises: TransientError; PermanentError that says what is wrong with the task or the runtime's settings.
        """
        ...

    def cancel(self, attempt: str) -> None:
        """Make it end soon: what it runs is told to stop, and killed if it does not. Raises: TransientError."""
        ...

    def state(self, attempt: str) -> JobState:
        """Raises: TransientError."""
        ...


@dataclass(frozen=True, slots=True)
class Launch:
    """What is known of an attempt's launch, for platforms that take no id of ours for a job.

    ``handle``: what the platform calls the job, empty: it is not known whether one was made. ``turn``: how often the
    launch has been reserved. ``until``: while there is no handle, nobody else may launch before then. ``at``: when it
    was reserved first. ``mine``: this call has reserved it.
    """

    attempt: str
    runtime: str
    handle: str
    turn: int
    until: datetime
    at: datetime
    mine: bool = False


class Launches(Protocol):
    """Who may launch an attempt, and what came of it. Survives every process; thread-safe."""

    def reserve(self, attempt: str, runtime: str, now: datetime, until: datetime) -> Launch:
        """``mine`` where nobody had reserved it, or whoever had let its time pass without recording a handle: in such a
        later turn a job may have been made already. Anything else is left as it is. Raises: TransientError.
        """
        ...

    def record(self, attempt: str, handle: str) -> str:
        """The handle that is kept: the first that was recorded. Raises: NotFound where nothing is reserved."""
        ...

    def release(self, attempt: str, turn: int) -> None:
        """Give back a turn in which no job was made; anything else is left as it is."""
        ...

    def find(self, attempt: str) -> Launch | None: ...

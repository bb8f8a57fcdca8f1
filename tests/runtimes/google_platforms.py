"""Cloud Run and Cloud Build for tests: the stand-ins of their APIs, asked by Google's own clients over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from google.auth.credentials import AnonymousCredentials

from local.google import cloud_build, cloud_run
from local.google.rest import RestStandIn
from tests.contracts.job_runtime import Crashed, Step, a_task, go_on
from turnout.adapters.memory_launches import MemoryLaunches
from turnout.core.images import Images
from turnout.core.messages import TaskRequested
from turnout.core.model import Runtime
from turnout.core.ports import Launch
from turnout.gateway import Passes
from turnout.runtimes.cloudbuild import cloudbuild_runtime
from turnout.runtimes.cloudrun import cloudrun_runtime
from turnout.runtimes.reserved import HOLD, ReservedRuntime

GATEWAY = "https://gateway.example.org"
KEY = b"the key of the server"
IMAGES = Images("registry.example.org/agents/{agent}:1")
JOBS = f"{cloud_run.PARENT}/jobs/turnout-{{agent}}"


class MovingClock:
    """The time of day, and what a test has added to it."""

    def __init__(self) -> None:
        self.added = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.added

    def redelivered(self) -> None:
        """Whoever held a reservation holds it no more."""
        self.added += HOLD + timedelta(seconds=1)


class Watched(AnonymousCredentials):
    """Asks ``step`` before each request that a client is about to send."""

    def __init__(self, step: Step) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._step = step

    def before_request(self, request: Any, method: str, url: str, headers: Any) -> None:
        self._step(f"{method} {url}")


class WatchedLaunches(MemoryLaunches):
    """The same launches as ``kept``; asks ``step`` before each change."""

    def __init__(self, kept: MemoryLaunches, step: Step) -> None:
        self.__dict__.update(kept.__dict__)
        self._step = step

    def reserve(self, attempt: str, runtime: str, now: datetime, until: datetime) -> Launch:
        self._step("reserve")
        return super().reserve(attempt, runtime, now, until)

    def record(self, attempt: str, handle: str) -> str:
        self._step("record")
        return super().record(attempt, handle)


class GoogleHarness:
    """What both have in common; see `tests.contracts.job_runtime.RuntimeHarness`."""

    kind: Runtime
    patience = 5.0
    begins = False
    rest: RestStandIn

    def __init__(self) -> None:
        self.clock = MovingClock()
        self.launches = MemoryLaunches()
        self.passes = Passes(GATEWAY, KEY, self.clock)

    def open(self, step: Step = go_on) -> ReservedRuntime:
        def watched(what: str) -> None:
            try:
                step(what)
            except Crashed:
                self.clock.redelivered()
                raise

        return self.make(Watched(watched), WatchedLaunches(self.launches, watched))

    def make(self, credentials: Any, launches: MemoryLaunches) -> ReservedRuntime:
        raise NotImplementedError

    @contextmanager
    def away(self) -> Iterator[None]:
        self.rest.away = True
        try:
            yield
        finally:
            self.rest.away = False
            self.clock.redelivered()


class CloudRunHarness(GoogleHarness):
    kind = Runtime.CLOUDRUN

    def __init__(self) -> None:
        super().__init__()
        self.cloud = cloud_run.CloudRun(self.clock.now)
        self.cloud.make_job("turnout-script")
        self.rest = self.cloud.rest

    def make(self, credentials: Any, launches: MemoryLaunches) -> ReservedRuntime:
        return cloudrun_runtime(
            JOBS,
            IMAGES,
            self.passes,
            launches,
            self.clock,
            endpoint=self.cloud.url,
            credentials=credentials,
        )

    def begun(self, attempt: str) -> int:
        return len(self.cloud.of(attempt))

    def begin(self, attempt: str) -> None:
        self.cloud.begin(attempt)

    def end(self, attempt: str, *, status: int = 0) -> None:
        self.cloud.end(attempt, status)

    def environment(self, attempt: str) -> Mapping[str, str]:
        return self.cloud.environment(self.cloud.of(attempt)[0])

    def refused(self) -> TaskRequested:
        return a_task(self.kind, agent="security")  # nobody has made its job


class CloudBuildHarness(GoogleHarness):
    kind = Runtime.CLOUDBUILD

    def __init__(self) -> None:
        super().__init__()
        self.cloud = cloud_build.CloudBuild(now=self.clock.now)
        self.rest = self.cloud.rest
        self.pool = ""

    def make(self, credentials: Any, launches: MemoryLaunches) -> ReservedRuntime:
        return cloudbuild_runtime(
            cloud_build.PARENT,
            IMAGES,
            self.passes,
            launches,
            self.clock,
            service_account=cloud_build.ACCOUNT,
            pool=self.pool,
            endpoint=self.cloud.url,
            credentials=credentials,
        )

    def begun(self, attempt: str) -> int:
        return len(self.cloud.of(attempt))

    def begin(self, attempt: str) -> None:
        self.cloud.begin(attempt)

    def end(self, attempt: str, *, status: int = 0) -> None:
        self.cloud.end(attempt, "FAILURE" if status else "SUCCESS", code=status)

    def environment(self, attempt: str) -> Mapping[str, str]:
        return self.cloud.environment(self.cloud.of(attempt)[0])

    def refused(self) -> TaskRequested:
        return a_task(self.kind, resources={"cpu": 64})


def serving(harness: Callable[[], Any]) -> Iterator[Any]:
    made = harness()
    with made.cloud:
        yield made

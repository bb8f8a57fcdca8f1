"""The Cloud Build runtime: each attempt is one build with one step, the agent's image.

A step can ask the build's machine for its service account's credentials, so the account is a setting that must be
there: one that can write logs, and nothing else. Source: Cloud Build API v1, projects.locations.builds.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from turnout.core.errors import PermanentError
from turnout.core.images import Images
from turnout.core.messages import TaskRequested
from turnout.core.model import Runtime
from turnout.core.ports import Clock, JobState, Launches
from turnout.gateway import Passes
from turnout.runtimes.google_builds import ACCOUNT, LONGEST, PARENT, POOL, Builds, escaped, machine, tag
from turnout.runtimes.google_calls import credentials_for
from turnout.runtimes.reserved import ReservedRuntime, job_limit

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.devtools.cloudbuild_v1 import Build


def cloudbuild_runtime(
    parent: str,
    images: Images,
    passes: Passes,
    launches: Launches,
    clock: Clock,
    *,
    service_account: str,
    pool: str = "",
    endpoint: str = "",
    credentials: Credentials | None = None,
) -> ReservedRuntime:
    """``parent``: ``projects/PROJECT/locations/REGION``. ``service_account`` and ``pool``: full names. ``endpoint``:
    empty for Google's own. ``credentials``: None for the application's own.

    Raises: PermanentError for a name that is none.
    """
    for variable, pattern, given, expected in (
        ("PARENT", PARENT, parent, "projects/PROJECT/locations/REGION"),
        ("SERVICE_ACCOUNT", ACCOUNT, service_account, "projects/PROJECT/serviceAccounts/NAME of no rights"),
        ("POOL", POOL, pool, "projects/PROJECT/locations/REGION/workerPools/NAME, or nothing"),
    ):
        if not re.fullmatch(pattern, given):
            raise PermanentError(f"TURNOUT_CLOUDBUILD_{variable}: got {given!r}", f"expected {expected}")
    return ReservedRuntime(
        lambda: _CloudBuild(
            Builds(parent, endpoint, credentials or credentials_for(endpoint)),
            images,
            passes,
            service_account,
            pool,
        ),
        launches,
        clock,
    )


class _CloudBuild:
    runtime = Runtime.CLOUDBUILD

    def __init__(
        self, builds: Builds, images: Images, passes: Passes, service_account: str, pool: str
    ) -> None:
        self._builds = builds
        self._images = images
        self._passes = passes
        self._service_account = service_account
        self._pool = pool

    @cached_property
    def _options(self) -> dict[str, Any]:
        pool = {"pool": {"name": self._pool}} if self._pool else {}
        return {
            "logging": "CLOUD_LOGGING_ONLY",
            **pool,
        }  # an account of our own allows no other without a bucket

    def create(self, task: TaskRequested) -> str:
        return self._builds.create(self._build(task))

    def find(self, attempt: str, since: datetime) -> str:  # noqa: ARG002 — its tag finds it
        found = self._builds.tagged(tag(attempt))
        return found.name if found else ""

    def look(self, handle: str) -> JobState:
        return self._builds.state(handle)

    def stop(self, handle: str) -> None:
        self._builds.cancel(handle)

    def _build(self, task: TaskRequested) -> Build:
        """Raises: PermanentError."""
        from google.cloud.devtools.cloudbuild_v1 import Build, BuildOptions, BuildStep

        limit = job_limit(task, LONGEST, "Cloud Build")
        chosen = {} if self._pool else {"machine_type": machine(task.resources)}
        options = BuildOptions(self._options | chosen)
        environment = self._passes.environment(task)
        return Build(
            steps=[
                BuildStep(
                    name=self._images.of(task.agent),
                    id=task.agent,
                    env=[f"{name}={escaped(value)}" for name, value in environment.items()],
                )
            ],
            timeout=timedelta(seconds=limit),
            queue_ttl=timedelta(seconds=self._passes.timing.launch),
            tags=[tag(task.attempt), f"turnout-{task.agent}"],
            service_account=self._service_account,
            options=options,
        )

"""Builds of Cloud Build: made, found by their tag, looked at, cancelled. The runtime and the build agent share it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from turnout.core.errors import PermanentError, TransientError
from turnout.core.plan import Resources
from turnout.core.ports import JobState
from turnout.runtimes.google_calls import ONCE, asking, client_options

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.devtools.cloudbuild_v1 import Build, CloudBuildClient

LONGEST = 24 * 3600.0
"""Seconds that a build may take. Source: Cloud Build, "Quotas and limits"."""
PARENT = r"projects/[a-z0-9.:-]+/locations/[a-z0-9-]+"
ACCOUNT = r"projects/[a-z0-9.:-]+/serviceAccounts/[A-Za-z0-9@.-]+"
POOL = rf"({PARENT}/workerPools/[a-z0-9-]+)?"
_RIGHTS = (
    "give who asks roles/cloudbuild.builds.editor, and roles/iam.serviceAccountUser on the build's account"
)


_GIB = 2**30
_MACHINES = (  # name, cores, bytes of memory; the smallest first
    ("E2_MEDIUM", 1, 4 * _GIB),
    ("E2_STANDARD_2", 2, 8 * _GIB),
    ("E2_HIGHCPU_8", 8, 8 * _GIB),
    ("E2_HIGHCPU_32", 32, 32 * _GIB),
)


class Builds:
    """``parent``: ``projects/PROJECT/locations/REGION``. Every call raises TransientError and PermanentError.

    Requests name no project beside it: the client would send them to the address that knows no region.
    """

    def __init__(self, parent: str, endpoint: str, credentials: Credentials | None) -> None:
        self._parent = parent
        self._endpoint = endpoint
        self._credentials = credentials

    @cached_property
    def _client(self) -> CloudBuildClient:
        """REST: without gRPC's threads, which no fork survives."""
        from google.cloud.devtools.cloudbuild_v1 import CloudBuildClient

        return CloudBuildClient(
            transport="rest",
            credentials=self._credentials,
            client_options=client_options(self._endpoint),
        )

    def create(self, build: Build) -> str:
        """Its full name. Raises: NotMade (a TransientError) where none was made for sure."""
        with asking(f"Cloud Build in {self._parent}", hint=_RIGHTS, makes=True):
            made = self._client.create_build({"parent": self._parent, "build": build}, **ONCE)
        if not made.metadata or not made.metadata.build.id:
            raise TransientError(f"Cloud Build in {self._parent}: a build was made, and not named")
        return self._name(made.metadata.build)

    def tagged(self, tag: str) -> Build | None:
        """The first build that bears the tag, None: none does."""
        with asking(f"Cloud Build in {self._parent}", hint=_RIGHTS):
            found = self._client.list_builds(
                {"parent": self._parent, "filter": f'tags="{tag}"', "page_size": 10}, **ONCE
            )
            builds = [each for each in found if tag in each.tags]
        if not builds:
            return None
        first = min(builds, key=lambda each: each.create_time)
        first.name = self._name(first)
        return first

    def get(self, name: str) -> Build | None:
        """None: there is none."""
        from google.api_core.exceptions import NotFound

        with asking(name, hint=_RIGHTS):
            try:
                found: Build = self._client.get_build({"name": name}, **ONCE)
            except NotFound:
                return None
        return found

    def cancel(self, name: str) -> None:
        """Nothing happens to one that is over, or gone."""
        from google.api_core.exceptions import BadRequest, NotFound

        with asking(name, hint=_RIGHTS):
            try:
                self._client.cancel_build({"name": name}, **ONCE)
            except NotFound:
                pass
            except BadRequest:
                if self.state(name).phase != "ended":
                    raise

    def state(self, name: str) -> JobState:
        build = self.get(name)
        return state_of(build) if build is not None else JobState("ended", "the build is not there any more")

    def _name(self, build: Build) -> str:
        """Older answers carry no name."""
        return build.name or f"{self._parent}/builds/{build.id}"


def state_of(build: Build) -> JobState:
    from google.cloud.devtools.cloudbuild_v1 import Build

    status = Build.Status
    match build.status:
        case status.PENDING | status.QUEUED | status.STATUS_UNKNOWN:
            return JobState("waiting", why(build) or "it has not begun")
        case status.WORKING:
            return JobState("running")
        case _:
            where = f"; its log: {build.log_url}" if build.log_url and build.status != status.SUCCESS else ""
            return JobState("ended", f"{why(build)}{where}", since=build.finish_time or None)


def why(build: Build) -> str:
    """What a build's status means, in one line; empty while it is under way."""
    from google.cloud.devtools.cloudbuild_v1 import Build

    status = Build.Status
    match build.status:
        case status.SUCCESS:
            return "it has come to its end"
        case status.FAILURE:
            return _failed(build)
        case status.INTERNAL_ERROR:
            return _joined("Cloud Build failed in itself", build)
        case status.TIMEOUT:
            return _joined("it took longer than its time", build)
        case status.CANCELLED:
            return _joined("it was cancelled", build)
        case status.EXPIRED:
            return _joined("no machine was free for it in time", build)
        case _:
            return " ".join(build.status_detail.split())[:300]


def _failed(build: Build) -> str:
    kind = build.failure_info.type_
    for number, step in enumerate(build.steps):
        if step.exit_code:
            return _joined(f"step {step.id or number} ended with status {step.exit_code}", build)
    words = kind.name.replace("_", " ").lower() if kind.value else "it failed"
    return _joined(words, build)


def _joined(words: str, build: Build) -> str:
    detail = " ".join((build.failure_info.detail or build.status_detail).split())[:300]
    return f"{words}: {detail}" if detail else words


def tag(attempt: str) -> str:
    """What a build bears of its attempt. Source: Cloud Build, tags match ``^[\\w][\\w.-]{0,127}$``."""
    return f"attempt-{attempt}"


def escaped(text: str) -> str:
    """As it must stand in a step, where ``$NAME`` would be replaced. Source: Cloud Build, "Substituting values"."""
    return text.replace("$", "$$")


def machine(resources: Resources) -> str:
    """The smallest machine that has what is asked for. Raises: PermanentError where none has."""
    if not resources.cpu and not resources.memory:
        return "UNSPECIFIED"
    for name, cores, memory in _MACHINES:
        if resources.cpu <= cores and resources.memory <= memory:
            return name
    raise PermanentError(
        f"no machine of Cloud Build has {resources.cpu:g} CPU and {resources.memory / _GIB:g}Gi",
        "ask for at most 32 CPU and 32Gi, or set TURNOUT_CLOUDBUILD_POOL to a private pool of larger ones",
    )

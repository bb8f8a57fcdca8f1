"""Cloud Build as its API shows it: builds that a test moves through their phases. Nothing is built here.

What the API would refuse is refused: a tag, an environment or a time of the wrong shape, a ``$NAME`` that nothing
replaces, an account of one's own without a place for the logs, a cancel of what is over.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from google.cloud.devtools.cloudbuild_v1 import types as cb
from google.cloud.devtools.cloudbuild_v1.services.cloud_build.transports.rest_base import (
    _BaseCloudBuildRestTransport,
)
from google.longrunning import operations_pb2

from local.google.rest import Method, Refused, RestStandIn

PARENT = "projects/shop-ci/locations/europe-west1"
ACCOUNT = "projects/shop-ci/serviceAccounts/agents@shop-ci.iam.gserviceaccount.com"
_LONGEST = 24 * 3600
_BUILTIN = {"PROJECT_ID", "PROJECT_NUMBER", "BUILD_ID", "LOCATION"}
_STATUS: Any = cb.Build.Status
_OPEN = (_STATUS.QUEUED, _STATUS.WORKING, _STATUS.PENDING)


class CloudBuild:
    """``with CloudBuild() as cloud:`` serves it at ``cloud.url``. ``raw``: as `RestStandIn` has it. ``made``: called
    with each new build, for a test that moves it at once."""

    def __init__(
        self,
        raw: Any = None,
        made: Callable[[cb.Build], None] = lambda _: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        base: Any = _BaseCloudBuildRestTransport
        self.builds: dict[str, cb.Build] = {}
        self.made = made
        self.looked: Callable[[cb.Build], None] = lambda _: None
        """Called with a build each time before it is shown."""
        self.rest = RestStandIn(
            [
                Method(
                    "CreateBuild",
                    base._BaseCreateBuild._get_http_options(),
                    cb.CreateBuildRequest,
                    self._create,
                ),
                Method("GetBuild", base._BaseGetBuild._get_http_options(), cb.GetBuildRequest, self._get),
                Method(
                    "ListBuilds", base._BaseListBuilds._get_http_options(), cb.ListBuildsRequest, self._list
                ),
                Method(
                    "CancelBuild",
                    base._BaseCancelBuild._get_http_options(),
                    cb.CancelBuildRequest,
                    self._cancel,
                ),
            ],
            raw,
        )
        self.url = self.rest.url

    def __enter__(self) -> CloudBuild:
        self.rest.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.rest.__exit__()

    # --- what a test does ---------------------------------------------------------------------------

    def of(self, attempt: str) -> list[cb.Build]:
        return [each for each in self.builds.values() if f"attempt-{attempt}" in each.tags]

    def begin(self, attempt: str) -> None:
        for each in self.of(attempt):
            each.status, each.start_time = _STATUS.WORKING, self._now()

    def end(self, attempt: str, status: str = "SUCCESS", *, code: int = 0, detail: str = "") -> None:
        """``status``: one of `Build.Status`. ``code``: exit status of the first step."""
        for each in self.of(attempt):
            self.over(each, status, code=code, detail=detail)

    def over(self, build: cb.Build, status: str, *, code: int = 0, detail: str = "") -> None:
        build.status, build.finish_time = _STATUS[status], self._now()
        if code:
            build.steps[0].exit_code = code
            build.failure_info = cb.Build.FailureInfo(type_="USER_BUILD_STEP", detail=detail)
        elif detail:
            build.status_detail = detail

    def environment(self, build: cb.Build) -> dict[str, str]:
        """Of its first step."""
        return dict(substituted(each).split("=", 1) for each in build.steps[0].env)

    # --- the API ------------------------------------------------------------------------------------

    def _create(self, request: cb.CreateBuildRequest) -> operations_pb2.Operation:
        if not re.fullmatch(r"projects/[^/]+/locations/[^/]+", request.parent):
            raise Refused(400, "parent: expected projects/*/locations/*")
        build = cb.Build(request.build)
        _check(build)
        number = len(self.builds)
        build.id = f"0b1c2d3e-0000-4000-8000-{number:012d}"
        build.name = f"{request.parent}/builds/{build.id}"
        build.project_id = request.parent.split("/")[1]
        build.status = _STATUS.QUEUED
        build.create_time = self._now()
        build.log_url = f"https://console.cloud.google.com/cloud-build/builds/{build.id}"
        self.builds[build.name] = build
        self.made(build)
        metadata = cb.BuildOperationMetadata(build=build)
        operation = operations_pb2.Operation(name=f"operations/build/{build.project_id}/{build.id}")
        operation.metadata.Pack(cb.BuildOperationMetadata.pb(metadata))
        return operation

    def _get(self, request: cb.GetBuildRequest) -> cb.Build:
        if request.name not in self.builds:
            raise Refused(404, "Requested entity was not found.")
        self.looked(self.builds[request.name])
        return self.builds[request.name]

    def _list(self, request: cb.ListBuildsRequest) -> cb.ListBuildsResponse:
        found = re.fullmatch(r'tags="([\w.-]+)"', request.filter)
        if found is None:
            raise Refused(400, f"filter: {request.filter!r} is not understood")
        return cb.ListBuildsResponse(builds=[b for b in self.builds.values() if found[1] in b.tags])

    def _cancel(self, request: cb.CancelBuildRequest) -> cb.Build:
        build = self._get(cb.GetBuildRequest(name=request.name))
        if build.status not in _OPEN:
            raise Refused(400, "Cannot cancel a build that is over.", "FAILED_PRECONDITION")
        self.over(build, "CANCELLED")
        return build


def substituted(text: str) -> str:
    """Raises: Refused for a ``$NAME`` that is none of Cloud Build's own."""
    for found in re.finditer(r"\$\$|\$\{?(\w+)\}?", text):
        if found[1] and found[1] not in _BUILTIN:
            raise Refused(400, f'key "{found[1]}" in the template is not a valid built-in substitution')
    return text.replace("$$", "$")


def _check(build: cb.Build) -> None:
    """Raises: Refused. Source: Cloud Build, "Build configuration file schema"."""
    if not build.steps:
        raise Refused(400, "build.steps: at least one is needed")
    for each in build.tags:
        if not re.fullmatch(r"[\w][\w.-]{0,127}", each):
            raise Refused(400, f"build.tags: {each!r} is none")
    if len(build.tags) > 64:
        raise Refused(400, "build.tags: more than 64")
    if build.timeout and not 0 < build.timeout.total_seconds() <= _LONGEST:
        raise Refused(400, "build.timeout: out of range")
    logging = build.options.logging in (
        cb.BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY,
        cb.BuildOptions.LoggingMode.NONE,
    )
    if build.service_account and not logging and not build.logs_bucket:
        raise Refused(400, "if 'build.service_account' is specified, the build must say where its logs go")
    for step in build.steps:
        if not re.fullmatch(r"[\w.$-][\w./:@${}-]*", step.name):
            raise Refused(400, f"build.steps.name: {step.name!r} is no image")
        for env in step.env:
            if not re.match(r"[A-Za-z_]\w*=", env):
                raise Refused(400, f"build.steps.env: {env!r} is not of the form KEY=VALUE")
        for text in (*step.env, *step.args, step.script):
            substituted(text)

"""Google Cloud Build: the image is built and pushed there, by an account of its own.

Who asks for it are credentials among the stage's secrets, or, where whoever runs the agents has said so, the identity
of the machine that the agent runs on. Neither reaches the build: what it may do is its own account's.
Source: Cloud Build API v1; "Build configuration file schema".
"""

from __future__ import annotations

import importlib.util
import json
import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agents.build.asked import Asked, BuildFailed, Built
from agents.build.google_source import Log, Store, Uploaded, archive
from agents.build.naming import DIGEST
from agents.sdk import operator_google as operator
from agents.sdk.operator_google import google_settings
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.errors import PermanentError, TransientError
from turnout.runtimes.google_builds import ACCOUNT, LONGEST, PARENT, POOL, Builds, escaped, machine, tag, why
from turnout.runtimes.google_calls import client_options, credentials_for
from turnout.runtimes.reserved import NotMade

if TYPE_CHECKING:
    from google.cloud.devtools.cloudbuild_v1 import Build

CREDENTIALS = "GOOGLE_CREDENTIALS"
"""The stage's secret: a service account's key, or a configuration of workload identity federation, as JSON."""
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
BUILDER_IMAGE = "gcr.io/cloud-builders/docker"
QUEUE = 900.0  # seconds that a build may wait for a machine
UNDO = 60.0  # seconds
PATIENCE = 300.0  # seconds in which nothing is heard of a build, before it is given up
LOOKS = 5  # for a build whose making was not answered

pause = time.sleep
"""Between two looks; tests have no patience."""


def missing(asked: Asked) -> str:
    if not (_installed("google.cloud.devtools.cloudbuild_v1") and _installed("google.cloud.storage")):
        return "Google's clients are not here (pip install google-cloud-build google-cloud-storage)"
    settings = google_settings()
    for name, pattern in (
        (operator.PARENT, PARENT),
        (operator.BUILDER, ACCOUNT),
        (operator.BUCKET, r"[a-z0-9._-]+"),
    ):
        if not re.fullmatch(pattern, settings.get(name, "")):
            return f"whoever runs the agents has to set {name}"
    if not re.fullmatch(POOL, settings.get(operator.POOL, "")):
        return f"{operator.POOL} names no worker pool"
    if set(asked.options.platforms) - {"linux/amd64"}:
        return f"it builds for linux/amd64 only, not for {', '.join(asked.options.platforms)}"
    if CREDENTIALS in asked.task.secrets:
        return ""
    if settings.get(operator.OWN_IDENTITY) != "yes":
        return f"the stage has no secret {CREDENTIALS}, and {operator.OWN_IDENTITY} is not `yes`"
    return "" if asked.task.trusted else "a change from a fork may not use the agent's own identity"


def build(workspace: Workspace, asked: Asked) -> Built:
    """Raises: as `agents.build.asked.Backend` says; TransientError for what may pass."""
    settings = google_settings()
    who, project = _credentials(workspace, asked, settings)
    builds = Builds(
        settings[operator.PARENT],
        settings.get(operator.ENDPOINT, ""),
        who or credentials_for(settings.get(operator.ENDPOINT, "")),
    )
    store = _store(settings, who, project)
    packed = workspace.scratch / "source.tar.gz"
    archive(workspace.path, packed, asked.committed)
    source = store.put(packed, f"source/{asked.task.attempt}.tar.gz")
    packed.unlink()
    workspace.log(f"{source.name} is in the bucket {source.bucket}, as generation {source.generation}")
    try:
        found = _run(workspace, asked, builds, store, request(asked, settings, source))
    finally:
        try:
            store.remove(source)
        except (TransientError, PermanentError):
            workspace.log(f"{source.name} is left in the bucket {source.bucket}")
    return Built(digest=_digest(found, asked), tools={"cloudbuild": found.name})


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it
        return False


def _run(workspace: Workspace, asked: Asked, builds: Builds, store: Store, wanted: Build) -> Build:
    """The build when it is over, and has gone well."""
    made: list[str] = []

    def work() -> Build:
        made.append(_made(builds, wanted, tag(asked.task.attempt)))
        name = made[0]
        workspace.log(f"Cloud Build: {name}")
        log = Log(store, f"logs/log-{name.rpartition('/')[2]}.txt", workspace.log)
        return _awaited(builds, name, log)

    def undo() -> str:
        if not made and (found := builds.tagged(tag(asked.task.attempt))):
            made.append(found.name)
        if not made:
            return "no build had been made"
        builds.cancel(made[0])
        return f"{made[0]} was cancelled"

    return _judged(workspace.undoable(work, undo, UNDO))


def _made(builds: Builds, wanted: Build, mark: str) -> str:
    """The build's name: the one that bears the mark already, else a new one. Raises: TransientError."""
    found = builds.tagged(mark)
    if found is not None:
        return found.name
    try:
        return builds.create(wanted)
    except NotMade:
        raise
    except TransientError:  # it may have been made all the same
        for _ in range(LOOKS):
            pause(2.0)
            found = builds.tagged(mark)
            if found is not None:
                return found.name
        raise


def _awaited(builds: Builds, name: str, log: Log) -> Build:
    """The build once it is over. Raises: TransientError when nothing can be heard of it for long; AgentError."""
    from google.cloud.devtools.cloudbuild_v1 import Build

    wait, silent = 1.0, 0.0
    while True:
        try:
            found = builds.get(name)
            log.follow()
        except TransientError:
            silent += wait
            if silent > PATIENCE:
                raise
        else:
            if found is None:
                raise AgentError(f"{name} is not there any more", "somebody has removed it; try again")
            silent = 0.0
            if found.status not in (Build.Status.QUEUED, Build.Status.PENDING, Build.Status.WORKING):
                log.finish()
                return found
        pause(wait)
        wait = min(wait * 1.3, 8.0)


def _judged(build: Build) -> Build:
    """Raises: BuildFailed for the Dockerfile's own steps; AgentError, TransientError for anything else."""
    from google.cloud.devtools.cloudbuild_v1 import Build

    status, kinds = Build.Status, Build.FailureInfo.FailureType
    match build.status:
        case status.SUCCESS:
            return build
        case status.FAILURE if build.failure_info.type_ == kinds.USER_BUILD_STEP or any(
            step.exit_code for step in build.steps
        ):
            raise BuildFailed(f"the image could not be built: {why(build)}")
        case status.INTERNAL_ERROR | status.EXPIRED:
            raise TransientError(f"{build.name}: {why(build)}")
        case status.FAILURE if build.failure_info.type_ in (
            kinds.PUSH_FAILED,
            kinds.PUSH_IMAGE_NOT_FOUND,
            kinds.PUSH_NOT_AUTHORIZED,
        ):
            raise AgentError(
                f"{build.name}: {why(build)}",
                f"let the account of {operator.BUILDER} write to the registry",
            )
        case _:
            raise AgentError(f"{build.name}: {why(build)}", f"see {build.log_url or 'the log'}")


def _digest(build: Build, asked: Asked) -> str:
    """The one digest of all that was pushed; empty: nothing was. Raises: AgentError."""
    if not asked.references:
        return ""
    pushed = {each.name: each.digest for each in build.results.images}
    digests = {pushed.get(each, "") for each in asked.references}
    digest = digests.pop()
    if digests or not DIGEST.fullmatch(digest):
        raise AgentError(f"{build.name} pushed {', '.join(asked.references)} as {pushed or 'nothing'}")
    return digest


def request(asked: Asked, settings: dict[str, str], source: Uploaded) -> Build:
    """What is asked of Cloud Build. Raises: PermanentError where no machine is large enough."""
    from google.cloud.devtools.cloudbuild_v1 import Build, BuildStep, Source, StorageSource

    pool = settings.get(operator.POOL, "")
    options: dict[str, Any] = {"logging": "GCS_ONLY", "log_streaming_option": "STREAM_ON"}
    if pool:
        options["pool"] = {"name": pool}
    else:
        options["machine_type"] = machine(asked.task.resources)
    return Build(
        source=Source(
            storage_source=StorageSource(
                bucket=source.bucket, object_=source.name, generation=source.generation
            )
        ),
        steps=[
            BuildStep(
                name=BUILDER_IMAGE,
                id="build",
                args=[escaped(each) for each in arguments(asked)],
                env=["DOCKER_BUILDKIT=1"],
            )
        ],
        images=list(asked.references),
        tags=[tag(asked.task.attempt), "turnout-image"],
        timeout=timedelta(seconds=int(min(asked.task.timeout, LONGEST))),
        queue_ttl=timedelta(seconds=QUEUE),
        logs_bucket=f"gs://{source.bucket}/logs",
        service_account=settings[operator.BUILDER],
        options=options,
    )


def arguments(asked: Asked) -> list[str]:
    """docker's. What is written in ``build_args`` can be seen by whoever may see the build."""
    options = asked.options
    words = ["build", "--pull", "--progress", "plain", "--file", asked.dockerfile]
    words += ["--build-arg", f"SOURCE_DATE_EPOCH={asked.committed}"]
    if not asked.network:
        words += ["--network", "none"]
    if options.cache is False:
        words.append("--no-cache")
    elif asked.name is not None:
        kept = options.cache if isinstance(options.cache, str) else str(asked.name)
        words += ["--cache-from", f"{kept}:{asked.tags[-1]}", "--build-arg", "BUILDKIT_INLINE_CACHE=1"]
    words += asked.what
    for reference in asked.references:
        words += ["--tag", reference]
    return [*words, "--", asked.context]


def _credentials(workspace: Workspace, asked: Asked, settings: dict[str, str]) -> tuple[Any, str]:
    """With the project they belong to, or that of the builds. None: those of the machine. Raises: AgentError."""
    project = settings[operator.PARENT].split("/")[1]
    given = workspace.secret(CREDENTIALS)
    if not given:
        if CREDENTIALS in asked.task.secrets:
            raise AgentError(f"the secret {CREDENTIALS} is empty", "bind it to a service account's key")
        return None, project
    from google.auth import identity_pool
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import service_account

    try:
        content = json.loads(given)
        kind = content.get("type") if isinstance(content, dict) else None
        if key := content.get("private_key") if kind else "":
            workspace.hide(key)
        match kind:
            case "service_account":
                keys: Any = service_account.Credentials
                return keys.from_service_account_info(content, scopes=[SCOPE]), project
            case "external_account" if "executable" not in content["credential_source"]:
                pools: Any = identity_pool.Credentials
                return pools.from_info(content, scopes=[SCOPE]), project
            case _:
                raise ValueError(
                    f"its type is {ascii(kind)[:60]}, expected service_account or external_account"
                )
    except (ValueError, AttributeError, LookupError, TypeError, GoogleAuthError) as error:
        raise AgentError(
            f"the secret {CREDENTIALS} cannot be used: {str(error)[:200]}",
            "bind a service account's key, or a configuration of workload identity federation, as JSON",
        ) from None


def _store(settings: dict[str, str], who: Any, project: str) -> Store:
    from google.cloud.storage import Client

    endpoint = settings.get(operator.STORAGE_ENDPOINT, "")
    client = Client(
        project=project,
        credentials=who or credentials_for(endpoint),
        client_options=client_options(endpoint),
    )
    return Store(client.bucket(settings[operator.BUCKET]))

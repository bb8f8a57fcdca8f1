"""The Cloud Run runtime: each attempt is one execution of the job that the operator has made for its agent.

A run can override a job's environment and time, and neither its image nor its resources: those are the job's, so a job
that has not what a task asks for is refused. Source: Cloud Run Admin API v2, jobs.run and executions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from turnout.core.durations import parse_size
from turnout.core.errors import PermanentError, TransientError
from turnout.core.images import SETTING, Images
from turnout.core.messages import TaskRequested
from turnout.core.model import Runtime
from turnout.core.ports import Clock, JobState, Launches
from turnout.gateway import Passes
from turnout.runtimes.google_calls import ONCE, asking, client_options, credentials_for
from turnout.runtimes.reserved import ATTEMPT, NotMade, ReservedRuntime, job_limit

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.run_v2 import ExecutionsClient, Job, JobsClient, TasksClient

LONGEST = 168 * 3600.0
"""Seconds that a task of a job may take. Source: Cloud Run, "Set task timeout"."""
PATTERN = r"projects/[a-z0-9.:-]+/locations/[a-z0-9-]+/jobs/[a-z0-9{}-]+"
"""Of the setting; ``{agent}`` stands for the agent's name."""
_DEFAULT_RETRIES = 3  # Cloud Run's
_SKEW = timedelta(minutes=5)  # between Google's clock and ours
_PAGE, _PAGES = 100, 20  # Cloud Run keeps 1000 executions of a job
_RIGHTS = "give the launcher roles/run.developer, and run.jobs.runWithOverrides, on the job"


def cloudrun_runtime(
    jobs: str,
    images: Images,
    passes: Passes,
    launches: Launches,
    clock: Clock,
    *,
    endpoint: str = "",
    credentials: Credentials | None = None,
) -> ReservedRuntime:
    """``jobs``: full names of the agents' jobs, with ``{agent}``. ``endpoint``: empty for Google's own.
    ``credentials``: None for the application's own. Raises: PermanentError for a pattern that is none.
    """
    if not re.fullmatch(PATTERN, jobs) or "{agent}" not in jobs:
        raise PermanentError(
            f"TURNOUT_CLOUDRUN_JOBS: got {jobs!r}",
            "expected projects/PROJECT/locations/REGION/jobs/turnout-{agent}",
        )
    return ReservedRuntime(
        lambda: _CloudRun(jobs, images, passes, endpoint, credentials or credentials_for(endpoint)),
        launches,
        clock,
    )


class _CloudRun:
    runtime = Runtime.CLOUDRUN

    def __init__(
        self, jobs: str, images: Images, passes: Passes, endpoint: str, credentials: Credentials | None
    ) -> None:
        self._pattern = jobs
        self._images = images
        self._passes = passes
        self._how: dict[str, Any] = {
            "transport": "rest",  # without gRPC's threads, which no fork survives
            "credentials": credentials,
            "client_options": client_options(endpoint),
        }

    @cached_property
    def _jobs(self) -> JobsClient:
        from google.cloud.run_v2 import JobsClient

        return JobsClient(**self._how)

    @cached_property
    def _executions(self) -> ExecutionsClient:
        from google.cloud.run_v2 import ExecutionsClient

        return ExecutionsClient(**self._how)

    @cached_property
    def _tasks(self) -> TasksClient:
        from google.cloud.run_v2 import TasksClient

        return TasksClient(**self._how)

    def create(self, task: TaskRequested) -> str:
        from google.cloud.run_v2 import RunJobRequest
        from google.cloud.run_v2.types import EnvVar

        name = self._pattern.replace("{agent}", task.agent.replace("_", "-"))
        limit = job_limit(task, LONGEST, "Cloud Run")
        self._check(self._job(name), task)
        overrides = RunJobRequest.Overrides(
            container_overrides=[
                RunJobRequest.Overrides.ContainerOverride(
                    env=[
                        EnvVar(name=name, value=value)
                        for name, value in self._passes.environment(task).items()
                    ]
                )
            ],
            task_count=1,
            timeout=timedelta(seconds=limit),
        )
        with asking(name, hint=_RIGHTS, makes=True):
            made = self._jobs.run_job(RunJobRequest(name=name, overrides=overrides), **ONCE)
        if not made.metadata or not made.metadata.name:
            raise TransientError(f"{name}: it was run, and no execution was named")
        return str(made.metadata.name)

    def _job(self, name: str) -> Job:
        """Raises: NotMade, PermanentError."""
        hint = f"make it with `max_retries = 0`, and {_RIGHTS}; TURNOUT_CLOUDRUN_JOBS names it"
        try:
            with asking(name, hint=hint):
                found: Job = self._jobs.get_job(name=name, **ONCE)
        except TransientError as error:
            raise NotMade(error.message, error.hint, retry_after=error.retry_after) from error
        return found

    def _check(self, job: Job, task: TaskRequested) -> None:
        """Raises: PermanentError where an execution of this job would not be what the task asks for."""
        template = job.template.template
        container = template.containers[0] if template.containers else None
        retries = template.max_retries if "max_retries" in template else _DEFAULT_RETRIES
        if container is None or len(template.containers) != 1 or retries:
            raise PermanentError(
                f"{job.name} has {len(template.containers)} containers and {retries} retries",
                "give it one container and `max_retries = 0`: Turnout counts the tries itself",
            )
        if not template.service_account:
            raise PermanentError(
                f"{job.name} runs with the project's default rights",
                "give it a service account that has none: it runs the repository's code",
            )
        wanted = self._images.named.get(task.agent) or self._images.pattern.replace("{agent}", task.agent)
        if wanted and container.image != wanted:
            raise PermanentError(
                f"{job.name} runs {container.image}, and {SETTING} says {wanted}",
                "apply the one or change the other",
            )
        _check_resources(job.name, task, container.resources.limits)

    def find(self, attempt: str, since: datetime) -> str:
        parent = self._pattern.rpartition("/")[0] + "/-"
        pages = 0
        with asking(parent, hint=_RIGHTS):
            found = self._executions.list_executions({"parent": parent, "page_size": _PAGE}, **ONCE)
            for page in found.pages:
                for each in page.executions:
                    if each.create_time and each.create_time < since - _SKEW:
                        continue
                    for container in each.template.containers:
                        if any(env.name == ATTEMPT and env.value == attempt for env in container.env):
                            return str(each.name)
                pages += 1
                if pages == _PAGES:
                    break
        return ""

    def stop(self, handle: str) -> None:
        from google.api_core.exceptions import BadRequest, NotFound

        with asking(handle, hint=_RIGHTS):
            try:
                self._executions.cancel_execution(name=handle, **ONCE)
            except NotFound:
                pass
            except BadRequest:
                if self.look(handle).phase != "ended":
                    raise

    def look(self, handle: str) -> JobState:
        from google.api_core.exceptions import NotFound

        with asking(handle, hint=_RIGHTS):
            try:
                found = self._executions.get_execution(name=handle, **ONCE)
            except NotFound:
                return JobState("ended", "the execution has been deleted")
        reason = _reason(found.conditions)
        if found.completion_time:
            if found.succeeded_count:
                reason = "it has come to its end"
            elif found.failed_count:
                reason = self._exit(handle) or reason
            where = f"; its log: {found.log_uri}" if found.log_uri and not found.succeeded_count else ""
            return JobState("ended", f"{reason or 'it has ended'}{where}", since=found.completion_time)
        if found.running_count:
            return JobState("running", reason)
        return JobState("waiting", reason or "it has not begun")

    def _exit(self, handle: str) -> str:
        """How its process ended, as its one task says."""
        with asking(handle, hint=_RIGHTS):
            for task in self._tasks.list_tasks({"parent": handle, "page_size": 1}, **ONCE):
                last = task.last_attempt_result
                said = " ".join(last.status.message.split())
                how = f"signal {last.term_signal}" if last.term_signal else f"status {last.exit_code}"
                if last.exit_code or last.term_signal:
                    return f"its process ended with {how}{': ' + said if said else ''}"
                return said or _reason(task.conditions)
        return ""


def _reason(conditions: Any) -> str:
    """What the first condition that is not met says, in one line."""
    from google.cloud.run_v2.types import Condition

    states = Condition.State
    for each in conditions:
        if each.state not in (states.CONDITION_SUCCEEDED, states.STATE_UNSPECIFIED):
            why = each.execution_reason.name if "execution_reason" in each else ""
            why = why or (each.reason.name if "reason" in each else "")
            words = why.replace("_", " ").lower()
            return ": ".join(filter(None, (words, " ".join(each.message.split())[:300])))
    return ""


def _check_resources(name: str, task: TaskRequested, limits: Mapping[str, str]) -> None:
    """Raises: PermanentError. Source: Kubernetes' quantities, which Cloud Run uses: ``1000m``, ``2``, ``512Mi``."""
    cpu, memory = limits.get("cpu", "1"), limits.get("memory", "512Mi")
    cores = float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)
    if task.resources.cpu > cores or task.resources.memory > parse_size(memory):
        raise PermanentError(
            f"{name} has {cpu} CPU and {memory}, the task asks for {task.resources.cpu:g} CPU and "
            f"{task.resources.memory // 2**20}Mi",
            "raise the job's limits, ask for less, or choose a runtime that takes them from the task",
        )

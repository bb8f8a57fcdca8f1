"""Cloud Run's jobs as their API shows them: jobs that are there, executions that a test moves through their phases.

Nothing runs here. What the API would refuse is refused: a job that is not there, a variable whose name is none, a time
that is too long, a cancel of what is over.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from google.cloud.run_v2 import types as run
from google.cloud.run_v2.services.executions.transports.rest_base import _BaseExecutionsRestTransport
from google.cloud.run_v2.services.jobs.transports.rest_base import _BaseJobsRestTransport
from google.cloud.run_v2.services.tasks.transports.rest_base import _BaseTasksRestTransport
from google.longrunning import operations_pb2

from local.google.rest import Method, Refused, RestStandIn

PARENT = "projects/shop-ci/locations/europe-west1"
ACCOUNT = "agents@shop-ci.iam.gserviceaccount.com"
_LONGEST = 168 * 3600
_STATE = run.Condition.State
_REASON = run.Condition.ExecutionReason


class CloudRun:
    """``with CloudRun() as cloud:`` serves it at ``cloud.url``; its faults are at ``cloud.rest``."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        jobs: Any = _BaseJobsRestTransport
        executions: Any = _BaseExecutionsRestTransport
        tasks: Any = _BaseTasksRestTransport
        self.jobs: dict[str, run.Job] = {}
        self.executions: dict[str, run.Execution] = {}
        self.made: Callable[[run.Execution], None] = lambda _: None
        """Called with each new execution."""
        self.tasks: dict[str, run.Task] = {}
        self.rest = RestStandIn(
            [
                Method("GetJob", jobs._BaseGetJob._get_http_options(), run.GetJobRequest, self._get_job),
                Method("RunJob", jobs._BaseRunJob._get_http_options(), run.RunJobRequest, self._run_job),
                Method(
                    "ListExecutions",
                    executions._BaseListExecutions._get_http_options(),
                    run.ListExecutionsRequest,
                    self._list,
                ),
                Method(
                    "GetExecution",
                    executions._BaseGetExecution._get_http_options(),
                    run.GetExecutionRequest,
                    lambda request: self._execution(request.name),
                ),
                Method(
                    "CancelExecution",
                    executions._BaseCancelExecution._get_http_options(),
                    run.CancelExecutionRequest,
                    self._cancel,
                ),
                Method(
                    "ListTasks",
                    tasks._BaseListTasks._get_http_options(),
                    run.ListTasksRequest,
                    lambda request: run.ListTasksResponse(
                        tasks=[self.tasks[request.parent]] if request.parent in self.tasks else []
                    ),
                ),
            ]
        )
        self.url = self.rest.url

    def __enter__(self) -> CloudRun:
        self.rest.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.rest.__exit__()

    # --- what a test does ---------------------------------------------------------------------------

    def make_job(
        self, name: str, image: str = "registry.example.org/agents/script:1", **template: Any
    ) -> None:
        """As terraform makes it for an agent, at ``PARENT/jobs/name``."""
        known: dict[str, Any] = {
            "containers": [
                run.Container(
                    image=image,
                    resources=run.ResourceRequirements(limits={"cpu": "2", "memory": "2Gi"}),
                    env=[run.EnvVar(name="LANG", value="C.UTF-8")],
                )
            ],
            "max_retries": 0,
            "service_account": ACCOUNT,
        }
        full = f"{PARENT}/jobs/{name}"
        self.jobs[full] = run.Job(
            name=full, template=run.ExecutionTemplate(template=run.TaskTemplate(known | template))
        )

    def of(self, attempt: str) -> list[run.Execution]:
        return [
            each for each in self.executions.values() if self.environment(each)["TURNOUT_ATTEMPT"] == attempt
        ]

    def environment(self, execution: run.Execution) -> dict[str, str]:
        """What its run was given, without what its job has."""
        own = {
            env.name
            for env in self.jobs[f"{PARENT}/jobs/{execution.job}"].template.template.containers[0].env
        }
        return {env.name: env.value for env in execution.template.containers[0].env if env.name not in own}

    def begin(self, attempt: str) -> None:
        for each in self.of(attempt):
            each.running_count, each.start_time = 1, self._now()

    def end(self, attempt: str, status: int = 0, signal: int = 0, message: str = "") -> None:
        for each in self.of(attempt):
            bad = bool(status or signal or message)
            self._over(each, failed_count=int(bad), succeeded_count=int(not bad))
            reason = {"execution_reason": _REASON.NON_ZERO_EXIT_CODE} if bad else {}
            _say(each, _STATE.CONDITION_FAILED if bad else _STATE.CONDITION_SUCCEEDED, message, **reason)
            self.tasks[each.name] = run.Task(
                name=f"{each.name}/tasks/{each.name.rpartition('/')[2]}-0",
                last_attempt_result=run.TaskAttemptResult(
                    exit_code=status, term_signal=signal, status={"message": message}
                ),
            )

    def refuse(self, attempt: str, reason: int, message: str) -> None:
        """It never begins, as when its image cannot be pulled."""
        for each in self.of(attempt):
            self._over(each, failed_count=1)
            _say(each, _STATE.CONDITION_FAILED, message, reason=reason)

    def forget(self, attempt: str) -> None:
        for each in self.of(attempt):
            del self.executions[each.name]

    # --- the API ------------------------------------------------------------------------------------

    def _get_job(self, request: run.GetJobRequest) -> run.Job:
        if request.name not in self.jobs:
            raise Refused(404, f"Resource '{request.name.rpartition('/')[2]}' of kind 'JOB' does not exist.")
        return self.jobs[request.name]

    def _run_job(self, request: run.RunJobRequest) -> operations_pb2.Operation:
        job = self._get_job(run.GetJobRequest(name=request.name))
        template = run.TaskTemplate(job.template.template)
        overrides = request.overrides
        if len(overrides.container_overrides) > len(template.containers):
            raise Refused(400, "overrides.container_overrides: more than the job has containers")
        for override in overrides.container_overrides:
            for env in override.env:
                if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", env.name):
                    raise Refused(400, f"overrides.container_overrides.env: {env.name!r} is no name")
            given = {env.name for env in override.env}
            kept = [env for env in template.containers[0].env if env.name not in given]
            template.containers[0].env = [*kept, *override.env]
        if overrides.timeout:
            if not 0 < overrides.timeout.total_seconds() <= _LONGEST:
                raise Refused(400, "overrides.timeout: out of range")
            template.timeout = overrides.timeout
        short = job.name.rpartition("/")[2]
        name = f"{job.name}/executions/{short}-{len(self.executions):05d}"
        made = run.Execution(
            name=name,
            job=short,
            create_time=self._now(),
            task_count=overrides.task_count or 1,
            template=template,
            log_uri=f"https://console.cloud.google.com/logs/viewer?execution={short}",
        )
        _say(made, _STATE.CONDITION_PENDING, "")
        self.executions[name] = made
        self.made(made)
        return _operation(made)

    def _list(self, request: run.ListExecutionsRequest) -> run.ListExecutionsResponse:
        """Newest first, at most three a page."""
        job = request.parent.rpartition("/")[2]
        found = [each for each in self.executions.values() if job in ("-", each.job)][::-1]
        start = int(request.page_token or 0)
        end = start + min(request.page_size or 100, 3)
        return run.ListExecutionsResponse(
            executions=found[start:end], next_page_token=str(end) if end < len(found) else ""
        )

    def _execution(self, name: str) -> run.Execution:
        if name not in self.executions:
            raise Refused(404, f"Resource '{name.rpartition('/')[2]}' of kind 'EXECUTION' does not exist.")
        return self.executions[name]

    def _cancel(self, request: run.CancelExecutionRequest) -> operations_pb2.Operation:
        found = self._execution(request.name)
        if found.completion_time:
            raise Refused(400, "the execution has been completed", "FAILED_PRECONDITION")
        self._over(found, cancelled_count=1)
        _say(found, _STATE.CONDITION_FAILED, "", execution_reason=_REASON.CANCELLED)
        return _operation(found)

    def _over(self, execution: run.Execution, **counts: int) -> None:
        execution.running_count = 0
        execution.completion_time = self._now()
        for name, count in counts.items():
            setattr(execution, name, count)


def _say(execution: run.Execution, state: Any, message: str, **reason: Any) -> None:
    execution.conditions = [run.Condition(type_="Completed", state=state, message=message, **reason)]


def _operation(execution: run.Execution) -> operations_pb2.Operation:
    operation = operations_pb2.Operation(name=f"{PARENT}/operations/{len(execution.name)}")
    operation.metadata.Pack(run.Execution.pb(execution))
    return operation

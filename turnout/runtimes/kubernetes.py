"""The kubernetes runtime: each attempt is a Job of its own, in one namespace.

The Job's name is derived from the attempt, so the API server itself refuses a second one. The token of its pass is in a
Secret of the same name, which is made after the Job, since it goes with it: until it is there the kubelet lets the pod
wait. Whoever made the Secret has launched the attempt; a launcher that dies in between is followed by one that does it.
A Job that has ended, or was cancelled, is kept for longer than a task's record can come again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from turnout.core.errors import PermanentError, TransientError
from turnout.core.images import Images
from turnout.core.messages import TaskRequested
from turnout.core.policy import pass_expiry
from turnout.core.ports import JobState
from turnout.gateway import Passes
from turnout.runtimes.kubernetes_manifest import ATTEMPT, CANCELLED, TOKEN, job, name_of, secret
from turnout.runtimes.kubernetes_placement import Placement
from turnout.runtimes.kubernetes_state import newest, state_of, wants_log

_ANY = datetime(2000, 1, 1, tzinfo=UTC)


class KubernetesRuntime:
    """``connect``: gives a `kubernetes_api.KubernetesApi`; called once, when it is first needed."""

    def __init__(
        self,
        images: Images,
        passes: Passes,
        placement: Placement | None = None,
        *,
        connect: Callable[[], Any],
    ) -> None:
        self._images = images
        self._passes = passes
        self._placement = placement or Placement()
        self._connect = connect
        self._connected: Any = None
        self._guard = threading.Lock()

    def launch(self, task: TaskRequested) -> bool:
        """Returns when the Job and its Secret are made; False: they were there before.

        Raises: TransientError, also where a quota leaves no room; PermanentError.
        """
        image, environment = self._images.of(task.agent), self._passes.environment(task)
        wanted = job(task, image, environment, self._placement, seconds=self._longest(task.timeout))
        name = name_of(task.attempt)
        api = self._api
        found = api.create_job(wanted) or api.job(name)
        if found is None:
            raise TransientError(f"the job {name} disappears as soon as it is made")
        if found["metadata"].get("annotations", {}).get(ATTEMPT) != task.attempt:
            raise PermanentError(
                f"a job called {name} is not of attempt {task.attempt}", "rename or delete it"
            )
        if CANCELLED in found["metadata"]["annotations"]:
            return False
        held: bool = api.create_secret(
            secret(name, environment[TOKEN], found["metadata"]["uid"], wanted["metadata"]["labels"])
        )
        return held

    def cancel(self, attempt: str) -> None:
        """Its time is over: Kubernetes ends its pod, with grace. The Job stays, so that nobody launches it again."""
        name = name_of(attempt)
        found = self._api.job(name)
        if found is None or state_of(found, None).phase == "ended":
            return
        self._api.patch_job(
            name, {"metadata": {"annotations": {CANCELLED: "true"}}, "spec": {"activeDeadlineSeconds": 1}}
        )

    def state(self, attempt: str) -> JobState:
        api, name = self._api, name_of(attempt)
        found = api.job(name)
        if found is None:
            return JobState("unknown")
        pod = newest(api.pods(name))
        warnings = api.warnings(found["metadata"]["uid"]) if pod is None else ()
        said = api.said(pod["metadata"]["name"]) if pod is not None and wants_log(found, pod) else ""
        return state_of(found, pod, warnings, said)

    def _longest(self, timeout: float) -> int:
        """Seconds until its pass expires."""
        return math.ceil((pass_expiry(self._passes.timing, timeout, _ANY) - _ANY).total_seconds())

    @property
    def _api(self) -> Any:
        with self._guard:
            if self._connected is None:
                self._connected = self._connect()
            return self._connected

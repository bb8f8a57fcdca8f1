"""What every runtime that launches jobs keeps, whatever it launches them on. Subclass `JobRuntimeContract`, or
`PassedJobContract` where the job is given its pass alone, and give it a harness.

class TestMyRuntime(PassedJobContract):
    @pytest.fixture
    def harness(self) -> MyHarness: ...
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from tests.waiting import wait_until
from turnout.core.errors import PermanentError, TransientError
from turnout.core.ids import attempt_id
from turnout.core.messages import TaskRequested
from turnout.core.model import Runtime
from turnout.core.ports import JobPhase, JobRuntime, JobState

MOST_CALLS = 20  # of the platform, within one call of a runtime
PASS = frozenset({"TURNOUT_GATEWAY_URL", "TURNOUT_ATTEMPT", "TURNOUT_ATTEMPT_TOKEN"})
LAUNCHERS_OWN = "TURNOUT_SLACK_TOKEN"
"""A variable that the launcher has in its environment, with `SECRET` in it, while it launches."""
SECRET = "the launcher's own secret"
TOPIC_TOKEN = "the token of the topics"

Step = Callable[[str], None]
"""What a launcher is about to ask of the platform, in one word; called before each time it asks for something."""


class Crashed(BaseException):
    """The launcher's process dies here: nothing of it runs any more, no `except Exception` either."""


@dataclass
class Steps:
    """Counts what a launcher asks of its platform; it dies before its ``dies_at``-th question, from 1 on. 0: never."""

    dies_at: int = 0
    made: list[str] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, what: str) -> None:
        with self._guard:
            if len(self.made) + 1 == self.dies_at:
                raise Crashed(what)
            self.made.append(what)


def go_on(_what: str) -> None:
    """A launcher that does not die."""


class RuntimeHarness(Protocol):
    """A platform without any job in it, and what a test does to it. ``kind``: the runtime's name in a pipeline.

    ``patience``: seconds within which the platform surely has done what it was asked for. ``begins``: whether it begins
    jobs by itself as soon as they are launched; otherwise they wait for `begin`.
    """

    kind: Runtime
    patience: float
    begins: bool

    def open(self, step: Step = go_on) -> JobRuntime:
        """The runtime as one more launcher's process would make it. ``step`` is called before each question that it
        asks the platform (a request, a file written, a process started)."""
        ...

    def begun(self, attempt: str) -> int:
        """How many jobs the platform was ever made to begin for this attempt, whatever came of them."""
        ...

    def begin(self, attempt: str) -> None:
        """The platform has room: the job begins."""
        ...

    def end(self, attempt: str, *, status: int = 0) -> None:
        """The running job's process ends by itself with this exit status."""
        ...

    def environment(self, attempt: str) -> Mapping[str, str]:
        """What the job's process was given, without what the platform and the image put there by themselves."""
        ...

    def away(self) -> AbstractContextManager[None]:
        """The platform answers nobody; a launcher that is open, or opened, meanwhile hears nothing."""
        ...

    def refused(self) -> TaskRequested | None:
        """A task that the platform or the settings refuse for good; None: this runtime takes every task."""
        ...


def a_task(kind: Runtime, name: str = "unit", **more: Any) -> TaskRequested:
    """``name``: of its stage; each has an attempt id of its own."""
    known: dict[str, Any] = {
        "run": "run-1",
        "project": "shop",
        "stage": name,
        "task": name,
        "agent": "script",
        "attempt": attempt_id("run-1", name, 1),
        "number": 1,
        "token": TOPIC_TOKEN,
        "timeout": 60.0,
        "heartbeat": 5.0,
        "options": {"run": "true"},
        "runtime": kind,
        "checkout": {
            "repository": "acme/shop",
            "clone_url": "https://git.example.org/acme/shop.git",
            "sha": "5" * 40,
            "ref": "refs/heads/main",
        },
    }
    return TaskRequested.model_validate(known | more)


class JobRuntimeContract:
    @pytest.fixture
    def harness(self) -> RuntimeHarness:
        raise NotImplementedError("the subclass gives the harness")

    @pytest.fixture(autouse=True)
    def launchers_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(LAUNCHERS_OWN, SECRET)

    @pytest.fixture
    def runtime(self, harness: RuntimeHarness) -> JobRuntime:
        return harness.open()

    @pytest.fixture
    def task(self, harness: RuntimeHarness) -> TaskRequested:
        return a_task(harness.kind)

    def wait(self, harness: RuntimeHarness, attempt: str, *phases: JobPhase) -> JobState:
        runtime = harness.open()

        def look() -> JobState | None:
            state = runtime.state(attempt)
            return state if state.phase in phases else None

        found = wait_until(look, harness.patience, f"the job is {' or '.join(phases)}", poll=0.05)
        assert found is not None
        return found

    def run(self, harness: RuntimeHarness, runtime: JobRuntime, task: TaskRequested) -> None:
        """Launch it, and wait until it runs."""
        assert runtime.launch(task)
        if not harness.begins:
            harness.begin(task.attempt)
        self.wait(harness, task.attempt, "running")

    # --- once -----------------------------------------------------------------------------------------

    def test_a_launch_begins_one_job(
        self, harness: RuntimeHarness, runtime: JobRuntime, task: TaskRequested
    ) -> None:
        self.run(harness, runtime, task)
        assert harness.begun(task.attempt) == 1

    def test_launched_again_by_this_and_by_other_launchers_it_is_one_job(
        self, harness: RuntimeHarness, runtime: JobRuntime, task: TaskRequested
    ) -> None:
        assert [runtime.launch(task), runtime.launch(task), harness.open().launch(task)] == [
            True,
            False,
            False,
        ]
        if not harness.begins:
            harness.begin(task.attempt)
        self.wait(harness, task.attempt, "running")
        assert not harness.open().launch(task)
        assert harness.begun(task.attempt) == 1

    def test_launched_by_many_launchers_at_once_it_is_one_job(
        self, harness: RuntimeHarness, task: TaskRequested
    ) -> None:
        failed: list[BaseException] = []
        runtimes = [harness.open() for _ in range(4)]
        barrier = threading.Barrier(len(runtimes))

        def work(runtime: JobRuntime) -> None:
            barrier.wait()
            try:
                runtime.launch(task)
            except TransientError:
                pass  # it would come again
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(each,)) for each in runtimes]
        for each in threads:
            each.start()
        for each in threads:
            each.join(harness.patience)
        assert failed == []
        if not harness.begins:
            harness.begin(task.attempt)
        self.wait(harness, task.attempt, "running")
        assert not harness.open().launch(task)
        assert harness.begun(task.attempt) == 1

    def test_a_launcher_that_dies_anywhere_in_a_launch_is_followed_by_one_that_launches_once(
        self, harness: RuntimeHarness
    ) -> None:
        """The record of the task is redelivered to another launcher's process."""
        for dies_at in range(1, MOST_CALLS):
            task = a_task(harness.kind, f"dies-{dies_at}")
            steps = Steps(dies_at)
            dying = harness.open(steps)
            try:
                dying.launch(task)
            except Crashed:
                pass
            else:
                assert len(steps.made) < dies_at
                assert dies_at > 1, "a launch asks the platform for something"
                break
            harness.open().launch(task)
            if not harness.begins:
                harness.begin(task.attempt)
            self.wait(harness, task.attempt, "running")
            assert not harness.open().launch(task), f"launched after {steps.made} and once again"
            assert harness.begun(task.attempt) == 1, f"it died after {steps.made}"
            harness.end(task.attempt)
        else:
            pytest.fail(f"a launch asks the platform for more than {MOST_CALLS} things")

    def test_a_job_that_has_ended_is_not_launched_again(
        self, harness: RuntimeHarness, runtime: JobRuntime, task: TaskRequested
    ) -> None:
        self.run(harness, runtime, task)
        harness.end(task.attempt)
        self.wait(harness, task.attempt, "ended")
        assert not runtime.launch(task)
        assert not harness.open().launch(task)
        assert runtime.state(task.attempt).phase == "ended"
        assert harness.begun(task.attempt) == 1

    def test_jobs_of_two_attempts_are_two(self, harness: RuntimeHarness, runtime: JobRuntime) -> None:
        first, second = a_task(harness.kind, "first"), a_task(harness.kind, "second")
        self.run(harness, runtime, first)
        self.run(harness, runtime, second)
        harness.end(first.attempt)
        self.wait(harness, first.attempt, "ended")
        assert runtime.state(second.attempt).phase == "running"

    # --- state ----------------------------------------------------------------------------------------

    def test_an_attempt_that_was_never_launched_is_unknown(
        self, harness: RuntimeHarness, runtime: JobRuntime, task: TaskRequested
    ) -> None:
        assert runtime.state(task.attempt) == JobState("unknown")

    def test_a_job_waits_then_runs_then_has_ended_for_a_reason(
        self, harness: RuntimeHarness, runtime: JobRuntime, task: TaskRequested
    ) -> None:
        before = datetime.now(UTC)
        assert runtime.launch(task)
        assert runtime.state(task.attempt).phase in (
            ("waiting", "running") if harness.begins else ("waiting",)
        )
        if not harness.begins:
            harness.begin(task.attempt)
        self.wait(harness, task.attempt, "running")
        harness.end(task.attempt)
        ended = self.wait(harness, task.attempt, "ended")
        assert ended.reason
        assert "\n" not in ended.reason
        if ended.since is not None:
            skew = timedelta(seconds=5)
            assert before - skew < ended.since < datetime.now(UTC) + skew

    def test_a_job_that_failed_has_ended_for_another_reason_than_one_that_came_to_its_end(
        self, harness: RuntimeHarness, runtime: JobRuntime
    ) -> None:
        well, badly = a_task(harness.kind, "well"), a_task(harness.kind, "badly")
        reasons = []
        for task, status in ((well, 0), (badly, 3)):
            self.run(harness, runtime, task)
            harness.end(task.attempt, status=status)
            reasons.append(self.wait(harness, task.attempt, "ended").reason)
        assert self.tells_status is False or reasons[0] != reasons[1]

    tells_status = True
    """Whether the platform knows how a process ended; a subclass may say that it does not."""

    # --- cancel ---------------------------------------------------------------------------------------

    def test_a_cancelled_job_ends(
        self, harness: RuntimeHarness, runtime: JobRuntime, task: TaskRequested
    ) -> None:
        self.run(harness, runtime, task)
        harness.open().cancel(task.attempt)
        assert self.wait(harness, task.attempt, "ended").reason
        assert not harness.open().launch(task), "its task comes again, and it is not launched again"
        assert harness.begun(task.attempt) == 1

    def test_a_job_can_be_cancelled_again_and_after_its_end(
        self, harness: RuntimeHarness, runtime: JobRuntime, task: TaskRequested
    ) -> None:
        self.run(harness, runtime, task)
        for _ in range(2):
            runtime.cancel(task.attempt)
        self.wait(harness, task.attempt, "ended")
        runtime.cancel(task.attempt)
        harness.open().cancel(task.attempt)

    def test_what_is_not_there_can_be_cancelled(
        self, harness: RuntimeHarness, runtime: JobRuntime, task: TaskRequested
    ) -> None:
        """A launch that comes after it may begin a job, and the gateway tells that one to stop."""
        runtime.cancel(task.attempt)
        assert runtime.state(task.attempt).phase in ("unknown", "waiting", "ended")
        runtime.launch(task)
        runtime.launch(task)
        assert harness.begun(task.attempt) <= 1

    def test_a_launcher_that_dies_anywhere_in_a_cancel_is_followed_by_one_that_cancels(
        self, harness: RuntimeHarness, runtime: JobRuntime
    ) -> None:
        for dies_at in range(1, MOST_CALLS):
            task = a_task(harness.kind, f"cancel-{dies_at}")
            self.run(harness, runtime, task)
            dying = harness.open(Steps(dies_at))
            try:
                dying.cancel(task.attempt)
            except Crashed:
                harness.open().cancel(task.attempt)
                self.wait(harness, task.attempt, "ended")
                continue
            self.wait(harness, task.attempt, "ended")
            return
        pytest.fail(f"a cancel asks the platform for more than {MOST_CALLS} things")

    # --- what goes wrong ------------------------------------------------------------------------------

    def test_while_the_platform_is_away_everything_is_to_be_tried_again(
        self, harness: RuntimeHarness, runtime: JobRuntime, task: TaskRequested
    ) -> None:
        with harness.away(), pytest.raises(TransientError):
            runtime.launch(task)
        self.run(harness, runtime, task)
        if self.needs_its_platform:
            with harness.away():
                with pytest.raises(TransientError):
                    harness.open().state(task.attempt)
                with pytest.raises(TransientError):
                    runtime.cancel(task.attempt)
        assert runtime.state(task.attempt).phase == "running"
        assert harness.begun(task.attempt) == 1

    needs_its_platform = True
    """Whether state and cancel ask the platform, too; a subclass may say that they do not."""

    def test_a_task_that_is_refused_says_what_to_do(
        self, harness: RuntimeHarness, runtime: JobRuntime
    ) -> None:
        task = harness.refused()
        if task is None:
            return
        with pytest.raises(PermanentError) as refused:
            runtime.launch(task)
        assert refused.value.hint
        assert harness.begun(task.attempt) == 0


class PassedJobContract(JobRuntimeContract):
    """Of runtimes whose jobs speak to the gateway alone."""

    def test_a_job_is_given_its_pass_and_nothing_of_the_launchers(
        self, harness: RuntimeHarness, runtime: JobRuntime, task: TaskRequested
    ) -> None:
        self.run(harness, runtime, task)
        found = harness.environment(task.attempt)
        assert set(found) == PASS
        assert found["TURNOUT_ATTEMPT"] == task.attempt
        assert TOPIC_TOKEN not in "".join(found.values())
        assert SECRET not in "".join(found.values())

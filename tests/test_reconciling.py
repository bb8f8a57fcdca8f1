from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from tests.core.building import START, a_plan, stage
from tests.test_orchestration import World
from turnout.adapters.artifacts import FileArtifacts
from turnout.core import messages as m
from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import TransientError
from turnout.core.events import AttemptFinished
from turnout.core.explain import explain
from turnout.core.model import Outcome, Runtime
from turnout.core.plan import PlannedStage
from turnout.core.ports import JobState
from turnout.core.run import TaskStatus
from turnout.hearing import Hearing
from turnout.reconciling import LOG_KEPT, LOOKED_AT, Reconciler
from turnout.sweeping import Sweeper

SETTLE = 10.0
EVICTED = JobState("ended", "its pod was evicted: the node ran out of memory")


@dataclass
class Jobs:
    """A runtime that says what it is told to say."""

    says: dict[str, JobState] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    away: bool = False
    before: Callable[[], None] = lambda: None

    def launch(self, task: m.TaskRequested) -> bool:
        raise NotImplementedError

    def cancel(self, attempt: str) -> None:
        raise NotImplementedError

    def state(self, attempt: str) -> JobState:
        self.asked.append(attempt)
        self.before()
        if self.away:
            raise TransientError("the cluster can't be reached")
        return self.says.get(attempt, JobState("running"))


class Cluster(World):
    """Attempts on Kubernetes, and one sweeper that asks it."""

    def __init__(self, folder: FileArtifacts, *stages: PlannedStage) -> None:
        super().__init__(a_plan(*(stages or (launched("test"),))))
        self.artifacts = folder
        self.jobs = Jobs()
        self.sweeper = self.another_sweeper()
        self.push()

    def another_sweeper(self) -> Sweeper:
        reconciler = Reconciler(
            self.orchestrator,
            self.store,
            {Runtime.KUBERNETES: self.jobs},
            self.artifacts,
            self.clock,
            settle=timedelta(seconds=SETTLE),
        )
        return Sweeper(self.orchestrator, self.store, self.clock, reconciler=reconciler)

    def attempt(self, task: str = "test") -> str:
        return self.finished(task).attempt

    def ends(self) -> list[AttemptFinished]:
        events = [each.event for each in self.store.events(self.run().id)]
        return [each for each in events if isinstance(each, AttemptFinished)]

    def sweep_for(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock.forward(1)
            self.sweeper.sweep()


def launched(name: str, runtime: Runtime = Runtime.KUBERNETES) -> PlannedStage:
    return stage(name, runtime=runtime)


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    return Cluster(FileArtifacts(tmp_path_factory.mktemp("artifacts")))


def test_an_attempt_whose_job_has_ended_is_lost_long_before_its_lease_with_the_runtime_s_reason(
    cluster: Cluster,
) -> None:
    cluster.hear(cluster.started("test"))
    attempt = cluster.attempt()
    cluster.jobs.says[attempt] = EVICTED
    cluster.sweep_for(16)
    (end,) = cluster.ends()
    assert (end.by, end.attempt, end.result.outcome, end.result.lost) == (
        "runtime",
        attempt,
        Outcome.ERROR,
        True,
    )
    assert end.result.reason == EVICTED.reason
    task = cluster.run().stages["test"].tasks["test"]
    assert (task.lost, task.retries, len(task.attempts)) == (1, 0, 2)


def test_a_job_that_never_began_is_lost_too(cluster: Cluster) -> None:
    cluster.jobs.says[cluster.attempt()] = JobState("ended", "its image can't be pulled")
    cluster.sweep_for(16)
    assert [each.result.reason for each in cluster.ends()] == ["its image can't be pulled"]


def test_what_is_lost_is_told_to_stop_so_that_a_container_that_half_lives_is_killed(cluster: Cluster) -> None:
    attempt = cluster.attempt()
    cluster.jobs.says[attempt] = EVICTED
    cluster.sweep_for(16)
    assert [each.attempt for each in cluster.producer.messages(m.CancelTask)] == [attempt]


def test_a_result_has_time_to_arrive_from_when_the_end_of_its_job_was_seen(cluster: Cluster) -> None:
    cluster.hear(cluster.started("test"))
    cluster.jobs.says[cluster.attempt()] = JobState("ended", "it has come to its end")
    cluster.sweep_for(9)
    assert cluster.ends() == []
    cluster.hear(cluster.finished("test"))
    cluster.sweep_for(30)
    assert [each.by for each in cluster.ends()] == ["agent"]
    assert cluster.run().outcome is Outcome.SUCCESS


def test_its_time_counts_from_the_answer_however_long_the_question_took(cluster: Cluster) -> None:
    cluster.hear(cluster.started("test"))
    cluster.jobs.says[cluster.attempt()] = JobState("ended", "it has come to its end")
    cluster.jobs.before = lambda: cluster.clock.forward(SETTLE)
    cluster.sweep_for(1)
    cluster.jobs.before = lambda: None
    cluster.sweep_for(SETTLE - 1)
    assert cluster.ends() == []
    cluster.sweep_for(6)
    assert [each.by for each in cluster.ends()] == ["runtime"]


def test_where_the_runtime_knows_since_when_its_time_counts_from_then(cluster: Cluster) -> None:
    cluster.hear(cluster.started("test"))
    cluster.clock.forward(20)
    cluster.jobs.says[cluster.attempt()] = JobState("ended", "killed", since=START + timedelta(seconds=9))
    cluster.sweeper.sweep()
    assert [each.result.reason for each in cluster.ends()] == ["killed"]


def test_a_runtime_whose_clock_is_far_behind_takes_no_time_from_a_new_attempt(cluster: Cluster) -> None:
    cluster.jobs.says[cluster.attempt()] = JobState("ended", "killed", since=START - timedelta(hours=1))
    cluster.sweep_for(9)
    assert cluster.ends() == []


@pytest.mark.parametrize("phase", ["unknown", "waiting", "running"])
def test_a_job_that_has_not_ended_or_is_not_known_is_never_lost_by_this(cluster: Cluster, phase: str) -> None:
    cluster.jobs.says[cluster.attempt()] = JobState(phase)  # type: ignore[arg-type]
    cluster.sweep_for(120)
    assert cluster.ends() == []


def test_nothing_is_lost_while_agents_can_not_be_heard(cluster: Cluster) -> None:
    def deaf() -> None:
        raise TransientError("the broker is away")

    cluster.jobs.says[cluster.attempt()] = EVICTED
    cluster.sweeper.hearing = Hearing(deaf, cluster.clock, timedelta(seconds=10))
    cluster.sweep_for(60)
    assert cluster.ends() == []
    assert cluster.jobs.asked == []


def test_each_attempt_is_looked_at_every_few_seconds_at_most(cluster: Cluster) -> None:
    cluster.sweep_for(20)
    assert len(cluster.jobs.asked) == 4


def test_only_attempts_of_runtimes_that_are_launched_here_are_looked_at(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = FileArtifacts(tmp_path_factory.mktemp("artifacts"))
    cluster = Cluster(home, launched("test"), launched("here", Runtime.PROCESS))
    cluster.sweeper.sweep()
    assert cluster.jobs.asked == [cluster.attempt("test")]


def test_of_very_many_attempts_a_sweep_looks_at_some_and_the_next_one_goes_on(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    many = stage("test", cells=[str(n) for n in range(LOOKED_AT * 2 + 5)], runtime=Runtime.KUBERNETES)
    cluster = Cluster(FileArtifacts(tmp_path_factory.mktemp("artifacts")), many)
    counts = []
    for _ in range(3):
        cluster.sweeper.sweep()
        counts.append(len(cluster.jobs.asked))
    assert counts == [LOOKED_AT, 2 * LOOKED_AT, 2 * LOOKED_AT + 5]
    assert len(set(cluster.jobs.asked)) == counts[-1]


def test_a_runtime_that_is_away_is_asked_once_a_sweep_and_stops_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = FileArtifacts(tmp_path_factory.mktemp("artifacts"))
    cluster = Cluster(home, launched("test"), launched("lint"))
    cluster.jobs.away = True
    cluster.clock.forward(901)  # nobody has started them: that is found without asking anybody
    cluster.sweeper.sweep()
    assert len(cluster.jobs.asked) == 1
    assert [each.by for each in cluster.ends()] == ["launch", "launch"]


def test_two_sweepers_that_find_the_same_lose_it_once(cluster: Cluster) -> None:
    cluster.jobs.says[cluster.attempt()] = EVICTED
    other = cluster.another_sweeper()
    for _ in range(30):
        cluster.clock.forward(1)
        cluster.sweeper.sweep()
        other.sweep()
    assert len(cluster.ends()) == 1
    assert cluster.orchestrator.job_ended(cluster.run().id, cluster.ends()[0].attempt, "again").events == ()


def test_the_last_words_of_a_job_are_its_attempt_s_log_where_it_has_none(cluster: Cluster) -> None:
    cluster.jobs.says[cluster.attempt()] = JobState("ended", "killed", log="Killed\n")
    cluster.sweep_for(16)
    assert cluster.artifacts.get(attempt_key(cluster.run().id, "test", 1)) == b"Killed\n"


def test_a_log_that_the_attempt_wrote_itself_is_left_as_it_is(cluster: Cluster) -> None:
    key = attempt_key(cluster.run().id, "test", 1)
    cluster.artifacts.append(key, b"compiling\n")
    cluster.jobs.says[cluster.attempt()] = JobState("ended", "killed", log="Killed\n")
    cluster.sweep_for(16)
    assert cluster.artifacts.get(key) == b"compiling\n"


def test_of_very_long_last_words_the_end_is_kept(cluster: Cluster) -> None:
    cluster.jobs.says[cluster.attempt()] = JobState("ended", "killed", log="x" * LOG_KEPT + "the end")
    cluster.sweep_for(16)
    kept = cluster.artifacts.get(attempt_key(cluster.run().id, "test", 1))
    assert len(kept) == LOG_KEPT
    assert kept.endswith(b"the end")


def test_an_attempt_that_was_told_to_stop_and_whose_job_has_ended_is_cancelled_at_once(
    cluster: Cluster,
) -> None:
    cluster.hear(cluster.started("test"))
    cluster.hear(m.CancelRun(run=cluster.run().id, by="ann"))
    cluster.jobs.says[cluster.attempt()] = JobState("ended", "it was deleted")
    cluster.sweep_for(16)
    assert [(each.by, each.result.outcome) for each in cluster.ends()] == [("cancel", Outcome.CANCELLED)]
    assert cluster.run().outcome is Outcome.CANCELLED


def test_it_is_explained(cluster: Cluster) -> None:
    cluster.jobs.says[cluster.attempt()] = EVICTED
    cluster.sweep_for(16)
    lines = explain([each.event for each in cluster.store.events(cluster.run().id)])
    assert f"The orchestrator (its job has ended) ended test as error: {EVICTED.reason}." in lines


def test_a_late_result_of_a_lost_attempt_is_ignored(cluster: Cluster) -> None:
    late = cluster.finished("test")
    cluster.jobs.says[late.attempt] = EVICTED
    cluster.sweep_for(16)
    cluster.hear(late)
    task = cluster.run().stages["test"].tasks["test"]
    assert (task.status, len(task.attempts)) == (TaskStatus.LAUNCHED, 2)


def test_what_was_looked_at_long_ago_is_forgotten(cluster: Cluster) -> None:
    reconciler = cluster.sweeper.reconciler
    assert reconciler is not None
    cluster.jobs.says[cluster.attempt()] = EVICTED
    cluster.sweep_for(16)
    ended = cluster.ends()[0].attempt
    remembered: dict[str, datetime] = reconciler._looked_at
    assert ended in remembered
    cluster.clock.forward(601)
    cluster.sweeper.sweep()
    assert ended not in remembered


def test_a_job_that_was_launched_again_between_two_looks_has_its_own_time(cluster: Cluster) -> None:
    attempt = cluster.attempt()
    cluster.jobs.says[attempt] = JobState("ended", "killed", since=START)
    cluster.sweep_for(1)
    cluster.jobs.says[attempt] = JobState("ended", "killed", since=START + timedelta(seconds=9))
    cluster.sweep_for(16)
    assert cluster.ends() == []
    cluster.sweep_for(5)
    assert len(cluster.ends()) == 1

"""What must hold of environments, of rollbacks, and of attempts that are lost since their job has ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from turnout.adapters.memory_store import MemoryStore
from turnout.core import events as e
from turnout.core.environments import awaited, held, holds
from turnout.core.overtaking import outdated
from turnout.core.run import Run, StageStatus

if TYPE_CHECKING:
    from tests.simulation.world import World

BEATS = 2
"""Heartbeats that a result gets from the end of its job."""
_FAILED = ("failure", "error", "timed_out")


class Deploying:
    """A part of `tests.simulation.invariants.Watch`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.undone: Counter[tuple[str, str]] = Counter()
        self.brought: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    # --- after every commit -----------------------------------------------------------------------

    def happened(self, event: e.Event, run: Run) -> Iterator[tuple[str, str]]:
        match event:
            case e.AttemptLaunched():
                yield from self._launched(event, run)
                yield from self._deploys(event, run)
            case e.StageFinished() if event.outcome == "success" and holds(run.planned(event.stage)):
                self.brought[(run.project, run.planned(event.stage).environment)].append(run.id)
            case e.CancelRequested() if event.superseded_by:
                newer = self.world.watch.states.get(event.superseded_by)
                if newer is not None and outdated(newer, run):
                    yield "no run is superseded by an older change's", f"{run.id[:4]} by {newer.id[:4]}"
            case e.AttemptFinished() if event.by == "runtime":
                yield from self._lost(event, run)
            case e.RollbackStarted():
                self.undone[(run.id, event.stage)] += 1
                self.brought[(run.project, run.planned(event.stage).environment)].remove(run.id)
                if self.undone[(run.id, event.stage)] > 1:
                    yield "a stage is rolled back once", f"{event.stage} of {run.id[:4]}"
                yield from self._asked_for(event, run)
            case e.RunFinished():
                for stage in run.stages.values():
                    if stage.rollback is not None and stage.rollback.outcome is None:
                        yield "a run ends after its rollbacks", f"{stage.name} of {run.id[:4]}"
            case _:
                pass

    def committed(self, run: Run) -> Iterator[tuple[str, str]]:
        """Who holds and who waits is in the store as the run's state says."""
        store, name = self.world.store, "who holds an environment is recorded"
        for environment in held(run):
            if store._holders.get((run.project, environment)) != run.id:
                yield name, f"{environment} by {run.id[:4]}"
        for (project, environment), holder in store._holders.items():
            if holder == run.id and environment not in held(run):
                yield name, f"{environment} of {project} by {run.id[:4]}, which has no use for it"
        waits = {name for (_, name), of in store._queues.items() if run.id in of}
        if waits != set(awaited(run)):
            yield (
                name,
                f"{run.id[:4]} waits for {sorted(awaited(run))}, and is in the queues of {sorted(waits)}",
            )

    def _launched(self, event: e.AttemptLaunched, run: Run) -> Iterator[tuple[str, str]]:
        planned = run.planned(event.stage)
        if not holds(planned):
            return
        known = {**self.world.watch.states, run.id: run}
        for other in known.values():
            for stage, task in other.tasks():
                mine = other.id == run.id and stage.name == event.stage
                theirs = other.planned(stage.name)
                same = (other.project, theirs.environment) == (run.project, planned.environment)
                if task.active and same and holds(theirs) and not mine:
                    yield (
                        "one deploy an environment at a time",
                        f"{event.task} of {run.id[:4]} beside {task.id} of {other.id[:4]} in {planned.environment}",
                    )

    def _deploys(self, event: e.AttemptLaunched, run: Run) -> Iterator[tuple[str, str]]:
        """A rollback brings back what was there, and is asked for by nobody else."""
        planned = run.planned(event.stage)
        if not holds(planned) or event.task not in run.stages[event.stage].tasks:
            return
        there = self.brought[(run.project, planned.environment)][-1:]
        known = {**self.world.watch.states, run.id: run}
        if there and outdated(run, known[there[0]]):
            yield (
                "nothing is deployed over what is newer",
                f"{event.task} of {run.id[:4]} to {planned.environment}, where {there[0][:4]} is",
            )

    def _asked_for(self, event: e.RollbackStarted, run: Run) -> Iterator[tuple[str, str]]:
        because, undone = run.stages[event.because], run.stages[event.stage]
        if (
            run.planned(event.because).rollback != event.stage
            or because.status is not StageStatus.FINISHED
            or because.outcome not in _FAILED
            or undone.outcome != "success"
        ):
            yield "only what failed for good has a deploy rolled back", f"{event.because} of {run.id[:4]}"

    def _lost(self, event: e.AttemptFinished, run: Run) -> Iterator[tuple[str, str]]:
        ended = self.world.job_ended_at(event.attempt)
        name, what = "a job is lost when it has ended, and its result has had time", event.task
        if ended is None:
            yield name, f"{what} of {run.id[:4]}, whose job has not ended"
            return
        scenario = self.world.scenario
        least = BEATS * scenario.timing.heartbeat - 2 * scenario.skew - 1.0
        if self.world.kernel.now - ended < least:
            yield name, f"{what} of {run.id[:4]}, {self.world.kernel.now - ended:.1f} s after its job"

    # --- in the end -----------------------------------------------------------------------------------

    def checks(self) -> Iterator[tuple[str, str]]:
        store: MemoryStore = self.world.store
        left = [*store._holders, *(place for place, of in store._queues.items() if of)]
        for project, environment in left:
            yield "in the end nothing is held", f"{environment} of {project}"
        for run in self.world.watch.states.values():
            for stage in run.stages.values():
                asked = run.planned(stage.name).rollback
                undone = run.stages.get(asked)
                failed = stage.outcome in _FAILED and not stage.allowed and asked != stage.name
                here = undone is not None and undone.started_at is not None and undone.outcome == "success"
                if failed and here and undone is not None and undone.rollback is None:
                    yield "what a failed stage wants undone is rolled back", f"{asked} of {run.id[:4]}"

"""Why things happened, or did not, in words: read from the recorded events alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from turnout.core import events as e
from turnout.core.causes import Cause, causes
from turnout.core.change import Change
from turnout.core.flips import let_in
from turnout.core.plan import PlannedStage
from turnout.core.sentences import because


def explain(history: Sequence[e.Event], stage: str = "") -> tuple[str, ...]:
    """What is to be known first, then one sentence an event that decided something; of one stage, or the whole run.

    Raises: KeyError for a stage that the run does not have.
    """
    found = causes(history, stage)
    first = preface(history, stage)
    if not first:
        return ("Nothing is recorded.",)
    return (*first, *(each.sentence for each in spoken(found) if each.version > 1))


def preface(history: Sequence[e.Event], stage: str = "") -> tuple[str, ...]:
    """How the run came about, or what is planned for the stage. Empty where nothing is recorded. Raises: KeyError."""
    if not history or not isinstance(history[0], e.RunCreated):
        return ()
    created = history[0]
    if not stage:
        return tuple(_creation(created))
    if created.plan is None:
        raise KeyError(stage)
    return tuple(_expectation(created.plan.stage(stage), created.change))


def spoken(found: Sequence[Cause]) -> Iterator[Cause]:
    """Those to tell people: that a task ended is not said again right after its attempt."""
    ended = {each.version for each in found if each.event == "attempt_finished"}
    return (each for each in found if each.event != "task_finished" or each.version - 1 not in ended)


def _creation(created: e.RunCreated) -> Iterable[str]:
    yield causes([created])[0].sentence
    if created.rerun_of:
        kept = ", ".join(created.carried) or "none"
        yield f"It reruns {created.rerun_of} ({created.rerun_mode}); stages taken over: {kept}."
    if created.held_by:
        yield f"It waits for {', '.join(created.held_by)} of the same concurrency group."
    for problem in created.problems:
        yield f"The pipeline file is not valid{because(str(problem))}."
    if created.plan:
        yield f"Its plan has the digest {created.plan.digest}."


def _expectation(planned: PlannedStage, change: Change) -> Iterable[str]:
    needs = f"after {', '.join(planned.needs)}" if planned.needs else "at once"
    yield f"{planned.name} is planned to start {needs}, by the {planned.agent} agent."
    if planned.skip:
        yield f"Its `when` leaves it out{because(planned.skip)}."
        for flip in let_in(planned, change):
            yield f"{flip[0].upper()}{flip[1:]}."
    retries = planned.retries
    if retries.max:
        on = ", ".join(outcome.value for outcome in retries.on)
        times = "once" if retries.max == 1 else f"{retries.max} times"
        wait = f"{retries.backoff:g} s after the attempt before" if retries.backoff else "at once"
        longer = (
            f", then {retries.factor:g} times as long each" if retries.max > 1 and retries.backoff else ""
        )
        yield f"It may be retried {times} on {on}, {wait}{longer}."
    if planned.rollback == planned.name:
        yield "Its agent takes back a rollout that fails."
    elif planned.rollback:
        yield f"When it has failed for good, what {planned.rollback} deployed is rolled back."
    if planned.allow_failure:
        yield "It may fail without harm to the run."
    for note in planned.notes:
        yield f"Note{because(note)}."

"""What is wrong afterwards, as sentences; nothing: nothing was lost and nothing was done twice. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from turnout.core.model import Outcome
from turnout.core.ports import Delivery
from turnout.core.run import Attempt, Run

WELL = re.compile("succeeded|recovered")
"""What a message says of a run that has ended well."""


@dataclass(frozen=True, slots=True)
class Seen:
    """All that can be seen from outside once nothing moves any more.

    ``told``: delivery → the run ids that senders were given. ``replayed``: each run folded anew from its events.
    ``effects``: the lines that tasks wrote, ``run stage attempt``. ``messages``: the run that each message is about,
    and its text. ``open_attempts``: attempts that the store still waits for. ``unpublished``: records that never left.
    ``lag``: group → records it has not taken. ``left_over``: files that should be gone.
    """

    told: Mapping[str, frozenset[str]]
    deliveries: Sequence[Delivery]
    runs: Sequence[Run]
    replayed: Mapping[str, Run | None]
    effects: Sequence[str]
    messages: Sequence[tuple[str, str]]
    dead_letters: Sequence[str] = ()
    open_attempts: Sequence[str] = ()
    unpublished: int = 0
    lag: Mapping[str, int] | None = None
    left_over: Sequence[str] = ()


def problems(seen: Seen) -> list[str]:
    return [
        *_deliveries(seen),
        *_runs(seen),
        *_effects(seen),
        *_messages(seen),
        *(f"a dead letter: {each}" for each in seen.dead_letters),
        *(f"attempt {each} is waited for, and its run has ended" for each in seen.open_attempts),
        *([f"{seen.unpublished} records were never published"] if seen.unpublished else []),
        *(f"{group} has not taken {count} records" for group, count in (seen.lag or {}).items() if count),
        *(f"left behind: {each}" for each in seen.left_over),
    ]


def _deliveries(seen: Seen) -> Iterator[str]:
    rows = Counter(each.id for each in seen.deliveries)
    ids = Counter(each.id for each in seen.runs)
    for delivery, runs in seen.told.items():
        if len(runs) != 1:
            yield f"delivery {delivery} was answered with {len(runs)} runs"
        if rows[delivery] != 1:
            yield f"delivery {delivery} was accepted and is {rows[delivery]} times in the ledger"
        for run in runs:
            if ids[run] != 1:
                yield f"delivery {delivery} was accepted, and there are {ids[run]} of its run {run[:8]}"
    for row in seen.deliveries:
        if row.status != "run":
            yield f"delivery {row.id} is accounted for as {row.status!r}: {row.reason}"
    by_delivery = Counter(each.delivery for each in seen.runs)
    for delivery, count in by_delivery.items():
        if count > 1:
            yield f"delivery {delivery} has {count} runs"
        if delivery not in rows:
            yield f"a run has the delivery {delivery!r}, which is not in the ledger"


def _runs(seen: Seen) -> Iterator[str]:
    for run in seen.runs:
        if not run.finished:
            stages = {stage.name: stage.status.value for stage in run.stages.values()}
            yield f"run {run.id[:8]} has not ended: {run.status.value}, {stages}"
        elif run.outcome is not Outcome.SUCCESS:
            yield f"run {run.id[:8]} ended as {run.outcome and run.outcome.value}: {run.reason}; {_tries(run)}"
        if seen.replayed.get(run.id) != run:
            yield f"run {run.id[:8]} is another one when its events are folded anew"


def _tries(run: Run) -> str:
    return "; ".join(
        f"{task.id}: " + ", ".join(_end(each) for each in task.attempts)
        for _, task in run.tasks()
        if len(task.attempts) > 1 or task.outcome is not Outcome.SUCCESS
    )


def _end(attempt: Attempt) -> str:
    if attempt.result is None:
        return "open"
    return f"{attempt.result.outcome.value} by {attempt.by}: {attempt.result.reason}"


def _effects(seen: Seen) -> Iterator[str]:
    done = Counter(seen.effects)
    for effect, count in done.items():
        if count > 1:
            yield f"done {count} times: {effect}"
    known: set[str] = set()
    for run in seen.runs:
        for stage, task in run.tasks():
            succeeded = 0
            for attempt in task.attempts:
                effect = f"{run.id} {stage.name} {attempt.number}"
                known.add(effect)
                if attempt.result is not None and attempt.result.outcome is Outcome.SUCCESS:
                    succeeded += 1
                    if not done[effect]:
                        yield f"said to be done, and was not: {effect}"
            if succeeded > 1:
                yield f"{task.id} of run {run.id[:8]} has succeeded {succeeded} times"
            for earlier, later in zip(task.attempts, task.attempts[1:], strict=False):
                if earlier.result is None or not earlier.result.lost:
                    yield f"attempt {later.number} of {task.id} of run {run.id[:8]} follows one that was not lost"
    for effect in done.keys() - known:
        yield f"done, and nobody had asked for it: {effect}"


def _messages(seen: Seen) -> Iterator[str]:
    count = Counter(run for run, _ in seen.messages)
    texts = dict(seen.messages)
    for run in seen.runs:
        if count[run.id] != 1:
            yield f"run {run.id[:8]} has {count[run.id]} messages"
        elif run.outcome is Outcome.SUCCESS and not WELL.search(texts[run.id]):
            yield f"the message of run {run.id[:8]} does not say how it ended: {texts[run.id]}"
    for id in count.keys() - {run.id for run in seen.runs}:
        yield f"a message is about {id[:8]!r}, which is no run"

"""Each thing that can go wrong is planted and must be found: an audit that sees nothing proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.audit import Seen, problems
from tests.core.building import START, Story, a_plan, stage
from turnout.core.model import Outcome
from turnout.core.ports import Delivery
from turnout.core.run import Run


def ended(outcome: Outcome = Outcome.SUCCESS) -> Run:
    """Two stages; the first one's first attempt was lost."""
    story = Story.of(a_plan(stage("build"), stage("ship", "build")), delivery="d1")
    story.starts("build")
    story.ends("build", Outcome.ERROR, lost=True)
    story.later(1)
    for each in ("build", "ship"):
        story.starts(each)
        story.ends(each, outcome if each == "ship" else Outcome.SUCCESS)
    return story.run


RUN = ended()
FAILED = ended(Outcome.FAILURE)
ROW = Delivery("d1", "github", "push", "acme/shop", "run", START, run="r1")
WELL = Seen(
    told={"d1": frozenset({"r1"})},
    deliveries=[ROW],
    runs=[RUN],
    replayed={"r1": RUN},
    effects=["r1 build 1", "r1 build 2", "r1 ship 1"],
    messages=[("r1", "Sell tea: succeeded")],
    lag={"functions": 0},
)


def unfinished() -> Run:
    story = Story.of(a_plan(stage("build"), stage("ship", "build")), delivery="d1")
    story.starts("build")
    story.ends("build")
    return story.run


def retried_without_need() -> Run:
    build = RUN.stages["build"]
    task = build.tasks["build"]
    first = task.attempts[0]
    assert first.result is not None
    kept = task.with_(attempts=(first.with_(result=first.result.with_(lost=False)), task.attempts[1]))
    return RUN.with_(stages={**RUN.stages, "build": build.with_(tasks={"build": kept})})


def succeeded_twice() -> Run:
    build = RUN.stages["build"]
    task = build.tasks["build"]
    last = task.attempts[-1]
    kept = task.with_(attempts=(task.attempts[0].with_(result=last.result), last))
    return RUN.with_(stages={**RUN.stages, "build": build.with_(tasks={"build": kept})})


def with_run(run: Run) -> Callable[[Seen], Seen]:
    return lambda seen: replace(seen, runs=[run], replayed={run.id: run})


PLANTED: dict[str, Callable[[Seen], Seen]] = {
    "delivery d1 was answered with 2 runs": lambda s: replace(s, told={"d1": frozenset({"r1", "r2"})}),
    "delivery d1 was accepted and is 0 times in the ledger": lambda s: replace(s, deliveries=[]),
    "delivery d1 was accepted, and there are 0 of its run r1": lambda s: replace(s, runs=[]),
    "is accounted for as 'published'": lambda s: replace(s, deliveries=[replace(ROW, status="published")]),
    "delivery d1 has 2 runs": lambda s: replace(s, runs=[RUN, RUN.with_(id="r2")]),
    "which is not in the ledger": lambda s: replace(s, runs=[RUN.with_(delivery="d9")]),
    "has not ended: running": with_run(unfinished()),
    "ended as failure": with_run(FAILED),
    "another one when its events are folded anew": lambda s: replace(s, replayed={"r1": unfinished()}),
    "done 2 times: r1 ship 1": lambda s: replace(s, effects=[*s.effects, "r1 ship 1"]),
    "said to be done, and was not: r1 ship 1": lambda s: replace(s, effects=list(s.effects)[:-1]),
    "nobody had asked for it: r1 ship 2": lambda s: replace(s, effects=[*s.effects, "r1 ship 2"]),
    "follows one that was not lost": with_run(retried_without_need()),
    "has succeeded 2 times": with_run(succeeded_twice()),
    "run r1 has 0 messages": lambda s: replace(s, messages=[]),
    "run r1 has 2 messages": lambda s: replace(s, messages=[*s.messages, *s.messages]),
    "does not say how it ended": lambda s: replace(s, messages=[("r1", "Sell tea: running")]),
    "which is no run": lambda s: replace(s, messages=[*s.messages, ("r7", "succeeded")]),
    "a dead letter: refused": lambda s: replace(s, dead_letters=["refused"]),
    "attempt a1 is waited for": lambda s: replace(s, open_attempts=["a1"]),
    "3 records were never published": lambda s: replace(s, unpublished=3),
    "functions has not taken 2 records": lambda s: replace(s, lag={"functions": 2}),
    "left behind: spool/a1.json": lambda s: replace(s, left_over=["spool/a1.json"]),
}


def test_where_all_is_well_it_says_nothing_also_of_an_attempt_that_was_lost() -> None:
    assert problems(WELL) == []


def test_an_attempt_that_was_lost_may_have_had_its_effect_or_not() -> None:
    assert problems(replace(WELL, effects=["r1 build 2", "r1 ship 1"])) == []


@pytest.mark.parametrize("said", PLANTED)
def test_it_finds(said: str) -> None:
    found = problems(PLANTED[said](WELL))
    assert any(said in each for each in found), found

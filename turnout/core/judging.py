"""What statements prove of an image: who built it, of which commit, by which plan, and what has passed on it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from turnout.core.attestation import Predicate, Statement, images_of
from turnout.core.dsse import STAGE
from turnout.core.model import Outcome

BUILD = "build"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``built``: by whom, the newest first; ``passed``, ``failed``: the newest word of each task on it. ``problems``:
    why the image is not what was asked for, empty: it is.
    """

    digest: str
    built: tuple[Predicate, ...]
    passed: tuple[Predicate, ...]
    failed: tuple[Predicate, ...]
    problems: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """For people, one sentence each."""
        found = [
            f"{self.digest} was built by {_who(each)} of {each.project} from commit {each.commit[:12]}"
            f"{' with uncommitted changes' if each.dirty else ''}, plan {each.plan.get('sha256', '')[:12]}"
            for each in self.built
        ]
        found += [f"{_who(each)} passed on it" for each in self.passed]
        found += [f"{_who(each)} ended as {each.outcome.value} on it" for each in self.failed]
        return tuple(found)


def judge(
    statements: Iterable[Statement], digest: str, required: Sequence[str], project: str = ""
) -> Verdict:
    """``statements``: those whose signatures hold. ``project``: the only one whose builds count, empty: any.

    A statement counts for an image if it is of the project, the commit and the plan of a run that built it: so a plan
    that asks less proves nothing for one that asks more. Of each task the newest word counts.
    """
    facts = [each.predicate for each in statements]
    built = [each for each in facts if digest in made(each) and each.outcome is Outcome.SUCCESS]
    own = [each for each in built if project in ("", each.project) and not each.fork]
    if not own:
        return Verdict(digest, (), (), (), (_nobody(digest, project, built),))
    found = [_judge(facts, digest, required, one) for one in dict.fromkeys(map(origin, _newest_first(own)))]
    return next((each for each in found if not each.problems), found[0])


def made(fact: Predicate) -> tuple[str, ...]:
    """The images that are new with this result: what names an image that it was given has not built it."""
    given = images_of(fact.inputs)
    return tuple(each for each in images_of(fact.outputs) if each not in given)


def matches(wanted: str, fact: Predicate, digest: str) -> bool:
    """Whether the statement can be what is required of the image, however it ended."""
    if wanted.startswith(STAGE):
        return fact.stage == wanted.removeprefix(STAGE)
    return fact.agent.kind == wanted and (wanted != BUILD or digest in made(fact))


def newest(facts: Iterable[Predicate]) -> list[Predicate]:
    """Of each task of each origin the newest, the newest of all first."""
    found: dict[tuple[object, ...], Predicate] = {}
    for each in _newest_first(facts):
        found.setdefault((*origin(each), each.stage, each.task), each)
    return list(found.values())


def _judge(facts: Iterable[Predicate], digest: str, required: Sequence[str], one: tuple[str, ...]) -> Verdict:
    of_origin = newest(each for each in facts if origin(each) == one and not each.fork)
    passed = [each for each in of_origin if each.outcome is Outcome.SUCCESS]
    failed = [each for each in of_origin if each.outcome is not Outcome.SUCCESS]
    built = [each for each in passed if digest in made(each)]
    problems: list[str] = []
    if not built:
        problems.append(f"the newest word of who built {digest} is that it failed")
    for wanted in required:
        about = [each for each in of_origin if matches(wanted, each, digest)]
        bad = [each for each in about if each in failed]
        if not about:
            problems.append(f"nothing attests that {_shown(wanted)} has passed on it")
        problems.extend(f"{_who(each)} ended as {each.outcome.value}" for each in bad)
    order: Callable[[Predicate], str] = lambda each: each.finished_on.isoformat()  # noqa: E731
    return Verdict(
        digest,
        tuple(built),
        tuple(sorted((each for each in passed if each not in built), key=order)),
        tuple(sorted(failed, key=order)),
        tuple(problems),
    )


def origin(fact: Predicate) -> tuple[str, ...]:
    """Project, commit and plan."""
    return (fact.project, fact.commit, fact.plan.get("sha256", ""))


def _newest_first(facts: Iterable[Predicate]) -> list[Predicate]:
    return sorted(
        facts, key=lambda each: (each.finished_on, each.attempt.number, each.attempt.id), reverse=True
    )


def _nobody(digest: str, project: str, built: Sequence[Predicate]) -> str:
    if not built:
        return f"nothing attests who built {digest}"
    if all(each.fork for each in built):
        return f"{digest} was built from a fork"
    others = ", ".join(sorted({each.project for each in built if not each.fork}))
    return f"{digest} was built for {others}, not for {project}"


def _who(fact: Predicate) -> str:
    agent = "" if fact.agent.kind == fact.task else f" (agent {fact.agent.kind})"
    return f"{fact.task}{agent} in run {fact.run[:12]}, attempt {fact.attempt.number}"


def _shown(wanted: str) -> str:
    return f"stage {wanted.removeprefix(STAGE)}" if wanted.startswith(STAGE) else f"the {wanted} agent"

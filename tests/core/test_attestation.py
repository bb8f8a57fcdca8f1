from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.attested import BUILT, IMAGE, OTHER
from tests.core.building import START, Story, a_plan, stage
from turnout.core.attestation import (
    Maker,
    counted,
    digests_in,
    image_digest,
    images_of,
    payload,
    read_statement,
    statement,
)
from turnout.core.dsse import NotAttested
from turnout.core.errors import PermanentError
from turnout.core.images import Images
from turnout.core.model import Outcome, Runtime
from turnout.core.plan import Plan
from turnout.core.result import Artifact, Findings
from turnout.core.result import Tests as Counts

MAKER = Maker("https://ci.example.org", "1.2.3", Images("registry.example.org/{agent}:1"))


def delivery() -> Plan:
    return a_plan(
        stage("build", agent="build", runtime=Runtime.KUBERNETES),
        stage("security", "build", agent="security"),
        stage("deploy", "security", agent="deploy"),
    )


def built(**more: Any) -> Story:
    story = Story.of(delivery())
    story.starts("build")
    story.ends("build", outputs=BUILT, **more)
    return story


def of(story: Story, task: str) -> Any:
    return statement(story.run, story.task(task).attempts[-1].id, MAKER)


def test_a_statement_says_what_was_made_of_what_by_whom() -> None:
    story = built(
        tools={"buildah": "1.28"}, artifacts=(Artifact(name="sbom.json", key="k", size=1, sha256="c" * 64),)
    )
    said = of(story, "build").to_json()
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["subject"] == [
        {"name": BUILT["image"], "digest": {"sha256": "a" * 64}},
        {"name": "sbom.json", "digest": {"sha256": "c" * 64}},
        {"name": "git:acme/shop", "digest": {"gitCommit": "a" * 40}},
    ]
    fact = said["predicate"]
    assert (fact["run"], fact["stage"], fact["attempt"]["number"]) == ("r1", "build", 1)
    assert (fact["commit"], fact["plan"]) == ("a" * 40, {"sha256": "0" * 64})
    assert fact["outcome"] == "success"
    assert fact["agent"] == {
        "kind": "build",
        "runtime": "kubernetes",
        "image": "registry.example.org/build:1",
        "name": "w1",
        "sandbox": "",
        "tools": {"buildah": "1.28"},
    }
    assert fact["outputs"] == [{"stage": "build", "name": BUILT["image"], "digest": {"sha256": "a" * 64}}]
    assert fact["builder"] == {"id": "https://ci.example.org", "version": "1.2.3"}
    assert fact["startedOn"] == fact["finishedOn"] == "2026-01-01T00:00:00Z"


def test_what_a_stage_was_given_is_said_with_who_gave_it() -> None:
    story = built()
    story.starts("security")
    story.ends("security", Outcome.FAILURE, findings=Findings(counts={"high": 1}))
    fact = of(story, "security").predicate
    assert [(each.stage, each.name) for each in fact.inputs] == [("build", BUILT["image"])]
    assert images_of(fact.inputs) == (IMAGE,)
    assert images_of(fact.outputs) == ()
    assert (fact.outcome, fact.findings) == (Outcome.FAILURE, {"high": 1})


def test_an_agent_of_this_machine_ran_in_no_image() -> None:
    story = Story.of(a_plan(stage("unit", agent="test")))
    story.starts("unit")
    story.ends("unit", tests=Counts(total=3, passed=2, skipped=1))
    fact = of(story, "unit").predicate
    assert (fact.agent.runtime, fact.agent.image) == ("process", "")
    assert fact.tests == {"total": 3, "passed": 2, "failed": 0, "errors": 0, "skipped": 1}


def test_every_image_of_a_matrix_is_named_as_its_stage_names_it() -> None:
    story = Story.of(a_plan(stage("build", agent="build", cells=("api", "web")), stage("scan", "build")))
    for cell, digest in (("api", IMAGE), ("web", OTHER)):
        story.starts(f"build[{cell}]")
        story.ends(f"build[{cell}]", outputs={"image": f"registry/{cell}:1", "digest": digest})
    story.starts("scan")
    story.ends("scan")
    fact = of(story, "scan").predicate
    assert images_of(fact.inputs) == (IMAGE, OTHER)
    named = {each.name: each.digest["sha256"][0] for each in fact.inputs}
    assert named == {"registry/api:1": "a", "registry/web:1": "b"}


def test_an_image_may_also_be_named_by_its_digest() -> None:
    story = Story.of(a_plan(stage("build", agent="build")))
    story.starts("build")
    story.ends(
        "build", outputs={"ref": f"registry/shop@{IMAGE}", "note": "sha256:abc", "other": f"x {OTHER}"}
    )
    fact = of(story, "build").predicate
    assert [(each.name, each.digest["sha256"]) for each in fact.outputs] == [("registry/shop", "a" * 64)]


def test_of_many_artifacts_some_are_named_and_a_digest_covers_all() -> None:
    story = built(
        artifacts=tuple(Artifact(name=f"f{n:03}", key="k", size=1, sha256=f"{n:064x}") for n in range(300))
    )
    made = of(story, "build")
    assert len(made.subject) == 1 + 50 + 1
    assert made.predicate.artifacts == 300
    listing = "".join(f"{n:064x}  f{n:03}\n" for n in range(300))
    assert made.predicate.artifacts_digest == {"sha256": hashlib.sha256(listing.encode()).hexdigest()}


def test_only_results_of_agents_are_attested() -> None:
    story = Story.of(delivery())
    assert list(counted(story.later(100_000))) == []
    again = story.attempt("build").id
    story.starts("build")
    assert list(counted(story.ends("build", outputs=BUILT))) == [again]


def test_what_has_not_ended_is_not_attested() -> None:
    story = built()
    with pytest.raises(KeyError):
        of(story, "security")
    with pytest.raises(KeyError):
        statement(story.run, "nobody", MAKER)


def test_a_statement_is_read_as_it_was_made() -> None:
    made = of(built(), "build")
    assert read_statement(payload(made).encode()) == made


def test_a_later_turnout_may_say_more() -> None:
    said = json.loads(payload(of(built(), "build")))
    said["predicate"]["more"] = {"to": "say"}
    assert read_statement(json.dumps(said).encode()).predicate.stage == "build"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"_type": "https://in-toto.io/Statement/v1"}',
        b'{"_type": "https://in-toto.io/Statement/v0.1", "subject": [], "predicateType": "x", "predicate": {}}',
        b"[" * 100_000,
    ],
)
def test_anything_else_is_no_statement(content: bytes) -> None:
    with pytest.raises(NotAttested, match="not a statement of Turnout"):
        read_statement(content)


def test_an_image_is_named_by_its_digest() -> None:
    assert image_digest(f"registry.example.org:5000/shop@{IMAGE}") == image_digest(IMAGE) == IMAGE
    for name in ("shop:latest", "sha256:abc", IMAGE + "0", "", f"a b@{IMAGE}"):
        with pytest.raises(PermanentError, match="names no digest"):
            image_digest(name)


def test_digests_are_found_wherever_options_name_them() -> None:
    options = {"image": f"r/a@{IMAGE}", "more": [{"x": OTHER}, 3, None, True], "text": "sha256:no"}
    assert list(digests_in(options)) == [IMAGE, OTHER]


# --- the same attempt, the same bytes ----------------------------------------------------------------


def matrix(cells: Sequence[str]) -> Plan:
    return a_plan(
        stage("build", agent="build"), stage("unit", "build", agent="test", cells=cells, fail_fast=False)
    )


def told(order: Sequence[str], twice: Sequence[bool], backwards: bool) -> dict[str, str]:
    """The statements by task, of results that came in this order, some twice, their parts backwards or not."""
    story = Story.of(matrix(sorted(order)))
    story.starts("build")
    story.ends("build", outputs=dict(sorted(BUILT.items(), reverse=backwards)))
    for cell in sorted(order):
        story.starts(f"unit[{cell}]")
    story.now = START + timedelta(seconds=60)
    for cell, again in zip(order, twice, strict=True):
        tools = dict(sorted({"pytest": "8", "python": "3.11", "cov": "7"}.items(), reverse=backwards))
        named = [Artifact(name=f"{n}.xml", key="k", size=1, sha256=n * 64) for n in "cde"]
        message = story.finished(
            f"unit[{cell}]",
            Outcome.FAILURE if cell == "c1" else Outcome.SUCCESS,
            tools=tools,
            artifacts=tuple(reversed(named) if backwards else named),
            outputs=dict(sorted({"x": "1", "y": f"sha256:{'e' * 64}"}.items(), reverse=backwards)),
        )
        story.hear(message)
        if again:
            story.hear(message)
    return {
        task.id: payload(statement(story.run, attempt.id, MAKER))
        for _, task in story.run.tasks()
        for attempt in task.attempts
        if attempt.result
    }


@given(
    st.permutations(["c1", "c2", "c3", "c4"]),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.booleans(),
)
def test_the_statement_is_the_same_in_whatever_order_results_come(
    order: list[str], twice: list[bool], backwards: bool
) -> None:
    assert told(order, twice, backwards) == told(sorted(order), [False] * 4, False)

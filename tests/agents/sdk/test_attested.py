from __future__ import annotations

import pytest

from agents.sdk.attested import require
from agents.sdk.workspace import AgentError
from tests.attested import (
    BUILT,
    IMAGE,
    KEY,
    OLD_KEY,
    OTHER,
    Works,
    altered,
    changed,
    delivery,
    resigned,
    said,
    tampered,
)
from turnout.adapters.memory_store import MemoryStore
from turnout.core.messages import TaskRequested
from turnout.core.model import Outcome

ASKED = ("build", "security")


def refusal(task: TaskRequested, digest: str = IMAGE) -> str:
    with pytest.raises(AgentError) as caught:
        require(task, digest)
    return caught.value.message


def a_task(works: Works | None = None) -> TaskRequested:
    made = works or Works()
    return made.delivers(made.push(delivery(*ASKED)))


def test_where_the_environment_asks_nothing_nothing_is_asked() -> None:
    works = Works()
    task = works.delivers(works.push(delivery()))
    assert task.attested is None
    assert require(task, "latest") == []


def test_an_image_that_its_own_run_built_and_checked_may_be_deployed() -> None:
    lines = require(a_task(), f"registry.example.org/shop@{IMAGE}")
    assert lines[0].startswith(f"attested: {IMAGE} was built by build in run")
    assert any("security" in line and "passed" in line for line in lines)


def test_an_image_that_nobody_attests_is_refused_with_what_to_do() -> None:
    with pytest.raises(AgentError) as caught:
        require(a_task(), OTHER)
    assert caught.value.message == (
        f"environment production asks for attested images: nothing attests who built {OTHER}"
    )
    assert "by the digest" in caught.value.hint


def test_an_image_without_a_digest_is_refused() -> None:
    assert "names no digest" in refusal(a_task(), "registry.example.org/shop:main")


def test_one_changed_byte_is_refused() -> None:
    task = changed(a_task(), lambda each: altered(each, '"commit":"a', '"commit":"b'), "build")
    assert "signature is not of this statement" in refusal(task)


def test_another_key_is_refused() -> None:
    task = changed(a_task(), lambda each: resigned(each, OLD_KEY), "security")
    assert f"not believed here: {OLD_KEY.keyid[:16]}" in refusal(task)


def test_another_key_under_the_right_name_is_refused() -> None:
    forged = changed(a_task(), lambda each: resigned(each, OLD_KEY, claimed=KEY.keyid), "security")
    assert "signature is not of this statement" in refusal(forged)


def test_the_key_of_before_counts_as_long_as_it_is_believed() -> None:
    works = Works(key=OLD_KEY)
    run = works.push(delivery(*ASKED))
    works.ends(run, "test")
    works.ends(run, "build", outputs=BUILT)
    works.key, works.believed = KEY, (OLD_KEY.public,)
    works.ends(run, "security")
    task = works.handed("deploy")
    assert task.attested is not None
    assert {each.signatures[0].keyid for each in task.attested.statements} == {KEY.keyid, OLD_KEY.keyid}
    assert require(task, IMAGE)
    works.believed = ()
    works.ends(run, "deploy", Outcome.FAILURE)
    again = works.rerun(works.run(), "t2")
    assert again.stages["security"].carried
    assert "not believed here" in refusal(works.handed("deploy"))


def test_statements_on_another_image_prove_nothing_for_this_one() -> None:
    """Replayed: signed and whole, but of another image, of a project that has none of its own."""
    task = a_task()
    works = Works(project="acme/other")
    other = works.delivers(works.push(delivery(*ASKED), repository="acme/other"), digest=OTHER)
    assert task.attested is not None
    replayed = other.with_(attested=task.attested)
    assert f"nothing attests who built {OTHER}" in refusal(replayed, OTHER)
    assert "was built for acme/shop, not for acme/other" in refusal(replayed, IMAGE)


def test_a_failed_check_is_refused_although_the_pipeline_goes_on() -> None:
    works = Works()
    run = works.push(delivery(*ASKED, allow_failure=True))
    works.ends(run, "test")
    works.ends(run, "build", outputs=BUILT)
    works.ends(run, "security", Outcome.FAILURE)
    assert "security" in refusal(works.handed("deploy"))
    assert "ended as failure" in refusal(works.handed("deploy"))


def test_a_failure_that_is_made_unreadable_is_not_forgotten() -> None:
    """Of two words on one task the later says no; whoever spoils it in the store does not bring the first back."""
    store = MemoryStore()
    works = Works(store=store)
    run = works.push(delivery(*ASKED, allow_failure=True))
    works.ends(run, "test")
    works.ends(run, "build", outputs=BUILT)
    works.ends(run, "security")
    works.ends(run, "deploy", Outcome.FAILURE)
    third = works.rerun(works.run(), "t3", "whole")
    works.ends(third, "test")
    works.ends(third, "build", outputs=BUILT)
    works.ends(third, "security", Outcome.FAILURE)
    assert "ended as failure" in refusal(works.handed("deploy"))
    tampered(store, third, "security", '"outcome":"failure"', '"outcome":"success"')
    works.ends(third, "deploy", Outcome.FAILURE)
    works.rerun(works.run("t3"), "t4")
    assert "signature is not of this statement" in refusal(works.handed("deploy"))


def test_an_image_that_was_built_elsewhere_is_found_by_its_digest() -> None:
    works = Works()
    first = works.push(delivery(*ASKED))
    works.delivers(first)
    works.ends(first, "deploy")
    ship = delivery(*ASKED, digest="c" * 64)
    stages = [each.with_(needs=(), options={"image": f"registry/shop@{IMAGE}"}) for each in ship.stages[-1:]]
    works.push(ship.with_(stages=tuple(stages)), "t2", sha="9" * 40)
    task = works.handed("deploy")
    assert task.upstream == {}
    lines = require(task, IMAGE)
    assert "from commit aaaaaaaaaaaa" in lines[0]


def test_a_rerun_that_takes_the_build_over_may_deploy_what_was_built_then() -> None:
    works = Works()
    run = works.push(delivery(*ASKED))
    works.ends(run, "test")
    works.ends(run, "build", outputs=BUILT)
    works.ends(run, "security", Outcome.FAILURE)
    again = works.rerun(works.run(), "t2")
    works.ends(again, "security")
    assert require(works.handed("deploy"), IMAGE)


def test_where_nothing_is_signed_nothing_that_must_be_attested_is_deployed() -> None:
    works = Works(key=None)
    assert "nothing attests who built" in refusal(a_task(works))


def test_a_task_carries_what_is_asked_for_and_no_more() -> None:
    task = a_task()
    assert task.attested is not None
    stages = sorted(said(each)["predicate"]["stage"] for each in task.attested.statements)
    assert stages == ["build", "security"]
    assert task.attested.keys == (KEY.public,)


def test_a_task_survives_its_way_over_the_bus() -> None:
    task = a_task()
    assert require(TaskRequested.model_validate(task.to_json()), IMAGE) == require(task, IMAGE)

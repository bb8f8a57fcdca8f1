from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from agents.sdk.attested import require
from tests.attested import BUILT, IMAGE, KEY, Works, delivery, envelopes, said
from tests.core.building import a_plan, stage
from tests.test_orchestration import FakeProducer
from turnout import attesting
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.signing import believe
from turnout.core.errors import Conflict, TransientError
from turnout.core.events import Timing
from turnout.core.model import Outcome
from turnout.core.policy import gateway_token, pass_expiry
from turnout.core.ports import Commit, OutboxRow
from turnout.core.result import Artifact
from turnout.gateway import Gateway

ASKED = ("build", "security")


def test_each_result_that_counts_is_attested_whatever_it_came_to() -> None:
    works = Works()
    run = works.push(delivery())
    works.ends(run, "test")
    works.ends(run, "build", Outcome.FAILURE)
    works.ends(run, "build", outputs=BUILT)
    works.ends(run, "security", Outcome.FAILURE)
    facts = [said(each)["predicate"] for each in envelopes(works.store, run)]
    assert [(each["stage"], each["attempt"]["number"], each["outcome"]) for each in facts] == [
        ("test", 1, "success"),
        ("build", 1, "failure"),
        ("build", 2, "success"),
        ("security", 1, "failure"),
    ]
    believed = believe([KEY.public])
    assert all(believed.open(each) for each in envelopes(works.store, run))


def test_what_the_platform_lost_is_no_result_and_not_attested() -> None:
    works = Works()
    run = works.push(delivery())
    works.clock.forward(100_000)
    works.orchestrator.tick(run.id)
    assert works.run().stages["test"].tasks["test"].attempts[0].result is not None
    assert envelopes(works.store, run) == []


@dataclass
class Stumbling(MemoryStore):
    """A database that is away, or slower than another writer, when a result is to be recorded."""

    fails: tuple[type[Exception], ...] = ()

    def __post_init__(self) -> None:
        super().__init__()

    def commit(self, change: Commit) -> list[OutboxRow]:
        if change.attestations and self.fails:
            error, *rest = self.fails
            self.fails = tuple(rest)
            raise error("not now")
        return list(super().commit(change))


def test_whatever_goes_wrong_while_a_result_is_recorded_the_statement_is_the_same() -> None:
    smooth, rough = Works(), Works(store=Stumbling(fails=(Conflict, Conflict)))
    for works in (smooth, rough):
        run = works.push(delivery())
        works.ends(run, "test")
        works.ends(run, "build", outputs=BUILT)
    assert envelopes(rough.store, run) == envelopes(smooth.store, run) != []


def test_a_result_that_could_not_be_recorded_is_not_attested() -> None:
    works = Works(store=Stumbling(fails=(TransientError,)))
    run = works.push(delivery())
    with pytest.raises(TransientError):
        works.ends(run, "test")
    assert envelopes(works.store, run) == []
    assert works.run().stages["test"].tasks["test"].active


def test_the_statements_of_an_image_are_those_of_the_runs_that_had_it() -> None:
    works = Works()
    run = works.push(delivery())
    works.delivers(run)
    works.ends(run, "deploy")
    other = works.push(a_plan(stage("lint", agent="lint")), "t2")
    works.ends(other, "lint")
    found = [said(each.signed())["predicate"]["stage"] for each in works.attesting.of_image(IMAGE)]
    assert sorted(found) == ["build", "deploy", "security", "test"]
    assert works.attesting.of_image(f"sha256:{'0' * 64}") == []


def test_a_task_that_is_sent_again_carries_the_same() -> None:
    works = Works()
    first = works.delivers(works.push(delivery(*ASKED)))
    works.producer = FakeProducer()
    assert works.orchestrator.resend(first.run) == 1
    assert works.handed("deploy") == first
    assert first.attested is not None
    assert len(first.attested.statements) == 2


def test_a_launched_job_is_given_the_same_by_the_gateway() -> None:
    works = Works()
    task = works.delivers(works.push(delivery(*ASKED)))
    nothing: object = None
    gateway = Gateway(
        store=works.store,
        producer=works.producer,
        artifacts=nothing,  # type: ignore[arg-type]
        secrets=nothing,  # type: ignore[arg-type]
        clock=works.clock,
        key=b"server key",
        attested=works.attesting.fill,
    )
    expires = pass_expiry(Timing(), task.timeout, works.clock.now())
    visit = gateway.enter(task.attempt, gateway_token(b"server key", task.attempt, expires), "x" * 16)
    assert gateway.task(visit)["attested"] == task.to_json()["attested"]


def test_what_does_not_fit_into_a_task_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    works = Works()
    run = works.push(delivery(*ASKED))
    works.ends(run, "test")
    works.ends(run, "build", outputs=BUILT)
    monkeypatch.setattr(attesting, "ROOM", 3000)
    many = tuple(Artifact(name=f"{n}.json", key="k", size=1, sha256="0" * 64) for n in range(9))
    works.ends(run, "security", artifacts=many)
    task = works.handed("deploy")
    assert task.attested is not None
    assert len(task.attested.statements) + task.attested.left_out == 2
    assert task.attested.left_out >= 1


def test_many_runs_of_one_image_fit_into_a_task() -> None:
    works = Works()
    for number in range(30):
        works.producer = FakeProducer()
        run = works.push(delivery(*ASKED), f"t{number}", sha=f"{number:040x}")
        task = works.delivers(run)
        works.ends(run, "deploy")
    assert task.attested is not None
    assert task.attested.left_out == 0
    assert len(json.dumps(task.to_json())) < 200_000
    assert require(task, IMAGE)


def test_a_row_that_was_forged_into_the_store_is_not_hidden_from_who_checks() -> None:
    store = MemoryStore()
    works = Works(store=store)
    run = works.push(delivery(*ASKED))
    works.ends(run, "test")
    works.ends(run, "build", outputs=BUILT)
    for key, each in store._attestations.items():
        store._attestations[key] = replace(each, payload="no statement")
    works.ends(run, "security")
    task = works.handed("deploy")
    assert task.attested is not None
    assert any(each.content() == b"no statement" for each in task.attested.statements)

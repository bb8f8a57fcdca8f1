"""What follows from each of GitHub's deliveries: a run, a decision on one, or a reason with its rule. In memory, from
the signed request to the run in the store."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from tests.test_orchestration import FakeClock, FakeProducer
from turnout.adapters.config_files import read_pipeline, read_project
from turnout.adapters.github_payload import read_payload
from turnout.adapters.memory_deliveries import MemoryDeliveries
from turnout.adapters.memory_store import MemoryStore
from turnout.asking import Asking
from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.config import ProjectConfig
from turnout.core.envelope import open_record
from turnout.core.errors import PermanentError
from turnout.core.model import ChangeKind
from turnout.core.nothing import Decided
from turnout.core.ports import Delivery
from turnout.core.run import Run, RunStatus, StageStatus
from turnout.core.topics import PIPELINE_EVENTS
from turnout.orchestration import Orchestrator
from turnout.planning import RepositoryPlanner
from turnout.webhook import Answer, Webhook, sign

SECRET = b"new"
SHA, BASE, HEAD = "b" * 40, "a" * 40, "d" * 40
REPOSITORY = {
    "full_name": "acme/shop",
    "clone_url": "https://github.com/acme/shop.git",
    "default_branch": "main",
}
PIPELINE = """
pipeline:
  on:
    push: {branches: [main, "release/*"], paths: ["src/**"]}
    pull_request: {}
    tag: ["v*"]
    dispatch: {types: ["deploy-*"], inputs: [version, ref]}
  stages: [{agent: script, with: {run: make}, env: {INPUT_VERSION: "0", CI: "1"}}]
"""


@dataclass
class House:
    """A webhook, a bus and an orchestrator. ``files``: the pipeline file by commit. ``heads``: commits by ref."""

    project: str = "forks: {run: approval}"
    files: dict[str, str] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=lambda: {"refs/heads/main": HEAD})
    store: MemoryStore = field(default_factory=MemoryStore)
    producer: FakeProducer = field(default_factory=FakeProducer)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self._number = self._heard = 0

    # what the planner needs
    def find(self, repository: str) -> ProjectConfig | None:
        if repository != "acme/shop":
            return None
        return read_project(f"project: {{repository: acme/shop, {self.project}}}", "shop.yml")

    def read(self, change: Change, path: str) -> str | None:
        return self.files.get(change.config_sha or change.sha, PIPELINE) if path == "pipeline.yml" else None

    def head(self, change: Change) -> str:
        if change.ref not in self.heads:
            raise PermanentError(f"couldn't find remote ref {change.ref}")
        return self.heads[change.ref]

    def changed_paths(self, change: Change) -> tuple[str, ...] | None:
        return None

    # what GitHub does
    def post(self, event: str, payload: dict[str, Any], delivery: str = "", secret: bytes = SECRET) -> Answer:
        self._number += 1
        body = json.dumps({"repository": REPOSITORY, "sender": {"login": "ada"}, **payload}).encode()
        hook = Webhook(
            self.store,
            self.producer,
            self.clock,
            (SECRET, b"old"),
            read_payload,
            Asking(self.store, None),
            unserved=lambda name: "" if self.find(name) else "no project file: add one",
        )
        headers = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery or f"d{self._number}",
            "X-Hub-Signature-256": sign(secret, body),
        }
        answer = hook.receive(headers, body)
        self._orchestrate()
        return answer

    def _orchestrate(self) -> None:
        planner = RepositoryPlanner(
            self, self, lambda text, name, project: read_pipeline(text, name, project)
        )
        orchestrator = Orchestrator(self.store, self.producer, planner, self.clock, b"key")
        while self._heard < len(self.producer.records):
            record = self.producer.records[self._heard]
            self._heard += 1
            if record.topic == PIPELINE_EVENTS:
                orchestrator.handle(open_record(record))

    def row(self, delivery: str = "") -> Delivery:
        found = MemoryDeliveries(self.store).find(delivery or f"d{self._number}")
        assert found is not None
        return found

    def run(self, delivery: str = "") -> Run:
        found = self.store.load(self.row(delivery).run)
        assert found is not None, self.row(delivery)
        return found

    def tasks(self) -> list[m.TaskRequested]:
        return self.producer.messages(m.TaskRequested)


@pytest.fixture
def house() -> House:
    return House()


def push(**more: Any) -> dict[str, Any]:
    head = {"id": SHA, "message": "Sell tea", "modified": ["src/tea.py"]}
    return {
        "ref": "refs/heads/main",
        "before": BASE,
        "after": SHA,
        "head_commit": head,
        "commits": [head],
        **more,
    }


def pull_request(action: str, sha: str = SHA, fork: str = "acme/shop", **more: Any) -> dict[str, Any]:
    request = {
        "number": 7,
        "head": {"ref": "cups", "sha": sha, "repo": {**REPOSITORY, "full_name": fork}},
        "base": {"ref": "main", "sha": BASE, "repo": REPOSITORY},
        **more,
    }
    return {"action": action, "pull_request": request}


# --- one of each ------------------------------------------------------------------------------------------


RUNS = [
    ("push", push(), ChangeKind.PUSH),
    ("push", push(ref="refs/heads/release/1"), ChangeKind.PUSH),
    ("push", push(ref="refs/tags/v1", before="0" * 40, commits=[]), ChangeKind.TAG),
    *(
        ("pull_request", pull_request(each), ChangeKind.PULL_REQUEST)
        for each in ("opened", "synchronize", "reopened")
    ),
    ("repository_dispatch", {"action": "deploy-shop", "branch": "main"}, ChangeKind.DISPATCH),
]


@pytest.mark.parametrize(("event", "payload", "kind"), RUNS)
def test_what_brings_code_makes_a_run(house: House, event: str, payload: Any, kind: ChangeKind) -> None:
    assert house.post(event, payload).status == 202
    assert house.row().why is None
    assert house.run().change.kind is kind


APP = {"installation": {"account": {"login": "acme"}}, "repository": None}
NOTHING = [
    ("push", push(ref="refs/heads/x"), "on.push.branches", "this push is on x"),
    (
        "push",
        push(commits=[{"id": SHA, "added": ["README.md"]}]),
        "on.push.paths",
        "the one file changed is README.md",
    ),
    ("push", push(head_commit={"id": SHA, "message": "x [skip ci]"}), "skip marker", "[skip ci]"),
    ("push", push(ref="refs/tags/nightly"), "on.tag.tags", "this tag is nightly"),
    ("push", push(after="0" * 40, deleted=True), Decided.REF, "refs/heads/main was deleted"),
    ("push", push(ref="refs/notes/x"), Decided.REF, "neither a branch nor a tag"),
    (
        "push",
        {**push(), "repository": {**REPOSITORY, "full_name": "acme/tea"}},
        Decided.PROJECT,
        "add a project file",
    ),
    ("create", {"ref": "x", "ref_type": "branch"}, Decided.EVENT, "branch x was created: the push"),
    ("create", {"ref": "v1", "ref_type": "tag"}, Decided.EVENT, "tag v1 was created: the push"),
    ("delete", {"ref": "x", "ref_type": "branch"}, Decided.EVENT, "branch x was deleted"),
    ("delete", {"ref": "v1", "ref_type": "tag"}, Decided.EVENT, "tag v1 was deleted"),
    ("pull_request", pull_request("labeled") | {"label": {"name": "bug"}}, Decided.EVENT, "#7 was labeled"),
    ("pull_request", pull_request("closed", merged=True), Decided.EVENT, "#7 was merged"),
    ("pull_request", pull_request("closed"), Decided.ASKED, "#7 was closed; it has no run under way"),
    ("pull_request", pull_request("edited"), Decided.EVENT, "#7 was edited"),
    (
        "check_suite",
        {"action": "requested", "check_suite": {"head_sha": SHA}},
        Decided.EVENT,
        "the checks were requested",
    ),
    (
        "check_run",
        {"action": "created", "check_run": {"head_sha": SHA}},
        Decided.EVENT,
        "not one of Turnout's",
    ),
    (
        "check_suite",
        {"action": "rerequested", "check_suite": {"head_sha": SHA}},
        Decided.ASKED,
        f"there is no run of commit {SHA[:12]}",
    ),
    (
        "issue_comment",
        {"action": "created", "issue": {"number": 7}, "comment": {"body": "hi"}},
        Decided.EVENT,
        "asks nothing",
    ),
    ("repository_dispatch", {"action": "rebuild", "branch": "main"}, "on.dispatch.types", "of type rebuild"),
    (
        "repository_dispatch",
        {"action": "deploy-x", "branch": "main", "client_payload": {"ref": "gone"}},
        Decided.REF,
        "refs/heads/gone points to no commit",
    ),
    (
        "repository_dispatch",
        {"action": "deploy-x", "branch": "main", "client_payload": {"ref": "a..b"}},
        Decided.REF,
        "client_payload.ref",
    ),
    (
        "ping",
        {"hook": {"events": ["push", "pull_request"]}},
        Decided.EVENT,
        "does not send repository_dispatch, check_run",
    ),
    ("ping", {"hook": {"events": ["*"]}}, Decided.EVENT, "pong"),
    (
        "ping",
        {"repository": {**REPOSITORY, "full_name": "acme/tea"}},
        Decided.PROJECT,
        "pong; acme/tea: no project file: add one",
    ),
    (
        "installation",
        APP | {"action": "created", "repositories": [{"full_name": "acme/shop"}, {"full_name": "acme/tea"}]},
        Decided.PROJECT,
        "the App may read acme/shop, acme/tea of acme; acme/tea: no project file: add one",
    ),
    (
        "installation",
        APP | {"action": "created", "repositories": [{"full_name": "acme/shop"}]},
        Decided.INSTALLATION,
        "the App may read acme/shop of acme",
    ),
    ("installation", APP | {"action": "suspend"}, Decided.INSTALLATION, "GitHub sends nothing until"),
    ("installation", APP | {"action": "unsuspend"}, Decided.INSTALLATION, "taken back"),
    ("installation", APP | {"action": "deleted"}, Decided.INSTALLATION, "the App was uninstalled by acme"),
    (
        "installation",
        APP | {"action": "new_permissions_accepted"},
        Decided.INSTALLATION,
        "new permissions accepted",
    ),
    (
        "installation_repositories",
        APP | {"action": "added", "repositories_added": [{"full_name": "acme/tea"}]},
        Decided.PROJECT,
        "acme/tea: no project file: add one",
    ),
    (
        "installation_repositories",
        APP | {"action": "removed", "repositories_removed": [{"full_name": "acme/shop"}]},
        Decided.INSTALLATION,
        "may no longer read acme/shop",
    ),
    ("star", {"action": "created"}, Decided.EVENT, "a 'star' event starts no run"),
]


@pytest.mark.parametrize(("event", "payload", "rule", "said"), NOTHING)
def test_what_makes_no_run_says_which_rule_decided_and_what_would_turn_it(
    house: House, event: str, payload: Any, rule: str, said: str
) -> None:
    assert house.post(event, payload).status == 202
    row = house.row()
    assert (row.status, row.run) == ("ignored", "")
    assert said in row.reason
    assert row.why is not None
    assert row.why.reason == row.reason
    assert row.why.rule == rule
    assert row.why.values
    if rule != Decided.INSTALLATION and "deleted" not in said:
        assert row.why.flips
    assert not house.tasks()


def test_a_commit_that_nothing_ran_for_is_found_with_the_values_that_the_rule_saw(house: House) -> None:
    house.post("push", push(ref="refs/heads/x"))
    (row,) = MemoryDeliveries(house.store).of_commit(SHA[:8])
    assert row.why is not None
    assert row.why.values == {"on.push.branches": ["main", "release/*"], "branch": "x"}
    assert row.why.flips[0] == "`on.push.branches` had a pattern for x"


# --- dispatches -------------------------------------------------------------------------------------------


def dispatch(house: House, **payload: Any) -> None:
    house.post("repository_dispatch", {"action": "deploy-shop", "branch": "main", "client_payload": payload})


def test_a_dispatch_runs_the_tip_of_the_default_branch_or_of_the_ref_that_it_names(house: House) -> None:
    house.heads |= {"refs/tags/v1": "e" * 40, "refs/heads/next": "f" * 40}
    found = []
    for ref in ({}, {"ref": "next"}, {"ref": "refs/tags/v1"}):
        dispatch(house, **ref)
        found.append((house.run().change.sha, house.run().change.branch, house.run().change.tag))
    assert found == [(HEAD, "main", ""), ("f" * 40, "next", ""), ("e" * 40, "", "v1")]


def test_of_a_dispatch_stages_get_what_is_declared_as_variables_and_nothing_else(house: House) -> None:
    evil = "$(rm -rf /); `id`"
    dispatch(house, version=evil, LD_PRELOAD="/tmp/x.so", other="1")
    (task,) = house.tasks()
    assert task.env == {"INPUT_VERSION": evil, "CI": "1"}
    assert task.options == {"run": "make"}
    assert house.run().change.inputs == {"version": evil}


@pytest.mark.parametrize(
    ("value", "text"),
    [("1.2", "1.2"), (3, "3"), (1.5, "1.5"), (True, "true"), ("", "")],
)
def test_texts_numbers_and_truth_values_are_inputs(house: House, value: Any, text: str) -> None:
    dispatch(house, version=value)
    assert house.tasks()[0].env["INPUT_VERSION"] == text


@pytest.mark.parametrize("value", [None, {"a": 1}, ["a"], "a\nb", "a\0b", "x" * 1001])
def test_what_is_no_line_of_text_is_no_input_and_the_plan_says_so(house: House, value: Any) -> None:
    dispatch(house, version=value)
    (task,) = house.tasks()
    assert task.env["INPUT_VERSION"] == "0", "the stage's own"
    assert "the dispatch gave no text for its input version" in house.run().planned(task.stage).notes


def test_the_same_dispatch_delivered_again_runs_once_though_the_branch_has_moved(house: House) -> None:
    payload = {"action": "deploy-shop", "branch": "main"}
    house.post("repository_dispatch", payload, delivery="d")
    house.heads["refs/heads/main"] = "9" * 40
    assert house.post("repository_dispatch", payload, delivery="d").status == 200
    assert [task.checkout.sha for task in house.tasks()] == [HEAD]


def test_a_broken_pipeline_file_of_a_dispatch_is_told_at_its_commit(house: House) -> None:
    house.files[HEAD] = "pipeline: {stagez: []}"
    dispatch(house)
    assert house.run().problems
    assert house.run().change.sha == HEAD


# --- pull requests that end -------------------------------------------------------------------------------


def test_a_pull_request_that_is_closed_ends_its_runs_and_no_others(house: House) -> None:
    house.post("push", push())
    house.post("pull_request", pull_request("opened"))
    first, second = house.row("d1").run, house.row("d2").run
    answer = house.post("pull_request", pull_request("closed"))
    assert answer.body["reason"] == "pull request #7 was closed: 1 of its runs cancelled"
    states = {id: house.store.load(id) for id in (first, second)}
    going, ended = states[first], states[second]
    assert going is not None
    assert ended is not None
    assert (going.status, ended.status) == (RunStatus.RUNNING, RunStatus.CANCELLING)
    assert (ended.cancelled_by, ended.reason) == ("ada", "pull request #7 was closed without being merged")


def test_a_merged_pull_request_keeps_its_runs(house: House) -> None:
    house.post("pull_request", pull_request("opened"))
    house.post("pull_request", pull_request("closed", merged=True))
    assert house.run("d1").status is RunStatus.RUNNING


def test_runs_that_no_newer_one_would_cancel_outlive_their_pull_request(house: House) -> None:
    house.files[SHA] = (
        "pipeline: {concurrency: {group: g, cancel_superseded: false}, stages: [{agent: script, with: {run: make}}]}"
    )
    house.post("pull_request", pull_request("opened"))
    house.post("pull_request", pull_request("closed"))
    assert house.run("d1").status is RunStatus.RUNNING
    assert "no run under way" in house.row().reason


# --- forks ------------------------------------------------------------------------------------------------


def test_an_approval_is_for_one_commit_and_the_next_push_of_the_fork_waits_again(house: House) -> None:
    def waits(delivery: str) -> StageStatus:
        (stage,) = house.run(delivery).stages.values()
        return stage.status

    house.post("pull_request", pull_request("opened", fork="mallory/shop"), delivery="first")
    assert waits("first") is StageStatus.WAITING
    assert not house.tasks()
    check = {"external_id": f"{house.run('first').id}:check", "head_sha": SHA}
    approve = {
        "action": "requested_action",
        "check_run": check,
        "requested_action": {"identifier": "approve"},
    }
    house.post("check_run", approve)
    assert [task.checkout.sha for task in house.tasks()] == [SHA]

    newer = "c" * 40
    house.post("pull_request", pull_request("synchronize", newer, fork="mallory/shop"), delivery="second")
    assert waits("second") is StageStatus.WAITING
    assert house.run("first").superseded_by == house.run("second").id
    house.post("check_run", approve)  # once more, for what has been approved already
    assert waits("second") is StageStatus.WAITING
    assert [task.checkout.sha for task in house.tasks()] == [SHA], "the new commit has not run"


def test_a_project_may_run_no_forks_and_the_delivery_says_so(house: House) -> None:
    house.project = "forks: {run: never}"
    house.post("pull_request", pull_request("opened", fork="mallory/shop"))
    why = house.row().why
    assert why is not None
    assert (why.rule, why.values["forks.run"]) == ("forks", "never")


# --- secrets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("secret", "status"), [(b"new", 202), (b"old", 202), (b"older", 401), (b"", 401)])
def test_while_a_secret_is_rotated_the_old_and_the_new_one_are_taken(
    house: House, secret: bytes, status: int
) -> None:
    assert house.post("push", push(), secret=secret).status == status


# --- reruns -----------------------------------------------------------------------------------------------


def rerun(house: House, run: str) -> None:
    check = {"external_id": f"{run}:check", "head_sha": SHA}
    house.post("check_run", {"action": "rerequested", "check_run": check})


def test_a_delivery_that_asks_for_a_rerun_ends_as_the_run_that_it_made(house: House) -> None:
    house.files[SHA] = "pipeline: {stages: [{agent: lint, when: {branch: x}}]}"
    house.post("push", push())
    assert house.run().finished
    rerun(house, house.run().id)
    assert (house.row().status, house.run().rerun_of) == ("run", house.run("d1").id)
    assert house.store.unanswered(house.clock.now() + timedelta(days=1)) == []


def test_a_rerun_that_cannot_be_says_why_and_what_would_let_it(house: House) -> None:
    house.post("push", push())
    rerun(house, house.run().id)
    row = house.row()
    assert row.why is not None
    assert (row.status, row.why.rule, row.why.flips) == ("ignored", Decided.ASKED, ("the run had ended",))

"""The stand-in for GitHub: a push through git becomes a signed delivery, and its API tells of the same repository."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local.demo.push import git
from local.github.hub import Hub
from local.github.repositories import Repositories
from local.github.stand_in import StandIn
from local.github.webhooks import Fate, Webhook
from tests.adapters.test_github_deliveries import SECRET, Receiver
from tests.waiting import wait_until
from turnout.adapters.github_payload import read_payload
from turnout.core.change import Change, NoChange
from turnout.webhook import signed

REPOSITORY = "acme/shop"


@dataclass
class Github:
    stand_in: StandIn
    receiver: Receiver
    webhook: Webhook
    work: Path

    def git(self, *arguments: str) -> str:
        return git(self.work, *arguments, within=30)

    def commit(self, name: str, text: str) -> str:
        (self.work / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", f"Write {name}")
        return self.git("rev-parse", "HEAD")

    def delivered(self, count: int) -> list[Change | NoChange]:
        wait_until(lambda: len(self.receiver.came) >= count, 10, f"{count} deliveries have come", poll=0.01)
        found = []
        for headers, body in self.receiver.came:
            assert signed((SECRET.encode(),), body, headers["X-Hub-Signature-256"])
            said = read_payload(headers["X-GitHub-Event"], body)
            assert isinstance(said, Change | NoChange)
            found.append(said)
        return found

    def get(self, path: str) -> httpx.Response:
        url = f"{self.stand_in.url}/repos/{REPOSITORY}{path}"
        return httpx.get(url, headers={"Authorization": "Bearer ghp_plain"})


@pytest.fixture
def github(tmp_path: Path) -> Iterator[Github]:
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        webhook = Webhook(receiver.url, SECRET)
        stack.callback(webhook.close)
        hub = Hub(repository=REPOSITORY, webhooks={1: webhook}, git=Repositories(tmp_path / "github"))
        assert hub.git is not None
        hub.git.make(REPOSITORY)
        stand_in = stack.enter_context(StandIn(hub))
        work = tmp_path / "work"
        work.mkdir()
        made = Github(stand_in, receiver, webhook, work)
        made.git("init", "--quiet", "--initial-branch=main")
        made.git("remote", "add", "origin", stand_in.clone_url)
        yield made


def test_a_push_through_git_is_delivered_signed_with_what_it_changed(github: Github) -> None:
    first = github.commit("one.txt", "1")
    github.git("push", "--quiet", "origin", "main")
    second = github.commit("two.txt", "2")
    github.git("push", "--quiet", "origin", "main", "main:refs/heads/next")
    made, moved, beside = github.delivered(3)
    assert isinstance(made, Change)
    assert (made.sha, made.branch, made.before) == (first, "main", "")
    assert {each.branch for each in (moved, beside) if isinstance(each, Change)} == {"main", "next"}
    main = moved if isinstance(moved, Change) and moved.branch == "main" else beside
    assert isinstance(main, Change)
    assert (main.sha, main.before, main.paths, main.clone_url) == (
        second, first, ("two.txt",), github.stand_in.clone_url,
    )  # fmt: skip
    github.git("push", "--quiet", "origin", ":next")
    assert any(isinstance(each, NoChange) for each in github.delivered(4))


def test_a_push_of_megabytes_arrives(github: Github) -> None:
    (github.work / "big").write_bytes(random.Random(1).randbytes(1_500_000))
    sha = github.commit("one.txt", "1")
    github.git("push", "--quiet", "origin", "main")
    (pushed,) = github.delivered(1)
    assert isinstance(pushed, Change)
    assert pushed.sha == sha


def test_its_api_tells_of_the_repository_that_git_serves(github: Github) -> None:
    first = github.commit("one.txt", "1")
    second = github.commit("two.txt", "2")
    github.git("push", "--quiet", "origin", "main")
    compared = github.get(f"/compare/{first}...{second}").json()
    assert (compared["status"], compared["ahead_by"], compared["merge_base_commit"]["sha"]) == (
        "ahead", 1, first,
    )  # fmt: skip
    assert compared["files"] == [{"filename": "two.txt", "status": "added"}]
    assert base64.b64decode(github.get("/contents/two.txt?ref=main").json()["content"]) == b"2"
    assert github.get("/branches/main").json()["commit"]["sha"] == second
    (newest,) = github.get("/commits?per_page=1").json()
    assert (newest["sha"], newest["commit"]["committer"]["date"][:2]) == (second, "20")
    missing = (
        f"/compare/{first}...{'0' * 39}1",
        "/contents/three.txt",
        "/branches/else",
        "/hooks/9/deliveries",
    )
    assert [github.get(path).status_code for path in missing] == [404] * 4


def test_it_can_be_told_to_drop_a_delivery_and_to_hold_it_back(github: Github) -> None:
    github.webhook.fate = lambda _guid, again: Fate(lag=0.05) if again else Fate(code=502)
    github.commit("one.txt", "1")
    github.git("push", "--quiet", "origin", "main")
    wait_until(lambda: len(github.webhook.tries()) == 1, 10, "it was tried", poll=0.01)
    assert not github.receiver.came
    assert github.webhook.again(github.webhook.tries()[0]["id"])
    assert len(github.delivered(1)) == 1
    assert not github.webhook.again(1)

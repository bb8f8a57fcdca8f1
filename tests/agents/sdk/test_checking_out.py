"""The checkout as an attempt has it: what its tools see, what its log says."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agents.sdk.channel import GitCredential
from agents.sdk.forkserver import ForkServer
from tests.adapters.repositories import commit, git, repository
from tests.agents.sdk.hosts import Bench
from tests.agents.sdk.hosts import bench as make_bench
from tests.git_http import Served, hosting
from turnout.core.model import Outcome
from turnout.core.plan import CheckoutOptions

pytestmark = pytest.mark.real

PASSWORD = "checkout-pa55word"
GUARD = "Basic " + base64.b64encode(f"x-access-token:{PASSWORD}".encode()).decode()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path / "served", guarded={"shop": GUARD})
    lib = repository(made.folder / "lib.git", b_dot_txt="lib\n")
    shop = made.folder / "shop.git"
    repository(shop, a_dot_txt="old\n")
    git(shop, "tag", "v1")
    (shop / ".gitmodules").write_text('[submodule "lib"]\n\tpath = lib\n\turl = ../lib.git\n')
    git(shop, "update-index", "--add", "--cacheinfo", f"160000,{lib},lib")
    (shop / "lib").mkdir()
    commit(shop, a_dot_txt="new\n")
    with hosting(made):
        yield made


@pytest.fixture
def house(tmp_path: Path, served: Served, forks: ForkServer) -> Iterator[Bench]:
    shop = served.folder / "shop.git"
    with make_bench(tmp_path / "home", shop, git(shop, "rev-parse", "HEAD"), forks=forks) as bench:
        given = GitCredential(username="x-access-token", password=PASSWORD)
        bench.host = replace(bench.host, credential=lambda _: given)
        yield bench


def told(house: Bench, served: Served, options: CheckoutOptions, run: str, task: str) -> str:
    checkout = {"clone_url": f"{served.url}/shop.git", "options": options}
    result = house.run("capture", task=task, checkout=checkout, options={"run": run})
    assert result.outcome is Outcome.SUCCESS, result.reason
    return result.outputs["stdout"]


def test_tools_find_the_submodules_and_their_objects_and_no_credential(house: Bench, served: Served) -> None:
    script = (
        "cat lib/b.txt; git -C lib log --format=%s; git status --porcelain; git describe --tags; "
        "env; cat .git/config lib/.git/config; cat /proc/*/cmdline | tr '\\0' ' '"
    )
    said = told(house, served, CheckoutOptions(submodules="direct"), script, "direct")
    assert said.startswith("lib\nchange\nv1-1-g")
    assert "TURNOUT_SHA" in said
    assert "repositoryFormatVersion" in said
    log = house.log("direct")
    assert "checked out the submodule lib" in log
    for text in (said, log):
        assert PASSWORD not in text
        assert GUARD.removeprefix("Basic ") not in text
        assert "extraHeader" not in text


def test_the_next_attempt_takes_the_tree_that_was_ready_and_has_the_submodules_too(
    house: Bench, served: Served
) -> None:
    options = CheckoutOptions(submodules="direct")
    for task in ("first", "second"):
        assert told(house, served, options, "cat lib/b.txt", task) == "lib\n"
    assert told(house, served, CheckoutOptions(), "ls lib", "plain") == ""


@pytest.mark.parametrize(("history", "count"), [(False, "1"), (True, "2")])
def test_where_no_mirror_is_kept_the_commit_comes_alone_unless_the_file_asks_for_more(
    house: Bench, served: Served, history: bool, count: str
) -> None:
    house.host = replace(house.host, shallow=True)
    script = "git rev-list --count HEAD; git tag"
    said = told(house, served, CheckoutOptions(history=history), script, "alone")
    assert said.split() == ([count, "v1"] if history else [count])
    assert ("without its history" in house.log("alone")) is not history


def test_while_the_server_of_a_submodule_is_away_it_is_tried_again_and_then_the_attempt_is_lost(
    house: Bench, served: Served
) -> None:
    shop = served.folder / "shop.git"
    (shop / ".gitmodules").write_text(
        '[submodule "lib"]\n\tpath = lib\n\turl = https://nowhere.invalid/lib.git\n'
    )
    house.sha = commit(shop)
    checkout = {"clone_url": f"{served.url}/shop.git", "options": CheckoutOptions(submodules="direct")}
    result = house.run("capture", task="away", checkout=checkout, options={"run": "true"})
    assert result.lost
    assert "nowhere.invalid" in result.reason
    assert "again in 0.1 s" in house.log("away")

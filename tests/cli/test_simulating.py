from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.house import House
from tests.core.building import a_plan, stage

OLD = "pipeline: {stages: [lint, test]}\n"
NEW = "pipeline: {stages: [lint, {agent: test, network: true}]}\n"


def git(*args: str, at: Path) -> None:
    known = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *known, *args], cwd=at, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of acme/shop with the old file committed."""
    folder = tmp_path / "shop"
    folder.mkdir()
    git("init", at=folder)
    git("remote", "add", "origin", "git@github.com:acme/shop.git", at=folder)
    (folder / "pipeline.yml").write_text(OLD)
    git("add", ".", at=folder)
    git("commit", "-m", "one", at=folder)
    monkeypatch.chdir(folder)
    return folder


def test_the_file_in_the_checkout_is_tried_against_the_one_that_is_committed(
    house: House, checkout: Path
) -> None:
    run = house.push(a_plan(stage("lint")), title="Sell tea")
    assert (house.turnout("simulate").status, house.turnout("simulate", "--against", "main").status) == (0, 0)
    (checkout / "pipeline.yml").write_text(NEW)
    said = house.turnout("simulate")
    assert said.status == 1
    assert said.out.splitlines() == [
        "1 of 1 recorded change of acme/shop would go otherwise, 1 with weaker security.",
        "! `test` gets network `open`  1 change",
        "",
        f"push refs/heads/main aaaaaaaa Sell tea  2026-01-01 00:00 run {run.id[:12]}",
        "  ! `test` gets network `open`",
    ]
    told = house.turnout("simulate", "--json")
    assert told.status == 1
    assert told.json["differs"]
    assert told.json["totals"][0]["sentence"] == "`test` gets network `open`"
    assert told.json["changes"][0]["run"] == run.id


def test_another_file_or_project_can_be_named(house: House, checkout: Path) -> None:
    house.push(a_plan(stage("lint")), repository="acme/tea")
    (checkout / "old.yml").write_text(NEW)
    asked = ("simulate", "pipeline.yml", "--against", "old.yml", "--project", "acme/tea")
    assert house.turnout(*asked).out.splitlines()[1] == "~ `test` loses network `open`  1 change"
    assert "Name the project whose changes count" in house.turnout("simulate").out


def test_a_file_that_is_not_valid_says_where_and_one_that_is_new_ran_nothing(
    house: House, checkout: Path
) -> None:
    house.push(a_plan(stage("lint")))
    (checkout / "new.yml").write_text("pipeline:\n  stages: [lint]\n  cake: 1\n")
    broken = house.turnout("simulate", "new.yml")
    assert (broken.status, broken.out.split(" ")[1][:12]) == (2, "new.yml:3:3:")
    assert house.turnout("simulate", "new.yml", "--json").json["errors"][0]["line"] == 3
    (checkout / "new.yml").write_text(OLD)
    assert "it would run" in house.turnout("simulate", "new.yml").out


def test_what_it_can_not_compare_with_is_told(house: House, checkout: Path) -> None:
    said = house.turnout("simulate", "--against", "nowhere")
    assert said.status == 2
    assert "nowhere is neither a file nor a revision" in said.err
    assert "give the path of a pipeline file" in house.turnout("simulate", "none.yml").err
    assert checkout.is_dir()

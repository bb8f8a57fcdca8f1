"""What stands behind GitHub's parts by the settings: who reads a repository, and who serves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.github_app import app_key
from turnout.adapters.github_source import EitherSource, GitHubSource
from turnout.adapters.mirror import GitSource
from turnout.adapters.settings import read_settings
from turnout.core.change import Change
from turnout.wiring import Wiring

OURS = "https://github.com/acme/shop.git"


def wired(home: Path, *project: str, **settings: str) -> Wiring:
    """With a project file for ``acme/shop`` that has these lines."""
    folder = home / "projects"
    folder.mkdir()
    lines = "\n".join(f"  {line}" for line in ("repository: acme/shop", *project))
    (folder / "shop.yml").write_text(f"project:\n{lines}\n")
    return Wiring(read_settings({"TURNOUT_HOME": str(home), "TURNOUT_PROJECTS": str(folder), **settings}))


def change(clone_url: str = OURS) -> Change:
    told = {"repository": "acme/shop", "clone_url": clone_url, "ref": "refs/heads/main", "sha": "a" * 40}
    return Change.model_validate({"kind": "push", **told})


def by_api(wiring: Wiring, of: Change) -> bool:
    source = wiring.source
    assert isinstance(source, EitherSource)
    assert isinstance(source.api, GitHubSource)
    return source.only_there(of)


def test_nobody_but_git_is_asked_where_nobody_said_who_we_are_to_github(tmp_path: Path) -> None:
    assert isinstance(wired(tmp_path).source, GitSource)


@pytest.mark.parametrize(
    ("clone_url", "asked"),
    [(OURS, True), ("/srv/shop.git", False), ("https://git.example.org/acme/shop.git", False)],
)
def test_with_a_token_alone_its_own_repositories_are_read_by_the_api(
    tmp_path: Path, clone_url: str, asked: bool
) -> None:
    assert by_api(wired(tmp_path, TURNOUT_GITHUB_TOKEN="ghp_x"), change(clone_url)) == asked


def test_git_reads_what_the_project_file_binds_a_password_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("READER", "s3cret")
    bound = (f"clone_url: {OURS}", "checkout: {password: {env: READER}}")
    assert not by_api(wired(tmp_path, *bound, TURNOUT_GITHUB_TOKEN="ghp_x"), change())


def test_where_there_is_no_git_an_app_reads_by_the_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    app = {"TURNOUT_GITHUB_APP_ID": "1", "TURNOUT_GITHUB_APP_KEY": app_key()}
    assert by_api(wired(tmp_path, **app), change())


def test_repositories_without_a_sound_project_file_are_told_what_to_do(tmp_path: Path) -> None:
    wiring = wired(tmp_path)
    unserved = wiring.webhook.unserved
    assert unserved("acme/shop") == ""
    assert unserved("acme/tea") == f"no project file: add one to {tmp_path / 'projects'}"
    (tmp_path / "projects/tea.yml").write_text("project: {repository: acme/tea, colour: green}")
    assert "its project file is not valid" in unserved("acme/tea")
    assert "colour" in unserved("acme/tea")


def test_both_secrets_of_a_rotation_are_taken(tmp_path: Path) -> None:
    assert wired(tmp_path, TURNOUT_WEBHOOK_SECRET="new, old").webhook.secrets == (b"new", b"old")

"""What `make compose-up` finds out, makes and says before anything is started."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from local.compose import up
from local.compose.engine import find_program, socket_and_group
from local.compose.state import GIVEN, MADE, State
from turnout.adapters.settings import read_settings
from turnout.core.errors import PermanentError


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_without_docker_it_says_what_to_install(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("STATE", str(tmp_path / "state"))
    monkeypatch.setattr("sys.argv", ["compose-up"])
    assert up.main() == 1
    said = capsys.readouterr().err
    assert "there is no Docker Compose here" in said
    assert "install" in said
    assert "Traceback" not in said
    assert not (tmp_path / "state").exists()


def test_an_old_compose_counts_as_none_and_the_plugin_comes_first(programs: Path) -> None:
    environ = {"PATH": str(programs)}
    program(programs, "docker-compose", '[ "$1" = version ] && echo 1.29.2')
    with pytest.raises(PermanentError, match="no Docker Compose"):
        find_program(environ)
    program(programs, "docker-compose", '[ "$1" = version ] && echo 5.6.1; exit 0')
    assert find_program(environ) == ("docker-compose",)
    program(programs, "docker", '[ "$2" = version ] && echo v2.40.0; exit 0')
    assert find_program(environ) == ("docker", "compose")


def test_an_engine_that_does_not_answer_is_said_with_its_own_words(programs: Path) -> None:
    program(
        programs, "docker", '[ "$2" = version ] && echo 2.40.0 && exit; echo "permission denied" >&2; exit 1'
    )
    with pytest.raises(PermanentError, match="permission denied"):
        find_program({"PATH": str(programs)})


def test_the_socket_is_the_engines_and_its_group_is_found(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert socket_and_group({"DOCKER_HOST": f"unix://{path}"}) == (str(path), os.stat(path).st_gid)
    with pytest.raises(PermanentError, match="tcp://other:2376"):
        socket_and_group({"DOCKER_HOST": "tcp://other:2376"})
    with pytest.raises(PermanentError, match="start the Docker Engine"):
        socket_and_group({"DOCKER_HOST": f"unix://{tmp_path / 'none'}"})


def test_secrets_are_made_once_and_only_their_owner_gets_to_them(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.prepare()
    made = {each.name: each.read_text() for each in state.secrets.iterdir()}
    assert set(made) == {*MADE, *GIVEN}
    assert len({made[each] for each in MADE}) == len(MADE)
    assert all(len(made[each]) == 64 for each in MADE)
    state.give("slack_token", "xoxb-1")
    state.settings.write_text("TURNOUT_SLACK_CHANNEL=#ci\n")
    state.prepare()
    assert {each.name: each.read_text() for each in state.secrets.iterdir()} == made | {
        "slack_token": "xoxb-1"
    }
    assert state.settings.read_text() == "TURNOUT_SLACK_CHANNEL=#ci\n"
    assert stat.S_IMODE(state.secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in state.secrets.iterdir()} == {0o644}


def test_a_secret_is_changed_in_place_since_containers_hold_the_file_itself(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.prepare()
    file = state.secrets / "metrics_token"
    before = file.stat().st_ino
    state.give("metrics_token", "a longer token")
    state.give("metrics_token", "short")
    assert (file.stat().st_ino, state.secret("metrics_token")) == (before, "short")


def test_the_consoles_token_is_the_one_that_its_key_makes(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.prepare()
    settings = read_settings({"TURNOUT_SERVER_KEY_FILE": str(state.secrets / "server_key")})
    assert state.console_token() == settings.console_token()


def test_project_files_whose_stages_would_wait_for_ever_are_named(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.prepare()
    (state.projects / "good.yml").write_text("project: {repository: o/good, runtime: docker}\n")
    (state.projects / "bad.yml").write_text("project: {repository: o/bad}\n")
    (state.projects / "broken.yml").write_text("project: [\n")
    assert list(state.elsewhere()) == ["bad.yml", "broken.yml"]


def test_what_somebody_wrote_for_compose_is_read_and_comments_are_not(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.prepare()
    assert state.variable("TAG") == ""
    with state.variables.open("a") as file:
        file.write("TAG=1.0\nREGISTRY=registry.example.org/ci/\n")
    assert (state.variable("TAG"), state.variable("REGISTRY")) == ("1.0", "registry.example.org/ci/")
    assert state.variable("WEBHOOK_PORT") == ""

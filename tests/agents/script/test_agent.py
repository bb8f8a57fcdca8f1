from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from agents.script.agent import run
from agents.sdk.workspace import AgentError
from tests.agents.workspace import PlainWorkspace, task, write
from turnout.core.model import Outcome
from turnout.core.result import Result


@pytest.fixture
def workspace(tmp_path: Path) -> PlainWorkspace:
    return PlainWorkspace(tmp_path)


def script(workspace: PlainWorkspace, **options: Any) -> Result:
    return run(task("script", options), workspace)


def test_a_command_that_succeeds_is_a_success(workspace: PlainWorkspace) -> None:
    result = script(workspace, run="echo hello")
    assert (result.outcome, result.summary, result.exit_code) == (
        Outcome.SUCCESS,
        "`echo hello` succeeded",
        0,
    )
    assert "hello" in workspace.lines


def test_an_exit_status_is_told(workspace: PlainWorkspace) -> None:
    result = script(workspace, run="exit 7")
    assert (result.outcome, result.exit_code) == (Outcome.FAILURE, 7)
    assert result.summary == "`exit 7` ended with exit status 7"


@pytest.mark.parametrize(
    "commands",
    [["false", "echo after"], "false\necho after", ["false | true", "echo after"], "echo $UNSET_"],
)
def test_the_first_command_that_fails_ends_the_script(workspace: PlainWorkspace, commands: Any) -> None:
    result = script(workspace, run=commands)
    assert result.outcome is Outcome.FAILURE
    assert "after" not in workspace.lines


def test_a_list_runs_in_one_shell(workspace: PlainWorkspace) -> None:
    assert script(workspace, run=["place=here", 'echo "it is $place"']).outcome is Outcome.SUCCESS
    assert "it is here" in workspace.lines


def test_a_command_that_is_not_found_is_told_apart(workspace: PlainWorkspace) -> None:
    result = script(workspace, run="no-such-program-anywhere")
    assert (result.outcome, result.exit_code) == (Outcome.FAILURE, 127)
    assert "a command was not found" in result.summary


def test_a_signal_is_a_failure(workspace: PlainWorkspace) -> None:
    result = script(workspace, run="kill -SEGV $$")
    assert (result.outcome, result.summary) == (Outcome.FAILURE, "`kill -SEGV $$` was ended by signal 11")


def test_outputs_are_exported(workspace: PlainWorkspace) -> None:
    commands = [
        'echo "version=1.2" >> "$TURNOUT_OUTPUT"',
        'printf "notes<<END\\na\\nb\\nEND\\n" >> "$TURNOUT_OUTPUT"',
    ]
    assert script(workspace, run=commands).outputs == {"version": "1.2", "notes": "a\nb"}


def test_outputs_that_cannot_be_read_are_a_failure_that_says_why(workspace: PlainWorkspace) -> None:
    result = script(workspace, run='echo "oops" >> "$TURNOUT_OUTPUT"')
    assert result.outcome is Outcome.FAILURE
    assert "line 1: 'oops' has no '='" in result.reason
    missing = script(workspace, run="true", outputs=["digest"])
    assert missing.summary.startswith("outputs: the script did not write digest")


def test_an_output_file_that_leads_elsewhere_is_not_read(workspace: PlainWorkspace, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("stolen=yes\n")
    result = script(workspace, run=f'rm "$TURNOUT_OUTPUT"; ln -s {tmp_path}/secret "$TURNOUT_OUTPUT"')
    assert result.outcome is Outcome.FAILURE
    assert result.outputs == {}


def test_files_are_kept_also_of_a_script_that_failed(workspace: PlainWorkspace) -> None:
    result = script(workspace, run="mkdir dist; echo x > dist/report.txt; false", artifacts=["dist/*"])
    assert result.outcome is Outcome.FAILURE
    assert [artifact.name for artifact in result.artifacts] == ["dist/report.txt"]
    assert result.artifacts[0].media_type == "text/plain"
    assert workspace.kept == {"dist/report.txt": b"x\n"}


def test_a_file_that_was_promised_and_is_not_there_is_a_failure(workspace: PlainWorkspace) -> None:
    result = script(workspace, run="true", artifacts=["dist/*"])
    assert (result.outcome, result.summary) == (Outcome.FAILURE, "artifacts: 'dist/*' matches no file")


def test_the_script_of_the_repository_runs_where_none_is_given(workspace: PlainWorkspace) -> None:
    write(workspace.path, {".turnout/script.sh": "echo from the file\nfalse\necho after\n"})
    result = script(workspace)
    assert result.summary == ".turnout/script.sh ended with exit status 1"
    assert "from the file" in workspace.lines
    assert "after" not in workspace.lines


def test_nothing_to_run_is_an_error_that_says_what_to_write(workspace: PlainWorkspace) -> None:
    with pytest.raises(AgentError, match=r"with\.run: there is nothing to run.*\.turnout/script\.sh"):
        script(workspace)


def test_the_working_directory_and_the_shell_can_be_chosen(workspace: PlainWorkspace) -> None:
    write(workspace.path, {"app/file": ""})
    assert (
        script(workspace, run="test -f file", shell="sh", working_directory="app").outcome is Outcome.SUCCESS
    )


def test_a_shell_that_is_missing_is_an_error_that_says_what_to_install(
    workspace: PlainWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(AgentError, match="install bash"):
        script(workspace, run="true")


@pytest.mark.parametrize("outputs", [["1st"], ["a b"], ["a", "b-c"]])
def test_a_declared_name_that_is_none_is_refused(workspace: PlainWorkspace, outputs: list[str]) -> None:
    with pytest.raises(AgentError, match=r"with\.outputs: .* is no name of an output"):
        script(workspace, run="true", outputs=outputs)

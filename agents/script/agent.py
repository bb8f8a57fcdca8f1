"""The script agent: runs commands, tells their exit status, and takes the outputs and files they leave."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from agents.script.files import matching
from agents.script.options import ScriptOptions
from agents.script.outputs import LARGEST, read_outputs
from agents.sdk.inside import read_inside
from agents.sdk.options import read_options
from agents.sdk.toolchain import put
from agents.sdk.workspace import AgentError, ToolRun, Workspace
from turnout.core.messages import TaskRequested
from turnout.core.model import Outcome
from turnout.core.result import Artifact, Result

DEFAULT = ".turnout/script.sh"
OUTPUTS = "outputs.txt"

_STRICT = {"bash": ("bash", "-euo", "pipefail"), "sh": ("sh", "-eu")}
_HINTS = {126: " (found, but not executable)", 127: " (a command was not found)"}


def run(task: TaskRequested, workspace: Workspace) -> Result:
    """Raises: AgentError when there is nothing to run, or no shell to run it."""
    options = read_options(ScriptOptions, task.options)
    script, name = _script(options, workspace)
    program, *flags = _STRICT[options.shell]
    if workspace.which(program) is None:
        raise AgentError(
            f"there is no {program} where this stage runs", f"install {program}, or change with.shell"
        )
    outputs = put(workspace.scratch / OUTPUTS, "", 0o666)  # the script may run as another user
    ran = workspace.run(
        [program, *flags, script], cwd=options.working_directory, env={"TURNOUT_OUTPUT": str(outputs)}
    )
    result = _ended(ran, name)
    kept, problems = _artifacts(options, workspace)
    result = result.with_(artifacts=kept)
    if result.outcome is not Outcome.SUCCESS:
        return result
    try:
        written = read_outputs(read_inside(workspace.scratch, OUTPUTS, LARGEST) or b"", options.outputs)
    except AgentError as error:
        problems.append(str(error))
        written = {}
    if problems:
        return result.with_(outcome=Outcome.FAILURE, summary=problems[0], reason="; ".join(problems))
    return result.with_(outputs=written)


def _script(options: ScriptOptions, workspace: Workspace) -> tuple[str, str]:
    """The path of the file to run, and what to call it."""
    if options.run:
        path = put(workspace.scratch / "script.sh", "\n".join(options.run) + "\n")
        for line in "\n".join(options.run).splitlines():
            workspace.log(f"| {line}")
        lines = [line.strip() for part in options.run for line in part.splitlines() if line.strip()]
        return str(path), f"`{lines[0]}`" if len(lines) == 1 else "the script"
    if (workspace.path / DEFAULT).is_file():
        return str(workspace.path / DEFAULT), DEFAULT
    raise AgentError(
        "with.run: there is nothing to run",
        f"write the commands under `with: {{run: …}}`, or put a script at {DEFAULT}",
    )


def _ended(ran: ToolRun, name: str) -> Result:
    if ran.ok:
        return Result(outcome=Outcome.SUCCESS, summary=f"{name} succeeded", exit_code=0)
    if ran.oom_killed:
        reason = "it ran out of memory; give the stage more with `resources: {memory: …}`"
        return Result(
            outcome=Outcome.FAILURE, summary=f"{name} ran out of memory", reason=reason, exit_code=ran.code
        )
    if ran.code is None:
        return Result(outcome=Outcome.FAILURE, summary=f"{name} was ended by signal {ran.signal}")
    ended = f"{name} ended with exit status {ran.code}{_HINTS.get(ran.code, '')}"
    return Result(outcome=Outcome.FAILURE, summary=ended, exit_code=ran.code)


def _artifacts(options: ScriptOptions, workspace: Workspace) -> tuple[tuple[Artifact, ...], list[str]]:
    """What could be kept, and what could not."""
    names, empty = matching(workspace.path, options.working_directory, options.artifacts)
    problems = [f"artifacts: {pattern!r} matches no file" for pattern in empty]
    kept = []
    for name in names:
        media_type = mimetypes.guess_type(Path(name).name)[0] or "application/octet-stream"
        try:
            content = read_inside(workspace.path, name)
        except AgentError as error:
            problems.append(f"artifacts: {error}")
            continue
        if content is None:
            continue
        try:
            kept.append(workspace.artifact(name, content, media_type))
        except AgentError as error:
            problems.append(f"artifacts: {error}")
    return tuple(kept), problems

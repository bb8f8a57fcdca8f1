"""The security agent: runs scanners over a repository and its image, and reports what they found as one list."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import get_args

from agents.sdk import sarif
from agents.sdk.inside import read_inside
from agents.sdk.operator_paths import operator_settings
from agents.sdk.options import read_options
from agents.sdk.toolchain import project_root
from agents.sdk.workspace import AgentError, Workspace
from agents.security.comparing import LARGEST, Known, read_known
from agents.security.options import IMAGE, Scan, SecurityOptions
from agents.security.scanning import Asked, Scanned
from agents.security.snyk import TOKEN, NothingToTest, run_snyk
from agents.security.trivy import run_trivy
from agents.security.verdict import verdict
from turnout.core.artifact_keys import FINDINGS_NAME
from turnout.core.messages import TaskRequested
from turnout.core.result import Result

RUN: dict[str, Callable[[Workspace, Asked], Scanned]] = {"trivy": run_trivy, "snyk": run_snyk}
EVERY: tuple[Scan, ...] = get_args(Scan)


def run(task: TaskRequested, workspace: Workspace) -> Result:
    """Raises: AgentError. A scanner that could not do its work makes an ``error``, whatever the others found; what they
    found is told all the same.
    """
    options = read_options(SecurityOptions, task.options)
    options = options.with_(node=task.cell.get("node", options.node))
    image = options.image or built_image(task)
    asked = Asked(
        root=project_root(workspace, options.working_directory),
        options=options,
        scans=_scans(options, image),
        now=datetime.now(UTC),
        image=image,
        operator=operator_settings(),
        token=TOKEN in task.secrets or TOKEN in task.env,
    )
    tools: list[str] = [*options.tool] or (["trivy", "snyk"] if asked.token else ["trivy"])
    workspace.log(f"Scanners: {', '.join(tools)}; {', '.join(asked.scans)}")
    known, base, remarks = _known(task, workspace, options)
    done: list[Scanned] = []
    broken: list[AgentError] = []
    for tool in tools:
        try:
            done.append(RUN[tool](workspace, asked))
        except NothingToTest as error:
            if options.tool:
                broken.append(error)
            else:
                remarks.append(error.message)
        except AgentError as error:
            if len(tools) == 1:
                raise
            broken.append(error)
    judged = verdict(
        done, options, broken, known, base, asked.now.date(), run=task.run, remarks=tuple(remarks)
    )
    for line in judged.lines:
        workspace.log(line)
    artifact = workspace.artifact(FINDINGS_NAME, sarif.render(judged.tools), sarif.MEDIA_TYPE)
    return judged.result.with_(artifacts=(artifact,))


def _scans(options: SecurityOptions, image: str) -> tuple[Scan, ...]:
    if "image" in options.scan and not image:
        raise AgentError(
            "with.scan: there is no image: no stage that this one needs has given `image` and `digest`",
            "let it need the build stage, or name the image with with.image",
        )
    return options.scan or tuple(each for each in EVERY if each != "image" or image)


def built_image(task: TaskRequested) -> str:
    """The image that a stage before this one has pushed, by its digest; empty: there is none.

    Raises: AgentError when several stages have, or when an output is no name of an image.
    """
    built = {
        stage: outputs
        for stage, outputs in task.upstream.items()
        if outputs.get("image") and outputs.get("digest")
    }
    if len(built) > 1:
        raise AgentError(
            f"several stages have built an image: {', '.join(built)}", "say which one with with.image"
        )
    for stage, outputs in built.items():
        name = outputs["image"].partition("@")[0]
        head, slash, last = name.rpartition("/")
        reference = f"{head}{slash}{last.partition(':')[0]}@{outputs['digest']}"
        if not IMAGE.fullmatch(reference) or "@" not in reference:
            raise AgentError(f"the outputs of {stage} name no image by its digest: {ascii(reference)[:200]}")
        return reference
    return ""


def _known(
    task: TaskRequested, workspace: Workspace, options: SecurityOptions
) -> tuple[Known | None, str, list[str]]:
    """Earlier findings, where they are from, and remarks."""
    if options.baseline is not None:
        if not task.trusted:  # a fork's file could say that what it brings was there before
            return None, "", [f"{options.baseline} of a fork is not compared with"]
        content = read_inside(workspace.path, options.baseline, LARGEST)
        if content is None:
            raise AgentError(f"with.baseline: there is no file {options.baseline} in the repository")
        return read_known(content, ""), options.baseline, []
    earlier = workspace.earlier_findings()
    if earlier is None or task.baseline is None:
        return None, "", []
    try:
        return read_known(earlier, task.run), task.baseline.branch, []
    except AgentError as error:
        return None, "", [f"not compared with {task.baseline.branch}: {error.message}"]

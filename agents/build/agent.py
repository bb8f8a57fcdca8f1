"""The build agent: makes an image of a repository, pushes it, and says what the registry then has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from agents.build import sbom
from agents.build.asked import Asked, BuildFailed, Built
from agents.build.backends import backend
from agents.build.dockerfile import dockerfile
from agents.build.labels import labels
from agents.build.manifests import digest_of
from agents.build.naming import Name, read_name, tags
from agents.build.options import BuildOptions
from agents.build.registry_access import access
from agents.sdk.operator_build import BACKEND, IMAGE, INSECURE, build_settings
from agents.sdk.options import read_options
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.durations import format_size
from turnout.core.messages import TaskRequested
from turnout.core.model import Outcome
from turnout.core.result import Artifact, Result

ARCHIVE_NAME = "image.oci.tar"
LARGEST_ARCHIVE = 256 * 1024 * 1024
"""Bytes of an archive that is kept as an artifact."""


def run(task: TaskRequested, workspace: Workspace) -> Result:
    """Raises: AgentError, TransientError. A step of the Dockerfile that fails is a ``failure``."""
    settings = build_settings()
    options = read_options(BuildOptions, _with_default(task.options, settings))
    file = dockerfile(workspace.path, options)
    remarks: list[str] = []
    named = _name(task, options, settings)
    name = named if options.push and task.trusted else None
    if options.push and not task.trusted:
        remarks.append("not pushed: the change comes from a fork")
    committed = _committed(workspace)
    if committed is None:
        remarks.append("the commit's time is not known: the image is dated 1970")
    tool = sbom.maker(workspace) if options.sbom != "none" else ""
    if not tool and options.sbom == "required":
        raise AgentError("with.sbom: there is nothing here to make a bill of materials with", sbom.HOW)
    if not tool and options.sbom == "auto":
        remarks.append(f"no bill of materials: {sbom.HOW}")
    archive = workspace.scratch / ARCHIVE_NAME if tool or options.archive else None
    if archive is not None:
        archive.unlink(missing_ok=True)
    where = task.checkout
    asked = Asked(
        task=task,
        options=options,
        context=options.context,
        dockerfile=file,
        tags=tags(where.sha, where.ref, branch=where.branch, tag=where.tag, more=options.tags),
        labels=labels(where, committed, options.labels),
        committed=committed or 0,
        access=access(workspace, name, _listed(settings.get(INSECURE, ""))),
        name=name,
        near=named is not None and named.loopback and task.trusted,
        archive=archive,
        settings=settings,
    )
    kind, build = backend(asked)
    workspace.log(f"Building {file} with {kind}; {', '.join(asked.references) or 'not pushed'}")
    try:
        built = build(workspace, asked)
    except BuildFailed as error:
        return Result(outcome=Outcome.FAILURE, summary=str(error), tools={kind: ""})
    remarks += built.remarks
    digest = confirmed(asked, built)
    artifacts, said = _kept(workspace, options, built, archive, tool)
    remarks += said
    for remark in remarks:
        workspace.log(remark)
    outputs = {"tags": ",".join(asked.tags)}
    if asked.references:
        outputs |= {"image": asked.references[0], "digest": digest}
    return Result(
        outcome=Outcome.SUCCESS,
        summary="; ".join([_summary(asked, digest), *remarks]),
        outputs=outputs,
        artifacts=artifacts,
        tools=dict(built.tools),
    )


def confirmed(asked: Asked, built: Built) -> str:
    """The digest that the registry has under every tag. Raises: AgentError when that is not what was pushed."""
    digest = built.digest
    for reference in asked.references:
        assert asked.name is not None
        tag = reference.rpartition(":")[2]
        found = digest_of(asked.name, tag, asked.access)
        digest = digest or found
        if not found or found != digest:
            raise AgentError(
                f"{reference} was pushed as {digest or 'something'}, and the registry has {found or 'no such tag'}",
                "somebody else pushes to the same tags, or the registry keeps something else; try again",
            )
    return digest


def _with_default(given: Mapping[str, object], settings: Mapping[str, str]) -> dict[str, object]:
    return {"backend": settings.get(BACKEND, "auto"), **given}


def _name(task: TaskRequested, options: BuildOptions, settings: Mapping[str, str]) -> Name | None:
    """What the image is called; None: nothing, and nobody asks for it to be pushed. Raises: AgentError."""
    given = options.image or settings.get(IMAGE, "").replace(
        "{repository}", _lowered(task.checkout.repository)
    )
    if not given and not options.push:
        return None
    if not given:
        raise AgentError(
            "with.image: nobody says where the image goes",
            "write `with: {image: registry.example.org/team/app}`, or `push: false` to build only; "
            f"whoever runs the agents can set {IMAGE}=registry.example.org/{{repository}} for all",
        )
    try:
        return read_name(given)
    except ValueError as error:
        raise AgentError(f"{IMAGE}: {error}, got {given!r}") from error


def _lowered(repository: str) -> str:
    """As a repository of images may be called."""
    parts = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in repository.split("/")]
    return "/".join(part or "x" for part in parts)


def _listed(text: str) -> list[str]:
    return [each for each in re.split(r"[\s,]+", text) if each]


def _committed(workspace: Workspace) -> int | None:
    """The commit's time, seconds since 1970; None where the checkout is none of git's."""
    if not (workspace.path / ".git").exists() or workspace.which("git") is None:
        return None
    argv = ["git", "log", "-1", "--format=%ct", "--no-show-signature"]
    ran = workspace.run(argv, network=False, secrets=(), capture=True, quiet=True)
    said = ran.stdout.strip()
    return int(said) if ran.ok and said.isdigit() and len(said) <= 11 else None


def _kept(
    workspace: Workspace, options: BuildOptions, built: Built, archive: Path | None, tool: str
) -> tuple[tuple[Artifact, ...], list[str]]:
    """Artifacts and remarks."""
    if archive is None or not built.archived:
        if options.sbom == "required":
            raise AgentError(
                "with.sbom: this builder gives no image that a bill of materials could be made from"
            )
        return (), ["no bill of materials: this builder gives no image to make one from"] if tool else []
    kept: list[Artifact] = []
    remarks: list[str] = []
    if tool:
        archive.chmod(0o644)  # the folders above it are open to nobody else; tools are another user
        try:
            content, count = sbom.bill_of_materials(workspace, tool, archive)
        except AgentError as error:
            if options.sbom == "required":
                raise
            remarks.append(f"no bill of materials: {error.message}")
        else:
            kept.append(workspace.artifact(sbom.NAME, content, sbom.MEDIA_TYPE))
            remarks.append(f"{count} components in the bill of materials")
    if options.archive:
        size = archive.stat().st_size
        if size > LARGEST_ARCHIVE:
            raise AgentError(
                f"with.archive: the image has {format_size(size)}, at most {format_size(LARGEST_ARCHIVE)} are kept",
                "push it to a registry",
            )
        kept.append(workspace.artifact(ARCHIVE_NAME, archive.read_bytes(), "application/x-tar"))
    archive.unlink()
    return tuple(kept), remarks


def _summary(asked: Asked, digest: str) -> str:
    if not asked.references:
        return f"built {asked.dockerfile}"
    return f"pushed {asked.references[0]} ({digest[:19]}), {len(asked.tags)} tags"

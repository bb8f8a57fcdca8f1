"""What a backend is asked to build, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.build.naming import Name
from agents.build.options import BuildOptions
from agents.build.registry_access import Access
from agents.sdk.workspace import Workspace
from turnout.core.messages import TaskRequested


@dataclass(frozen=True, slots=True)
class Asked:
    """``name`` None: the image is not pushed, and has no name. ``tags``: the commit's first.

    ``context`` and ``dockerfile``: paths from the root of the checkout (``workspace.path``). ``committed``: the
    commit's time, seconds since 1970, for all in the image that would say when it was made; 0 where it is not known.
    ``network``: whether the steps of the build may use it. ``memory`` in bytes, ``cpus`` in cores, of the steps; 0: as
    much as there is. ``archive``: the file to write the image to, as an OCI archive or as `docker save` does; None:
    nobody wants it. ``near``: registries are on this machine's loopback. ``access``: how to reach registries.
    ``settings``: of whoever runs the agents, see `agents.sdk.operator_build`.
    """

    task: TaskRequested
    options: BuildOptions
    context: str
    dockerfile: str
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    committed: int
    access: Access
    name: Name | None = None
    near: bool = False
    archive: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def what(self) -> list[str]:
        """Target, arguments and labels as every builder's command line takes them."""
        words = ["--target", self.options.target] if self.options.target else []
        for name, value in sorted(self.options.build_args.items()):
            words += ["--build-arg", f"{name}={value}"]
        for name, value in self.labels.items():
            words += ["--label", f"{name}={value}"]
        return words

    @property
    def references(self) -> tuple[str, ...]:
        """The names with tags under which the image is pushed."""
        return tuple(f"{self.name}:{tag}" for tag in self.tags) if self.name is not None else ()

    @property
    def network(self) -> bool:
        return self.task.network

    @property
    def memory(self) -> int:
        return self.task.resources.memory

    @property
    def cpus(self) -> float:
        return self.task.resources.cpu


@dataclass(frozen=True, slots=True)
class Built:
    """``digest``: of the manifest as the builder says that it pushed it; empty: it has not pushed, or does not say.
    What the registry has is read by whoever asked. ``tools``: name to version. ``remarks``: what people should know.
    ``archived``: whether the archive that was asked for has been written.
    """

    digest: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    archived: bool = False


Backend = Callable[[Workspace, Asked], Built]
"""Builds the image, and pushes it under every one of ``asked.references``, where there are any.

It raises `AgentError` when the builder could not do its work (a tool or a service that is missing, a registry that
refuses), `BuildFailed` when the Dockerfile's own steps fail: that is the code's fault.
"""


class BuildFailed(Exception):
    """A step of the Dockerfile failed, or the Dockerfile is wrong. The message is one line for people."""

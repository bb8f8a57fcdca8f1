"""The two configuration files, from text to config; and the operator's folder of project files."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from turnout.adapters.git_command import Credential
from turnout.adapters.yaml_source import load, load_bytes
from turnout.core.config import PipelineConfig, ProjectConfig, parse_pipeline, parse_project
from turnout.core.config_project import SecretBinding
from turnout.core.errors import InvalidConfig, PermanentError, Problem
from turnout.core.topics import AGENT_KINDS


def read_pipeline(
    text: str, file: str, project: ProjectConfig | None = None, agents: Collection[str] = AGENT_KINDS
) -> PipelineConfig:
    """``agents``: those that it may name. Raises: InvalidConfig with every problem."""
    return parse_pipeline(load(text, file), agents=agents, project=project)


def read_project(text: str, file: str) -> ProjectConfig:
    """Raises: InvalidConfig with every problem."""
    return parse_project(load(text, file))


@dataclass
class ProjectFolder:
    """Project files (``*.yml``, ``*.yaml``) in one folder; a changed file is read again when it is next asked for."""

    folder: Path
    _read: dict[Path, tuple[tuple[int, int], ProjectConfig]] = field(default_factory=dict, init=False)

    def find(self, repository: str) -> ProjectConfig | None:
        """The project that serves ``owner/name`` (letter case does not matter to GitHub, nor here).

        Raises: InvalidConfig when a file that names the repository is broken, or two files serve it, or none does
        and there is one that can't be read.
        """
        serving: list[tuple[Path, ProjectConfig]] = []
        broken: list[Problem] = []
        unread: list[Problem] = []
        for path in self._files():
            try:
                project = self._project(path)
            except InvalidConfig as error:
                if repository.lower() in _text(path).lower():
                    broken.extend(error.problems)
                continue
            except FileNotFoundError:
                continue
            except OSError as error:
                hint = "let the functions read it"
                unread.append(Problem(str(path), 0, 0, "", f"can't be read: {error.strerror}", hint))
                continue
            if project.repository.lower() == repository.lower():
                serving.append((path, project))
        if len(serving) > 1:
            others = ", ".join(path.name for path, _ in serving[1:])
            hint = "keep one of them"
            broken.append(
                Problem(str(serving[0][0]), 0, 0, "project.repository", f"also served by {others}", hint)
            )
        if not serving:
            broken.extend(unread)
        if broken:
            raise InvalidConfig(broken)
        return serving[0][1] if serving else None

    def all(self) -> Sequence[ProjectConfig]:
        """Those of the files that can be read and are right, by their file's name. Raises: PermanentError."""
        found: list[ProjectConfig] = []
        for path in self._files():
            try:
                found.append(self._project(path))
            except (InvalidConfig, OSError):
                continue  # whoever needs that one is told by `find`
        return found

    def _files(self) -> Sequence[Path]:
        try:
            found = sorted(path for path in self.folder.iterdir() if path.suffix in (".yml", ".yaml"))
            return [path for path in found if not path.is_dir()]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise PermanentError(
                f"{self.folder} can't be read: {error.strerror}", "set TURNOUT_PROJECTS to a readable folder"
            ) from error

    def _project(self, path: Path) -> ProjectConfig:
        stat = path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        known = self._read.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        project = parse_project(load_bytes(path.read_bytes(), str(path)))
        self._read[path] = (stamp, project)
        return project


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


_PRIVATE = re.compile(r"https://|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?/", re.IGNORECASE)


@dataclass(frozen=True)
class BoundSecrets:
    """The `Secrets` port: what the operator's project files bind, read when an attempt asks for it."""

    projects: ProjectFolder
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def resolve(self, project: str, environment: str, names: Sequence[str]) -> Mapping[str, str]:
        if not names:
            return {}
        config = self.projects.find(project)
        bound = config.bound_secrets(environment) if config else {}
        missing = [name for name in names if name not in bound]
        if missing:
            raise PermanentError(
                f"no value is bound for {', '.join(missing)}",
                f"bind it under `secrets` in the project file of {project}",
            )
        return {name: self._value(name, bound[name]) for name in names}

    def checkout(self, repository: str, clone_url: str) -> Credential | None:
        """What the repository's project file binds for reading from the address that it names itself; None: nothing.

        Raises: PermanentError where it can't be had, or would cross the network in the clear; InvalidConfig.
        """
        config = self.projects.find(repository)
        if config is None or config.checkout is None or not clone_url or config.clone_url != clone_url:
            return None
        if not _PRIVATE.match(clone_url):
            raise PermanentError(
                f"the credential for {config.repository} is not sent to {clone_url}", "use an https address"
            )
        password = self._value("checkout.password", config.checkout.password)
        return Credential(password, config.checkout.username)

    def _value(self, name: str, binding: SecretBinding) -> str:
        if binding.env is not None:
            value = self.environ.get(binding.env)
            if value is None:
                raise PermanentError(
                    f"{name}: the variable {binding.env} is not set", "set it where the agents run"
                )
            return value
        try:
            return Path(binding.file or "").read_text().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise PermanentError(
                f"{name}: {binding.file} can't be read", "check the file and its mode"
            ) from error

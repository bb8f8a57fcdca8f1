"""What a Python project says of itself: which dependencies it wants, how it is built, which Python it needs.

Only files are read, no code of the project is run.
"""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agents.sdk.inside import read_inside
from agents.sdk.toolchain import written_by
from agents.sdk.workspace import AgentError

Purpose = Literal["test", "lint"]

GROUPS: dict[Purpose, tuple[tuple[str, ...], ...]] = {
    "test": (("test", "tests", "testing"), ("dev",)),
    "lint": (("lint", "linting"), ("dev",)),
}
"""Names of extras, dependency groups and requirement files, by purpose: all of the first set that has any."""

_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "constraints.txt")
_READ = ("pyproject.toml", "setup.py", "setup.cfg", ".python-version", *_LOCKS)
_REQUIREMENT_PLACES = ("requirements-{}.txt", "requirements_{}.txt", "{}-requirements.txt", "{}_requirements.txt",
                       "requirements/{}.txt", "{}/requirements.txt")  # fmt: skip
_SETUPTOOLS = ("setuptools>=64", "wheel")


@dataclass(frozen=True, slots=True)
class BuildSystem:
    """How the project itself is installed (PEP 517, PEP 660). ``path``: folders of a backend inside the repository."""

    backend: str
    requires: tuple[str, ...]
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PythonProject:
    """``build`` is None where the project is not to be installed: its folders are only put on the path.

    ``extras``: names of extras to install with it. ``requirements``: further requirement lines.
    ``files``: requirement files. ``constraints``: pinned versions known from a lock.
    ``watched``: files whose content decides what gets installed.
    """

    root: Path
    name: str = ""
    requires_python: str = ""
    wanted_python: str = ""
    build: BuildSystem | None = None
    extras: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    pyproject: Mapping[str, Any] = field(default_factory=dict)


@written_by("the project's configuration")
def read_python_project(root: Path, purpose: Purpose) -> PythonProject:
    """Raises: AgentError when a file of the project cannot be read, or says something else than it should."""
    pyproject = read_toml(root / "pyproject.toml")
    setup = read_ini(root / "setup.cfg")
    project = _table(pyproject, "project")
    poetry = _table(pyproject, "tool", "poetry")
    build = _build_system(root, pyproject)
    requirements = list(_group_requirements(_table(pyproject, "dependency-groups"), purpose))
    requirements += _poetry_groups(poetry, purpose)
    extras_declared = [*_table(project, "optional-dependencies"), *_table(poetry, "extras")]
    if setup.has_section("options.extras_require"):
        extras_declared += setup.options("options.extras_require")
    extras = pick(extras_declared, purpose)
    if build is None:
        requirements += [str(line) for line in project.get("dependencies", ())]
        optional = _table(project, "optional-dependencies")
        requirements += [str(line) for extra in extras for line in optional.get(extra, ())]
        if not project and poetry:
            requirements += _poetry_requirements(_table(poetry, "dependencies"))
    files = _requirement_files(root, purpose)
    return PythonProject(
        root=root,
        name=str(project.get("name") or poetry.get("name") or setup.get("metadata", "name", fallback="")),
        requires_python=str(
            project.get("requires-python") or setup.get("options", "python_requires", fallback="")
        ),
        wanted_python=_first_line(root / ".python-version"),
        build=build,
        extras=tuple(extras) if build else (),
        requirements=tuple(dict.fromkeys(requirements)),
        files=files,
        constraints=_locked_versions(root),
        watched=tuple(name for name in (*_READ, *_included(root, files)) if (root / name).is_file()),
        pyproject=pyproject,
    )


def pick(names: Sequence[str], purpose: Purpose) -> list[str]:
    for candidates in GROUPS[purpose]:
        found = [name for name in names if name.lower() in candidates]
        if found:
            return found
    return []


def read_toml(path: Path) -> dict[str, Any]:
    """An absent file reads as an empty table. Raises: AgentError when it is not TOML, or a link that leads out."""
    content = read_inside(path.parent, path.name)
    if content is None:
        return {}
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and any depth
        raise AgentError(f"{path.name} cannot be read: {error}", "correct it and push again") from error


def read_ini(path: Path) -> configparser.ConfigParser:
    """An absent or unreadable file reads as an empty one: the tool that uses it says what is wrong with it."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string((read_inside(path.parent, path.name) or b"").decode("utf-8"))
    except (configparser.Error, UnicodeDecodeError):
        return configparser.ConfigParser(interpolation=None)
    return parser


def _table(value: Any, *path: str) -> Mapping[str, Any]:
    for name in path:
        value = value.get(name, {}) if isinstance(value, dict) else {}
    return value if isinstance(value, dict) else {}


def _build_system(root: Path, pyproject: Mapping[str, Any]) -> BuildSystem | None:
    """None for an application: one with no build system of its own, or that says it is no package."""
    if _table(pyproject, "tool", "uv").get("package") is False:
        return None
    if _table(pyproject, "tool", "poetry").get("package-mode") is False:
        return None
    declared = _table(pyproject, "build-system")
    if declared:
        return BuildSystem(
            backend=str(declared.get("build-backend", "setuptools.build_meta:__legacy__")),
            requires=tuple(str(line) for line in declared.get("requires", ())),
            path=tuple(str(part) for part in declared.get("backend-path", ())),
        )
    if (root / "setup.py").is_file():
        return BuildSystem(backend="setuptools.build_meta:__legacy__", requires=_SETUPTOOLS)
    return None


def _group_requirements(groups: Mapping[str, Any], purpose: Purpose) -> Iterator[str]:
    for name in pick(list(groups), purpose):
        yield from _group(groups, name, ())


def _group(groups: Mapping[str, Any], name: str, above: tuple[str, ...]) -> Iterator[str]:
    """Source: PEP 735, dependency groups with ``{include-group = "…"}``."""
    known = {re.sub(r"[-_.]+", "-", key).lower(): key for key in groups}
    key = known.get(re.sub(r"[-_.]+", "-", name).lower())
    if key is None or key in above:
        raise AgentError(f"pyproject.toml: dependency-groups: {name!r} is included, but missing or circular")
    for line in groups[key]:
        if isinstance(line, str):
            yield line
        elif isinstance(line, dict) and isinstance(line.get("include-group"), str):
            yield from _group(groups, line["include-group"], (*above, key))


def _poetry_groups(poetry: Mapping[str, Any], purpose: Purpose) -> list[str]:
    groups = _table(poetry, "group")
    found = [_table(groups, name, "dependencies") for name in pick(list(groups), purpose)]
    found = found or [_table(poetry, "dev-dependencies")]
    return [line for table in found for line in _poetry_requirements(table)]


def _poetry_requirements(table: Mapping[str, Any]) -> list[str]:
    """Poetry's own notation as plain requirements; what is not a version (git, path) is left to ``install:``."""
    lines = []
    for name, value in table.items():
        version = value.get("version") if isinstance(value, dict) else value
        if name == "python" or not isinstance(version, str):
            continue
        version = "*" if "||" in version else version  # alternatives: the lock, or the newest, decides
        extras = ",".join(value.get("extras", ())) if isinstance(value, dict) else ""
        markers = value.get("markers", "") if isinstance(value, dict) else ""
        line = f"{name}[{extras}]" if extras else name
        line += ",".join(_poetry_version(part.strip()) for part in version.split(",") if part.strip() != "*")
        lines.append(f"{line}; {markers}" if markers else line)
    return lines


def _poetry_version(constraint: str) -> str:
    """``^1.2`` is at least that and below the next leading non-zero part; ``~1.2`` below the next minor."""
    if constraint[0] in "^~" and not constraint.startswith("~="):
        numbers = [int(part) for part in re.findall(r"\d+", constraint)]
        if constraint[0] == "^":
            keep = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
        else:
            keep = min(1, len(numbers) - 1)
        above = [*numbers[:keep], numbers[keep] + 1]
        return f">={constraint[1:]},<{'.'.join(map(str, above))}"
    return f"=={constraint}" if constraint[0].isdigit() else constraint


def _requirement_files(root: Path, purpose: Purpose) -> tuple[str, ...]:
    found = ["requirements.txt"] if (root / "requirements.txt").is_file() else []
    for candidates in GROUPS[purpose]:
        special = [
            place.format(name)
            for name in candidates
            for place in _REQUIREMENT_PLACES
            if (root / place.format(name)).is_file()
        ]
        if special:
            return tuple(found + special)
    return tuple(found)


def _included(root: Path, files: Sequence[str]) -> list[str]:
    """The requirement files and those they include with ``-r`` and ``-c``, as paths from the root."""
    seen: dict[str, None] = {}
    waiting = list(files)
    while waiting:
        name = waiting.pop(0)
        if name in seen or not _is_file(root / name):
            continue
        seen[name] = None
        text = (root / name).read_text("utf-8", errors="replace")
        for other in re.findall(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]*(\S+)", text, re.MULTILINE):
            waiting.append(str(Path(name).parent / other))
    return list(seen)


def _is_file(path: Path) -> bool:
    """What a requirement file calls a file may be no name at all."""
    try:
        return path.is_file()
    except OSError:
        return False


def _locked_versions(root: Path) -> tuple[str, ...]:
    """``name==version`` from uv's, Poetry's or PDM's lock: the versions the project was tried with.

    Only what comes from an index, and only names with one version (a lock may hold one for each platform).
    """
    for name in ("uv.lock", "poetry.lock", "pdm.lock"):
        versions: dict[str, set[str]] = {}
        for package in read_toml(root / name).get("package", []):
            source = package.get("source", {"registry": ""})
            if "version" in package and ("registry" in source or source.get("type") == "legacy"):
                versions.setdefault(str(package["name"]), set()).add(str(package["version"]))
        if versions:
            return tuple(f"{each}=={min(found)}" for each, found in versions.items() if len(found) == 1)
    return ()


def _first_line(path: Path) -> str:
    if not path.is_file():
        return ""
    lines = path.read_text("utf-8", errors="replace").split()
    return lines[0] if lines and re.fullmatch(r"\d+(\.\d+)*", lines[0]) else ""


def satisfies(version: Sequence[int], specifier: str) -> bool:
    """Whether a Python version is in a ``requires-python`` specifier; parts that are not understood count as met."""
    return all(_meets(tuple(version), part.strip()) for part in specifier.split(",") if part.strip())


def _meets(version: tuple[int, ...], part: str) -> bool:
    match = re.fullmatch(r"(>=|<=|==|!=|~=|>|<|\^)\s*(\d+(?:\.\d+)*)(\.\*)?", part)
    if match is None:
        return True
    operator, wanted = match[1], tuple(int(number) for number in match[2].split("."))
    prefix, full = version[: len(wanted)], version + (0,) * (len(wanted) - len(version))
    match operator:
        case ">=":
            return full >= wanted
        case "<=":
            return prefix <= wanted
        case "==":
            return prefix == wanted
        case "!=":
            return prefix != wanted
        case "~=":
            return full >= wanted and version[: len(wanted) - 1] == wanted[:-1]
        case ">":
            return prefix > wanted
        case "<":
            return prefix < wanted
        case _:
            return full >= wanted and version[0] == wanted[0]

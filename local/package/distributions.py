"""The distributions of others that imports come from, as `make lock` has pinned them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import PurePosixPath

from local.package.imports import Import
from turnout.core.errors import PermanentError

FRAMEWORK = "functions-framework"
BESIDES = {"jwt": "cryptography", "google.auth.transport.requests": "requests"}
"""A module, and what it imports without requiring it: as we use it, it works with that alone."""
_ENTRY = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*])?==")


@dataclass(frozen=True)
class Locked:
    """``text``: its lines, with hashes. ``needed_by``: distributions that require it."""

    name: str
    text: str
    needed_by: frozenset[str]


def read_lock(text: str) -> dict[str, Locked]:
    """Of ``requirements.txt`` as uv writes it."""
    found: dict[str, Locked] = {}
    lines: list[str] = []
    via: list[str] = []
    for line in [*text.splitlines(), "end==0"]:
        if _ENTRY.match(line):
            if lines and (began := _ENTRY.match(lines[0])):
                name = normal(began[1])
                body = "\n".join(lines).rstrip("\\ ") + "\n"
                found[name] = Locked(name, body, frozenset(normal(each) for each in via))
            lines, via = [line], []
        elif line.startswith("    --hash="):
            lines.append(line)
        elif line.startswith("    # "):
            via.append(line.removeprefix("    # ").removeprefix("via").strip())
    return found


def normal(name: str) -> str:
    """Source: packaging.python.org, name normalization. An extra is left out."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def owners(lock: Iterable[str]) -> dict[str, str]:
    """Package or module to the distribution that it is installed from."""
    found: dict[str, str] = {}
    for name in lock:
        try:
            record = distribution(name).read_text("RECORD") or ""
        except PackageNotFoundError:  # for another platform
            continue
        paths = [PurePosixPath(line.partition(",")[0]) for line in record.splitlines()]
        packages = {each.parent for each in paths if each.name == "__init__.py"}
        found |= {".".join(each.parts): name for each in packages}
        alone = (each for each in paths if each.suffix in (".py", ".so") and each.parent not in packages)
        found |= {".".join((*each.parent.parts, each.name.partition(".")[0])): name for each in alone}
    return found


def owner(module: str, known: Mapping[str, str]) -> str:
    """Empty: nobody's."""
    while module and module not in known:
        module = module.rpartition(".")[0]
    return known.get(module, "")


def needed(imported: Iterable[Import], lock: Mapping[str, Locked], known: Mapping[str, str]) -> list[str]:
    """The distributions for these imports, with all that they require. Raises: PermanentError for one of nobody."""
    todo = {FRAMEWORK}
    for each in imported:
        if each.module.partition(".")[0] in sys.stdlib_module_names:
            continue
        from_it = {owner(candidate, known) for candidate in each.candidates} - {""}
        if not from_it:
            raise PermanentError(
                f"{each.module} is of no distribution in requirements.txt", "add it to requirements.in"
            )
        todo |= from_it
        todo |= {BESIDES[module] for module in each.candidates if module in BESIDES}
    found: set[str] = set()
    while todo:
        name = todo.pop()
        found.add(name)
        todo |= {each.name for each in lock.values() if name in each.needed_by} - found
    return sorted(found)

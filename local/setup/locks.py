"""Lock files: is every dependency pinned, with the hash of what may be installed?

Source: pip's "Requirements File Format" and "Secure installs"; npm's package-lock.json (lockfileVersion 2 and 3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.utils import canonicalize_name

_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[\w, .-]*\])?==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.+))?"
)
_HASH = re.compile(r"--hash=(\w+):([0-9a-fA-F]+)")
_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
_INTEGRITY = re.compile(r"sha(256|384|512)-[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, slots=True)
class Pin:
    """``name`` in its normal form. ``marker``: where it is needed, empty: everywhere."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    @property
    def needed(self) -> bool:
        """By this interpreter, on this machine."""
        return not self.marker or Marker(self.marker).evaluate()


def read_pins(text: str, file: str) -> tuple[list[Pin], list[str]]:
    """The pins of a requirements lock, and what is wrong with it."""
    pins: list[Pin] = []
    problems: list[str] = []
    for number, line in _logical(text):
        where = f"{file}:{number}"
        requirement, _, options = line.partition(" --")
        found = _PINNED.fullmatch(requirement.strip())
        if found is None:
            problems.append(f"{where}: not pinned to one version by name: {line[:100]}")
            continue
        hashes = [
            f"{kind}:{value}"
            for kind, value in _HASH.findall(f"--{options}")
            if len(value) == _DIGITS.get(kind)
        ]
        if not hashes:
            problems.append(f"{where}: {found['name']} has no hash")
        if left := _HASH.sub("", f"--{options}").strip(" -"):
            problems.append(f"{where}: {found['name']} has an option that does not belong here: {left}")
        name = str(canonicalize_name(found["name"]))
        pins.append(Pin(name, found["version"], found["marker"] or "", tuple(hashes)))
    return pins, problems


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, continued ones put together, with the number of their first."""
    begun, parts = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        plain = re.sub(r"(^|\s)#.*", "", line).rstrip()
        begun = begun or number
        parts.append(plain.removesuffix("\\").strip())
        if not plain.endswith("\\"):
            if whole := " ".join(filter(None, parts)):
                yield begun, whole
            begun, parts = 0, []


def requirement_problems(lock: Path) -> list[str]:
    """What is wrong with a lock, and with the ``.in`` file beside it, if there is one, as far as the lock is meant."""
    pins, problems = read_pins(lock.read_text("utf-8"), str(lock))
    if not pins:
        problems.append(f"{lock}: no pin at all")
    known = {pin.name for pin in pins}
    wanted = lock.with_suffix(".in")
    if wanted.exists():
        for number, line in _logical(wanted.read_text("utf-8")):
            name = re.match(r"[A-Za-z0-9][\w.-]*", line)
            if name and str(canonicalize_name(name[0])) not in known:
                problems.append(f"{wanted}:{number}: {name[0]} is not in {lock.name}: run make lock")
    return problems


def npm_problems(lock: Path) -> list[str]:
    """A package that another one brings in its own archive is held by the hash of that one."""
    content: dict[str, Any] = json.loads(lock.read_text("utf-8"))
    packages = content.get("packages")
    if not isinstance(packages, dict):
        return [
            f"{lock}: lockfileVersion {content.get('lockfileVersion')} has no hashes of everything: use npm 7 or newer"
        ]
    problems = []
    for place, package in packages.items():
        if place == "" or package.get("link") or "node_modules/" not in place:
            continue  # the project itself, or a folder of it
        if not package.get("version"):
            problems.append(f"{lock}: {place} has no version")
        parent = place.rpartition("/node_modules/")[0]
        bundled = package.get("inBundle") and parent != "" and parent in packages
        if not bundled and not _INTEGRITY.match(str(package.get("integrity", ""))):
            problems.append(f"{lock}: {place} has no integrity hash")
        if str(package.get("resolved", "")).startswith(("git", "http:")):
            problems.append(f"{lock}: {place} comes from {package['resolved'].partition('/')[0]}")
    return problems

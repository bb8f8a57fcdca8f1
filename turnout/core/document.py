"""A YAML file as it was read: a tree in which every key and every value knows its place.

A reader (`turnout.adapters.yaml_source`) makes it; `turnout.core.config` asks it where a problem is, and what a
scalar looked like before it became a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""The way to a node from the root: keys of mappings, indices of lists (from 0)."""

TEXT_UNDER = frozenset({"env", "matrix", "branch", "branches", "tag", "tags"})
"""Under these keys a number or a truth value is the text that was written: ``python: [3.10]`` is ``"3.10"``."""

_LOSES_ZEROS = re.compile(r"[-+]?(0\d+(\.\d*)?|\d+\.\d*0)")


@dataclass(frozen=True, slots=True)
class Place:
    """Both count from 1; 0 means that the place is unknown."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Scalar:
    """``text`` is what the file says; for a quoted scalar it is the value."""

    place: Place
    value: str | int | float | bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Sequence:
    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """``place`` is the key's."""

    place: Place
    node: Node


@dataclass(frozen=True, slots=True)
class Mapped:
    place: Place
    entries: Mapping[str, Entry]


Node = Scalar | Sequence | Mapped


@dataclass(frozen=True, slots=True)
class Document:
    """``file`` is the name that problems are reported under."""

    file: str
    root: Node

    @property
    def tree(self) -> Any:
        """Plain dicts, lists and scalars, of nothing that JSON could not hold.

        A number is kept as text where a number would not say the same (`TEXT_UNDER`), and wherever it would lose a zero
        that was written (``3.10``, ``0755``).
        """
        return _plain(self.root, as_text=False)

    def node(self, path: Path) -> Node | None:
        found: Node | None = self.root
        for step in path:
            found = _step(found, step)
        return found

    def existing(self, path: Path) -> Path:
        """The longest beginning of ``path`` that is in the file."""
        found: Node | None = self.root
        for length, step in enumerate(path):
            found = _step(found, step)
            if found is None:
                return path[:length]
        return path

    def place(self, path: Path) -> Place:
        """Where the value at ``path`` begins; of a path that isn't in the file: where its nearest parent begins."""
        found = self.node(self.existing(path))
        return found.place if found else Place()

    def place_of_key(self, path: Path) -> Place:
        """Where the last key of ``path`` stands; of an item of a list: where the item begins."""
        parent = self.node(path[:-1]) if path else None
        if isinstance(parent, Mapped) and path[-1] in parent.entries:
            return parent.entries[str(path[-1])].place
        return self.place(path)


def render_path(path: Path) -> str:
    """``("pipeline", "stages", 2, "name")`` is ``pipeline.stages[2].name``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def _step(node: Node | None, step: str | int) -> Node | None:
    if isinstance(node, Mapped) and isinstance(step, str):
        entry = node.entries.get(step)
        return entry.node if entry else None
    if isinstance(node, Sequence) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None


def _plain(node: Node, *, as_text: bool) -> Any:
    match node:
        case Mapped():
            return {
                key: _plain(entry.node, as_text=as_text or key in TEXT_UNDER)
                for key, entry in node.entries.items()
            }
        case Sequence():
            return [_plain(item, as_text=as_text) for item in node.items]
        case Scalar():
            return _scalar(node, as_text=as_text)


def _scalar(node: Scalar, *, as_text: bool) -> str | int | float | bool | None:
    value = node.value
    if value is None or isinstance(value, str):
        return value
    if as_text:
        return node.text
    if not isinstance(value, bool) and repr(value) != node.text and _LOSES_ZEROS.fullmatch(node.text):
        return node.text
    return value

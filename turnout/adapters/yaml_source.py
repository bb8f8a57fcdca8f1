"""Reads YAML into a `Document`: every key and value with its place, every problem with its own.

Anchors, aliases and merge keys (``<<``) work, within bounds that hold for hostile files too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from turnout.adapters.yaml_scalars import resolve
from turnout.core.document import Document, Entry, Mapped, Node, Place, Scalar, Sequence, render_path
from turnout.core.errors import InvalidConfig, Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 20_000
"""Nodes of the tree once every alias stands for what it names."""
MAX_TEXT = 1024 * 1024
"""Characters of all scalars once every alias stands for what it names."""
MAX_PROBLEMS = 100

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_CORE = "tag:yaml.org,2002:"


def load_bytes(raw: bytes, file: str) -> Document:
    """The document in the bytes of a file.

    Raises: InvalidConfig, also for bytes that are not UTF-8.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise InvalidConfig([_problem(file, _end_of(before), message, "save the file as UTF-8")]) from error
    return load(text, file)


def load(text: str, file: str) -> Document:
    """The one YAML document in ``text``. ``file`` is the name that problems are reported under.

    Raises: InvalidConfig with every problem found: not YAML, a key twice, over a limit.
    """
    text = text.removeprefix("\ufeff")
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        message = f"character U+{ord(unreadable[0]):04X} has no place in a text file"
        place = _end_of(text[: unreadable.start()])
        raise InvalidConfig([_problem(file, place, message, "remove it, or save the file as UTF-8")])
    size = len(text.encode())
    if size > MAX_BYTES:
        message = f"the file has {size:,} bytes, at most {MAX_BYTES:,} are read"
        raise InvalidConfig([_problem(file, Place(1, 1), message)])
    builder = _Builder(file)
    try:
        builder.build(yaml.parse(text, Loader=_LOADER))
    except _Stop as stop:
        builder.report(stop.place, stop.message, stop.hint)
    except yaml.YAMLError as error:
        builder.problems.append(_problem(file, *_syntax(error, text)))
    if builder.problems:
        found = builder.problems[:MAX_PROBLEMS]
        raise InvalidConfig(found)
    return Document(file, builder.root or Scalar(Place(1, 1), None, ""))


class _Stop(Exception):
    """Reading cannot go on."""

    def __init__(self, place: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.place, self.message, self.hint = place, message, hint


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not been read. ``key`` is the mapping's key that waits for its value."""

    place: Place
    anchor: str | None
    mapping: bool
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    merged: dict[str, Entry] = field(default_factory=dict)
    key: tuple[str, Place] | None = None
    nodes: int = 1
    text: int = 0
    height: int = 1


@dataclass(frozen=True, slots=True)
class _Built:
    """A finished node with what it comes to once its aliases are followed: nodes, characters, levels."""

    node: Node
    nodes: int
    text: int
    height: int


class _Builder:
    """Follows the parser's events with a stack of its own, so that no nesting can exhaust Python's."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self.root: Node | None = None
        self._open: list[_Open] = []
        self._anchors: dict[str, _Built | None] = {}
        self._documents = 0

    def report(self, place: Place, message: str, hint: str = "", key: str | None = None) -> None:
        """``key``: the problem is this key of the innermost mapping."""
        steps = [
            (each.key[0] if each.key else None) if each.mapping else len(each.items) for each in self._open
        ]
        path = render_path(tuple(step for step in (*steps, key) if step is not None))
        self.problems.append(Problem(self._file, place.line, place.column, path, message, hint))

    def build(self, events: Iterator[Any]) -> None:
        for event in events:
            place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
            match event:
                case yaml.ScalarEvent():
                    built = _Built(_scalar(event, place), 1, len(event.value), 1)
                    self._remember(event.anchor, built)
                    self._add(built, place)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._start(event, place, mapping=isinstance(event, yaml.MappingStartEvent))
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._end()
                case yaml.AliasEvent():
                    self._alias(str(event.anchor), place)
                case yaml.DocumentStartEvent():
                    self._documents += 1
                    if self._documents > 1:
                        raise _Stop(place, "a second document begins here", "keep one document a file")
                case _:
                    pass  # the stream's own ends

    def _start(self, event: Any, place: Place, *, mapping: bool) -> None:
        wanted = "map" if mapping else "seq"
        if event.tag not in (None, "!", _CORE + wanted):
            raise _Stop(place, f"unknown tag {_tag(event.tag)}", "remove the tag")
        if len(self._open) >= MAX_DEPTH:
            raise _Stop(place, f"nested over {MAX_DEPTH} levels deep")
        if event.anchor:
            self._anchors[event.anchor] = None
        self._open.append(_Open(place, event.anchor, mapping))

    def _end(self) -> None:
        done = self._open.pop()
        node: Node
        if done.mapping:
            node = Mapped(done.place, done.merged | done.entries)
        else:
            node = Sequence(done.place, tuple(done.items))
        built = _Built(node, done.nodes, done.text, done.height)
        self._remember(done.anchor, built)
        self._add(built, done.place)

    def _alias(self, anchor: str, place: Place) -> None:
        if anchor not in self._anchors:
            raise _Stop(place, f"alias *{anchor} has no anchor &{anchor} before it")
        built = self._anchors[anchor]
        if built is None:
            raise _Stop(place, f"alias *{anchor} stands inside its own anchor")
        self._add(built, place)

    def _remember(self, anchor: str | None, built: _Built) -> None:
        if anchor:
            self._anchors[anchor] = built

    def _add(self, built: _Built, place: Place) -> None:
        if not self._open:
            self.root = built.node
            return
        parent = self._open[-1]
        parent.nodes += built.nodes
        parent.text += built.text
        parent.height = max(parent.height, built.height + 1)
        if parent.nodes > MAX_NODES:
            raise _Stop(place, f"the file comes to over {MAX_NODES:,} values", "use fewer aliases")
        if parent.text > MAX_TEXT:
            raise _Stop(place, f"the file comes to over {MAX_TEXT:,} characters", "use fewer aliases")
        if len(self._open) + built.height > MAX_DEPTH:
            raise _Stop(place, f"nested over {MAX_DEPTH} levels deep")
        if not parent.mapping:
            parent.items.append(built.node)
        elif parent.key is None:
            parent.key = (self._key(parent, built.node, place), place)
        else:
            key, parent.key = parent.key, None
            self._enter(parent, key[0], key[1], built.node, place)

    def _key(self, parent: _Open, node: Node, place: Place) -> str:
        if isinstance(node, Scalar) and node.value is not None:
            return node.value if isinstance(node.value, str) else node.text
        what = "nothing" if isinstance(node, Scalar) else "a list or a mapping"
        self.report(place, f"{what} cannot be a key", "write `key: value`")
        return f"\0{len(parent.entries)}"

    def _enter(self, parent: _Open, key: str, where: Place, node: Node, place: Place) -> None:
        if key == "<<":
            self._merge(parent, node, place)
            return
        first = parent.entries.get(key)
        if first is not None:
            line = first.place.line
            self.report(
                where, f"key `{key[:60]}` is here twice", f"the first is in line {line}: remove one", key
            )
            return
        parent.entries[key] = Entry(where, node)

    def _merge(self, parent: _Open, node: Node, place: Place) -> None:
        for each in node.items if isinstance(node, Sequence) else (node,):
            if not isinstance(each, Mapped):
                self.report(place, "`<<` merges mappings only", "write `<<: *anchor-of-a-mapping`")
                return
            for key, entry in each.entries.items():
                parent.merged.setdefault(key, entry)


def _scalar(event: Any, place: Place) -> Scalar:
    text: str = event.value
    bad = _UNREADABLE.search(text)
    if bad:
        raise _Stop(place, f"character U+{ord(bad[0]):04X} has no place in a text", "remove the escape")
    if event.tag is None and event.implicit[0]:
        return Scalar(place, resolve(text), text)
    if event.tag in (None, "!", _CORE + "str"):
        return Scalar(place, text, text)
    value, name = resolve(text), str(event.tag).removeprefix(_CORE)
    kinds: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (int, float),
        "bool": (bool,),
        "null": (type(None),),
    }
    if name not in kinds:
        raise _Stop(place, f"unknown tag {_tag(event.tag)}", "remove the tag")
    if not isinstance(value, kinds[name]) or (isinstance(value, bool) and name != "bool"):
        raise _Stop(place, f"`{text[:60]}` is no {name}", "remove the tag")
    return Scalar(place, value, text)


def _tag(tag: str) -> str:
    return (f"!!{tag.removeprefix(_CORE)}" if tag.startswith(_CORE) else tag)[:60]


def _problem(file: str, place: Place, message: str, hint: str = "") -> Problem:
    return Problem(file, place.line, place.column, "", message, hint)


def _end_of(text: str) -> Place:
    lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)
    return Place(len(lines), len(lines[-1]) + 1)


def _syntax(error: yaml.YAMLError, text: str) -> tuple[Place, str, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    problem = str(getattr(error, "problem", None) or "it cannot be read")
    context = str(getattr(error, "context", None) or "")
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent or "'\\t'" in problem:
        return place, "a tab cannot indent YAML", "use spaces"
    return place, f"not YAML: {context + ': ' if context else ''}{problem}", ""

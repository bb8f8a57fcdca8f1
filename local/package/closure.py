"""Which modules of ours, and of others, a function needs.

All that a module imports counts, lazily or not: a setting decides later what is used. Some are looked at more closely:
the wiring, whose every method imports the part that it makes, and the schema, which migrates as well as looks. Of them
a function or method counts that is named by what is reached; otherwise every function would need all of Turnout.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from local.package.imports import Import, imports, names, own_names

OURS = ("turnout", "functions", "agents")
WIRING = "turnout.wiring"
CLOSER = (WIRING, "turnout.adapters.store.schema")
COMPOSED = "Wiring"
"""The class whose methods, and whose bases' methods, make the parts."""
RUN = {"alembic": "turnout.adapters.store.migrations"}
"""A package of others, and what it runs without anybody importing that."""


@dataclass(frozen=True)
class Code:
    """``files``: those of the project that git knows, by their paths under ``root``."""

    root: Path
    files: frozenset[str]

    @cached_property
    def modules(self) -> dict[str, str]:
        """Module to path."""
        found = {}
        for path in self.files:
            if path.endswith(".py") and path.split("/")[0] in OURS:
                found[path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")] = path
        return found

    def tree(self, module: str) -> ast.Module:
        return ast.parse((self.root / self.modules[module]).read_text())


@dataclass
class Closure:
    """``modules``: ours. ``others``: what is imported of others. ``parts``: the live names of what is
    looked at more closely."""

    modules: set[str] = field(default_factory=set)
    others: set[Import] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)


def closure(code: Code, start: str) -> Closure:
    """Of the module ``start``."""
    return _Search(code).of(start)


class _Search:
    def __init__(self, code: Code) -> None:
        self._code = code
        self._found = Closure()
        self._named = {"__init__"}
        self._members = _members(code)

    def of(self, start: str) -> Closure:
        self._module(start)
        known = -1
        while known != len(self._found.parts):
            known = len(self._found.parts)
            for name in sorted(self._named & {*self._members} - self._found.parts):
                self._found.parts.add(name)
                for member in self._members[name]:
                    self._named.update(own_names(member))
                    self._import(member)
        return self._found

    def _module(self, module: str) -> None:
        if module in self._found.modules or module not in self._code.modules:
            return
        self._found.modules.add(module)
        self._module(module.rpartition(".")[0])
        tree = self._code.tree(module)
        if _close(module):
            for piece in _outside_members(tree):
                self._import(piece)
            return
        self._import(tree)
        if any(_close(each.module) for each in imports(tree)) or _within(module, "turnout.console"):
            self._named.update(names(tree))

    def _import(self, piece: ast.AST) -> None:
        for each in imports(piece):
            top = each.module.partition(".")[0]
            if top in OURS:
                for candidate in each.candidates:
                    self._module(candidate)
                continue
            self._found.others.add(each)
            for run in self._code.modules if top in RUN else ():
                if _within(run, RUN[top]):
                    self._module(run)


def _members(code: Code) -> dict[str, list[ast.AST]]:
    """What those modules consist of: methods of the composed class and its bases, other classes, functions."""
    found: dict[str, list[ast.AST]] = {}
    trees = [code.tree(module) for module in sorted(code.modules) if _close(module)]
    classes = {each.name: each for tree in trees for each in tree.body if isinstance(each, ast.ClassDef)}
    composed, todo = set[str](), [COMPOSED]
    while todo:
        name = todo.pop()
        composed.add(name)
        todo += [each.id for each in classes[name].bases if isinstance(each, ast.Name) and each.id in classes]
    for tree in trees:
        for piece in tree.body:
            match piece:
                case ast.ClassDef() if piece.name in composed:
                    for each in piece.body:
                        if isinstance(each, ast.FunctionDef):
                            found.setdefault(each.name, []).append(each)
                case ast.ClassDef() | ast.FunctionDef():
                    found.setdefault(piece.name, []).append(piece)
                case _:
                    pass
    return found


def _outside_members(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs when such a module is imported."""
    for piece in tree.body:
        if not isinstance(piece, ast.ClassDef | ast.FunctionDef):
            yield piece


def _close(module: str) -> bool:
    return any(_within(module, each) for each in CLOSER)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")

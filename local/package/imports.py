"""What a piece of code imports, read from its source: also within functions, and what `import_module` is told."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Import:
    """``module`` is imported, and ``names`` from it: each a module of its own, or something in it."""

    module: str
    names: tuple[str, ...] = ()

    @property
    def candidates(self) -> tuple[str, ...]:
        """All that may be modules."""
        return (self.module, *(f"{self.module}.{name}" for name in self.names))


def imports(piece: ast.AST) -> Iterator[Import]:
    """Those that happen when the piece runs: not the ones for the type checker alone."""
    match piece:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            for each in piece.orelse:
                yield from imports(each)
            return
        case ast.Import():
            yield from (Import(each.name) for each in piece.names)
        case ast.ImportFrom(module=str(module), level=0):
            yield Import(module, tuple(each.name for each in piece.names))
        case ast.Call(args=[ast.Constant(value=str(named)), *_]) if _called(piece) == "import_module":
            yield Import(named)
        case _:
            pass
    for child in ast.iter_child_nodes(piece):
        yield from imports(child)


def names(piece: ast.AST) -> Iterator[str]:
    """Every name and attribute that stands in it, and what it imports."""
    for each in ast.walk(piece):
        match each:
            case ast.Attribute(attr=name) | ast.Name(id=name):
                yield name
            case ast.ImportFrom():
                yield from (alias.name for alias in each.names)
            case _:
                pass


def own_names(piece: ast.AST) -> Iterator[str]:
    """Names that stand alone, and attributes of ``self``, of something called ``wiring``, and of what is made there."""
    for each in ast.walk(piece):
        match each:
            case ast.Attribute(value=ast.Name(id="self" | "wiring"), attr=name):
                yield name
            case ast.Attribute(value=ast.Attribute(attr="wiring"), attr=name):
                yield name
            case ast.Attribute(value=ast.Call(), attr=name) | ast.Name(id=name):
                yield name
            case ast.ImportFrom():
                yield from (alias.name for alias in each.names)
            case _:
                pass


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""

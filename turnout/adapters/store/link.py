"""Statements of the hot paths, straight to the driver: SQLAlchemy takes five to ten times as long for one.

It stays for what is rare or composed: migrations, lists, pruning. `Statement` is text with ``:name`` for a value, and
``:name`` alone stands for a whole list where it says so; a `Link` is a connection that such statements are sent over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

Dialect = Literal["sqlite", "postgresql"]

_NAME = re.compile(r"(?<!:):(\w+)")
_LIST = re.compile(r"IN :(\w+)")


class Statement:
    """Write ``IN :names`` for a list of values, and give it as `listed`.

    ``returns``: it gives rows; of any other only the count of rows that it changed is known.
    """

    __slots__ = ("postgresql", "returns", "sqlite")

    def __init__(self, text: str) -> None:
        self.sqlite = _LIST.sub(r"IN (SELECT value FROM json_each(:\1))", text)
        self.postgresql = _NAME.sub(r"%(\1)s", _LIST.sub(r"= ANY(:\1)", text.replace("%", "%%")))
        self.returns = text.startswith("SELECT") or " RETURNING " in text


def listed(link: Link, values: Sequence[str] | Sequence[int]) -> Any:
    """The value for ``IN :names``."""
    return json.dumps(list(values)) if link.dialect == "sqlite" else list(values)


class Answer(Protocol):
    """Asking waits for the server; until then it may still be at work. Raises what the driver raises."""

    @property
    def count(self) -> int:
        """Rows changed, or returned."""
        ...

    @property
    def rows(self) -> Sequence[tuple[Any, ...]]: ...


class Link(Protocol):
    """Used by one thread at a time. Statements are done in the order in which they were sent."""

    @property
    def dialect(self) -> Dialect: ...

    def send(self, statement: Statement, values: Mapping[str, Any]) -> Answer: ...

    def send_many(self, statement: Statement, values: Sequence[Mapping[str, Any]]) -> None:
        """Once for each of them."""
        ...


def scalar(link: Link, statement: Statement, **values: Any) -> Any:
    """The first column of the first row, None where there is no row."""
    rows = link.send(statement, values).rows
    return rows[0][0] if rows else None

"""What somebody else sent, as far as it is repeated to people: short, on one line, and never deeper than it looks."""

from __future__ import annotations

LONGEST = 80  # characters


def quoted(value: object) -> str:
    """A text, a number or a truth value in quotes, its beginning; of anything larger only what kind of thing it is."""
    match value:
        case dict():
            return "an object"
        case list() | tuple():
            return "a list"
        case str():
            return repr(value[:LONGEST])
        case int() if value.bit_length() > 1000:
            return "a very large number"
        case _:
            return repr(str(value)[:LONGEST])

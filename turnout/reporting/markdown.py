"""Text that others wrote, in GitHub's Markdown: shown as it is, whatever it holds. Pure.

Source: https://github.github.com/gfm/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from turnout.reporting.wording import clean, clip

_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|~>&<-])")
_CALLS = re.compile(r"([@#])(?=[\w-])")
APART = "<!-- -->"
"""Between an @ and a name it keeps people from being called, between a # and a number it links nothing."""


def text(said: str, limit: int = 300) -> str:
    """On one line, without any meaning of its own."""
    escaped = _MARKS.sub(r"\\\1", clip(clean(said), limit))
    return _CALLS.sub(rf"\1{APART}", escaped)


def code(said: str, limit: int = 300) -> str:
    """On one line, in a code span, in which nothing has a meaning."""
    content = clip(clean(said), limit)
    if not content:
        return ""
    fence = "`" * (max((len(run) for run in re.findall("`+", content)), default=0) + 1)
    pad = " " if content.startswith("`") or content.endswith("`") else ""
    # in a table a bar would end the cell, also within a code span
    return f"{fence}{pad}{content}{pad}{fence}".replace("|", "\\|")


def link(label: str, url: str) -> str:
    """``label`` is Markdown. ``url`` holds no blank and no bracket, or there is no link."""
    return f"[{label}]({url})" if url and not re.search(r"[\s()<>]", url) else label


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def within(parts: Iterable[str], limit: int) -> str:
    """The parts with blank lines between them, as many whole ones as have room in ``limit`` bytes of UTF-8."""
    said, used = [], 0
    for part in parts:
        cost = len(part.encode()) + 2
        if used + cost > limit - 40:
            said.append("… and more, in the console.")
            break
        said.append(part)
        used += cost
    return "\n\n".join(said)

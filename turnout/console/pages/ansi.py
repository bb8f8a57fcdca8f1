"""A log's bytes as safe HTML: ANSI colours become classes, everything else is escaped or left out.

Sixteen colours have a tone of their own in the style sheet, for light and dark; the 256 and the true colours are shown
as the nearest of the sixteen, so that every text can be read on its ground.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

_ESCAPE = re.compile(
    r"\x1b\[([0-9;:]*)m"  # colour
    # … and any other
    r"|\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # control characters, \r among them; \t stays
)
_TONES = (
    (0, 0, 0),
    (170, 0, 0),
    (0, 170, 0),
    (170, 85, 0),
    (0, 0, 170),
    (170, 0, 170),
    (0, 170, 170),
    (170, 170, 170),
    (85, 85, 85),
    (255, 85, 85),
    (85, 255, 85),
    (255, 255, 85),
    (85, 85, 255),
    (255, 85, 255),
    (85, 255, 255),
    (255, 255, 255),
)
LONGEST = 20_000
"""Characters of one line that are shown; the rest is said to be there."""


@dataclass(frozen=True, slots=True)
class Style:
    """``fg`` and ``bg``: 0 to 15, None: the page's own."""

    fg: int | None = None
    bg: int | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False

    @property
    def classes(self) -> str:
        words = [f"f{self.fg}"] if self.fg is not None else []
        words += [f"g{self.bg}"] if self.bg is not None else []
        marks = (("b", self.bold), ("d", self.dim), ("i", self.italic), ("u", self.underline))
        return " ".join(words + [name for name, on in marks if on])


PLAIN = Style()


def to_html(line: str, style: Style = PLAIN) -> tuple[str, Style]:
    """One line (without its end) as HTML, and the style that the next one begins with.

    What a lone carriage return overwrote is not shown, as on a terminal.
    """
    line = line.rstrip("\r")
    if "\r" in line:
        over, line = line[: line.rindex("\r")], line[line.rindex("\r") + 1 :]
        for match in _ESCAPE.finditer(over):
            style = _next(style, match.group(1))
    cut = len(line) - LONGEST
    parts: list[str] = []
    for text, worn in _pieces(line[:LONGEST], style):
        style = worn
        if text:
            safe = html.escape(text)
            parts.append(f'<span class="{worn.classes}">{safe}</span>' if worn.classes else safe)
    if cut > 0:
        parts.append(f'<span class="d">… {cut} more characters: download the log</span>')
    return "".join(parts), style


def plain(line: str) -> str:
    """The line's text alone, for a search."""
    return _ESCAPE.sub("", line.rstrip("\r").rpartition("\r")[2])


def _pieces(line: str, style: Style) -> Iterator[tuple[str, Style]]:
    at = 0
    for match in _ESCAPE.finditer(line):
        yield line[at : match.start()], style
        style = _next(style, match.group(1))
        at = match.end()
    yield line[at:], style


def _next(style: Style, codes: str | None) -> Style:
    """The style after a colour's codes; None: not a colour. What it doesn't know it leaves out."""
    if codes is None:
        return style
    left = [int(code) if code else 0 for code in re.split("[;:]", codes) if len(code) < 5]
    while left:
        code = left.pop(0)
        match code:
            case 0:
                style = PLAIN
            case 1:
                style = replace(style, bold=True)
            case 2:
                style = replace(style, dim=True)
            case 3:
                style = replace(style, italic=True)
            case 4:
                style = replace(style, underline=True)
            case 22:
                style = replace(style, bold=False, dim=False)
            case 23:
                style = replace(style, italic=False)
            case 24:
                style = replace(style, underline=False)
            case 38:
                style = replace(style, fg=_chosen(left))
            case 48:
                style = replace(style, bg=_chosen(left))
            case 39:
                style = replace(style, fg=None)
            case 49:
                style = replace(style, bg=None)
            case _ if 30 <= code <= 37:
                style = replace(style, fg=code - 30)
            case _ if 90 <= code <= 97:
                style = replace(style, fg=code - 82)
            case _ if 40 <= code <= 47:
                style = replace(style, bg=code - 40)
            case _ if 100 <= code <= 107:
                style = replace(style, bg=code - 92)
            case _:
                pass
    return style


def _chosen(left: list[int]) -> int | None:
    """The colour after 38 or 48, whose codes are taken from what is ``left``."""
    kind = left.pop(0) if left else 0
    if kind == 5 and left:
        return _of_256(left.pop(0))
    if kind == 2 and len(left) >= 3:
        red, green, blue = left[:3]
        del left[:3]
        return _nearest(red, green, blue)
    left.clear()
    return None


def _of_256(code: int) -> int:
    if code < 16:
        return code
    if code >= 232:
        grey = 8 + 10 * (min(code, 255) - 232)
        return _nearest(grey, grey, grey)
    code -= 16
    red, green, blue = (0 if part == 0 else 55 + 40 * part for part in (code // 36, code // 6 % 6, code % 6))
    return _nearest(red, green, blue)


def _nearest(red: int, green: int, blue: int) -> int:
    return min(
        range(16),
        key=lambda tone: sum((a - b) ** 2 for a, b in zip(_TONES[tone], (red, green, blue), strict=True)),
    )

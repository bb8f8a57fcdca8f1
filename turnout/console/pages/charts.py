"""Charts drawn on the server. Pure: from points to lengths and paths in CSS pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 560, 190
LEFT, RIGHT, TOP, BOTTOM = 66, 12, 12, 24
COUNTS = tuple(step * 10**power for power in range(7) for step in (1, 2, 5))
SECONDS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800)
"""Steps between two lines of an axis."""
Points = Sequence[tuple[date, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """``tone``: a light's name. ``d``: its SVG path; ``dots``: where its points are, with their words."""

    name: str
    tone: str
    d: str
    dots: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    said: str


@dataclass(frozen=True, slots=True)
class Chart:
    """``rows``: the same as a table: a day and a word for each column. ``empty``: nothing is known of any day."""

    title: str
    said: str
    columns: tuple[str, ...]
    rows: tuple[tuple[date, tuple[str, ...]], ...]
    levels: tuple[tuple[float, str], ...]
    days: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def empty(self) -> bool:
        return not self.rows


def lines(
    title: str,
    series: Sequence[tuple[str, str, Points]],
    since: date,
    until: date,
    word: Callable[[float], str],
    *,
    steps: Sequence[float] = COUNTS,
    most: float | None = None,
    least: float = 0.0,
) -> Chart:
    """``series``: name, tone, points each. The axis goes from ``least`` to ``most``; None: over four of the
    ``steps``."""
    values = [value for _, _, points in series for _, value in points]
    scale = _Scale(since, until, least, _top(values, steps) if most is None else most)
    drawn = tuple(
        Line(
            name,
            tone,
            "M" + " L".join(f"{scale.x(day):.1f} {scale.y(value):.1f}" for day, value in points)
            if len(points) > 1
            else "",
            tuple(
                (round(scale.x(day), 1), round(scale.y(value), 1), f"{name}, {_day(day)}: {word(value)}")
                for day, value in points
            ),
        )
        for name, tone, points in series
        if points
    )
    return _chart(title, series, scale, word, lines=drawn)


def bars(
    title: str, name: str, points: Points, since: date, until: date, word: Callable[[float], str]
) -> Chart:
    scale = _Scale(since, until, 0.0, _top([value for _, value in points], COUNTS))
    room = (WIDTH - LEFT - RIGHT) / max((until - since).days + 1, 1)
    drawn = tuple(
        Bar(
            round(scale.x(day) - room * 0.36, 1),
            round(scale.y(value), 1),
            round(room * 0.72, 1),
            round(HEIGHT - BOTTOM - scale.y(value), 1),
            f"{_day(day)}: {word(value)}",
        )
        for day, value in points
        if value
    )
    some = any(value for _, value in points)
    return _chart(title, [(name, "running", points if some else ())], scale, word, bars=drawn)


@dataclass(frozen=True, slots=True)
class _Scale:
    since: date
    until: date
    least: float
    most: float

    def x(self, day: date) -> float:
        """The middle of the day."""
        days = (self.until - self.since).days + 1
        return LEFT + ((day - self.since).days + 0.5) / days * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (min(max(value, self.least), self.most) - self.least) / (self.most - self.least)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _chart(
    title: str,
    series: Sequence[tuple[str, str, Points]],
    scale: _Scale,
    word: Callable[[float], str],
    *,
    lines: tuple[Line, ...] = (),
    bars: tuple[Bar, ...] = (),
) -> Chart:
    known = [dict(points) for _, _, points in series]
    every = sorted({day for points in known for day in points})
    rows = tuple(
        (day, tuple(word(points[day]) if day in points else "–" for points in known)) for day in every
    )
    latest = ", ".join(f"{name} {word(points[-1][1])}" for name, _, points in series if points)
    levels = [scale.least + (scale.most - scale.least) * step / 4 for step in range(5)]
    count = (scale.until - scale.since).days
    marks = sorted({round(count * step / 5) for step in range(6)})
    days = [date.fromordinal(scale.since.toordinal() + mark) for mark in marks]
    return Chart(
        title=title,
        said=f"{title}: {latest} at last" if latest else title,
        columns=tuple(name for name, _, _ in series),
        rows=rows,
        levels=tuple((round(scale.y(level), 1), word(level)) for level in levels),
        days=tuple((round(scale.x(day), 1), _day(day)) for day in days),
        lines=lines,
        bars=bars,
    )


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


def _top(values: Sequence[float], steps: Sequence[float]) -> float:
    """Four of the smallest of the ``steps`` with which all of them fit."""
    most = max(values, default=0.0)
    return 4 * next((step for step in steps if 4 * step >= most), steps[-1])

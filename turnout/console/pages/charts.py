"""Charts drawn on the server. Pure: from points to lengths and paths in CSS pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 560, 190
LEFT, RIGHT, TOP, BOTTOM = 66, 12, 12, 24
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
    most: float | None = None,
    least: float = 0.0,
) -> Chart:
    """``series``: name, tone, points each. ``most`` and ``least``: what the axis has to hold at any rate."""
    values = [value for _, _, points in series for _, value in points]
    top = _round_up(max([*values, least + 1e-9])) if most is None else most
    scale = _Scale(since, until, least, max(top, least + 1e-9))
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
    top = _round_up(max([value for _, value in points], default=1.0) or 1.0)
    scale = _Scale(since, until, 0.0, top)
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


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 8 times a power of ten that is a good top for an axis."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * 0.999)

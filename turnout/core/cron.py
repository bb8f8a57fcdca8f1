"""Schedules: five fields, minute, hour, day of month, month, day of week, in UTC.

Source: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/crontab.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?P<any>\*)|(?P<first>\w{1,3})(-(?P<last>\w{1,3}))?")
_LONGEST = 100


def check_schedule(text: str) -> str:
    """The schedule itself. Raises: ValueError naming the field that is wrong."""
    parts = text.split()
    if len(parts) != len(_FIELDS) or len(text) > _LONGEST:
        raise ValueError('expected five fields like "0 3 * * *" (minute, hour, day, month, day of week; UTC)')
    for part, each in zip(parts, _FIELDS, strict=True):
        for item in part.split(","):
            _check(item, each)
    return text


def latest(text: str, now: datetime, within: timedelta) -> datetime | None:
    """When it was due last, on the minute, at ``now`` (UTC) or up to ``within`` before. ``text``: checked."""
    minutes, hours, days, months, weekdays = (
        frozenset(_numbers(part, each)) for part, each in zip(text.split(), _FIELDS, strict=True)
    )
    either = not (_every(text, 2) or _every(text, 4))
    at = now.replace(second=0, microsecond=0)
    while at >= now - within:
        day, weekday = at.day in days, at.isoweekday() % 7 in weekdays
        if (
            at.minute in minutes
            and at.hour in hours
            and at.month in months
            and (day or weekday if either else day and weekday)
        ):
            return at
        at -= timedelta(minutes=1)
    return None


def _every(text: str, field: int) -> bool:
    """Where both the day of month and of week are restricted, one of them is enough; a star restricts nothing."""
    return text.split()[field].startswith("*")


def _numbers(part: str, each: _Field) -> Iterator[int]:
    for item in part.split(","):
        span, _, step = item.partition("/")
        found = _PART.fullmatch(span)
        assert found is not None, "it has been checked"
        first = each.low if found["any"] else _number(found["first"], each)
        last = each.high if found["any"] or (step and not found["last"]) else first
        if found["last"]:
            last = _number(found["last"], each)
        assert first is not None
        assert last is not None
        for number in range(first, last + 1, int(step or 1)):
            yield number % 7 if each.high == 7 else number


def _check(item: str, each: _Field) -> None:
    span, _, step = item.partition("/")
    wrong = f"{each.name}: `{item}` is not *, a number from {each.low} to {each.high}, a range or a step"
    if "/" in item and not (step.isascii() and step.isdigit() and 1 <= int(step) <= each.high):
        raise ValueError(wrong)
    found = _PART.fullmatch(span)
    if found is None:
        raise ValueError(wrong)
    if found["any"]:
        return
    first = _number(found["first"], each)
    last = _number(found["last"], each) if found["last"] else first
    if first is None or last is None or first > last:
        raise ValueError(wrong)


def _number(text: str, each: _Field) -> int | None:
    if text.lower() in each.words:
        return each.words.index(text.lower()) + each.low
    if text.isascii() and text.isdigit() and each.low <= int(text) <= each.high:
        return int(text)
    return None

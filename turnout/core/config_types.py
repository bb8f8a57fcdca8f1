"""What the models of both configuration files are made of: the base, and fields that check what people write."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sized
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema

from turnout.core import cron, durations, globs
from turnout.core.durations import CPU_PATTERN, DURATION_PATTERN, SIZE_PATTERN
from turnout.core.model import Value

MAX_ITEMS = 200
_LONGEST_NAME = 100
_Sized = TypeVar("_Sized", bound=Sized)


class Configured(Value):
    """A part of a configuration file. Keys are what the file says, unknown ones are refused."""

    model_config = ConfigDict(populate_by_name=False)


class Refused(ValueError):
    """A value that a rule refuses. ``hint`` says what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def listed(value: object) -> object:
    """One text is short for a list of one."""
    return [value] if isinstance(value, str) else value


def unique(values: tuple[str, ...]) -> tuple[str, ...]:
    """Raises: Refused when a value is there twice, or there are too many."""
    if len(values) > MAX_ITEMS:
        raise Refused(f"expected at most {MAX_ITEMS} items")
    for index, value in enumerate(values):
        if value in values[:index]:
            raise Refused(f"`{value}` is listed twice", "remove one")
    return values


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is most like ``name``; empty where none is."""
    if len(name) > _LONGEST_NAME:
        return ""
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.55)
    return f"did you mean `{found[0]}`?" if found else ""


def _shaped(pattern: str, expected: str, *, longest: int = 100) -> Callable[[str], str]:
    shape = re.compile(pattern)

    def check(value: str) -> str:
        if len(value) > longest or not shape.fullmatch(value):
            raise Refused(f"expected {expected}")
        return value

    return check


def _from_text(parse: Callable[[str], float], expected: str) -> Callable[[object], object]:
    """Reads text with ``parse``; lets pass what is no text, so that its type is what's complained of.

    The number 0 needs no unit; any other number does.
    """

    def read(value: object) -> object:
        if isinstance(value, str):
            return parse(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value != 0:
            raise Refused(f"expected {expected}", "write it with its unit")
        return value

    return read


def some(values: _Sized) -> _Sized:
    """Raises: Refused when there is nothing in it."""
    if not values:
        raise Refused("expected at least one item")
    return values


def lasting(shortest: float, longest: float) -> AfterValidator:
    """Bounds of a `Duration`, both included, in seconds."""

    def check(value: float) -> float:
        if not shortest <= value <= longest:
            low, high = durations.format_duration(shortest), durations.format_duration(longest)
            raise Refused(f"expected a duration from {low} to {high}")
        return value

    return AfterValidator(check)


def _cores(value: object) -> object:
    return durations.parse_cpu(value) if isinstance(value, str) else value


Empty = Annotated[None, Field(title="Nothing")]
"""An empty value that the JSON schema lets pass; elsewhere it strips what stands for an absent key."""

Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]

Duration = Annotated[
    float,
    Strict(),
    BeforeValidator(_from_text(durations.parse_duration, "a duration like 90s or 15m")),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["90s", "15m", "1h30m"]}),
]
"""Seconds."""

Size = Annotated[
    int,
    Strict(),
    BeforeValidator(_from_text(durations.parse_size, "a size like 512Mi or 2Gi")),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["512Mi", "2Gi"]}),
]
"""Bytes."""

Cores = Annotated[
    float,
    Strict(),
    BeforeValidator(_cores),
    Field(ge=0, le=1024),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1024},
                {"type": "string", "pattern": CPU_PATTERN},
            ],
            "examples": [2, 0.5, "500m"],
        }
    ),
]

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_WORD = _shaped(
    NAME_PATTERN, "letters, digits, `.`, `_` and `-`, at most 63 of them, a letter or digit first"
)
_VARIABLE = _shaped(r"[A-Za-z_][A-Za-z0-9_]*", "a variable's name: letters, digits and `_`, no digit first")
_PERSON = _shaped(r"@[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?", "`@user` or `@org/team`")
_CHANNEL = _shaped(r"[#@]?[A-Za-z0-9][A-Za-z0-9._-]*|", "a Slack channel like `#deploys`, or its id")
_ADDRESS = _shaped(r"[^@\s,;<>]+@[^@\s,;<>]+", "an e-mail address like `team@example.org`", longest=254)

Name = Annotated[str, AfterValidator(_WORD), Field(json_schema_extra={"pattern": f"^{NAME_PATTERN}$"})]
Variable = Annotated[
    str, AfterValidator(_VARIABLE), Field(json_schema_extra={"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})
]
Person = Annotated[str, AfterValidator(_PERSON)]
Channel = Annotated[str, AfterValidator(_CHANNEL)]
Address = Annotated[str, AfterValidator(_ADDRESS)]
Glob = Annotated[str, AfterValidator(globs.check_pattern)]
Schedule = Annotated[str, AfterValidator(cron.check_schedule)]

Text = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]
"""Under a key of `turnout.core.document.TEXT_UNDER`: text, whatever it looks like."""

_SHORT = BeforeValidator(listed, json_schema_input_type=str | list[str])
_ONCE = AfterValidator(unique)

Globs = Annotated[tuple[Glob, ...], BeforeValidator(listed, json_schema_input_type=Text | list[Text]), _ONCE]
Names = Annotated[tuple[Name, ...], _SHORT, _ONCE]
Variables = Annotated[tuple[Variable, ...], _SHORT, _ONCE]
People = Annotated[tuple[Person, ...], _SHORT, _ONCE]
Addresses = Annotated[tuple[Address, ...], _SHORT, _ONCE]
Schedules = Annotated[tuple[Schedule, ...], _SHORT, _ONCE]

"""Small languages: patterns, schedules, durations, sizes, markers in a commit message."""

from __future__ import annotations

from turnout.core import cron, durations
from turnout.core.change import Change
from turnout.core.config_triggers import PushTrigger, Triggers
from turnout.core.globs import check_pattern, match_any
from turnout.core.model import ChangeKind
from turnout.core.rules import skip_marker, triggered


def glob(content: bytes) -> None:
    """One pattern a line up to an empty line, then one name a line."""
    above, _, below = content.decode("utf-8", "replace").partition("\n\n")
    patterns = [check_pattern(each) for each in above.split("\n")][:20]
    names = below.split("\n")[:20]
    for name in names:
        match_any(patterns, name)
    change = Change(
        kind=ChangeKind.PUSH, repository="a/b", clone_url="", ref="refs/heads/m", sha="a" * 40, branch="m",
        message=below, paths=tuple(names),
    )  # fmt: skip
    triggered(Triggers(push=PushTrigger(paths=tuple(patterns))), change).reason.encode()


def field(content: bytes) -> None:
    """Every language gets the same text; the first that refuses it must not hide the others."""
    text = content.decode("utf-8", "replace")
    refusals = []
    for read in (
        cron.check_schedule,
        durations.parse_duration,
        durations.parse_size,
        durations.parse_cpu,
        _marker,
    ):
        try:
            read(text)
        except ValueError as error:
            refusals.append(error)
    try:
        seconds = durations.parse_duration(text)
    except ValueError:
        return
    assert abs(durations.parse_duration(durations.format_duration(seconds) or "0s") - seconds) < 0.001
    if refusals:
        raise refusals[0]


def _marker(text: str) -> None:
    found = skip_marker(text)
    assert found in text

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from turnout.core.cron import check_schedule, latest


@pytest.mark.parametrize(
    "text",
    ["0 3 * * *", "*/15 * * * *", "0,30 8-18 * * mon-fri", "0 0 1 jan,JUL *", "0 0 * * 7", "0-30/10 * * * *"],
)
def test_five_sound_fields_are_a_schedule(text: str) -> None:
    assert check_schedule(text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "five fields"),
        ("@daily", "five fields"),
        ("0 3 * *", "five fields"),
        ("0 3 * * * *", "five fields"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day of week"),
        ("* * * * funday", "day of week"),
        ("30-10 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("*/ * * * *", "minute"),
        ("1, * * * *", "minute"),
        ("² * * * *", "minute"),
    ],
)
def test_the_field_that_is_wrong_is_named(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_schedule(text)


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "now", "due"),
    [
        ("0 3 * * *", "2026-11-23 03:00:30", "2026-11-23 03:00"),
        ("0 3 * * *", "2026-11-23 03:59:59", "2026-11-23 03:00"),
        ("0 3 * * *", "2026-11-23 04:00:30", ""),
        ("0 3 * * *", "2026-11-23 02:59:59", ""),
        ("*/15 * * * *", "2026-11-23 10:44:00", "2026-11-23 10:30"),
        ("5/20 * * * *", "2026-11-23 10:24:00", "2026-11-23 10:05"),
        ("50 23 * * *", "2026-11-24 00:10:00", "2026-11-23 23:50"),
        ("0 9 * * mon-fri", "2026-11-23 09:10:00", "2026-11-23 09:00"),  # a Monday
        ("0 9 * * tue", "2026-11-23 09:10:00", ""),
        ("0 9 * * 0", "2026-11-22 09:10:00", "2026-11-22 09:00"),
        ("0 9 * * 7", "2026-11-22 09:10:00", "2026-11-22 09:00"),
        ("0 9 * * 5-7", "2026-11-22 09:10:00", "2026-11-22 09:00"),
        ("0 9 1 * *", "2026-11-23 09:10:00", ""),
        ("0 9 1 * mon", "2026-11-23 09:10:00", "2026-11-23 09:00"),  # either day is enough
        ("0 9 23 * tue", "2026-11-23 09:10:00", "2026-11-23 09:00"),
        ("0 9 * DEC *", "2026-11-23 09:10:00", ""),
        ("0,30 8-18/2 * * *", "2026-11-23 10:31:00", "2026-11-23 10:30"),
        ("0 0 29 2 *", "2028-02-29 00:30:00", "2028-02-29 00:00"),
    ],
)
def test_a_schedule_is_due_on_its_minute_and_may_be_late(text: str, now: str, due: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    expected = datetime.fromisoformat(due).replace(tzinfo=UTC) if due else None
    assert latest(check_schedule(text), at, HOUR) == expected

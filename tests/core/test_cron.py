from __future__ import annotations

import pytest

from turnout.core.cron import check_schedule


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

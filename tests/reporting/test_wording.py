from __future__ import annotations

import pytest

from turnout.reporting.wording import by_severity, clean, clip, counted, duration, first_line


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-0.2, "0.0 s"),
        (0.44, "0.4 s"),
        (9.97, "10 s"),
        (59.7, "1 min"),
        (72, "1 min 12 s"),
        (3599.6, "1 h"),
        (7800, "2 h 10 min"),
    ],
)
def test_a_duration_is_said_in_the_units_people_use(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_one_is_singular() -> None:
    assert (counted(1, "test"), counted(2, "test"), counted(12345, "finding")) == (
        "1 test",
        "2 tests",
        "12,345 findings",
    )


def test_colours_and_control_characters_of_tools_are_left_out() -> None:
    assert clean("\x1b[31mE  assert\x1b[0m 1\x00 ==\t2\x07") == "E assert 1 == 2"


def test_a_hyperlink_escape_leaves_only_its_text() -> None:
    assert clean("\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\") == "click"


def test_a_name_can_not_turn_the_direction_of_the_line() -> None:
    assert clean("test_\u202eedoc\u202c_ok") == "test_edoc_ok"


def test_a_lone_surrogate_can_not_break_the_encoding_of_a_message() -> None:
    assert clean("a\ud800b").encode() == b"ab"


def test_the_first_line_is_the_first_that_says_something() -> None:
    assert first_line("\n  \x1b[0m\n  AssertionError: no\nmore") == "AssertionError: no"
    assert first_line("x" * 300, 10) == "x" * 9 + "…"
    assert first_line("") == ""


def test_clipping_leaves_what_fits_as_it_is() -> None:
    assert clip("abc", 3) == "abc"
    assert clip("abcd", 3) == "ab…"


def test_severities_come_worst_first_and_unknown_ones_last() -> None:
    assert by_severity({"low": 10, "weird": 1, "critical": 1, "note": 0}) == "1 critical, 10 low, 1 weird"

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.console.pages.ansi import LONGEST, PLAIN, Style, to_html


def html(line: str) -> str:
    return to_html(line)[0]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m rest", '<span class="f1">red</span> rest'),
        ("\x1b[1;32mbold green\x1b[m", '<span class="f2 b">bold green</span>'),
        ("\x1b[91mbright\x1b[39m", '<span class="f9">bright</span>'),
        ("\x1b[44mground\x1b[49m", '<span class="g4">ground</span>'),
        ("\x1b[38;5;196mpalette", '<span class="f1">palette</span>'),
        ("\x1b[38;2;250;80;80mtrue", '<span class="f9">true</span>'),
        ("\x1b[38:5:2mcolons", '<span class="f2">colons</span>'),
        (
            "\x1b[3mleaning\x1b[23m \x1b[4mline\x1b[24m",
            '<span class="i">leaning</span> <span class="u">line</span>',
        ),
        ("10%\r50%\r100%", "100%"),
        ("ends\r", "ends"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b[2K\x1b[1Gredrawn", "redrawn"),
        ("bell\x07 null\x00", "bell null"),
        ("a\tb", "a\tb"),
    ],
)
def test_colours_become_classes_and_other_codes_nothing(line: str, expected: str) -> None:
    assert html(line) == expected


def test_markup_in_a_log_is_text() -> None:
    assert html("<script>alert('1')</script>\x1b[31m\"&") == (
        '&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;<span class="f1">&quot;&amp;</span>'
    )


def test_a_colour_goes_on_over_the_line_s_end() -> None:
    _, style = to_html("\x1b[31mone")
    assert style == Style(fg=1)
    assert to_html("two\x1b[0m", style) == ('<span class="f1">two</span>', PLAIN)


def test_what_was_overwritten_still_sets_the_colour() -> None:
    assert html("\x1b[32m1%\r2%") == '<span class="f2">2%</span>'


def test_a_very_long_line_is_cut_and_says_so() -> None:
    text = html("x" * (LONGEST + 7))
    assert "7 more characters" in text
    assert len(text) < LONGEST + 200


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.sampled_from("\x1b[;:mK38205<>&\"'ab\r\x07]\\"), max_size=40))
def test_no_line_can_open_a_tag_of_its_own(line: str) -> None:
    text = re.sub(r'</?span(?: class="[a-z0-9 ]+")?>', "", html(line))
    assert not set(text) & set("<>\"'\x1b")
    assert html(line).count("<span") == html(line).count("</span>")

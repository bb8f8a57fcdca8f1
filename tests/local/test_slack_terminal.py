from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from local.slack.terminal import Screen, mrkdwn, render

TS = "1767225600.000100"


def shown(message: dict[str, Any], *replies: dict[str, Any], **more: str) -> str:
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    with console.capture() as capture:
        console.print(render({"ts": TS, **message}, [{"ts": TS, **each} for each in replies], **more))
    return capture.get()


def styles(source: str) -> dict[str, str]:
    text = mrkdwn(source)
    return {text.plain[span.start : span.end]: str(span.style) for span in text.spans}


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("*bold* _it_ ~no~ `code`", "bold it no code"),
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        ("&lt;b&gt; &amp;amp;", "<b> &amp;"),
        ("<https://example.org|the run> <https://example.org>", "the run https://example.org"),
        (":x: :white_check_mark: :no_such_emoji:", "❌ ✅ :no_such_emoji:"),
        ("<!date^soon^{date}|later>", "later"),
        ("```\na *b*\n```", "a *b*"),
    ],
)
def test_slacks_markup_is_shown_as_people_see_it(source: str, plain: str) -> None:
    assert mrkdwn(source).plain == plain


def test_a_date_is_shown_in_this_machines_time_zone() -> None:
    here = datetime.fromtimestamp(1767225600, tz=UTC).astimezone()
    assert mrkdwn("<!date^1767225600^{date_short_pretty} {time}|x>").plain == f"{here:%Y-%m-%d %H:%M}"


def test_bold_is_bold_and_code_is_apart() -> None:
    found = styles("*b* `c` <https://example.org|l>")
    assert found["b"] == "bold"
    assert "red" in found["c"]
    assert "underline" in found["l"]


def test_a_message_has_channel_sender_and_its_thread_below() -> None:
    text = shown({"text": "hi"}, {"text": "first"}, {"text": "second"}, channel="ci", note="updated")
    lines = text.splitlines()
    assert "#ci Turnout APP" in lines[0]
    assert "(updated)" in lines[0]
    assert "hi" in lines[1]
    assert "2 replies in the thread" in lines[2]
    assert "    first" in lines[3]


def test_blocks_are_shown_instead_of_the_fallback_text() -> None:
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": ":x: failed"}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "*why*"},
            "fields": [{"type": "mrkdwn", "text": "f"}],
        },
        {"type": "divider"},
        {
            "type": "rich_text",
            "elements": [
                {
                    "type": "rich_text_list",
                    "style": "bullet",
                    "elements": [
                        {"type": "rich_text_section", "elements": [{"type": "text", "text": "one"}]}
                    ],
                },
                {"type": "rich_text_quote", "elements": [{"type": "text", "text": "said"}]},
                {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "code"}]},
            ],
        },
        {
            "type": "actions",
            "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Approve"}}],
        },
        {"type": "context", "elements": [{"type": "plain_text", "text": "quiet"}]},
    ]
    text = shown({"text": "fallback", "blocks": blocks})
    for each in ("❌ failed", "why", "• one", "▎said", "code", "[ Approve ]", "quiet"):
        assert each in text
    assert "fallback" not in text


def test_the_screen_shows_each_change_as_it_comes() -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    screen = Screen(console)
    for what in ("posted", "replied", "updated"):
        screen.show(what, "ci", {"ts": TS, "text": what})
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "(in the thread)" in text
    assert "(updated)" in text

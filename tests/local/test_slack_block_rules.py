from __future__ import annotations

from typing import Any

import pytest

from local.slack.block_rules import refuse


def rich(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(elements)}]}


def mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": text, "emoji": True}}


GOOD = (
    header("x" * 150),
    {"type": "section", "text": mrkdwn("x" * 3000)},
    {"type": "section", "fields": [mrkdwn("x" * 200)] * 10},
    {"type": "context", "elements": [mrkdwn("x"), {"type": "plain_text", "text": "x"}]},
    {"type": "divider"},
    {
        "type": "actions",
        "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Go"}, "url": "u"}],
    },
    rich(
        {"type": "text", "text": "x", "style": {"bold": True}},
        {"type": "emoji", "name": "x"},
        {"type": "link", "url": "https://example.org", "text": "x"},
    ),
    {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_list",
                "style": "bullet",
                "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]}],
            },
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "x"}]},
        ],
    },
)


@pytest.mark.parametrize("block", GOOD, ids=lambda block: block["type"])
def test_what_slack_takes_is_taken(block: dict[str, Any]) -> None:
    assert refuse("x", [block]) is None


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (header("x" * 151), "must be less than 151 characters [json-pointer:/blocks/0/text/text]"),
        (header(""), "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
        (
            {"type": "header", "text": mrkdwn("x")},
            "must be one of plain_text [json-pointer:/blocks/0/text/type]",
        ),
        ({"type": "section"}, "missing required field [json-pointer:/blocks/0/text]"),
        (
            {"type": "section", "text": mrkdwn("x" * 3001)},
            "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            {"type": "section", "fields": [mrkdwn("x")] * 11},
            "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
        ),
        (
            {"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": True}},
            "invalid additional property: emoji [json-pointer:/blocks/0/text]",
        ),
        ({"type": "context", "elements": []}, "must have 1 to 10 items [json-pointer:/blocks/0/elements]"),
        ({"type": "table"}, "unsupported type: table (block) [json-pointer:/blocks/0/type]"),
        ({"type": "divider", "text": "x"}, "invalid additional property: text [json-pointer:/blocks/0]"),
        ("text", "must be an object [json-pointer:/blocks/0]"),
        (
            rich({"type": "text", "text": ""}),
            "must be more than 0 characters [json-pointer:/blocks/0/elements/0/elements/0/text]",
        ),
        (
            rich({"type": "text", "text": "x", "style": {"loud": True}}),
            "invalid additional property: loud [json-pointer:/blocks/0/elements/0/elements/0/style]",
        ),
        (
            rich({"type": "link", "text": "x"}),
            "missing required field [json-pointer:/blocks/0/elements/0/elements/0/url]",
        ),
        (
            {
                "type": "rich_text",
                "elements": [{"type": "rich_text_list", "style": "bullet", "elements": []}],
            },
            "must have 1 to 1000 items [json-pointer:/blocks/0/elements/0/elements]",
        ),
    ],
)
def test_what_slack_refuses_is_refused_with_its_place(block: Any, said: str) -> None:
    refusal = refuse("x", [block])
    assert refusal is not None
    assert refusal.error == "invalid_blocks"
    assert said in refusal.messages


def test_more_than_fifty_blocks_are_refused() -> None:
    assert refuse("x", [{"type": "divider"}] * 50) is None
    refusal = refuse("x", [{"type": "divider"}] * 51)
    assert refusal is not None
    assert refusal.messages == ("no more than 50 items allowed [json-pointer:/blocks]",)


def test_too_much_text_in_all_blocks_together_is_refused() -> None:
    section = {"type": "section", "text": mrkdwn("x" * 3000)}
    assert refuse("x", [section] * 3) is None
    refusal = refuse("x", [section] * 4)
    assert refusal is not None
    assert refusal.error == "msg_blocks_too_long"


def test_blocks_that_are_no_list_are_refused() -> None:
    refusal = refuse("x", "[]")
    assert refusal is not None
    assert refusal.error == "invalid_blocks_format"

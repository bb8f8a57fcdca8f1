"""Block Kit's parts, and its limits. Pure.

What others wrote (titles, names of tests, messages) goes into rich text or plain text, which Slack shows as it
is; mrkdwn, which Slack interprets, gets only our own words and what `escape` has been through.
Source: https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from turnout.reporting.wording import ELLIPSIS, clip, more

Element = dict[str, Any]
Block = dict[str, Any]
Line = Sequence[Element]
"""What stands on one line of a rich text."""

MAX_BLOCKS = 50
MAX_HEADER = 150
MAX_SECTION = 3000
MAX_TEXT = 9000
"""Characters of text in all blocks of one message. Slack refuses more than about 10,000 with `msg_blocks_too_long`
and documents no number. Source: https://github.com/slackapi/bolt-js/issues/2867"""


def escape(text: str) -> str:
    """Text in which mrkdwn finds no link, mention or entity.

    Source: https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def header(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": clip(text, MAX_HEADER), "emoji": True}}


def context(*, mrkdwn: str = "", plain: str = "") -> Block:
    """A quiet line: our own words in mrkdwn, then what others wrote as it is."""
    said = (("mrkdwn", mrkdwn), ("plain_text", plain))
    return {
        "type": "context",
        "elements": [{"type": kind, "text": clip(each, MAX_SECTION)} for kind, each in said if each],
    }


def text(content: str, *, bold: bool = False, code: bool = False, italic: bool = False) -> Element:
    style = {name: True for name, on in (("bold", bold), ("code", code), ("italic", italic)) if on}
    return {"type": "text", "text": content, **({"style": style} if style else {})}


def link(url: str, content: str) -> Element:
    return {"type": "link", "url": url, "text": content}


def emoji(name: str) -> Element:
    return {"type": "emoji", "name": name}


def lines(each: Iterable[Line]) -> Block:
    """A rich text block with one line for each."""
    elements: list[Element] = []
    for line in each:
        if elements:
            elements.append(text("\n"))
        elements.extend(line)
    return rich(_section(elements))


def bullets(each: Iterable[Line]) -> Element:
    return {"type": "rich_text_list", "style": "bullet", "elements": [_section(line) for line in each]}


def paragraph(line: Line) -> Element:
    return _section(line)


def rich(*parts: Element) -> Block:
    return {"type": "rich_text", "elements": list(parts)}


def buttons(id: str, *each: tuple[str, str, str, str]) -> Block:
    """``each``: what is written on it, its action, its value and its style. ``id``: unique within the message."""
    return {
        "type": "actions",
        "block_id": id[:255],
        "elements": [
            {
                "type": "button",
                "text": {"type": "plain_text", "text": clip(said, 75)},
                "action_id": action,
                "value": value,
                "style": style,
            }
            for said, action, value, style in each
        ],
    }


def date(when: datetime) -> str:
    """mrkdwn that every reader sees in their own time zone."""
    plain = when.strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(when.timestamp())}^{{date_short_pretty}} {{time}}|{plain}>"


def fitted(each: Sequence[Line], total: int, room: int) -> list[Line]:
    """As many as ``room`` characters hold, then how many more of ``total`` there are."""
    taken: list[Line] = []
    for line in each:
        room -= size(line)
        if room < 0:
            break
        taken.append(line)
    left = total - len(taken)
    return [*taken, [text(more(left), italic=True)]] if left > 0 else taken


def within(parts: Sequence[Element], room: int) -> list[Element]:
    """As much as ``room`` characters hold, from the beginning; a list is cut between its items."""
    taken: list[Element] = []
    for part in parts:
        room -= size(part)
        if room >= 0:
            taken.append(part)
            continue
        if part["type"] == "rich_text_list":
            room += size(part)
            kept = [
                item
                for index, item in enumerate(part["elements"])
                if size(part["elements"][: index + 1]) <= room
            ]
            taken += [{**part, "elements": kept}] if kept else []
        return [*taken, paragraph([text(ELLIPSIS)])]
    return taken


def size(part: Any) -> int:
    """Characters of text within a block, an element, or many of them."""
    if isinstance(part, str):
        return 0
    if isinstance(part, Mapping):
        own = sum(len(part[name]) for name in ("text", "url", "name") if isinstance(part.get(name), str))
        return own + sum(size(value) for value in part.values())
    if isinstance(part, Iterable):
        return sum(size(each) for each in part)
    return 0


def _section(elements: Line) -> Element:
    return {"type": "rich_text_section", "elements": [each for each in elements if each.get("text") != ""]}

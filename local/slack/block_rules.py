"""What Slack refuses in a message: Block Kit's rules, as far as its documentation and its answers tell them.

Source: https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_BLOCKS = 50
MAX_ALL_TEXT = 10_000
"""Slack has no documented number; in the one published measurement 9,597 passed and 11,341 did not.
Source: https://github.com/slackapi/bolt-js/issues/2867"""
MAX_MESSAGE_TEXT = 40_000

Rule = Callable[[Mapping[str, Any], str], Iterator[str]]
STYLES = frozenset({"bold", "italic", "strike", "code", "underline"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """``error`` is Slack's code, ``messages`` say where and why."""

    error: str
    messages: tuple[str, ...] = ()


def refuse(text: object, blocks: object) -> Refusal | None:
    """Why Slack would not take a message with this text and these blocks; None: it would."""
    if not blocks:
        if not text:
            return Refusal("no_text")
        return Refusal("msg_too_long") if len(str(text)) > MAX_MESSAGE_TEXT else None
    if not isinstance(blocks, list):
        return Refusal("invalid_blocks_format")
    if len(blocks) > MAX_BLOCKS:
        return Refusal("invalid_blocks", (f"no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]",))
    wrong = tuple(said for index, block in enumerate(blocks) for said in _block(block, f"/blocks/{index}"))
    if wrong:
        return Refusal("invalid_blocks", wrong)
    if text_length(blocks) > MAX_ALL_TEXT:
        return Refusal("msg_blocks_too_long")
    return None


def text_length(part: object) -> int:
    """Characters of text in blocks and all they hold."""
    if isinstance(part, Mapping):
        own = part.get("text")
        return (len(own) if isinstance(own, str) else 0) + sum(text_length(each) for each in part.values())
    if isinstance(part, list):
        return sum(text_length(each) for each in part)
    return 0


def _block(block: object, at: str) -> Iterator[str]:
    yield from _one_of(BLOCKS, "block", block, at)
    if isinstance(block, Mapping) and len(str(block.get("block_id", ""))) > 255:
        yield _say("must be less than 256 characters", f"{at}/block_id")


def _one_of(rules: Mapping[str, Rule], what: str, part: object, at: str) -> Iterator[str]:
    if not isinstance(part, Mapping):
        yield _say("must be an object", at)
        return
    rule = rules.get(str(part.get("type", "")))
    if rule is None:
        yield _say(f"unsupported type: {part.get('type')} ({what})", f"{at}/type")
        return
    yield from rule(part, at)


def _fields(part: Mapping[str, Any], at: str, allowed: str) -> Iterator[str]:
    known = {"type", *allowed.split()}
    for name in sorted(set(part) - known):
        yield _say(f"invalid additional property: {name}", at)


def _text_object(part: object, at: str, limit: int, types: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(part, Mapping):
        yield _say("missing required field", at)
        return
    if part.get("type") not in types:
        yield _say(f"must be one of {', '.join(types)}", f"{at}/type")
    yield from _fields(part, at, "text emoji verbatim")
    if "emoji" in part and part.get("type") != "plain_text":
        yield _say("invalid additional property: emoji", at)
    yield from _string(part.get("text"), f"{at}/text", limit)


def _string(value: object, at: str, limit: int = 1_000_000) -> Iterator[str]:
    if not isinstance(value, str):
        yield _say("missing required field", at)
    elif not value:
        yield _say("must be more than 0 characters", at)
    elif len(value) > limit:
        yield _say(f"must be less than {limit + 1} characters", at)


def _list(part: Mapping[str, Any], at: str, least: int, most: int) -> Iterator[str]:
    found = part.get("elements")
    if not isinstance(found, list):
        yield _say("missing required field", f"{at}/elements")
    elif not least <= len(found) <= most:
        yield _say(f"must have {least} to {most} items", f"{at}/elements")


def _each(rules: Mapping[str, Rule], part: Mapping[str, Any], at: str) -> Iterator[str]:
    found = part.get("elements")
    for index, each in enumerate(found if isinstance(found, list) else ()):
        yield from _one_of(rules, "element", each, f"{at}/elements/{index}")


def _header(part: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _fields(part, at, "block_id text")
    yield from _text_object(part.get("text"), f"{at}/text", 150, ("plain_text",))


def _section(part: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _fields(part, at, "block_id text fields accessory expand")
    if "text" in part or "fields" not in part:
        yield from _text_object(part.get("text"), f"{at}/text", 3000, ("mrkdwn", "plain_text"))
    fields = part.get("fields", [])
    if len(fields) > 10:
        yield _say("no more than 10 items allowed", f"{at}/fields")
    for index, each in enumerate(fields):
        yield from _text_object(each, f"{at}/fields/{index}", 2000, ("mrkdwn", "plain_text"))


def _context(part: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _fields(part, at, "block_id elements")
    yield from _list(part, at, 1, 10)
    found = part.get("elements")
    for index, each in enumerate(found if isinstance(found, list) else ()):
        yield from _text_object(each, f"{at}/elements/{index}", 3000, ("mrkdwn", "plain_text"))


def _divider(part: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _fields(part, at, "block_id")


def _actions(part: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _fields(part, at, "block_id elements")
    yield from _list(part, at, 1, 25)
    yield from _each({"button": _button}, part, at)


def _button(part: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _fields(part, at, "text action_id url value style confirm accessibility_label")
    yield from _text_object(part.get("text"), f"{at}/text", 75, ("plain_text",))
    if len(str(part.get("url", ""))) > 3000:
        yield _say("must be less than 3001 characters", f"{at}/url")


def _rich_text(part: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _fields(part, at, "block_id elements")
    yield from _list(part, at, 1, 1000)
    yield from _each(RICH, part, at)


def _rich_section(part: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _fields(part, at, "elements border")
    yield from _list(part, at, 0, 1000)
    yield from _each(INLINE, part, at)


def _rich_list(part: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _fields(part, at, "elements style indent offset border")
    if part.get("style") not in ("bullet", "ordered"):
        yield _say("must be one of bullet, ordered", f"{at}/style")
    yield from _list(part, at, 1, 1000)
    yield from _each({"rich_text_section": _rich_section}, part, at)


def _inline(required: str, optional: str = "") -> Rule:
    def rule(part: Mapping[str, Any], at: str) -> Iterator[str]:
        yield from _fields(part, at, f"{required} {optional} style")
        for name in required.split():
            if name != "timestamp":
                yield from _string(part.get(name), f"{at}/{name}")
        yield from _style(part.get("style", {}), f"{at}/style")

    return rule


def _style(style: object, at: str) -> Iterator[str]:
    if not isinstance(style, Mapping) or not all(isinstance(on, bool) for on in style.values()):
        yield _say("must be an object of booleans", at)
        return
    for name in sorted(set(style) - STYLES):
        yield _say(f"invalid additional property: {name}", at)


def _say(what: str, at: str) -> str:
    return f"{what} [json-pointer:{at}]"


BLOCKS: dict[str, Rule] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "divider": _divider,
    "actions": _actions,
    "rich_text": _rich_text,
}
RICH: dict[str, Rule] = {
    "rich_text_section": _rich_section,
    "rich_text_preformatted": _rich_section,
    "rich_text_quote": _rich_section,
    "rich_text_list": _rich_list,
}
INLINE: dict[str, Rule] = {
    "text": _inline("text"),
    "link": _inline("url", "text unsafe"),
    "emoji": _inline("name", "unicode"),
    "date": _inline("timestamp format", "url fallback"),
    "user": _inline("user_id"),
    "channel": _inline("channel_id"),
}


def as_answers(messages: Iterable[str]) -> list[str]:
    """As they stand in ``response_metadata.messages``."""
    return [f"[ERROR] {each}" for each in messages]

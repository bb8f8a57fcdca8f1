"""Slack messages in a terminal, as a person would see them in the client."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.emoji import Emoji
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.style import Style
from rich.text import Text

Json = Mapping[str, Any]

CODE = Style(color="red", bgcolor="grey93")
LINK = Style(color="blue", underline=True)
QUIET = Style(dim=True)

# One match: a fenced block, code, a link or date in <…>, bold, italic, struck out.
_MRKDWN = re.compile(
    r"```(?P<fence>.+?)```|`(?P<code>[^`\n]+)`|<(?P<angle>[^<>\n]+)>"
    r"|(?<![\w*])\*(?P<bold>\S(?:[^*\n]*\S)?)\*(?![\w*])"
    r"|(?<!\w)_(?P<italic>\S(?:[^_\n]*\S)?)_(?!\w)"
    r"|(?<!\w)~(?P<strike>\S(?:[^~\n]*\S)?)~(?!\w)",
    re.DOTALL,
)


def render(
    message: Json, replies: Sequence[Json] = (), *, channel: str = "", note: str = ""
) -> RenderableType:
    """A message with the answers in its thread. ``channel``: its name. ``note``: what happened to it (``updated``)."""
    when = datetime.fromtimestamp(float(message["ts"]), tz=UTC).astimezone()
    title = Text.assemble(
        (f"#{channel} ", "bold") if channel else "", ("Turnout", "bold"), (" APP ", "reverse dim")
    )
    title.append(f" {when:%H:%M}", QUIET)
    if note:
        title.append(f" ({note})", QUIET)
    parts: list[RenderableType] = list(_body(message))
    if replies:
        count = f"{len(replies)} {'reply' if len(replies) == 1 else 'replies'}"
        parts.append(Text(f"{count} in the thread", LINK))
        parts.extend(Padding(Group(*_body(each), Rule(style="dim")), (0, 0, 0, 4)) for each in replies)
    return Panel(Group(*parts), title=title, title_align="left", box=box.ROUNDED, padding=(0, 1))


class Screen:
    """A channel as it goes by. `show` is a watcher of `local.slack.workspace.Workspace`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console if console is not None else Console()

    def show(self, what: str, channel: str, message: Json) -> None:
        notes = {
            "posted": "",
            "replied": "in the thread",
            "updated": "updated",
            "whispered": "only you see it",
        }
        note = notes[what]
        shown = render(message, channel=channel, note=note)
        self._console.print(Padding(shown, (0, 0, 0, 4)) if what == "replied" else shown)


def _body(message: Json) -> Iterator[RenderableType]:
    blocks = message.get("blocks") or ()
    if not blocks:
        yield mrkdwn(str(message.get("text", "")))
    for block in blocks:
        yield from _block(block)


def _block(block: Json) -> Iterator[RenderableType]:
    match block.get("type"):
        case "header":
            yield Text(Emoji.replace(block["text"]["text"]), "bold")
        case "section":
            if "text" in block:
                yield _text_object(block["text"])
            if block.get("fields"):
                yield Columns([_text_object(each) for each in block["fields"]], equal=True)
        case "context":
            line = Text("  ").join(_text_object(each) for each in block["elements"])
            line.stylize(QUIET)
            yield line
        case "divider":
            yield Rule(style="dim")
        case "actions":
            yield Text("  ").join(
                Text(f"[ {each['text']['text']} ]", "reverse") for each in block["elements"]
            )
        case "rich_text":
            for part in block["elements"]:
                yield from _rich_text(part)
        case other:
            yield Text(f"({other})", QUIET)


def _rich_text(part: Json) -> Iterator[RenderableType]:
    match part.get("type"):
        case "rich_text_list":
            for number, item in enumerate(part["elements"], start=1):
                mark = "•" if part.get("style") == "bullet" else f"{number}."
                yield Padding(Text.assemble(f"{mark} ", _line(item)), (0, 0, 0, 1))
        case "rich_text_preformatted":
            yield Panel(_line(part), box=box.SQUARE, style=QUIET)
        case "rich_text_quote":
            yield Padding(Text.assemble(("▎", QUIET), _line(part)), (0, 0, 0, 1))
        case _:
            yield _line(part)


def _line(section: Json) -> Text:
    line = Text()
    for each in section["elements"]:
        match each["type"]:
            case "text":
                line.append(each["text"], _style(each.get("style", {})))
            case "link":
                line.append(each.get("text") or each["url"], LINK)
            case "emoji":
                line.append(Emoji.replace(f":{each['name']}:"))
            case "date":
                line.append(each.get("fallback", ""))
            case other:
                line.append(f"@{each.get('user_id') or each.get('channel_id') or other}", LINK)
    return line


def _style(style: Mapping[str, bool]) -> Style:
    if style.get("code"):
        return CODE
    return Style(bold=style.get("bold"), italic=style.get("italic"), strike=style.get("strike"))


def _text_object(part: Json) -> Text:
    return Text(Emoji.replace(part["text"])) if part["type"] == "plain_text" else mrkdwn(part["text"])


def mrkdwn(source: str) -> Text:
    """Slack's own markup: ``*bold*``, ``_italic_``, ``~struck~``, code, ``<url|text>``, ``<!date^…|…>``, emoji."""
    text, end = Text(), 0
    for match in _MRKDWN.finditer(source):
        text.append(_plain(source[end : match.start()]))
        text.append_text(_marked(str(match.lastgroup), str(match[match.lastgroup or 0])))
        end = match.end()
    return text.append(_plain(source[end:]))


def _marked(kind: str, content: str) -> Text:
    match kind:
        case "fence":
            return Text(html.unescape(content.strip("\n")), QUIET)
        case "code":
            return Text(html.unescape(content), CODE)
        case "angle":
            target, _, shown = content.partition("|")
            if target.startswith("!date^"):
                return Text(_date(target, shown))
            return Text(_plain(shown or target), LINK)
        case "bold":
            return Text(_plain(content), "bold")
        case "italic":
            return Text(_plain(content), "italic")
        case _:
            return Text(_plain(content), "strike")


def _plain(text: str) -> str:
    return Emoji.replace(html.unescape(text))


def _date(target: str, fallback: str) -> str:
    """``!date^1700000000^{date} {time}``, in this machine's time zone. Source: Slack's "Formatting dates"."""
    _, _, rest = target.partition("^")
    seconds, _, form = rest.partition("^")
    if not seconds.isdigit():
        return fallback
    when = datetime.fromtimestamp(int(seconds), tz=UTC).astimezone()
    form = re.sub(r"\{date[a-z_]*\}", f"{when:%Y-%m-%d}", form.partition("^")[0])
    return form.replace("{time_secs}", f"{when:%H:%M:%S}").replace("{time}", f"{when:%H:%M}")

"""A run as an e-mail: plain text and HTML, with headers that nobody can inject into. Pure.

Source: RFC 5322 (format), RFC 3834, §5 (``Auto-Submitted``)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from turnout.core.errors import PermanentError
from turnout.core.ids import derive
from turnout.core.plan import ConfigProblem
from turnout.reporting.trouble import Trouble, place
from turnout.reporting.view import Light, RunView, StageView, Wanted
from turnout.reporting.wording import by_severity, clean, clip, counted, duration, first_line, more

STAGES_SHOWN = 100
NAMED = 50
SUBJECT_LENGTH = 150

MARKS: dict[Light, str] = {
    Light.PENDING: "·",
    Light.WAITING: "?",
    Light.RUNNING: "▸",
    Light.RETRYING: "↻",
    Light.SUCCESS: "✓",
    Light.ALLOWED: "!",
    Light.FAILURE: "✗",
    Light.ERROR: "✗",
    Light.TIMED_OUT: "✗",
    Light.CANCELLED: "–",
    Light.SKIPPED: "–",
}
_RED, _GREEN, _AMBER, _GREY = "#b42318", "#1a7f37", "#9a6700", "#57606a"
COLOURS: dict[Light, str] = {
    Light.SUCCESS: _GREEN,
    Light.FAILURE: _RED,
    Light.ERROR: _RED,
    Light.TIMED_OUT: _RED,
    Light.ALLOWED: _AMBER,
    Light.WAITING: _AMBER,
    Light.RETRYING: _AMBER,
}

_ADDRESS = re.compile(
    r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
)


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a list: ``code`` in a fixed-width font, ``text`` after it."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """A heading with a list under it. ``plain``: a paragraph between them, often empty."""

    title: str
    plain: str = ""
    items: tuple[Item, ...] = ()


def is_address(text: str) -> bool:
    return _ADDRESS.fullmatch(text) is not None


def address(text: str) -> str:
    """An address that is safe in a header and in an SMTP command.

    Raises: PermanentError.
    """
    if not is_address(text):
        raise PermanentError(
            f"e-mail: {clip(clean(text), 80)!r} is not an address",
            "write notify.email as name@example.org, without a display name",
        )
    return text


def message_id(run: str, fact: str, sender: str) -> str:
    """The same for the same fact, so that a mail that is handed over twice can be recognised."""
    return f"<{derive('mail', run, fact)}@{sender.rpartition('@')[2]}>"


def compose(
    view: RunView, *, fact: str, wanted: Wanted | None, sender: str, to: Sequence[str], at: datetime
) -> EmailMessage:
    """``wanted``: the approval that the mail asks for, None: it tells how the run ended. ``to``: checked addresses."""
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = subject(view, wanted)
    mail["From"] = f"Turnout <{sender}>"
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = message_id(view.id, fact, sender)
    thread = f"<{derive('mail-thread', view.project, view.where)}@{sender.rpartition('@')[2]}>"
    mail["In-Reply-To"] = thread
    mail["References"] = thread
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Turnout-Run"] = clean(view.id)
    mail["X-Turnout-Outcome"] = "approval" if wanted else view.light.value
    parts = tuple(_parts(view))
    mail.set_content(_plain(view, parts))
    mail.add_alternative(_html(view, parts), subtype="html")
    return mail


def subject(view: RunView, wanted: Wanted | None = None) -> str:
    said = f"{wanted.stage} waits for approval" if wanted else view.word
    whole = f"[{view.project}] {said}: {view.where} {view.sha} {view.title}"
    return clip(clean(whole), SUBJECT_LENGTH)


# --- what is said, in parts -----------------------------------------------------------------------


def _parts(view: RunView) -> Iterator[Part]:
    for wanted in view.wanted:
        yield _approval(view, wanted)
    if view.problems:
        shown = tuple(_problem(each) for each in view.problems[:NAMED])
        title = f"{counted(len(view.problems), 'problem')} in the pipeline file"
        yield Part(title, items=_with_rest(shown, len(view.problems)))
    for trouble in view.standing:
        yield from _trouble(trouble)
    if view.flaky:
        names = tuple(Item(first_line(name), "") for name in view.flaky[:NAMED])
        title = f"{counted(len(view.flaky), 'flaky test')}, passed when tried again"
        yield Part(title, items=_with_rest(names, len(view.flaky)))
    if view.reason and not view.standing and not view.problems:
        yield Part("Why", view.reason)


def _trouble(trouble: Trouble) -> Iterator[Part]:
    title = f"{trouble.title}: {trouble.summary}" if trouble.summary else trouble.title
    cases = tuple(
        Item(first_line(each.name or each.id), first_line(each.message)) for each in trouble.cases[:NAMED]
    )
    yield Part(clip(title, 300), trouble.reason, _with_rest(cases, trouble.failed_tests))
    if trouble.found:
        named = tuple(
            Item(
                place(each),
                f"{clean(each.severity)}: {first_line(each.message)} ({clip(clean(each.rule), 80)})",
            )
            for each in trouble.findings[:NAMED]
        )
        title = f"{counted(trouble.found, 'finding')} in {trouble.task}: {by_severity(trouble.counts)}"
        yield Part(title, items=_with_rest(named, trouble.found))


def _with_rest(items: tuple[Item, ...], total: int) -> tuple[Item, ...]:
    left = total - len(items)
    return (*items, Item("", more(left))) if left > 0 else items


def _problem(problem: ConfigProblem) -> Item:
    at = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
    said = first_line(f"{problem.path}: {problem.message}" if problem.path else problem.message, 300)
    return Item(clean(at), f"{said}; {first_line(problem.hint)}" if problem.hint else said)


def _approval(view: RunView, wanted: Wanted) -> Part:
    by = f" by {', '.join(clean(each) for each in wanted.by)}" if wanted.by else ""
    until = f", until {wanted.expires_at:%Y-%m-%d %H:%M} UTC" if wanted.expires_at else ""
    goal = f" (environment {clean(wanted.environment)})" if wanted.environment else ""
    said = f"{wanted.stage}{goal} waits for {counted(wanted.required, 'approval')}{by}{until}"
    return Part(said, items=(Item(f"turnout approve {view.short_id} {wanted.stage}", ""),))


def _stage(stage: StageView) -> str:
    facts = [f"{stage.attempts} attempts"] if stage.attempts > 1 else []
    facts += [duration(stage.seconds)] if stage.seconds is not None else []
    facts += [stage.note] if stage.note else []
    return ", ".join(facts)


def _about(view: RunView) -> Iterator[tuple[str, str]]:
    yield "commit", f"{view.sha} {view.title}".strip() + (" (with uncommitted changes)" if view.dirty else "")
    if view.author:
        yield "author", view.author
    took = f", took {duration(view.seconds)}" if view.seconds is not None else ""
    cause = f", {view.cause}" if view.cause else ""
    yield "run", f"{view.short_id}, started {view.created_at:%Y-%m-%d %H:%M} UTC{took}{cause}"


# --- the two forms --------------------------------------------------------------------------------


def _plain(view: RunView, parts: Sequence[Part]) -> str:
    found = [f"{MARKS[view.light]} {view.headline}", ""]
    found += [f"{name + ':':8} {value}" for name, value in _about(view)]
    found += [f"{'link:':8} {view.link}"] if view.link else []
    if view.stages:
        found.append("")
        width = min(max(len(each.name) for each in view.stages), 30)
        found += [
            f"  {MARKS[each.light]} {each.name:{width}}  {_stage(each)}".rstrip()
            for each in view.stages[:STAGES_SHOWN]
        ]
    for part in parts:
        found += ["", part.title]
        found += [f"  {part.plain}"] if part.plain else []
        found += [f"  - {' '.join(text for text in (item.code, item.text) if text)}" for item in part.items]
    return "\n".join([*found, ""])


def _html(view: RunView, parts: Sequence[Part]) -> str:
    colour = COLOURS.get(view.light, _GREY)
    grey = f'<td style="color:{_GREY};padding-right:12px">'
    rows = "".join(f"<tr>{grey}{name}</td><td>{escape(value)}</td></tr>" for name, value in _about(view))
    stages = "".join(_html_stage(each) for each in view.stages[:STAGES_SHOWN])
    link = f'<p><a href="{escape(view.link, quote=True)}">Open the run</a></p>' if view.link else ""
    return (
        '<!DOCTYPE html><html><head><meta charset="utf-8"></head>'
        '<body style="font-family:-apple-system,Segoe UI,Helvetica,Arial,sans-serif;font-size:14px;color:#1f2328">'
        f'<h2 style="border-left:6px solid {colour};padding-left:10px">{escape(view.headline)}</h2>'
        f"<table>{rows}</table>{link}"
        f'<table style="border-spacing:8px 2px">{stages}</table>'
        f"{''.join(_html_part(part) for part in parts)}</body></html>"
    )


def _html_stage(stage: StageView) -> str:
    colour = COLOURS.get(stage.light, _GREY)
    return (
        f'<tr><td style="color:{colour}">{MARKS[stage.light]}</td><td><b>{escape(stage.name)}</b></td>'
        f"<td>{escape(_stage(stage))}</td></tr>"
    )


def _html_part(part: Part) -> str:
    items = "".join(
        f"<li>{f'<code>{escape(item.code)}</code> ' if item.code else ''}{escape(item.text)}</li>"
        for item in part.items
    )
    plain = f"<p>{escape(part.plain)}</p>" if part.plain else ""
    return f"<h3>{escape(part.title)}</h3>{plain}" + (f"<ul>{items}</ul>" if items else "")

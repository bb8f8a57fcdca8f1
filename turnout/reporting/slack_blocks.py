"""A run as a Slack message, and the details as messages of its thread. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from turnout.core.plan import ConfigProblem
from turnout.reporting.slack_elements import (
    MAX_BLOCKS,
    MAX_TEXT,
    Block,
    Element,
    Line,
    bullets,
    buttons,
    context,
    date,
    emoji,
    escape,
    fitted,
    header,
    lines,
    link,
    paragraph,
    rich,
    size,
    text,
    within,
)
from turnout.reporting.trouble import Trouble, place
from turnout.reporting.view import Light, RunView, StageView, Wanted
from turnout.reporting.wording import by_severity, clean, clip, counted, duration, first_line, more

EMOJI: dict[Light, str] = {
    Light.PENDING: "white_circle",
    Light.WAITING: "raised_hand",
    Light.RUNNING: "large_blue_circle",
    Light.RETRYING: "repeat",
    Light.SUCCESS: "white_check_mark",
    Light.ALLOWED: "warning",
    Light.FAILURE: "x",
    Light.ERROR: "boom",
    Light.TIMED_OUT: "alarm_clock",
    Light.CANCELLED: "no_entry_sign",
    Light.SKIPPED: "fast_forward",
}

STAGES_SHOWN = 40
ROOM_FOR_STAGES = 3500  # characters
TROUBLES_SHOWN = 6
WANTED_SHOWN = 3
NAMED_IN_CARD = 8
"""Failed tests, findings and problems named in the message itself, each; its thread names more."""
NAMED_IN_THREAD = 50


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """``key`` is unique within the run. ``text`` is the fallback: notifications and screen readers have only that."""

    key: str
    text: str
    blocks: tuple[Block, ...]


def card(view: RunView, *, pressed: bool = False) -> SlackMessage:
    """The one message of the run. ``pressed``: somebody hears of buttons that are pressed, and so it has some."""
    blocks = [header(f":{EMOJI[view.light]}: {view.headline}"), rich(paragraph(_commit(view)))]
    if view.stages:
        blocks.append(lines(_stages(view.stages)))
    for block in _matters(view, room=MAX_TEXT - size(blocks) - 1000):
        blocks.append(block)
    if pressed:
        blocks += [_decision(view, each) for each in view.wanted[:WANTED_SHOWN]]
    blocks.append(_footer(view))
    return SlackMessage("card", _fallback(view), tuple(blocks[:MAX_BLOCKS]))


def details(view: RunView) -> tuple[SlackMessage, ...]:
    """What the thread says, in order. Messages that have been sent stay when the run no longer brings them."""
    return tuple(_details(view))


def _details(view: RunView) -> Iterator[SlackMessage]:
    if view.problems:
        said = f"{counted(len(view.problems), 'problem')} in the pipeline file"
        part = _problems(view.problems, NAMED_IN_THREAD, MAX_TEXT - 500)
        yield SlackMessage("problems", escape(said), (rich(paragraph([text(said, bold=True)]), part),))
    for trouble in view.troubles:
        parts = _trouble(trouble, NAMED_IN_THREAD, MAX_TEXT - 1000)
        tools = ", ".join(f"{clean(name)} {clean(version)}" for name, version in trouble.result.tools.items())
        took = f"took {duration(trouble.seconds)}" if trouble.seconds is not None else ""
        about = [each for each in (took, clip(tools, 300), first_line(trouble.result.sandbox, 150)) if each]
        yield SlackMessage(
            f"attempt:{trouble.attempt}",
            escape(clip(_titled(trouble), 300)),
            (rich(*within(parts, MAX_TEXT - 1000)), *([context(plain=" · ".join(about))] if about else [])),
        )
    for wanted in view.wanted:
        said = f"{wanted.stage} waits for approval"
        yield SlackMessage(f"approval:{wanted.stage}", escape(said), (rich(*_approval(view, wanted)),))
    if view.recovered:
        said = f"Recovered: the run before this one on {view.where} did not succeed, this one did."
        yield SlackMessage("recovered", escape(said), (rich(paragraph([text(said)])),))


# --- the parts ------------------------------------------------------------------------------------


def _commit(view: RunView) -> Line:
    sha = link(view.url, view.sha) if view.url else text(view.sha, code=True)
    line: list[Element] = [sha, text(" "), text(view.title, bold=True)]
    if view.author:
        line.append(text(f" by {view.author}"))
    if view.dirty:
        line.append(text(" (with uncommitted changes)", italic=True))
    return line


def _stages(stages: Sequence[StageView]) -> Iterator[Line]:
    shown = _worth_showing([(_urgency(each), _stage(each)) for each in stages])
    yield from shown
    if len(shown) < len(stages):
        yield [text(more(len(stages) - len(shown)), italic=True)]


def _worth_showing(ranked: Sequence[tuple[int, Line]]) -> Sequence[Line]:
    """All, or as many as there is room for: the urgent ones, then the first ones; in their order."""
    room = ROOM_FOR_STAGES
    chosen: list[int] = []
    for index in sorted(range(len(ranked)), key=lambda index: (ranked[index][0], index)):
        room -= size(ranked[index][1])
        if room < 0 or len(chosen) == STAGES_SHOWN:
            break
        chosen.append(index)
    return [ranked[index][1] for index in sorted(chosen)]


def _urgency(stage: StageView) -> int:
    """Smaller is more urgent."""
    match stage.light:
        case Light.FAILURE | Light.ERROR | Light.TIMED_OUT | Light.WAITING | Light.RETRYING:
            return 0
        case Light.RUNNING | Light.ALLOWED | Light.CANCELLED:
            return 1
        case Light.PENDING | Light.SUCCESS | Light.SKIPPED:
            return 2
        case _:
            assert_never(stage.light)


def _stage(stage: StageView) -> Line:
    return [emoji(EMOJI[stage.light]), text(" "), text(clip(stage.name, 60), bold=True), text(_facts(stage))]


def _facts(stage: StageView) -> str:
    facts = []
    if stage.attempts > 1:
        facts.append(counted(stage.attempts, "attempt"))
    if stage.seconds is not None:
        facts.append(duration(stage.seconds))
    if stage.note:
        facts.append(clip(stage.note, 100))
    return "  " + " · ".join(facts) if facts else ""


def _matters(view: RunView, room: int) -> Iterator[Block]:
    """What somebody has to act on, within ``room`` characters."""
    parts: list[Element] = []
    for wanted in view.wanted[:WANTED_SHOWN]:
        parts += _approval(view, wanted)
    if view.problems:
        said = f"{counted(len(view.problems), 'problem')} in the pipeline file"
        parts += [paragraph([text(said, bold=True)]), _problems(view.problems, NAMED_IN_CARD, room // 2)]
    standing = view.standing
    share = max((room - size(parts)) // max(min(len(standing), TROUBLES_SHOWN), 1) - 400, 300)
    for trouble in standing[:TROUBLES_SHOWN]:
        parts += _trouble(trouble, NAMED_IN_CARD, share)
    if len(standing) > TROUBLES_SHOWN:
        parts.append(paragraph([text(more(len(standing) - TROUBLES_SHOWN) + " that failed", italic=True)]))
    if view.flaky:
        said = f"{counted(len(view.flaky), 'flaky test')}, passed when tried again: "
        parts.append(paragraph([text(said), *_names(view.flaky)]))
    if view.reason and not standing and not view.problems:
        parts.append(paragraph([text(view.reason)]))
    if parts:
        yield rich(*within(parts, room))


def _names(names: Sequence[str]) -> Line:
    line: list[Element] = []
    for name in names[:3]:
        line += [text(first_line(name, 120), code=True), text(" ")]
    return [*line, text(more(len(names) - 3))] if len(names) > 3 else line


def _trouble(trouble: Trouble, named: int, room: int) -> list[Element]:
    """A title, the failed tests, the findings and the reason, within about ``room`` characters."""
    parts = [paragraph([text(clip(_titled(trouble), 300), bold=True)])]
    if trouble.reason:
        parts.append(paragraph([text(trouble.reason)]))
    if trouble.failed_tests:
        each = [_case(case.name or case.id, case.message) for case in trouble.cases[:named]]
        listed = fitted(each, trouble.failed_tests, room if not trouble.found else room // 2)
        parts.append(bullets(listed))
    if trouble.found:
        parts.append(paragraph([text(f"{counted(trouble.found, 'finding')}: {by_severity(trouble.counts)}")]))
        found = [
            _finding(each.severity, place(each), first_line(each.message), each.rule)
            for each in trouble.findings[:named]
        ]
        parts.append(bullets(fitted(found, trouble.found, room - size(parts))))
    return parts


def _titled(trouble: Trouble) -> str:
    said = f"{trouble.title}: {trouble.summary}" if trouble.summary else trouble.title
    return f"{said} – tried again" if trouble.again else said


def _case(name: str, message: str) -> Line:
    said = first_line(message)
    return [text(first_line(name, 150), code=True), text(f" {said}" if said else "")]


def _finding(severity: str, where: str, message: str, rule: str) -> Line:
    line = [text(clip(clean(severity), 20), bold=True), text(" ")]
    if where:
        line += [text(where, code=True), text(" ")]
    return [*line, text(message), text(f" ({clip(clean(rule), 80)})" if rule else "")]


def _problems(problems: Sequence[ConfigProblem], named: int, room: int) -> Element:
    return bullets(fitted([_problem(each) for each in problems[:named]], len(problems), room))


def _problem(problem: ConfigProblem) -> Line:
    where = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
    said = first_line(f"{problem.path}: {problem.message}" if problem.path else problem.message, 300)
    hint = first_line(problem.hint)
    return [text(clip(clean(where), 150), code=True), text(f" {said}"), text(f"; {hint}" if hint else "")]


def _approval(view: RunView, wanted: Wanted) -> list[Element]:
    """Who may approve what, until when, and how."""
    goal = f" (environment {clip(clean(wanted.environment), 60)})" if wanted.environment else ""
    given = f", {len(wanted.given)} given" if wanted.given else ""
    by = f" by {clip(', '.join(clean(each) for each in wanted.by), 200)}" if wanted.by else ""
    until = f", until {wanted.expires_at:%Y-%m-%d %H:%M} UTC" if wanted.expires_at else ""
    return [
        paragraph(
            [
                emoji(EMOJI[Light.WAITING]),
                text(" "),
                text(clip(wanted.stage, 60), bold=True),
                text(f"{goal} waits for {counted(wanted.required, 'approval')}{given}{by}{until}"),
            ]
        ),
        bullets([[text(f"turnout approve {view.short_id} {clip(wanted.stage, 60)}", code=True)]]),
    ]


def _decision(view: RunView, wanted: Wanted) -> Block:
    """What is pressed is told by `turnout.adapters.slack_buttons`."""
    value, name = f"{view.id} {wanted.stage}", clip(clean(wanted.stage), 60)
    return buttons(
        f"approval {wanted.stage}",
        (f"Approve {name}", "turnout.approve", value, "primary"),
        (f"Reject {name}", "turnout.reject", value, "danger"),
    )


def _footer(view: RunView) -> Block:
    run = f"run {view.short_id}"
    facts = [f"<{view.link}|{run}>" if view.link else run, f"started {date(view.created_at)}"]
    if view.seconds is not None:
        facts.append(f"took {duration(view.seconds)}")
    return context(mrkdwn=" · ".join(facts), plain=view.cause)


def _fallback(view: RunView) -> str:
    title = f": {view.title}" if view.title else ""
    why = next((_titled(each) for each in view.standing), "") or view.reason
    if view.problems:
        why = str(view.problems[0])
    said = f"{view.headline} ({view.sha}){title}" + (f" – {first_line(why)}" if why else "")
    return f":{EMOJI[view.light]}: {escape(clip(said, 600))}"


def to_json(message: SlackMessage, run: str) -> dict[str, Any]:
    """As Slack's API takes it. The metadata is what finds the message again after a crash."""
    return {
        "text": message.text,
        "blocks": list(message.blocks),
        "metadata": metadata(message.key, run),
    }


def metadata(key: str, run: str) -> dict[str, Any]:
    """What tells one message from another."""
    return {"event_type": "turnout_run", "event_payload": {"run": run, "fact": key}}

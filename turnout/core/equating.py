"""The rules by which rows are accounted for: from what the store and GitHub say to an `Account`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from turnout.core.account import KINDS, MOST, MOST_TRIES, SETTLE, Account, Kind, Line, Unaccounted
from turnout.core.ports import Delivery, ReportRow
from turnout.core.ports.ledger import Head, Listed, Missed, OpenAttempt, OpenRun, Untold

STARTED = ("launched", "started")


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to equate; see `turnout.core.ports.ledger.Books`.

    ``listed``: what GitHub's own lists have; None: they were not asked, and ``missed`` alone says what we have not.
    ``known``: of the listed and the missed, those that we have. ``heads``: those that no delivery is about.
    """

    listed: Sequence[Listed] | None
    known: Collection[str]
    missed: Sequence[Missed]
    heads: Sequence[Head]
    deliveries: Mapping[str, int]
    unanswered: Sequence[Delivery]
    runless: Sequence[Delivery]
    messages: Mapping[str, int]
    orphans: Sequence[tuple[str, str, datetime]]
    runs: Mapping[str, int]
    open_runs: Sequence[OpenRun]
    attempts: Mapping[str, int]
    open_attempts: Sequence[OpenAttempt]
    reports: Mapping[str, int]
    open_reports: Sequence[ReportRow]
    untold: Sequence[Untold]


def equate(
    found: Found, now: datetime, since: datetime, notes: Iterable[str] = (), settle: timedelta = SETTLE
) -> Account:
    """``settle``: how long something may be under way. ``notes``: what could not be asked."""
    before = now - settle
    wrong: dict[Kind, list[tuple[str, Unaccounted]]] = {
        "github": [*_not_here(found, since, before), *(("unseen", _head(each)) for each in found.heads)],
        "delivery": list(_deliveries(found, before)),
        "message": [("run", _orphan(*each)) for each in found.orphans],
        "run": [("open", each) for run in found.open_runs for each in _run(run, before)],
        "attempt": [("open", each) for attempt in found.open_attempts for each in _attempt(attempt, before)],
        "report": list(_reports(found, before)),
    }
    young = sum(each.status == "run" and each.received_at >= before for each in found.runless)
    unread = {"run": found.deliveries.get("run", 0) - young, "unanswered": young}
    # what is open counts whatever its age
    runs = {**found.runs, "open": max(found.runs.get("open", 0), len(found.open_runs))}
    started = sum(found.attempts.get(status, 0) for status in STARTED)
    attempts = {"finished": found.attempts.get("finished", 0), "open": max(started, len(found.open_attempts))}
    reports = {**found.reports, "untold": len(found.untold)}
    counted: dict[Kind, tuple[Mapping[str, int], Collection[str]]] = {
        "github": (_of_github(found, since) | {"unseen": len(found.heads)}, ("missing", "unseen")),
        "delivery": ({**found.deliveries, **unread}, ("received", "published", "unanswered")),
        "message": (found.messages, ()),
        "run": (runs, ("open",)),
        "attempt": (attempts, ("open",)),
        "report": (reports, ("sending", "untold")),
    }
    lines = tuple(_line(kind, *counted[kind], Counter(each[0] for each in wrong[kind])) for kind in KINDS)
    rows = sorted((row for each in wrong.values() for _, row in each), key=lambda row: (row.at, row.id))
    return Account(
        at=now,
        since=since,
        unaccounted=sum(line.unaccounted for line in lines),
        under_way=sum(line.under_way for line in lines),
        lines=lines,
        rows=tuple(rows),
        notes=(*notes, *_cut(found)),
    )


def _line(kind: Kind, counts: Mapping[str, int], open_: Collection[str], wrong: Mapping[str, int]) -> Line:
    """``open_``: of ``counts``, what has not come to its end. ``wrong``: how many of each are unaccounted."""
    left = {what: count - wrong.get(what, 0) for what, count in counts.items()}
    parts = {what: count for what, count in sorted(left.items()) if what not in open_ and count}
    under_way = sum(count for what, count in left.items() if what in open_)
    return Line(kind, sum(counts.values()), parts, under_way, sum(wrong.values()))


def _cut(found: Found) -> Iterator[str]:
    for what, rows in (
        ("deliveries without an answer", found.unanswered),
        ("runs that have not ended", found.open_runs),
        ("attempts that have not ended", found.open_attempts),
        ("reports that have not ended", found.open_reports),
        ("ended runs that nobody was told of", found.untold),
        ("deliveries that are missing", found.missed),
    ):
        if len(rows) >= MOST:
            yield f"{MOST} {what} were looked at; there may be more"


# --- GitHub's deliveries ----------------------------------------------------------------------------


def _of_github(found: Found, since: datetime) -> dict[str, int]:
    missing = len(_missing(found, since))
    if found.listed is not None:
        here = len({each.guid for each in found.listed if each.at >= since}) - missing
    else:
        here = sum(count for status, count in found.deliveries.items() if status != "received")
    return {"here": here, "missing": missing}


def _missing(found: Found, since: datetime) -> list[Missed]:
    """Those that GitHub has tried since and we do not have, each by its newest try."""
    asked = {each.listed.guid: each for each in found.missed}
    if found.listed is None:
        rows = [each for each in found.missed if each.first >= since]
    else:
        tries: dict[str, list[Listed]] = {}
        for one in found.listed:
            if one.at >= since:
                tries.setdefault(one.guid, []).append(one)
        rows = []
        for guid, all_ in tries.items():
            newest, first = max(all_, key=lambda each: each.number), min(each.at for each in all_)
            known = asked.get(guid) or Missed(newest, first=first, due=newest.at)
            rows.append(replace(known, listed=newest, first=min(first, known.first)))
    return [each for each in rows if each.listed.guid not in found.known]


def _not_here(found: Found, since: datetime, before: datetime) -> Iterator[tuple[str, Unaccounted]]:
    for each in _missing(found, since):
        if each.first >= before:
            continue
        one, again = each.listed, f", asked for again {_times(each.tries)}" if each.tries else ""
        what = f"GitHub's delivery of {one.event} is not here: "
        if one.ok:
            what += f"it was answered with {one.code}"
        else:
            what += f"GitHub got {one.code or 'no answer'}" + (f" ({one.said})" if one.said else "")
        yield "missing", Unaccounted("github", one.guid, each.first, what + again, _hint(each))


def _head(head: Head) -> Unaccounted:
    return Unaccounted(
        "github",
        head.sha,
        head.at,
        f"it is the newest commit of {head.repository}, and no delivery is about it",
        "does the webhook send pushes? Start it by hand: `turnout run`",
        repository=head.repository,
    )


def _hint(missed: Missed) -> str:
    if missed.refused:
        return (
            f"GitHub does not send it again: {missed.refused}; push again, or start it by hand: `turnout run`"
        )
    if missed.listed.ok:
        return "does the webhook's URL lead to this system? was its store replaced?"
    match missed.listed.code:
        case 401:
            said = "compare the webhook's secret with TURNOUT_WEBHOOK_SECRET."
        case 400 | 413 | 422:
            said = "the webhook refuses it; GitHub's list of recent deliveries shows its answer."
        case 403 | 404 | 405:
            said = "does the webhook's URL lead to functions/webhook?"
        case _:
            said = "can GitHub reach the webhook?"
    if missed.tries >= MOST_TRIES:
        return f"{said} The sweeper has given up; redeliver it on GitHub once that is mended"
    return f"{said} The sweeper asks for it again"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


# --- ours -------------------------------------------------------------------------------------------


def _deliveries(found: Found, before: datetime) -> Iterator[tuple[str, Unaccounted]]:
    for each in found.unanswered:
        if each.received_at >= before:
            continue
        if each.status == "received":
            wrong, hint = (
                "it was received, and never handed over",
                "the webhook died, or told GitHub to come again: redeliver it on GitHub, or let the sweeper ask",
            )
        else:
            wrong, hint = (
                "it was handed over, and never answered",
                "look at `turnout dead-letters`; is the orchestrator up? The sweeper sends it again",
            )
        yield each.status, _delivery(each, wrong, hint)
    for each in found.runless:
        if each.status == "ignored":
            yield "ignored", _delivery(each, "it was ignored without a reason", "this is a defect: report it")
        elif each.received_at < before:
            wrong = f"it names the run {each.run[:12]}, which is not there"
            yield "run", _delivery(each, wrong, "look at `turnout dead-letters`; was the store replaced?")


def _delivery(each: Delivery, wrong: str, hint: str) -> Unaccounted:
    return Unaccounted(
        "delivery", each.id, each.received_at, wrong, hint, run=each.run, repository=each.repository
    )


def _orphan(message: str, run: str, at: datetime) -> Unaccounted:
    wrong = f"it was handled for the run {run[:12]}, which is not there"
    return Unaccounted("message", message, at, wrong, "was the store replaced, or restored in part?", run=run)


def _run(run: OpenRun, before: datetime) -> Iterator[Unaccounted]:
    if run.due_at is not None and run.due_at < before:
        wrong = f"it was to be looked at at {run.due_at:%Y-%m-%d %H:%M}, and nobody did"
        hint = "is the sweeper called? What does it answer?"
        yield Unaccounted("run", run.id, run.due_at, wrong, hint, run=run.id, repository=run.project)
    elif run.due_at is None and not run.attempts and run.changed_at < before:
        wrong = f"it is {run.status}, and nothing is under way for it"
        hint = f"see `turnout explain {run.id[:12]}`, and cancel it"
        yield Unaccounted("run", run.id, run.changed_at, wrong, hint, run=run.id, repository=run.project)


def _attempt(attempt: OpenAttempt, before: datetime) -> Iterator[Unaccounted]:
    if attempt.run_ended and attempt.launched_at < before:
        wrong, hint = f"{attempt.task} has not ended, and its run has", "this is a defect: report it"
    elif attempt.until < before:
        wrong = f"{attempt.task} has not been heard of, and nobody took it for lost"
        hint = (
            "is the sweeper called? Can agents be heard (`turnout dead-letters`, the lag of agent.results)?"
        )
    else:
        return
    at = min(attempt.until, before)
    yield Unaccounted("attempt", attempt.id, at, wrong, hint, run=attempt.run, repository=attempt.project)


def _reports(found: Found, before: datetime) -> Iterator[tuple[str, Unaccounted]]:
    for row in found.open_reports:
        if row.at < before:
            wrong = f"{row.channel}: {row.fact} was begun, and it is not known whether it was told"
            hint = "look at `turnout dead-letters`; retry it: `turnout dead-letters --retry`"
            name = f"{row.run}/{row.channel}/{row.fact}"
            yield "sending", Unaccounted("report", name, row.at, wrong, hint, run=row.run)
    for each in found.untold:
        wrong = f"{each.channel}: the run has ended, and nothing is recorded of telling it"
        hint = "is the reporter up? The sweeper tells it again; look at `turnout dead-letters`"
        name = f"{each.run}/{each.channel}/finished"
        row_ = Unaccounted("report", name, each.at, wrong, hint, run=each.run, repository=each.project)
        yield "untold", row_

"""What the reading verbs print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar

from rich.markup import escape
from rich.table import Table

from turnout.cli.reaching import reach
from turnout.cli.shown import LIGHTS, between, console, light, outcome_of, print_json
from turnout.cli.why import told
from turnout.core.errors import NotFound
from turnout.core.model import Outcome
from turnout.core.ports import Delivery, RunFilter
from turnout.core.run import Run, Stage
from turnout.looking import Page
from turnout.reporting.view import standing

T = TypeVar("T")


def runs(limit: int, project: str, branch: str, *, as_json: bool) -> None:
    sight, wanted = reach().sight, RunFilter(project=project, branch=branch)
    rows = _gathered(lambda cursor, most: sight.runs(wanted, cursor=cursor, limit=most), limit)
    if as_json:
        print_json(
            [
                asdict(row) | {"created_at": row.created_at.isoformat(), "finished_at": _iso(row)}
                for row in rows
            ]
        )
        return
    table = Table("", "run", "#", "project", "branch", "commit", "title", "took", box=None, pad_edge=False)
    for row in rows:
        mark = LIGHTS[Outcome(row.outcome)] if row.outcome else "[cyan]●[/]"
        table.add_row(
            mark,
            row.id[:12],
            str(row.number),
            escape(row.project),
            escape(row.branch),
            row.sha[:8],
            escape(row.title[:50]),
            between(row.created_at, row.finished_at) or row.status,
        )
    console.print(table if rows else "No runs yet. `turnout run` makes one.")


def _iso(row: object) -> str | None:
    at = getattr(row, "finished_at", None)
    return at.isoformat() if at else None


def _gathered(page: Callable[[str, int], Page[T]], limit: int) -> Sequence[T]:
    """Page by page; ``page``: of a cursor, at most so many."""
    rows: list[T] = []
    cursor = ""
    while len(rows) < limit:
        found = page(cursor, limit - len(rows))
        rows += found.items
        cursor = found.next
        if not cursor:
            break
    return rows


def show(given: str, *, as_json: bool) -> None:
    run = reach().sight.run(given)
    if as_json:
        print_json(run.to_json())
        return
    change = run.change
    mark = LIGHTS[run.outcome] if run.outcome else "[cyan]●[/]"
    console.print(
        f"{mark} [bold]{outcome_of(run)}[/]  {escape(run.project)}  {escape(change.ref)}  {change.sha[:12]}"
    )
    if change.title:
        console.print(f"  {escape(change.title)}" + (f" — {escape(change.author)}" if change.author else ""))
    if change.dirty:
        console.print("  [yellow]with uncommitted changes[/]")
    console.print(f"  run {run.id}  {between(run.created_at, run.finished_at)}")
    if run.reason:
        console.print(f"  {escape(run.reason)}")
    for problem in run.problems:
        console.print(f"  [red]{escape(str(problem))}[/]")
    for stage in run.stages.values():
        _stage(stage)


def _stage(stage: Stage) -> None:
    tries = f", {stage.attempts} attempts" if stage.attempts > 1 else ""
    took = between(stage.started_at, stage.finished_at)
    said = "; ".join(part for part in (stage.reason, standing(stage)) if part)
    console.print(f"{light(stage)} [bold]{escape(stage.name)}[/]  {took}{tries}  {escape(said)}")
    for task in stage.all_tasks.values():
        for attempt in task.attempts:
            result = attempt.result
            if result is None:
                console.print(f"    {escape(task.id)} #{attempt.number}: {task.status.value}")
                continue
            said = result.summary if result.outcome is Outcome.SUCCESS else (result.reason or result.summary)
            console.print(f"    {escape(task.id)} #{attempt.number} {LIGHTS[result.outcome]} {escape(said)}")
            if result.tests:
                for case in result.tests.failed_cases[:20]:
                    console.print(
                        f"      [red]✘[/] {escape(case.name)}  [dim]{escape(case.message[:100])}[/]"
                    )
                for flaky in result.tests.flaky:
                    console.print(f"      [yellow]~[/] flaky: {escape(flaky)}")
            if result.findings and result.outcome is not Outcome.SUCCESS:
                for finding in result.findings.named[:10]:
                    where = f"{finding.path}:{finding.line}" if finding.line else finding.path
                    console.print(f"      {finding.severity} {escape(where)} {escape(finding.message[:120])}")


def events(given: str, *, as_json: bool) -> None:
    sight = reach().sight
    for stored in sight.events(sight.run(given).id):
        if as_json:
            print_json({"run": stored.run, "version": stored.version, "event": stored.event.to_json()})
        else:
            rest = stored.event.model_dump(
                mode="json", exclude={"kind", "at", "plan", "change", "timing", "result"}
            )
            told = "  ".join(
                f"{name}={value}" for name, value in rest.items() if value not in ("", None, [], {})
            )
            console.print(
                f"[dim]{stored.version:4}[/] {stored.at:%H:%M:%S.%f} [bold]{stored.event.kind}[/] {escape(told)}"
            )


def explain(given: str, stage: str, delivery: str, *, as_json: bool) -> None:
    """``given``: a run, or what ``delivery`` may be too: a delivery's id, or the beginning of a commit's."""
    sight = reach().sight
    found = sight.delivered(delivery or given) if delivery or not sight.named(given) else ()
    if delivery and not found:
        raise NotFound(
            f"no delivery {delivery!r}, and none about such a commit", "`turnout deliveries` lists them"
        )
    became = {each.run for each in found}
    if found and (len(found) > 1 or "" in became):
        _sentences([line for each in found for line in _became(each)], as_json=as_json)
        return
    run = sight.run(found[0].run if found else given)
    told(run, [stored.event for stored in sight.events(run.id)], stage, as_json=as_json)


def _became(delivery: Delivery) -> Iterator[str]:
    if delivery.run:
        said = f": {delivery.reason.rstrip('.')}" if delivery.reason else ""
        yield f"Delivery {delivery.id} ({delivery.event}) became run {delivery.run[:12]}{said}."
    elif delivery.reason:
        yield f"Nothing ran for delivery {delivery.id}: {delivery.reason.rstrip('.')}."
        yield from delivery.why.sentences() if delivery.why is not None else ()
    else:
        yield f"Delivery {delivery.id} was received; the orchestrator has not answered it yet."


def _sentences(sentences: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json(list(sentences))
        return
    for sentence in sentences:
        console.print(escape(sentence))


def deliveries(limit: int, repository: str, *, as_json: bool) -> None:
    sight = reach().sight
    rows = _gathered(
        lambda cursor, most: sight.deliveries(repository=repository, cursor=cursor, limit=most), limit
    )
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    table = Table("received", "delivery", "event", "repository", "became", box=None, pad_edge=False)
    for row in rows:
        became = f"run {row.run[:12]}" if row.run else (row.reason or row.status)
        table.add_row(f"{row.received_at:%m-%d %H:%M:%S}", row.id, row.event, row.repository, escape(became))
    console.print(table if rows else "No deliveries yet.")


def _plain(row: Delivery) -> dict[str, Any]:
    why = row.why.to_json() if row.why is not None else None
    return asdict(replace(row, why=None)) | {"received_at": row.received_at.isoformat(), "why": why}


def last_line(run: Run) -> str:
    mark = LIGHTS[run.outcome] if run.outcome else ""
    why = f": {escape(run.reason)}" if run.reason and run.outcome is not Outcome.SUCCESS else ""
    return f"{mark} [bold]{outcome_of(run)}[/]{why}  ({between(run.created_at, run.finished_at)})"

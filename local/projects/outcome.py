"""What came of a project's run, and the page of all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.projects.table import Published
from turnout.core.result import Result


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: by stage, the last attempt's result. ``seconds``: of the whole command."""

    outcome: str
    seconds: float
    results: Mapping[str, Result] = field(default_factory=dict)
    problem: str = ""


def read(lines: Iterable[str], seconds: float) -> Ran:
    """From what ``turnout run --json`` prints: an event a line, and the run's end as the last."""
    results: dict[str, Result] = {}
    outcome = "unknown"
    for line in lines:
        content: dict[str, Any] = json.loads(line)
        event = content.get("event", {})
        if event.get("kind") == "attempt_finished":
            results[event["task"]] = Result.model_validate(event["result"])
        outcome = content.get("outcome", outcome)
    return Ran(outcome, seconds, results)


HEAD = """# Well-known projects, run by Turnout

Nobody here wrote these projects. Each is what its registry publishes, pinned by version and SHA-256
(`local/projects/table.py`), turned into a git repository to which only a `pipeline.yml` is added, and run by
`turnout run`, tools in the sandbox:

```sh
.venv/bin/python -m local.projects.run               # all of them, and this page is written anew
.venv/bin/python -m local.projects.run --only attrs  # one
```

The first run installs the project's dependencies and tools from the registries; the second one finds them in the cache.
Times are of the whole command, the start of the stack included, on two cores that had other work to do as well.

"""


def page(rows: Sequence[tuple[Published, Ran, Ran]]) -> str:
    """docs/projects.md."""
    lines = [
        "| project | runner | passed | failed | skipped | lint | outcome | first | second |",
        "| --- | --- | ---: | ---: | ---: | --- | --- | ---: | ---: |",
        *("| " + " | ".join(row) + " |" for row in (cells(*each) for each in rows)),
    ]
    notes = [
        f"- **{project.name}**: {text}" for project, first, second in rows if (text := note(project, second))
    ]
    return HEAD + "\n".join(lines) + ("\n\n" + "\n".join(notes) if notes else "") + "\n"


def cells(project: Published, first: Ran, second: Ran) -> tuple[str, ...]:
    result = second.results.get("test")
    tests = result.tests if result else None
    counts = (
        (str(tests.passed), str(tests.failed + tests.errors), str(tests.skipped))
        if tests
        else ("–", "–", "–")
    )
    lint = second.results.get("lint")
    return (
        f"{project.name} {project.version}",
        _tools(result),
        *counts,
        _lint(lint),
        second.outcome,
        f"{first.seconds:.0f} s",
        f"{second.seconds:.0f} s",
    )


def _tools(result: Result | None) -> str:
    tools = result.tools if result else {}
    return ", ".join(f"{name} {tools[name]}" for name in tools if name not in ("python", "node")) or "–"


def _lint(result: Result | None) -> str:
    if result is None or result.findings is None:
        return "–"
    found = sum(result.findings.counts.values())
    return f"{' + '.join(result.tools)}: {found or 'nothing'}"


def note(project: Published, ran: Ran) -> str:
    """What is special about a project, and why its run did not succeed."""
    parts = [project.note] if project.note else []
    if ran.problem:
        parts.append(ran.problem)
    for stage, result in ran.results.items():
        if result.outcome.value == "success":
            continue
        parts.append(f"{stage}: {result.reason or result.summary}")
        if result.tests:
            parts += [f"`{case.name}`: {case.message}" for case in result.tests.failed_cases[:5]]
        if result.findings:
            worst = [each for each in result.findings.named if each.severity in ("critical", "high")][:3]
            parts += [f"`{each.path}:{each.line}` {each.rule}: {each.message}" for each in worst]
    return "; ".join(parts)

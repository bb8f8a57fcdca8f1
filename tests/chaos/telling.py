"""What came of a performance, for people: a table of strikes, and figures; and the page that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.chaos.performance import Outcome

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "chaos.md"


def table(outcome: Outcome) -> list[str]:
    """Markdown, which reads well in a terminal, too."""
    rows = [("at", "strike", "lasted", "met", "next run ended after")]
    for each in outcome.struck:
        recovered = outcome.recovered(each)
        rows.append(
            (
                f"{each.began - outcome.began:.1f} s",
                each.strike.name,
                f"{each.ended - each.began:.1f} s",
                each.note,
                "nothing was left" if recovered is None else f"{recovered:.1f} s",
            )
        )
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first row is the head."""
    wide = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)) + " |"
        for row in rows
    ]
    return [lines[0], "| " + " | ".join("-" * width for width in wide) + " |", *lines[1:]]


def figures(outcome: Outcome) -> list[str]:
    recovered = [each for each in map(outcome.recovered, outcome.struck) if each is not None]
    lines = [
        f"{outcome.runs} runs with {outcome.attempts} attempts in {outcome.ended - outcome.began:.0f} s, "
        f"under {len(outcome.struck)} strikes",
        f"{outcome.posts} posts: {outcome.unanswered} not accepted and sent again, "
        f"{outcome.redelivered} redelivered on top",
        f"{sum(outcome.lost.values())} attempts were lost and tried again; "
        f"the stack fell by itself {outcome.falls} times",
        *(
            f"  lost {count}: {reason}"
            for reason, count in sorted(outcome.lost.items(), key=lambda each: -each[1])
        ),
    ]
    if recovered:
        lines.append(
            f"from a strike's end to the next run that ended: median {median(recovered):.1f} s, "
            f"longest {max(recovered):.1f} s"
        )
    if outcome.problems:
        lines += [f"{len(outcome.problems)} problems:", *(f"  {each}" for each in outcome.problems)]
    else:
        lines.append("0 lost, 0 done twice: one run a delivery, one effect an attempt, one message a run")
    return lines


def write(command: str, lines: Sequence[str], document: Path = DOCUMENT) -> None:
    """Put ``lines`` into the page, where it says that ``command`` makes them. Raises: ValueError where it doesn't."""
    begin, end = f"<!-- made by `{command}` -->", f"<!-- end of `{command}` -->"
    text = document.read_text()
    if begin not in text or end not in text:
        raise ValueError(f"{document} has no place for what {command} makes: {begin} … {end}")
    before, _, rest = text.partition(begin)
    document.write_text(f"{before}{begin}\n\n" + "\n".join(lines) + f"\n\n{end}{rest.partition(end)[2]}")

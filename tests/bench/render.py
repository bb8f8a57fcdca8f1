"""The figures of the benchmark as Markdown, put between the marks of docs/benchmarks.md; its words stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.figures import Spread
from tests.bench.systems import NAMES, OURS

DOCS = Path(__file__).resolve().parents[2] / "docs"
RESULTS = DOCS / "benchmarks"
PAGE = DOCS / "benchmarks.md"
MEASURES = {"start": "start", "step": "step to step", "whole": "five stages"}
STEPS_A_PIPELINE = 4

Found = Mapping[str, Any]


def write(results: Path = RESULTS, page: Path = PAGE) -> None:
    """Raises: ValueError for a mark that has no end."""
    text = page.read_text()
    for name, section in SECTIONS.items():
        found = {each.stem: json.loads(each.read_text()) for each in sorted(results.glob("*.json"))}
        text = between(text, name, section(found))
    page.write_text(text)


def between(text: str, name: str, figures: str) -> str:
    """``text`` with ``figures`` between the marks of this name."""
    begin, end = f"<!-- figures: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the page has no {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n\n{figures.strip()}\n\n{end}", text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def number(value: float) -> str:
    """Three figures, as far as they mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(samples: Sequence[float]) -> str:
    found = Spread.of(samples)
    return f"{number(found.p50)} ({number(found.p5)} – {number(found.p95)})"


def missing(part: str) -> str:
    return f"*Not measured yet: `make bench ONLY={part}`.*"


def setting(found: Found, part: str) -> str:
    machine = found[part]["machine"]
    return (
        f"*{machine['when']}, commit {machine['commit']}; {machine['cores']} cores ({machine['processor']}), "
        f"{machine['memory']} GB, {machine['system']}, Python {machine['python']}; "
        f"load before: {machine['load']:.1f}; `{found[part]['command']}`.*"
    )


# --- sections -------------------------------------------------------------------------------------------


def latency(found: Found) -> str:
    if "latency" not in found:
        return missing("latency")
    values = found["latency"]["values"]
    rows = [
        [NAMES[name], spread(each["start"]), spread(each["step"]), spread(each["whole"]),
         spread(each["accept"]), number(each["memory"])]
        for name, each in values.items()
    ]  # fmt: skip
    head = ["ms: p50 (p5 – p95)", "start", "step to step", "five stages", "request taken", "idle, MB"]
    picture = "![Start, step to step and five stages](img/bench-latency.svg)"
    return f"{picture}\n\n{table(head, rows)}\n\n{setting(found, 'latency')}"


def ratios(found: Found) -> str:
    if "latency" not in found:
        return missing("latency")
    values = found["latency"]["values"]
    rows = []
    for ours in (name for name in OURS if name in values):
        for peer in (name for name in values if name not in OURS):
            row = [f"{NAMES[ours]} / {NAMES[peer]}"]
            row += [spread(round_ratios(values[ours], values[peer], each)) for each in MEASURES]
            rows.append(row)
    return table(["Turnout / peer, by round: p50 (p5 – p95)", *MEASURES.values()], rows)


def round_ratios(ours: Found, peer: Found, measure: str) -> list[float]:
    """Of the same round; of several steps in a round, by their medians."""
    size = STEPS_A_PIPELINE if measure == "step" else 1
    pairs = zip(_rounds(ours[measure], size), _rounds(peer[measure], size), strict=False)
    return [median(mine) / median(its) for mine, its in pairs]


def _rounds(samples: Sequence[float], size: int) -> list[Sequence[float]]:
    return [samples[at : at + size] for at in range(0, len(samples), size)]


def burst(found: Found) -> str:
    if "burst" not in found:
        return missing("burst")
    values = found["burst"]["values"]
    ours = [name for name in OURS if name in values]
    rows = []
    for name, each in values.items():
        row = [NAMES[name], spread(each["rates"])]
        row += [number(median(values[our]["rates"]) / median(each["rates"])) for our in ours]
        rows.append(row)
    pipelines = next(iter(values.values()))["pipelines"]
    head = [f"{pipelines} at once", "pipelines/s: p50 (p5 – p95)", *(f"{NAMES[our]} / it" for our in ours)]
    picture = "![Pipelines a second](img/bench-burst.svg)"
    return f"{picture}\n\n{table(head, rows)}\n\n{setting(found, 'burst')}"


def history(found: Found) -> str:
    if "history" not in found:
        return missing("history")
    values = found["history"]["values"]
    first = next(iter(values.values()))
    rows = [
        [f"{each['events']:,}", *(spread(each[measure]) for measure in MEASURES),
         number(median(each["start"]) / median(first["start"])),
         spread(round_ratios(each, first, "start")) if each is not first else "1"]
        for each in values.values()
    ]  # fmt: skip
    head = ["stored events", *MEASURES.values(), "start, to the first row", "by round: p50 (p5 – p95)"]
    return f"{table(head, rows)}\n\n{setting(found, 'history')}"


def width(found: Found) -> str:
    if "width" not in found:
        return missing("width")
    rows = [
        [count, spread(each["first"]), spread(each["whole"]), number(median(each["whole"]) / int(count))]
        for count, each in found["width"]["values"].items()
    ]
    head = ["stages side by side", "ms to the first command", "ms to the last command", "ms a stage"]
    picture = "![Start by history, and the time of many stages side by side](img/bench-growth.svg)\n\n"
    shown = picture if "history" in found else ""  # it is drawn of both
    return f"{shown}{table(head, rows)}\n\n{setting(found, 'width')}"


def scale(found: Found) -> str:
    if "scale" not in found:
        return missing("scale")
    rows = [
        [str(each["processes"]), str(each["partitions"]), spread(each["rates"])]
        for each in found["scale"]["values"].values()
    ]
    head = [
        "stacks (functions, dispatcher, agents each)",
        "partitions a topic",
        "pipelines/s: p50 (p5 – p95)",
    ]
    return f"{table(head, rows)}\n\n{setting(found, 'scale')}"


def profile(found: Found) -> str:
    if "profile" not in found:
        return missing("profile")
    values = found["profile"]["values"]
    names = list(values)
    rows = [
        [what, *(spread(values[name]["parts"][what]) for name in names)] for what in values[names[0]]["parts"]
    ]
    rows += [
        [f"processor time of {part}, a stage", *(number(values[name]["processor"][part]) for name in names)]
        for part in values[names[0]]["processor"]
    ]
    return f"{table(['ms: p50 (p5 – p95)', *names], rows)}\n\n{setting(found, 'profile')}"


# --- what was to be reached -------------------------------------------------------------------------------


def console(found: Found) -> str:
    if "console" not in found:
        return "*Not measured yet: `make bench-console`.*"
    values = found["console"]["values"]
    sizes = sorted(values["events"], key=int)
    few, many = sizes[0], sizes[-1]
    rows = [
        [page, *(spread(taken[size]["again"]) for size in sizes), number(taken[many]["first"]),
         *(number(median(taken[size]["processor"])) for size in sizes),
         number(median(taken[many]["processor"]) / median(taken[few]["processor"]))]
        for page, taken in values["pages"].items()
    ]  # fmt: skip
    head = [
        "ms: p50 (p5 – p95)", *(f"{int(size):,} runs, {values['events'][size]:,} events" for size in sizes),
        "first time in a process", *(f"of the processor, {int(size):,}" for size in sizes), "ratio",
    ]  # fmt: skip
    log, live = values["log"], values["live"]
    of_log = [
        ["the page, the first time in a process", number(log["first"])],
        ["the page again", spread(log["again"])],
        ["a line in its middle", spread(log["middle"])],
        ["a new line at its end", spread(log["follow"])],
    ]
    of_live = [
        ["ms from an event's commit until a browser knows of it", spread(live["delay"])],
        ["of one core while nothing happens", f"{live['idle']:.1%} (nobody watching: {live['alone']:.1%})"],
        ["of one core with two events a second", f"{live['busy']:.1%}"],
    ]
    return "\n\n".join(
        (
            table(head, rows),
            table([f"a log of {log['bytes'] / 1e6:.0f} MB", "ms"], of_log),
            table([f"{live['watchers']} browsers on one process", ""], of_live),
            setting(found, "console"),
        )
    )


def targets(found: Found) -> str:
    rows: list[list[str]] = []
    lasting = found.get("latency", {}).get("values", {})
    rates = found.get("burst", {}).get("values", {})

    def time_of(name: str, measure: str) -> float:
        return float(median(lasting[name][measure]))

    def row(measure: str, ours: str, is_: float, most: float, said: str, *, at_least: bool = False) -> None:
        reached = is_ >= most if at_least else is_ <= most
        rows.append([measure, NAMES.get(ours, ours), said, number(is_), "yes" if reached else "**no**"])

    for ours in ("turnout", "turnout-open"):
        if ours in lasting and "buildbot" in lasting:
            for measure, label in MEASURES.items():
                ratio = time_of(ours, measure) / time_of("buildbot", measure)
                row(label, ours, ratio, 0.1, "≤ 0.1 of Buildbot's")
        for measure, peer, most, said in (
            ("start", "celery", 3.0, "aim: 3 of Celery's"),
            ("step", "dbos-sqlite", 1.0, "aim: DBOS's own"),
            ("whole", "dbos-sqlite", 1.5, "aim: 1.5 of DBOS's"),
        ):
            if ours in lasting and peer in lasting:
                row(MEASURES[measure], ours, time_of(ours, measure) / time_of(peer, measure), most, said)
        for peer, least, said in (
            ("buildbot", 25.0, "≥ 25 of Buildbot's"),
            ("dbos-sqlite", 1.0, "aim: above DBOS's"),
        ):
            if ours in rates and peer in rates:
                ratio = median(rates[ours]["rates"]) / median(rates[peer]["rates"])
                row("burst, pipelines/s", ours, ratio, least, said, at_least=True)
        if ours in lasting:
            row("idle memory, MB", ours, lasting[ours]["memory"], 600.0, "≤ 600")
    for ours, embedded in (("turnout-kafka", "turnout"), ("turnout-kafka-open", "turnout-open")):
        if ours in lasting and embedded in lasting:
            for measure, label in MEASURES.items():
                ratio = time_of(ours, measure) / time_of(embedded, measure)
                row(label, ours, ratio, 3.0, "≤ 3 of SQLite's")
        if ours in rates and embedded in rates:
            ratio = median(rates[ours]["rates"]) / median(rates[embedded]["rates"])
            row("burst, pipelines/s", ours, ratio, 0.5, "≥ 0.5 of SQLite's", at_least=True)
    past = found.get("history", {}).get("values", {})
    if "1000" in past and "1000000" in past:
        ratio = median(past["1000000"]["start"]) / median(past["1000"]["start"])
        row("start at 1,000,000 stored events against 1,000", "turnout-open", ratio, 1.2, "≤ 1.2")
    if not rows:
        return missing("latency")
    return table(["measure", "of", "wanted", "is", "reached"], rows)


SECTIONS: dict[str, Callable[[Found], str]] = {
    "targets": targets,
    "latency": latency,
    "ratios": ratios,
    "burst": burst,
    "history": history,
    "width": width,
    "scale": scale,
    "profile": profile,
    "console": console,
}

if __name__ == "__main__":
    write()

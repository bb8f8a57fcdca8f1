"""The table of the chart's values, out of values.yaml: ``python -m local.helm.table`` writes it (`make docs`)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parents[2] / "infra" / "helm" / "turnout-agents"
FILE = CHART / "README.md"
BEGIN, END = "<!-- values -->\n", "<!-- end of values -->\n"
_KEY = re.compile(r"(?P<indent> *)(?P<key>[\w./-]+):(?P<given> .*)?$")


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Path, default, meaning: of each value that has a comment above it or holds no others."""
    values = yaml.safe_load(text)
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.lstrip("# "))
            continue
        found = _KEY.match(line)
        if found is None:  # an empty line ends what is said of a section
            comment = []
            continue
        depth = len(found["indent"]) // 2
        path[depth:] = [found["key"]]
        given = values
        for each in path:
            given = given[each]
        if comment or found["given"]:
            default = json.dumps(given) if found["given"] else ""
            yield ".".join(path), default, " ".join(comment)
        comment = []


def text(readme: str, values: str) -> str:
    """The readme with the table in its place."""
    lines = ["| value | default | meaning |", "| --- | --- | --- |"]
    for path, default, meaning in rows(values):
        escaped = [each.replace("|", r"\|") for each in (default, meaning)]
        lines.append(f"| `{path}` | {f'`{escaped[0]}`' if default else ''} | {escaped[1]} |")
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n".join(lines) + "\n" + END + after


if __name__ == "__main__":
    FILE.write_text(text(FILE.read_text(), (CHART / "values.yaml").read_text()))

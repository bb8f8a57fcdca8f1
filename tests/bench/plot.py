"""The pictures of docs/benchmarks.md, drawn from the figures: ``python tests/bench/plot.py RESULTS IMAGES``.

Run by the Python of the peers' environment, where matplotlib is: it imports nothing of the project.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

MEASURES = {"start": "start", "step": "step to step", "whole": "five stages"}
OURS, PEERS, FLOOR = "#1f6f8b", "#b9b4a7", "#e3dfd3"
INK = "#333333"


def main() -> None:
    results, images = Path(sys.argv[1]), Path(sys.argv[2])
    names: Mapping[str, str] = json.loads(sys.argv[3])
    found = {each.stem: json.loads(each.read_text())["values"] for each in results.glob("*.json")}
    images.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update(
        {
            "svg.hashsalt": "turnout",
            "svg.fonttype": "none",
            "font.size": 9,
            "text.color": INK,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    if "latency" in found:
        save(latency(found["latency"], names), images / "bench-latency.svg")
    if "burst" in found:
        save(burst(found["burst"], names), images / "bench-burst.svg")
    if "history" in found and "width" in found:
        save(growth(found), images / "bench-growth.svg")


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight", facecolor="white")
    plt.close(figure)


def colour(name: str) -> str:
    return OURS if name.startswith("turnout") else FLOOR if name == "bare" else PEERS


def ends(samples: Sequence[float]) -> tuple[float, float, float]:
    """The median, and how far 5 % and 95 % are from it."""
    middle = median(samples)
    if len(samples) < 2:
        return middle, 0.0, 0.0
    cuts = quantiles(samples, n=20, method="inclusive")
    return middle, middle - cuts[0], cuts[-1] - middle


def bars(axes: Any, values: Mapping[str, Sequence[float]], title: str) -> None:
    for place, (name, samples) in enumerate(values.items()):
        middle, below, above = ends(samples)
        axes.barh(place, middle, color=colour(name), height=0.7)
        axes.errorbar(middle, place, xerr=[[below], [above]], color=INK, linewidth=0.8, capsize=2)
        said = f"{middle:,.0f}" if middle >= 100 else f"{middle:.3g}"
        axes.text((middle + above) * 1.15, place, said, va="center", fontsize=8)
    axes.set_xscale("log")
    axes.set_title(title, fontsize=10, loc="left")
    axes.margins(x=0.2)
    axes.invert_yaxis()


def latency(values: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    figure, panels = plt.subplots(1, 3, figsize=(11, 0.36 * len(values) + 1), sharey=True)
    for axes, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        bars(axes, {name: each[measure] for name, each in values.items()}, f"{title}, ms (logarithmic)")
    panels[0].set_yticks(range(len(values)), [names[name] for name in values])
    for axes in panels[1:]:
        axes.yaxis.set_tick_params(left=False)
    panels[0].set_ylim(len(values) - 0.5, -0.5)
    figure.tight_layout()
    return figure


def burst(values: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    figure, axes = plt.subplots(figsize=(7, 0.36 * len(values) + 1))
    bars(axes, {name: each["rates"] for name, each in values.items()}, "burst, pipelines/s (logarithmic)")
    axes.set_yticks(range(len(values)), [names[name] for name in values])
    figure.tight_layout()
    return figure


def growth(found: Mapping[str, Any]) -> Any:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    curve(left, {float(each["events"]): each["start"] for each in found["history"].values()})
    left.set_xscale("log")
    left.set_ylim(bottom=0)
    left.set_title("start, ms, by stored events", fontsize=10, loc="left")
    curve(right, {float(count): each["whole"] for count, each in found["width"].items()})
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_title("to the last command, ms, by stages side by side", fontsize=10, loc="left")
    figure.tight_layout()
    return figure


def curve(axes: Any, points: Mapping[float, Sequence[float]]) -> None:
    found = [ends(samples) for samples in points.values()]
    axes.errorbar(
        list(points),
        [middle for middle, _, _ in found],
        yerr=[[below for _, below, _ in found], [above for _, _, above in found]],
        color=OURS,
        marker="o",
        markersize=4,
        capsize=2,
    )


if __name__ == "__main__":
    main()

"""``make bench``: every system side by side in one run; figures to docs/benchmarks/, from there to docs/benchmarks.md.

``--only`` measures some of the parts anew and leaves the figures of the others; ``--only none`` draws the page again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import measuring, plot_page, render
from tests.bench.profile import profile
from tests.bench.systems import NAMES

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _arguments().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended on the way out
    systems = [name for name in NAMES if name in asked.systems.split(",")] if asked.systems else list(NAMES)
    parts: dict[str, Callable[[], measuring.Found]] = {
        "latency": lambda: measuring.latency(systems, asked.rounds),
        "burst": lambda: measuring.burst(systems, asked.bursts, asked.pipelines),
        "history": lambda: measuring.history(asked.rounds, asked.histories),
        "width": lambda: measuring.width(asked.bursts),
        "scale": lambda: measuring.scale(asked.bursts, asked.pipelines),
        "profile": lambda: profile(asked.rounds),
    }
    only = [each.strip() for each in asked.only.split(",") if each.strip()] or list(parts)
    unknown = set(only) - set(parts) - {"none"}
    if unknown:
        sys.exit(f"bench: no part is called {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    into: Path = asked.into
    into.mkdir(parents=True, exist_ok=True)
    for name, measure in parts.items():
        if name in only:
            said = {"command": asked.command, "machine": machine()}
            said["values"] = measure()
            (into / f"{name}.json").write_text(json.dumps(said, indent=1) + "\n")
    if into == render.RESULTS:
        render.write()
        plot_page.draw()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure every system side by side.")
    parser.add_argument(
        "--only", default="", help="parts, with commas: latency burst history width scale profile"
    )
    parser.add_argument(
        "--systems", default="", help=f"with commas, for latency and burst: {' '.join(NAMES)}"
    )
    parser.add_argument("--rounds", type=int, default=20, help="pipelines of each system")
    parser.add_argument("--bursts", type=int, default=1, help="rounds of bursts, of widths and of scales")
    parser.add_argument("--pipelines", type=int, default=200, help="pipelines in a burst")
    parser.add_argument(
        "--histories",
        type=lambda text: [int(each) for each in text.split(",")],
        default=list(measuring.HISTORIES),
        help="stored events, with commas",
    )
    parser.add_argument("--into", type=Path, default=render.RESULTS, help="folder of the figures")
    parser.add_argument("--command", default="python -m tests.bench.side_by_side", help="what was typed")
    return parser


def machine() -> dict[str, object]:
    """What the figures depend on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "when": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit or "unknown",
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


if __name__ == "__main__":
    main()

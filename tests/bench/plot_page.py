"""Has the pictures of docs/benchmarks.md drawn by the Python that has matplotlib."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.bench.render import DOCS, RESULTS
from tests.bench.systems import NAMES
from tests.peers.place import programs

PLOT = Path(__file__).with_name("plot.py")


def draw(results: Path = RESULTS, images: Path = DOCS / "img") -> None:
    """Raises: subprocess.CalledProcessError."""
    subprocess.run([programs() / "python", PLOT, results, images, json.dumps(NAMES)], check=True)


if __name__ == "__main__":
    draw()

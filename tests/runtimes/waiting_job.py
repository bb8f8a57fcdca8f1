"""A job that does nothing until it is told to end, for the contract of runtimes."""

from __future__ import annotations

import os
import time
from pathlib import Path


def main(_arguments: list[str]) -> int:
    place = Path(os.environ["TURNOUT_HOME"])
    attempt = os.environ["TURNOUT_ATTEMPT"]
    place.mkdir(parents=True, exist_ok=True)
    with (place / f"{attempt}.begun").open("a") as file:
        file.write("begun\n")
    end = place / f"{attempt}.end"
    while not end.exists() or not end.read_text():
        time.sleep(0.01)
    return int(end.read_text())

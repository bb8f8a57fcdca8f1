"""What became of a container, by what the engine shows of it.

Source: Docker Engine API, GET /containers/{id}/json.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from turnout.core.ports import JobState
from turnout.runtimes.job_words import one_line, signal_name

LONGEST_LOG = 4000  # characters


def state_of(inspected: Mapping[str, Any], said: bytes = b"") -> JobState:
    """``said``: the last lines of its output."""
    state = inspected["State"]
    log = said.decode("utf-8", "replace")[-LONGEST_LOG:]
    match state["Status"]:
        case "created":
            if state.get("Error"):
                return JobState("ended", f"it could not be started: {one_line(state['Error'])}")
            return JobState("waiting", "its container is made and not started")
        case "running" | "paused" | "restarting":
            return JobState("running")
        case _:
            return JobState("ended", _reason(state, inspected), _instant(state.get("FinishedAt", "")), log)


def _reason(state: Mapping[str, Any], inspected: Mapping[str, Any]) -> str:
    code = int(state["ExitCode"])
    if state.get("OOMKilled"):
        limit = int(inspected.get("HostConfig", {}).get("Memory", 0))
        had = f"its limit of {limit // 1024**2} MiB" if limit else "there was"
        return f"more memory was needed than {had} (raise the stage's `resources: {{memory: …}}`)"
    if state.get("Error"):
        return f"its container ended with status {code}: {one_line(state['Error'])}"
    if code == 0:
        return "its container has come to its end"
    if code > 128 and (name := signal_name(code - 128)):
        return f"its container was ended by {name}"
    return f"its container ended with status {code}"


def _instant(text: str) -> datetime | None:
    """RFC 3339 with up to nanoseconds; the year 1 stands for never."""
    if not text or text.startswith("0001-"):
        return None
    head, _, fraction = text.rstrip("Z").partition(".")
    digits = "".join(each for each in fraction if each.isdigit())[:6].ljust(6, "0")
    try:
        return datetime.fromisoformat(f"{head}.{digits}+00:00")
    except ValueError:
        return None

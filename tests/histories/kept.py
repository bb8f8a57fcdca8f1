"""The stored histories, and what was said of each when it was written down: the events of runs are kept for ever, so
their meaning must never change.

A folder is a generation: the events as the code of its time wrote them. ``<name>.jsonl`` is never written again.
``<name>.json`` beside it holds the state that they come to, its digest, and how the run was explained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.core import events as e
from turnout.core.explain import explain
from turnout.core.planner import canonical_json
from turnout.core.replay import rebuild
from turnout.core.run import Run

HERE = Path(__file__).parent
NEWEST = HERE / "2"


@dataclass(frozen=True, slots=True)
class Kept:
    """One stored history."""

    path: Path

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def lines(self) -> Sequence[str]:
        return self.path.read_text(encoding="utf-8").splitlines()

    @property
    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._beside.read_text(encoding="utf-8"))
        return found

    @property
    def _beside(self) -> Path:
        return self.path.with_suffix(".json")

    def say(self, state: dict[str, Any], words: Sequence[str]) -> None:
        told = {"digest": digest(state), "explain": list(words), "state": state}
        self._beside.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def kept() -> list[Kept]:
    return [Kept(each) for each in sorted(HERE.glob("*/*.jsonl"))]


def state_of(run: Run) -> dict[str, Any]:
    """All that says something: a field that is added with a default changes nothing here."""
    return run.model_dump(mode="json", exclude_defaults=True)


def digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(state)).hexdigest()


def keep(name: str, history: Sequence[e.Event]) -> Kept:
    """Write down a new one."""
    NEWEST.mkdir(exist_ok=True)
    found = Kept(NEWEST / f"{name}.jsonl")
    found.path.write_text("".join(e.dump(each) + "\n" for each in history), encoding="utf-8")
    found.say(state_of(rebuild(history)), explain(history))
    return found


def differences(was: Any, now: Any, at: str = "") -> Iterator[str]:
    """Where two JSON values differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}):
            yield from differences(was.get(key), now.get(key), f"{at}.{key}" if at else key)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from differences(one, other, f"{at}[{index}]")
    elif was != now:
        yield f"{at}: was {json.dumps(was)[:100]}, is {json.dumps(now)[:100]}"

"""A home with a store that the orchestrator has filled, and the command line used in it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.core.building import CHANGE, START
from tests.test_orchestration import FakeClock
from turnout import wiring
from turnout.adapters.settings import read_settings
from turnout.cli import main
from turnout.core import messages as m
from turnout.core.artifact_keys import attempt_key
from turnout.core.envelope import open_record
from turnout.core.ids import run_id
from turnout.core.model import Outcome
from turnout.core.plan import NotTriggered, Plan
from turnout.core.policy import attempt_token
from turnout.core.ports import Delivery
from turnout.core.result import Result
from turnout.core.run import Attempt, Run
from turnout.orchestration import Orchestrator, Planned
from turnout.wiring import Wiring

COMMAND = cache(typer.main.get_command)


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    status: int
    out: str
    err: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.out + self.err

    @property
    def json(self) -> Any:
        """The one line of JSON on standard output."""
        assert self.err == ""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class House:
    """``template``: a home whose store has its tables."""

    def __init__(
        self, home: Path, template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copytree(template, home, dirs_exist_ok=True)
        self._patch, self._capsys = monkeypatch, capsys
        self.wiring = Wiring(read_settings({"TURNOUT_HOME": str(home)}))
        self.store, self.clock = self.wiring.store, FakeClock()
        self.plan: Plan | NotTriggered | Exception = NotTriggered(reason="no plan")
        self.orchestrator = Orchestrator(
            self.store, None, self._planned, self.clock, self.wiring.settings.key()
        )
        self._heard = 0
        self._log = self.wiring.bus.tail(["pipeline.events"], from_start=True)

    def close(self) -> None:
        self._log.close()
        self.store.close()

    # --- the command line ---------------------------------------------------------------------------

    def turnout(self, *arguments: str) -> Said:
        """``turnout ARGUMENTS``, in this process."""
        self._patch.setattr(sys, "argv", ["turnout", *arguments])
        self._patch.setattr(wiring, "_made", None)
        self._patch.setattr(
            typer.main, "get_command", COMMAND
        )  # it is made of the functions once, not each time
        self._capsys.readouterr()
        status: int | str | None = 0
        try:
            main()
        except SystemExit as error:
            status = error.code
        finally:
            made = vars(wiring._made[1]) if wiring._made is not None else {}
            for part in (made.get("store"), made.get("github")):
                if part is not None:
                    part.close()
        out, err = self._capsys.readouterr()
        assert isinstance(status, int)
        return Said(status, out, err)

    # --- what happens behind it ----------------------------------------------------------------------

    def _planned(self, request: m.RunRequested) -> Planned:
        if isinstance(self.plan, Exception):
            raise self.plan
        return Planned(request.change.repository, self.plan, request.change)

    def hear(self, message: m.Message, id: str = "") -> Run | None:
        self._heard += 1
        envelope = m.wrap(message, id=id or f"m{self._heard}", source="/test", at=self.clock.now())
        return self.orchestrator.handle(envelope).run

    def asked(self) -> None:
        """Hand to the orchestrator what has come over the bus."""
        for received in self._log.poll(0.0):
            self.orchestrator.handle(open_record(received.record))

    def push(self, plan: Plan | NotTriggered | Exception, trigger: str = "t1", **change: Any) -> Run:
        self.plan = plan
        self.clock.forward(1)
        run = self.hear(
            m.RunRequested(trigger=trigger, change=CHANGE.with_(**change), delivery=""), id=trigger
        )
        assert run is not None
        return run

    def delivered(self, delivery: str, reason: str) -> None:
        """A delivery that brought nothing about."""
        row = Delivery(delivery, "github", "push", "acme/shop", "published", START, message=delivery)
        self.store.receive(row)
        self.plan = NotTriggered(reason=reason)
        self.hear(m.RunRequested(trigger=delivery, change=CHANGE, delivery=delivery), id=delivery)

    def run(self, run: Run) -> Run:
        found = self.store.load(run.id)
        assert found is not None
        return found

    def attempt(self, run: Run, task: str) -> Attempt:
        current = next(each.current for _, each in self.run(run).tasks() if each.id == task)
        assert current is not None
        return current

    def ends(
        self, run: Run, task: str, outcome: Outcome = Outcome.SUCCESS, log: str = "", **more: Any
    ) -> Run:
        attempt = self.attempt(run, task)
        if log:
            self.wiring.artifacts.append(attempt_key(run.id, task, attempt.number), log.encode())
        token = attempt_token(self.wiring.settings.key(), attempt.id)
        result = Result(outcome=outcome, **more)
        spoken = {"run": run.id, "task": task, "attempt": attempt.id, "token": token, "worker": "w1"}
        self.clock.forward(1)
        self.hear(m.TaskStarted(**spoken, at=self.clock.now()))
        self.clock.forward(2)
        self.hear(m.TaskFinished(**spoken, at=self.clock.now(), result=result))
        return self.run(run)


def triggers(count: int) -> Sequence[str]:
    """Triggers of runs whose ids begin alike."""
    by_beginning: dict[str, list[str]] = {}
    for number in range(10_000):
        found = by_beginning.setdefault(run_id(f"t{number}")[:1], [])
        found.append(f"t{number}")
        if len(found) == count and run_id(found[0])[0].isalpha():
            return found
    raise AssertionError("uuid5 is not what it was")

"""What is looked at, and what must be there to be seen."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol

from local.demo.machine import Machine, kubectl
from local.demo.shown import Disappointed, console, kept, step
from local.demo.stack import CHANNEL
from local.slack.terminal import render
from turnout.core.run import Run
from turnout.following import EVERY, Recorded, follow

PATIENCE = 300.0
VULNERABLE = "CVE-2021-33503"


class Messages(Protocol):
    """Slack's, as people see them: `local.slack.workspace.Workspace`, or one elsewhere."""

    @property
    def calls(self) -> Sequence[Any]: ...

    def messages(self, channel: str) -> list[dict[str, Any]]: ...

    def replies(self, channel: str, ts: str) -> list[dict[str, Any]]: ...


def watch(
    run: str, recorded: Recorded | None = None, every: float = EVERY, patience: float = PATIENCE
) -> Run:
    """The run, live, until it ends. ``recorded``: where its events are; None: in this home's store. ``every``: seconds
    between two looks. Raises: Disappointed when it does not end within ``patience`` seconds."""
    from turnout.cli.live import LiveView
    from turnout.core.evolve import replay
    from turnout.wiring import wiring

    deadline = time.monotonic() + patience
    history: list[Any] = []
    view = LiveView(run)
    with view:
        alive, pause = (lambda: time.monotonic() < deadline), (lambda _: time.sleep(every))
        for stored in follow(recorded or wiring().store, run, alive=alive, pause=pause):
            if stored is not None:
                history.append(stored.event)
                if not console.is_terminal:
                    say(stored.event)
            view.update(replay(history))
    found = replay(history)
    if found is None or found.outcome is None:
        raise Disappointed(f"the run did not end within {patience:.0f} s")
    return found


def say(event: Any) -> None:
    """Where there is no terminal to draw on: a line for what a person would see change."""
    match event.kind:
        case "stage_started":
            console.print(f"  ● {event.stage}")
        case "attempt_finished":
            console.print(f"    {event.result.outcome.value}: {event.result.summary}")
        case "retry_scheduled":
            console.print(f"    attempt {event.number} follows")
        case _:
            pass


def outcome(run: Run, expected: str) -> None:
    """Raises: Disappointed."""
    if run.outcome is None or run.outcome.value != expected:
        ended = run.outcome.value if run.outcome else "not at all"
        raise Disappointed(f"the run ended as {ended}, expected {expected}")


def flaky_tests(run: Run) -> None:
    """Raises: Disappointed."""
    attempts = {name: stage.attempts for name, stage in run.stages.items() if stage.attempts}
    if attempts != dict.fromkeys(attempts, 1) | {"test": 2}:
        raise Disappointed(f"expected two attempts of test and one of the others, got {attempts}")
    results = [attempt.result for attempt in run.stages["test"].tasks["test"].attempts]
    failed = results[0].tests.failed if results[0] and results[0].tests else None
    flaky = len(results[1].tests.flaky) if results[1] and results[1].tests else None
    if (failed, flaky) != (2, 2):
        raise Disappointed(f"expected 2 failed tests that turn out flaky, got {failed} and {flaky}")
    kept("two tests failed, were tried again alone, and are called flaky")


def halted(run: Run) -> None:
    """One vulnerability, and nothing after it. Raises: Disappointed."""
    result = run.stages["security"].tasks["security"].attempts[-1].result
    findings = result.findings if result else None
    if findings is None or findings.counts != {"high": 1} or findings.named[0].rule != VULNERABLE:
        raise Disappointed(f"expected {VULNERABLE} and nothing else, got {findings}")
    if any(stage.attempts for name, stage in run.stages.items() if name == "deploy"):
        raise Disappointed("deploy was started, though security had failed")
    found = findings.named[0]
    kept(f"security found {found.rule} in {found.package} {found.installed}, and the pipeline halted")


def deployed(run: Run, machine: Machine) -> None:
    """The cluster has the image that was built, and it is attested what passed on it. Raises: Disappointed."""
    outputs = run.stages["build"].outputs
    image = f"{outputs['image'].rpartition(':')[0]}@{outputs['digest']}"
    shown = kubectl(
        machine, "get", "deployment", "shop", "-o", "jsonpath={.spec.template.spec.containers[0].image}"
    )
    if shown != image:
        raise Disappointed(f"the cluster runs {shown}, expected {image}")
    kept(f"the cluster was given {image[:-52]}…, the image that was built and scanned")
    command = [sys.executable, "-m", "turnout", "verify", image, "--require", "test,build,security"]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    if verified.returncode != 0:
        raise Disappointed(f"turnout verify: {verified.stdout}{verified.stderr}")
    kept("its build, tests and scan are attested: turnout verify IMAGE@DIGEST --require test,build,security")


def told(workspace: Messages, messages: int, words: str) -> None:
    """One message for each run, as a person sees the newest in the end. Raises: Disappointed."""
    step(f"What people see in #{CHANNEL}")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and words not in _text(workspace):
        time.sleep(0.05)
    found = workspace.messages(CHANNEL)
    if len(found) != messages:
        raise Disappointed(f"expected {messages} in #{CHANNEL}, found {len(found)}")
    newest = max(found, key=lambda each: float(each["ts"]))
    console.print(render(newest, workspace.replies(CHANNEL, newest["ts"]), channel=CHANNEL))
    if words not in _text(workspace):
        raise Disappointed(f"the message does not say {words!r}")
    edits = sum(1 for call in workspace.calls if call.method == "chat.update")
    kept(f"one message a run, brought up to date {edits} times, never posted twice")


def _text(workspace: Messages) -> str:
    return "\n".join(str(message) for message in workspace.messages(CHANNEL)).lower()

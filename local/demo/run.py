"""``make demo``: from a signed GitHub push to the Slack message, with real parts, on this machine.

Exit status 0 only when everything that was promised was seen.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from rich.console import Console
from rich.markup import escape

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from local.demo.push import REPOSITORY, Pushed, push_sample  # noqa: E402
from local.slack.stand_in import StandIn  # noqa: E402
from local.slack.terminal import render  # noqa: E402
from local.slack.workspace import Workspace  # noqa: E402
from turnout.core.errors import TurnoutError  # noqa: E402

SECRET = "the demo's webhook secret"  # noqa: S105  # guards nothing but the demo
CHANNEL = "deploys"
PATIENCE = 300.0
console = Console(highlight=False)


class Disappointed(Exception):
    """Something that the demo promises was not seen."""


def main() -> int:
    began = time.monotonic()
    home = Path(os.environ.get("TURNOUT_DEMO_HOME", ROOT / ".demo"))
    workspace = Workspace([CHANNEL])
    try:
        with StandIn(workspace) as slack:
            run = scene(home, slack.base_url, workspace)
    except (Disappointed, TurnoutError, httpx.HTTPError) as error:
        console.print(f"[red]✘ {escape(str(error))}[/]")
        console.print(f"[dim]the stack's own words are in {home / 'state' / 'stack.log'}[/]")
        return 1
    took = time.monotonic() - began
    console.print(f"\n[green]✔[/] [bold]All of it in {took:.0f} s.[/] Look closer with:")
    console.print(f"  [dim]TURNOUT_HOME={home / 'state'} .venv/bin/turnout explain {run[:12]} test[/]")
    console.print(f"  [dim]TURNOUT_HOME={home / 'state'} .venv/bin/turnout logs {run[:12]}[/]")
    return 0


def scene(home: Path, slack_url: str, workspace: Workspace) -> str:
    """The scenario; the id of its run. Raises: Disappointed."""
    step("A repository, and a push to it")
    pushed = push_sample(home / "git")
    console.print(f"  {REPOSITORY}: {pushed.before[:8]} → {pushed.after[:8]}, pushed to {pushed.remote}")
    state = home / "state"
    environment(state, pushed.remote, slack_url)

    from turnout.wiring import prepare, wiring

    prepare(wiring().settings)
    bus = "Kafka" if wiring().settings.kafka_bootstrap else "the embedded log"
    step(f"The stack: functions, dispatcher, agents, on {bus}")
    with stack(state) as urls:
        run = deliver(urls["webhook"], pushed)
        outcome = watch(run)
        if outcome != "success":
            raise Disappointed(f"the run ended as {outcome}, expected success")
        check_run(run)
        check_slack(workspace)
    return run


def environment(state: Path, remote: Path, slack_url: str) -> None:
    """What an operator would set, and the project file that an operator would write."""
    os.environ.update(
        TURNOUT_HOME=str(state),
        TURNOUT_WEBHOOK_SECRET=SECRET,
        TURNOUT_SLACK_TOKEN="xoxb-demo",  # noqa: S106  # a made-up token for the stand-in
        TURNOUT_SLACK_BASE_URL=slack_url,
        TURNOUT_SLACK_CHANNEL=f"#{CHANNEL}",
    )
    projects = state / "projects"
    projects.mkdir(parents=True, exist_ok=True)
    (projects / "shop.yml").write_text(f"project:\n  repository: {REPOSITORY}\n  clone_url: {remote}\n")


@contextmanager
def stack(state: Path) -> Iterator[Mapping[str, str]]:
    """`turnout up`, and at the end Ctrl-C."""
    from turnout.cli.background import wait_up
    from turnout.stack.layout import read_running
    from turnout.wiring import wiring

    began = time.monotonic()
    log = (state / "stack.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "turnout", "up", "--port", "0"],
        cwd=ROOT,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        with console.status("starting"):
            if not wait_up(wiring().settings) or process.poll() is not None:
                raise Disappointed("the stack did not come up")
        running = read_running(state)
        if running is None:
            raise Disappointed("the stack does not say where it is")
        console.print(f"  up in {time.monotonic() - began:.1f} s; webhook at {running.urls['webhook']}")
        console.print(f"  {wiring().sandbox_description()}")
        yield running.urls
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


def deliver(url: str, pushed: Pushed) -> str:
    """GitHub's delivery, signed; and the same one again, as after a lost answer. The run's id."""
    from turnout.webhook import sign

    step("GitHub delivers the push, signed; and once more")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/demo",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": str(uuid4()),
        "X-Hub-Signature-256": sign(SECRET.encode(), pushed.payload),
    }
    first = httpx.post(url, content=pushed.payload, headers=headers, timeout=30)
    again = httpx.post(url, content=pushed.payload, headers=headers, timeout=30)
    forged = httpx.post(
        url, content=pushed.payload, headers=headers | {"X-Hub-Signature-256": "sha256=0"}, timeout=30
    )
    seen = (first.status_code, again.status_code, forged.status_code)
    if seen != (202, 200, 401):
        raise Disappointed(f"expected 202, 200, 401 from the webhook, got {seen}: {first.text}")
    console.print(
        f"  202 accepted: run {first.json()['run'][:12]}   200 known already   401 for a forged one"
    )
    return str(first.json()["run"])


def watch(run: str) -> str:
    """The run, live, until it ends."""
    from turnout.cli.live import LiveView
    from turnout.core.run import replay
    from turnout.following import follow
    from turnout.wiring import wiring

    step("The run: lint → test → package; test fails on two tests and is tried again")
    deadline = time.monotonic() + PATIENCE
    history: list[Any] = []
    view = LiveView(run)
    with view:
        for stored in follow(wiring().store, run, alive=lambda: time.monotonic() < deadline):
            if stored is not None:
                history.append(stored.event)
                if not console.is_terminal:
                    say(stored.event)
            view.update(replay(history))
    found = replay(history)
    if found is None or found.outcome is None:
        raise Disappointed(f"the run did not end within {PATIENCE:.0f} s")
    return found.outcome.value


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


def check_run(run: str) -> None:
    from turnout.wiring import wiring

    found = wiring().store.load(run)
    if found is None:
        raise Disappointed("the run is not in the store")
    attempts = {name: stage.attempts for name, stage in found.stages.items()}
    if attempts != {"lint": 1, "test": 2, "package": 1}:
        raise Disappointed(f"expected one attempt of lint and package and two of test, got {attempts}")
    results = [attempt.result for attempt in found.stages["test"].tasks["test"].attempts]
    failed = results[0].tests.failed if results[0] and results[0].tests else None
    flaky = len(results[1].tests.flaky) if results[1] and results[1].tests else None
    if (failed, flaky) != (2, 2):
        raise Disappointed(f"expected 2 failed tests that turn out flaky, got {failed} and {flaky}")
    console.print("  [green]✔[/] two tests failed, were tried again alone, and are called flaky")


def check_slack(workspace: Workspace) -> None:
    """One message for the run, as a person sees it in the end."""
    step(f"What people see in #{CHANNEL}")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and "succe" not in _text(workspace).lower():
        time.sleep(0.05)
    messages = workspace.messages(CHANNEL)
    if len(messages) != 1:
        raise Disappointed(f"expected one message in #{CHANNEL}, found {len(messages)}")
    console.print(render(messages[0], workspace.replies(CHANNEL, messages[0]["ts"]), channel=CHANNEL))
    if "succe" not in _text(workspace).lower():
        raise Disappointed("the message does not say that the run succeeded")
    edits = sum(1 for call in workspace.calls if call.method == "chat.update")
    console.print(f"  [green]✔[/] one message, brought up to date {edits} times, never posted twice")


def _text(workspace: Workspace) -> str:
    return "\n".join(str(message) for message in workspace.messages(CHANNEL))


def step(text: str) -> None:
    console.print(f"\n[bold]▸ {text}[/]")


if __name__ == "__main__":
    sys.exit(main())

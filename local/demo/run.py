"""``make demo``: from a signed GitHub push to the Slack message, with real parts, on this machine.

Exit status 0 only when everything that was promised was seen.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
from rich.markup import escape

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from local.demo import seen  # noqa: E402
from local.demo.machine import Machine, look  # noqa: E402
from local.demo.push import REPOSITORY, Pushed, Shop, make_shop  # noqa: E402
from local.demo.seen import Messages  # noqa: E402
from local.demo.shown import Disappointed, console, step  # noqa: E402
from local.demo.stack import CHANNEL, deliver, environment, stack  # noqa: E402
from local.slack.stand_in import StandIn  # noqa: E402
from local.slack.workspace import Workspace  # noqa: E402
from turnout.core.errors import TurnoutError  # noqa: E402
from turnout.core.run import Run  # noqa: E402


def main() -> int:
    began = time.monotonic()
    home = Path(os.environ.get("TURNOUT_DEMO_HOME", ROOT / ".demo"))
    try:
        with ExitStack() as held:
            runs = scenes(home, held)
    except (Disappointed, TurnoutError, httpx.HTTPError) as error:
        console.print(f"[red]✘ {escape(str(error))}[/]")
        console.print(f"[dim]the stack's own words are in {home / 'state' / 'stack.log'}[/]")
        return 1
    took = time.monotonic() - began
    console.print(f"\n[green]✔[/] [bold]All of it in {took:.0f} s.[/] Look closer with:")
    for command in (f"explain {runs[0][:12]} test", f"logs {runs[0][:12]}", f"show {runs[-1][:12]}"):
        console.print(f"  [dim]TURNOUT_HOME={home / 'state'} .venv/bin/turnout {command}[/]")
    return 0


def scenes(home: Path, held: ExitStack) -> list[str]:
    """The scenario; the ids of its runs. Raises: Disappointed."""
    workspace = Workspace([CHANNEL])
    slack = held.enter_context(StandIn(workspace))
    step("What this machine has")
    machine = look(home, held)
    for stage, why in machine.lacks.items():
        console.print(f"  [yellow]without {stage}[/]: {why}")
    shop = make_shop(home / "git", machine.stages, machine.base)
    state = home / "state"
    environment(state, shop.remote, slack.base_url, machine)

    from turnout.wiring import prepare, wiring

    prepare(wiring().settings)
    bus = "Kafka" if wiring().settings.kafka_bootstrap else "the embedded log"
    step(f"The stack: functions, dispatcher, agents, on {bus}")
    urls = held.enter_context(stack(state))
    vulnerable = "security" in machine.stages
    runs = [first(urls["webhook"], shop, machine, workspace)]
    if vulnerable:
        runs.append(second(urls["webhook"], shop, machine, workspace))
    return runs


def first(
    webhook: str,
    shop: Shop,
    machine: Machine,
    workspace: Messages,
    watch: Callable[[str], Run] = seen.watch,
) -> str:
    """A push that halts at security, where there is a scanner. Raises: Disappointed."""
    shop.edit("src/shop/feed.py", '"cup": 1200', '"cup": 1200, "pot": 2900')
    run = deliver(webhook, announced(shop, "Sell pots"))
    step(f"The run: {' → '.join(machine.stages)}; test fails on two tests and is tried again")
    found = watch(run)
    seen.flaky_tests(found)
    if "security" in machine.stages:
        seen.outcome(found, "failure")
        seen.halted(found)
        seen.told(workspace, 1, "security")
    else:
        seen.outcome(found, "success")
        seen.told(workspace, 1, "succe")
    return run


def second(webhook: str, shop: Shop, machine: Machine, workspace: Workspace) -> str:
    """The vulnerability is fixed, and the run goes through. Raises: Disappointed."""
    shop.edit("requirements.txt", "urllib3==1.26.4", "urllib3==1.26.20")
    run = deliver(webhook, announced(shop, "Take urllib3 without CVE-2021-33503"))
    step(f"The run: {' → '.join(machine.stages)}")
    found = seen.watch(run)
    seen.outcome(found, "success")
    seen.flaky_tests(found)
    if "deploy" in machine.stages:
        seen.deployed(found, machine)
    seen.told(workspace, 2, "recovered")
    return run


def announced(shop: Shop, message: str) -> Pushed:
    step(f"A push: {message}")
    pushed = shop.push(message)
    console.print(f"  {REPOSITORY}: {pushed.before[:8]} → {pushed.after[:8]}, pushed to {shop.remote}")
    return pushed


if __name__ == "__main__":
    sys.exit(main())

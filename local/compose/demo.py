"""``make demo-compose``: the demo's scenario on the compose stack, whose attempts are containers.

Exit status 0 only when everything that was promised was seen.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import yaml
from rich.markup import escape

from local.compose.stack import Images, Stack
from local.compose.state import State
from local.demo import seen
from local.demo.machine import Found, Machine
from local.demo.push import REPOSITORY, Shop, make_shop
from local.demo.run import first
from local.demo.shown import Disappointed, console, kept, step
from local.demo.stack import CHANNEL, SECRET
from local.server_process import free_port
from turnout.adapters.console_client import ConsoleClient
from turnout.adapters.remote import RemoteSight
from turnout.core.errors import NotFound, TurnoutError
from turnout.core.ports import StoredEvent

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROJECT = "turnout-demo"
MAIL = "team@example.org"
EVERY = 0.5
"""Seconds between two looks at the run, which is behind the console."""
HAS = ("lint", "test")
KINDS = ("turnout", *HAS)
LACKS = {
    "build": "a container without rights builds no images; give its stage an engine elsewhere (docs/agents-build.md)",
    "security": "the scanner fetches its database from the internet, and the demo's small one is not in its image",
    "deploy": "there is no cluster in the stack, and no image to deploy",
}
PATIENCE = 900.0
"""Seconds for a run: each attempt fetches its tools anew, into a container that has none."""
_TOLD_WITHIN = 30.0  # seconds


@dataclass(frozen=True)
class SlackThere:
    """The stand-in's workspace, in its container."""

    url: str

    @property
    def calls(self) -> list[Any]:
        return [SimpleNamespace(**each) for each in self._asked("calls")]

    def messages(self, channel: str) -> list[dict[str, Any]]:
        return list(self._asked("messages")["channels"].get(channel, []))

    def replies(self, channel: str, ts: str) -> list[dict[str, Any]]:
        return [reply for each in self.messages(channel) if each["ts"] == ts for reply in each["replies"]]

    def _asked(self, what: str) -> Any:
        said = httpx.get(f"{self.url}/control/{what}", timeout=10).raise_for_status().json()
        return said["calls"] if what == "calls" else said


@dataclass(frozen=True)
class Awaited:
    """A run's events, also while there is no run yet: the webhook answers before it is planned."""

    sight: RemoteSight

    def events(self, run: str, after: int = 0) -> Sequence[StoredEvent]:
        try:
            return self.sight.events(run, after)
        except NotFound:
            return ()


@dataclass(frozen=True)
class Demo:
    """``environ``: of the programs. ``images``: as `Stack.up` takes them. ``variables``: more for the compose file."""

    home: Path
    environ: Mapping[str, str]
    images: Images
    project: str = PROJECT
    variables: Mapping[str, str] = field(default_factory=dict)

    def stack(self) -> Stack:
        state = State(self.home / "state")
        ports = {
            each: str(free_port())
            for each in ("WEBHOOK_PORT", "CONSOLE_PORT", "GRAFANA_PORT", "MAILBOX_PORT")
        }
        here = {
            "SLACK_PORT": str(free_port()),
            "REPOSITORIES": str((self.home / "git").resolve()),
            "HEALTH_EVERY": "4s",
            "CONSOLE_URL": f"http://127.0.0.1:{ports['CONSOLE_PORT']}",
        }
        variables = ports | here | dict(self.variables)
        return Stack(state, self.project, (HERE / "demo.yaml",), variables, self.environ)


@contextmanager
def running(demo: Demo) -> Iterator[Stack]:
    """The stack with the shop's project file, and at the end nothing of it. Raises: TurnoutError."""
    stack = demo.stack()
    state = stack.state
    _ = stack.compose  # says what is missing before anything is made
    state.prepare()
    state.give("webhook_secret", SECRET)
    state.give("slack_token", "xoxb-demo")
    state.give("metrics_token", "")
    state.settings.write_text(
        f"TURNOUT_SLACK_BASE_URL=http://slack:8080/api/\nTURNOUT_SLACK_CHANNEL=#{CHANNEL}\n"
    )
    project = {
        "repository": REPOSITORY,
        "clone_url": "http://git:8080/shop.git",
        "runtime": "docker",
        "channels": {"email": [MAIL]},
    }
    (state.projects / "shop.yml").write_text(yaml.safe_dump({"project": project}, sort_keys=False))
    stack.prepare(demo.images)
    try:
        began = time.monotonic()
        with console.status("starting"):
            try:
                stack.up(demo.images)
            except TurnoutError:
                console.print(
                    stack.compose.run("ps", "--all") + stack.compose.run("logs", "--tail", "5"), markup=False
                )
                raise
        console.print(
            f"  all healthy in {time.monotonic() - began:.1f} s; console at {stack.address('console', 8080)}"
        )
        yield stack
    finally:
        with console.status("taking it down"):
            remove(stack)


def remove(stack: Stack) -> None:
    """Containers of attempts, too, which keep the network."""
    docker = ["docker", "ps", "--all", "--quiet", "--filter", f"label=turnout.owner={stack.project}"]
    said = subprocess.run(docker, env=dict(stack.environ), capture_output=True, text=True, check=False)
    if jobs := said.stdout.split():
        subprocess.run(
            ["docker", "rm", "--force", "--volumes", *jobs],
            env=dict(stack.environ),
            capture_output=True,
            check=False,
        )
    stack.compose.run("down", "--volumes", "--timeout", "5")


def scenes(demo: Demo) -> None:
    """Raises: Disappointed, TurnoutError."""
    step("What this leaves out")
    for stage, why in LACKS.items():
        console.print(f"  [yellow]without {stage}[/]: {why}")
    shop = make_shop(demo.home / "git", HAS)
    step("The stack: each function a container, on Redpanda and PostgreSQL")
    with running(demo) as stack:
        play(stack, shop)


def play(stack: Stack, shop: Shop) -> str:
    """The run's id. Raises: Disappointed, TurnoutError."""
    sight = RemoteSight(ConsoleClient(stack.address("console", 8080), stack.state.console_token()))
    slack = SlackThere(stack.address("slack", 8080))
    machine = Machine(dict.fromkeys(HAS, Found()), LACKS)
    run = first(
        stack.address("webhook", 8080),
        shop,
        machine,
        slack,
        lambda run: seen.watch(run, Awaited(sight), EVERY, PATIENCE),
    )
    mailed(stack.address("mailbox", 8025))
    contained(stack, run)
    return run


def mailed(mailbox: str) -> None:
    """Raises: Disappointed."""
    step("What is in the mailbox")
    deadline = time.monotonic() + _TOLD_WITHIN
    while not (found := mails(mailbox)) and time.monotonic() < deadline:
        time.sleep(0.2)
    if len(found) != 1:
        raise Disappointed(f"expected one mail to {MAIL}, found {found}")
    kept(f"one mail to {MAIL}: {found[0]['Subject']}")


def mails(mailbox: str) -> list[dict[str, Any]]:
    """Those to the team: alerts are there, too."""
    said = httpx.get(f"{mailbox}/api/v1/messages", timeout=10).raise_for_status().json()
    return [each for each in said["messages"] if MAIL in str(each["To"])]


def contained(stack: Stack, run: str) -> None:
    """Raises: Disappointed."""
    filters = ["--filter", f"label=turnout.run={run}", "--format", '{{.Label "turnout.agent"}}']
    said = subprocess.run(
        ["docker", "ps", "--all", *filters],
        env=dict(stack.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    if sorted(said.stdout.split()) != ["lint", "test", "test"]:
        raise Disappointed(f"expected a container for each attempt, found {said.stdout.split()}")
    kept("each attempt had a container of its own")


def main() -> int:
    began = time.monotonic()
    home = Path(os.environ.get("TURNOUT_DEMO_HOME", ROOT / ".demo")) / "compose"
    try:
        images = Images(os.environ.get("REGISTRY", "").rstrip("/"), os.environ.get("TAG", ""), KINDS)
        scenes(Demo(home, os.environ, images))
    except (Disappointed, TurnoutError, httpx.HTTPError, subprocess.SubprocessError) as error:
        console.print(f"[red]✘ {escape(str(error))}[/]")
        return 1
    console.print(f"\n[green]✔[/] [bold]All of it in {time.monotonic() - began:.0f} s.[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())

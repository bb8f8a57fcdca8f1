"""Turnout as an operator sets it up and starts it, and GitHub's deliveries to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import yaml

from local.demo.machine import Machine
from local.demo.push import REPOSITORY, Pushed
from local.demo.shown import Disappointed, console, step

ROOT = Path(__file__).resolve().parents[2]
SECRET = "the demo's webhook secret"  # noqa: S105  # guards nothing but the demo
CHANNEL = "deploys"


def environment(state: Path, remote: Path, slack_url: str, machine: Machine) -> None:
    """What an operator would set, and the project file that an operator would write."""
    os.environ.update(
        machine.environ,
        TURNOUT_HOME=str(state),
        TURNOUT_WEBHOOK_SECRET=SECRET,
        TURNOUT_SLACK_TOKEN="xoxb-demo",  # noqa: S106  # a made-up token for the stand-in
        TURNOUT_SLACK_BASE_URL=slack_url,
        TURNOUT_SLACK_CHANNEL=f"#{CHANNEL}",
    )
    secrets = {name: {"file": str(path)} for name, path in machine.secrets.items()}
    project = {
        "repository": REPOSITORY,
        "clone_url": str(remote),
        "environments": {"staging": {"secrets": secrets} if secrets else None},
    }
    projects = state / "projects"
    projects.mkdir(parents=True, exist_ok=True)
    (projects / "shop.yml").write_text(yaml.safe_dump({"project": project}, sort_keys=False))


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

"""``make compose-up``, ``make compose-down``: ``python -m local.compose.up [--down]``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from local.compose.stack import Images, Stack
from local.compose.state import State
from turnout.core.errors import PermanentError, TurnoutError

FOLDER = Path(__file__).resolve().parents[2] / ".compose"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make compose-up", description="Turnout with Docker Compose.")
    parser.add_argument("--down", action="store_true", help="stop it; what it knows stays in its volumes")
    asked = parser.parse_args()
    state = State(Path(os.environ.get("STATE") or FOLDER))
    stack = Stack(state)
    try:
        if asked.down and not state.found.exists():
            raise PermanentError(f"nothing was ever started from {state.folder}", "make compose-up")
        if asked.down:
            stack.compose.run("down")
            return 0
        _ = stack.compose  # says what is missing before anything is made
        state.prepare()
        images = Images(state.variable("REGISTRY").rstrip("/"), state.variable("TAG"))
        compose = stack.up(images)
        _say(stack, compose.command)
    except TurnoutError as error:
        print(f"compose: {error}", file=sys.stderr)
        return 1
    except subprocess.TimeoutExpired as error:
        print(f"compose: {error.cmd[0]} did not end within {error.timeout:.0f} s", file=sys.stderr)
        return 1
    return 0


def _say(stack: Stack, command: list[str]) -> None:
    state = stack.state
    print("Turnout is up.")
    print(f"  webhook   {stack.address('webhook', 8080)}  (secret: {state.secrets / 'webhook_secret'})")
    print(f"  sign in   {stack.sign_in_link()}")
    print(
        f"  Grafana   {stack.address('grafana', 3000)}  (admin; password: {state.secrets / 'grafana_password'})"
    )
    print(f"  mailbox   {stack.address('mailbox', 8025)}")
    print(f"  projects  {state.projects}, settings in {state.settings}")
    for each in state.elsewhere():
        print(f"  {each}: say `runtime: docker`; its stages would wait for agents that are not here")
    print(f"To go on by hand: {' '.join(command)} ps")


if __name__ == "__main__":
    sys.exit(main())

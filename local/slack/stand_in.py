"""Slack's Web API on this machine, and its channels in the terminal: ``python local/slack/stand_in.py --port 8075``.

Under ``/control/`` it answers tests in other processes: ``GET /control/messages``, ``GET /control/calls``,
``POST /control/faults`` with the fields of `local.slack.faults.Fault` as JSON, and ``POST /control/press`` with
``channel``, ``label`` (what is written on the button), ``account``, ``url`` (the app's) and ``secret``.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

if __package__ in (None, ""):  # started as a file: its checkout is where `local` is found
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from local.loopback import HOST, Loopback
from local.slack.buttons import Finger
from local.slack.faults import Answer, Fault
from local.slack.workspace import Workspace

LARGEST_BODY = 4_000_000


class StandIn(Loopback):
    """A workspace behind HTTP, served while the context is open. ``port`` 0: any free one."""

    def __init__(self, workspace: Workspace | None = None, *, port: int = 0, host: str = HOST) -> None:
        self.workspace = workspace if workspace is not None else Workspace()
        super().__init__(type("Handler", (_Handler,), {"workspace": self.workspace}), port=port, host=host)

    @property
    def base_url(self) -> str:
        """For slack-sdk, and for TURNOUT_SLACK_BASE_URL."""
        return f"{self.url}/api/"


class _Handler(BaseHTTPRequestHandler):
    workspace: Workspace

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY:
            self._answer(Answer({"ok": False, "error": "request_too_large"}, 413))
            return
        self._serve(self.rfile.read(length))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: every call is kept in the workspace."""

    def _serve(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        folder, _, name = parts.path.strip("/").partition("/")
        try:
            arguments = dict(parse_qsl(parts.query)) | self._arguments(body)
        except ValueError:
            self._answer(Answer({"ok": False, "error": "invalid_json"}))
            return
        if folder == "control":
            self._answer(_control(self.workspace, name, arguments))
        elif folder == "api":
            given = str(arguments.pop("token", ""))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ") or given
            self._answer(self.workspace.call(name, arguments, token))
        else:
            self._answer(Answer({"ok": False, "error": "not_found"}, 404))

    def _arguments(self, body: bytes) -> dict[str, Any]:
        """JSON, or a form whose blocks and metadata are JSON text. Raises: ValueError."""
        if not body:
            return {}
        if "json" in self.headers.get("Content-Type", ""):
            found = json.loads(body)
            if not isinstance(found, dict):
                raise ValueError("expected an object")
            return found
        form: dict[str, Any] = dict(parse_qsl(body.decode(), keep_blank_values=True))
        for name in ("blocks", "metadata"):
            if name in form:
                form[name] = json.loads(form[name])
        return form

    def _answer(self, answer: Answer) -> None:
        if answer.drop:
            self.close_connection = True
            return
        content = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _control(workspace: Workspace, name: str, arguments: dict[str, Any]) -> Answer:
    match name:
        case "messages":
            return Answer(
                {"ok": True, "channels": {each: _threads(workspace, each) for each in workspace.channels()}}
            )
        case "calls":
            return Answer({"ok": True, "calls": [asdict(each) for each in list(workspace.calls)]})
        case "faults":
            try:
                workspace.fail(Fault(**arguments))
            except TypeError as error:
                return Answer({"ok": False, "error": str(error)}, 400)
            return Answer({"ok": True})
        case "press":
            try:
                finger = Finger(str(arguments.pop("url")), str(arguments.pop("secret")))
                return Answer({"ok": True, "status": finger.press(workspace, **arguments)})
            except (LookupError, TypeError, OSError) as error:
                return Answer({"ok": False, "error": str(error)}, 400)
        case _:
            return Answer({"ok": False, "error": "not_found"}, 404)


def _threads(workspace: Workspace, channel: str) -> list[dict[str, Any]]:
    return [
        each | {"replies": workspace.replies(channel, each["ts"])} for each in workspace.messages(channel)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="local/slack/stand_in.py",
        description="A stand-in for Slack: what is posted to it is shown here.",
    )
    parser.add_argument("--port", type=int, default=8075, help="0: any free one (default 8075)")
    parser.add_argument("--host", default=HOST, help=f"where it listens (default {HOST})")
    parser.add_argument(
        "--channel",
        action="append",
        metavar="NAME",
        help="a channel that exists; may be repeated (default: any)",
    )
    parser.add_argument("--quiet", action="store_true", help="don't show messages")
    asked = parser.parse_args(arguments)
    workspace = Workspace(asked.channel)
    if not asked.quiet:
        from local.slack.terminal import Screen

        workspace.watchers.append(Screen().show)
    with StandIn(workspace, port=asked.port, host=asked.host) as running:
        print(
            f"Slack stand-in ready: TURNOUT_SLACK_TOKEN=xoxb-local TURNOUT_SLACK_BASE_URL={running.base_url}",
            flush=True,
        )
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()

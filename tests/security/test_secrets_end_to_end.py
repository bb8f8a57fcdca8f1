"""A run whose tools let their secrets out in every way they can; then everything that is left of it is searched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.system import ROOT, SECRET, System
from tests.real import require
from tests.security.searching import Left, watching_processes
from tests.waiting import wait_until
from turnout.core.model import Outcome
from turnout.core.policy import attempt_token
from turnout.core.run import Run
from turnout.runtimes.sandbox import Bubblewrap, detect

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

BY_FILE = "file&T0ken<4711>/+='\"\\é-Zürich-0815"
BY_ENV = "env-T0ken-is-plain-and-long-enough-to-wrap-a-line-of-base64-twice-over-and-then-some-2718281828"
SLACK_TOKEN = "xoxb-31415926535-slack-token"
SMTP_PASSWORD = "smtp-pass-1618033988"
OF_THE_PROJECT = {"FILE_TOKEN": BY_FILE, "ENV_TOKEN": BY_ENV}

LEAK = r"""
import base64, json, os, subprocess, sys, traceback, urllib.parse
from xml.sax.saxutils import quoteattr

secrets = [os.environ["FILE_TOKEN"], os.environ["ENV_TOKEN"]]

def ways(secret):
    raw = secret.encode()
    yield from (secret, secret[::-1], raw.hex(), raw.hex(" "), raw.hex().upper(), repr(secret), json.dumps(secret))
    yield from (urllib.parse.quote(secret), urllib.parse.quote_plus(secret), quoteattr(secret))
    yield from (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(b"x" + raw).decode())
    yield from (base64.b64encode(b"user:" + raw).decode(), base64.encodebytes(raw).decode())
    yield base64.b32encode(raw).decode()

for secret in secrets:
    for way in ways(secret):
        print("said", way, flush=True)
        print("complained", way, file=sys.stderr, flush=True)
    for byte in secret.encode():  # in pieces, as a slow writer does
        os.write(1, bytes([byte]))
    print(flush=True)
    subprocess.run(["sh", "-xc", 'echo "$1" | od -An -tx1; printf %s "$1" | base64 -w 60', "sh", secret])
    subprocess.run(["sh", "-c", 'exit 3 # "$0"', secret])
os.system("env; cat /proc/self/environ")

text = "\n".join(way for secret in secrets for way in ways(secret))
with open(os.environ["TURNOUT_OUTPUT"], "w") as out:
    out.write(f"leaked={secrets[0]}\nurl=https://user:{urllib.parse.quote(secrets[1])}@example.org/\n")
open("leak.txt", "w").write(text)
open("leak", "w").write(text)
case = f"<testcase name={quoteattr(secrets[0])}><failure message={quoteattr(secrets[1])}/></testcase>"
open("junit.xml", "w").write(f"<testsuite>{case}</testsuite>")
open("report.sarif", "w").write(json.dumps({"runs": [{"results": [{"message": {"text": text}}]}]}))
open("raw.bin", "wb").write(b"\0\1\2" + secrets[0].encode() + b"\0\xff")
"""
CRASH = """
import os
def inner(password):
    local = password + "!"
    raise ValueError(f"cannot log in with {password}")
inner(os.environ["FILE_TOKEN"] + os.environ["ENV_TOKEN"])
"""
TESTS = """
import os, pytest
SECRET = os.environ["FILE_TOKEN"]
@pytest.mark.parametrize("value", [SECRET, os.environ["ENV_TOKEN"]])
def test_compares(value):
    print("printed", value)
    assert value == "something else", f"the token is {value}"
def test_raises():
    raise RuntimeError(SECRET)
"""
PIPELINE = """\
pipeline:
  stages:
    - name: leak
      agent: script
      secrets: [FILE_TOKEN, ENV_TOKEN]
      with: {run: "python3 leak.py", artifacts: [leak.txt, leak, junit.xml, report.sarif]}
    - name: binary
      agent: script
      secrets: [FILE_TOKEN, ENV_TOKEN]
      allow_failure: true
      with: {run: "python3 leak.py > /dev/null 2>&1", artifacts: [raw.bin]}
    - name: crash
      agent: script
      secrets: [FILE_TOKEN, ENV_TOKEN]
      allow_failure: true
      with: {run: "python3 crash.py"}
    - name: unit
      agent: test
      secrets: [FILE_TOKEN, ENV_TOKEN]
      with: {runner: pytest}
"""


@dataclass(frozen=True)
class Leaked:
    """``left``: all that is left of the run. ``processes``: ``cmdline`` or ``environ``, process id, what it said.
    ``tokens``: of its attempts. ``credentials``: of the platform."""

    system: System
    run: Run
    left: Left
    processes: list[tuple[str, str, bytes]]
    tokens: dict[str, str]
    credentials: dict[str, str]


@pytest.fixture(scope="module")
def leaked(tmp_path_factory: pytest.TempPathFactory, session_home: None) -> Iterator[Leaked]:
    require("bubblewrap, working,", isinstance(detect(), Bubblewrap), "make real-parts")
    home = tmp_path_factory.mktemp("secrets")
    (home / "bound").write_text(BY_FILE + "\n")
    settings = {
        "TURNOUT_SANDBOX": "require",
        "TURNOUT_SLACK_TOKEN": SLACK_TOKEN,
        "TURNOUT_SMTP_URL": f"smtp://mailer:{SMTP_PASSWORD}@127.0.0.1:9",
        "THE_TOKEN": BY_ENV,
        "TURNOUT_LOG_LEVEL": "debug",
    }
    processes: list[tuple[str, str, bytes]] = []
    with System(home, settings) as system:
        system.make_repository(
            {"pipeline.yml": PIPELINE, "leak.py": LEAK, "crash.py": CRASH, "tests/test_leak.py": TESTS}
        )
        (system.wiring.settings.projects_folder / "shop.yml").write_text(
            f"project:\n  repository: acme/shop\n  clone_url: {home / 'work'}\n"
            f"  secrets: {{FILE_TOKEN: {{file: {home / 'bound'}}}, ENV_TOKEN: {{env: THE_TOKEN}}}}\n"
        )
        with watching_processes(lambda *seen: processes.append(seen)):
            system.start()
            (run,) = system.wait_for([system.deliver()], 240)
            wait_until(lambda: "failed" in json.dumps(system.messages()), 60, "Slack is told how it ended")
            wait_until(lambda: "failed" in json.dumps(system.messages()), 60, "Slack is told how it ended")
        orchestrator = system.wiring.orchestrator
        tokens = {
            each.id: attempt_token(orchestrator.key, each.id) for _, t in run.tasks() for each in t.attempts
        }
        left = everything(system, run)
        system.stop()
        yield Leaked(system, run, left, processes, tokens, credentials(system))


def credentials(system: System) -> dict[str, str]:
    settings = system.wiring.settings
    return {
        "the webhook's secret": SECRET,
        "Slack's token": SLACK_TOKEN,
        "the mail server's password": SMTP_PASSWORD,
        "the server's key": settings.key().decode(),
        "the functions' token": settings.door_key(),
    }


def everything(system: System, run: Run) -> Left:
    """The state folder, the stack's log, what Slack was sent, what the command line shows."""
    left = Left()
    home = system.wiring.settings.home
    tables = left.add_tables(home / "turnout.db")
    assert {"events", "outbox", "runs", "reports", "deliveries", "inbox"} <= {*tables}
    left.add_files(home, but=[home / "server.key"])
    left.add("the stack's log", system.log.read_bytes())
    left.add("Slack", json.dumps(system.messages(), ensure_ascii=False).encode())
    for command in (
        ["show", run.id, "--json"], ["show", run.id], ["events", run.id, "--json"], ["logs", run.id],
        ["logs", run.id, "--json"], ["explain", run.id], ["runs", "--json"], ["deliveries", "--json"],
        ["dead-letters"], ["settings"], ["up", "--help"],
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "turnout", *command],
            cwd=ROOT, env=system.environ, capture_output=True, check=False,
        )  # fmt: skip
        left.add(f"turnout {command[0]}", done.stdout + done.stderr)
    return left


def test_the_tools_had_their_secrets_and_let_them_out(leaked: Leaked) -> None:
    """So the tests below can fail."""
    outcomes = {name: stage.outcome for name, stage in leaked.run.stages.items()}
    assert outcomes == {
        "leak": Outcome.SUCCESS,
        "binary": Outcome.FAILURE,
        "crash": Outcome.FAILURE,
        "unit": Outcome.FAILURE,
    }, [(name, stage.reason) for name, stage in leaked.run.stages.items()]
    logs = [path.read_text() for path in (leaked.system.wiring.settings.home / "artifacts").rglob("log.txt")]
    assert max(log.count("***") for log in logs) > 50
    leak = next(stage for stage in leaked.run.stages.values() if stage.name == "leak")
    result = next(iter(leak.tasks.values())).attempts[-1].result
    assert result is not None
    assert result.outputs == {"leaked": "***", "url": "https://user:***@example.org/"}
    assert [each.name for each in result.artifacts] == ["junit.xml", "leak", "leak.txt", "report.sarif"]


def test_what_is_known_to_be_there_is_found_everywhere(leaked: Leaked) -> None:
    """So the tests below can fail."""
    found = leaked.left.found({"control": "acme/shop"})
    for place in ("table events", "table outbox", "turnout.db", "Slack", "turnout runs"):
        assert any(place in each.partition(", after")[0] for each in found), place
    assert any("log.txt" in each for each in leaked.left.found({"control": "said ***"}))
    assert len(leaked.left.pieces) > 100


def test_no_secret_of_a_project_is_left_anywhere(leaked: Leaked) -> None:
    assert leaked.left.found(OF_THE_PROJECT) == []


def test_no_credential_of_the_platform_is_left_anywhere(leaked: Leaked) -> None:
    assert leaked.left.found(leaked.credentials) == []


def test_a_binary_artifact_with_a_secret_in_it_is_not_kept_and_the_stage_says_so(leaked: Leaked) -> None:
    assert "raw.bin is not kept: it holds a secret" in leaked.run.stages["binary"].reason or any(
        "raw.bin is not kept: it holds a secret" in (attempt.result.reason if attempt.result else "")
        for task in leaked.run.stages["binary"].tasks.values()
        for attempt in task.attempts
    )
    home = leaked.system.wiring.settings.home
    assert not [*(home / "artifacts").rglob("raw.bin")]


def test_no_process_but_the_tool_itself_shows_a_secret(leaked: Leaked) -> None:
    """One that the operator binds from the server's environment is in the server's environment, where it was put."""
    commands, environments = Left(), Left()
    for what, pid, content in leaked.processes:
        (commands if what == "cmdline" else environments).add(pid, content)
    assert commands.found({**OF_THE_PROJECT, **leaked.credentials}) == []
    assert environments.found({"FILE_TOKEN": BY_FILE}) == []
    assert len(environments.pieces) > 20
    assert any(b"bwrap" in content for _, content in commands.pieces)


def test_no_attempts_process_has_a_credential_of_the_platform_or_the_servers_environment(
    leaked: Leaked,
) -> None:
    """The zygote and what it forks: they run beside the tools."""
    commands = {pid: content for what, pid, content in leaked.processes if what == "cmdline"}
    zygotes = {pid for pid, command in commands.items() if b"agents.sdk.zygote" in command}
    assert zygotes
    environments = Left(
        [(pid, text) for what, pid, text in leaked.processes if what == "environ" and pid in zygotes]
    )
    assert environments.found({**leaked.credentials, "ENV_TOKEN": BY_ENV}) == []


def test_the_token_of_an_attempt_is_in_no_log_and_no_process_shows_it(leaked: Leaked) -> None:
    artifacts = str(leaked.system.wiring.settings.home / "artifacts")
    seen = [
        each for each in leaked.left.pieces if each[0].startswith((artifacts, "the stack's log", "turnout "))
    ]
    seen += [(what, content) for what, _, content in leaked.processes]
    assert Left(seen).found(leaked.tokens) == []
    assert len(leaked.tokens) >= 4
    assert leaked.left.found(leaked.tokens), "they are in the tasks themselves"


def test_the_state_folder_is_closed_to_others(leaked: Leaked) -> None:
    home = leaked.system.wiring.settings.home
    assert home.stat().st_mode & 0o077 == 0
    assert (home / "server.key").stat().st_mode & 0o077 == 0
    assert os.stat(home).st_uid == os.geteuid()

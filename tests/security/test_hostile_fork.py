"""A pull request from a fork that means harm, from its delivery to its last word, beside a run of the repository's own.

What any code in the sandbox could try is in test_machine_escapes and test_network_escapes; here the whole system is
asked for what a fork may get from it.
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from local.github.hub import Hub
from local.github.stand_in import StandIn
from tests.agents.sdk.hosts import bench as make_bench
from tests.core.writing import fork, project, stage_of, stages
from tests.e2e.system import REPOSITORY, ROOT, SECRET, System
from tests.git_http import Served, hosting
from tests.real import require
from tests.security.searching import Left
from tests.security.test_network_escapes import KNOCK, METADATA
from tests.waiting import wait_until
from turnout.core.artifact_keys import attempt_key
from turnout.core.model import Outcome
from turnout.core.policy import attempt_token, gateway_token
from turnout.core.run import Run, StageStatus
from turnout.runtimes.sandbox import Bubblewrap, detect
from turnout.webhook import sign

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

TOKEN = "project-T0ken-27182818284"
GIT_PASSWORD = "checkout-pass-16180339887"
GITHUB_TOKEN = "ghp_31415926535of-the-platform"
GUARD = "Basic " + base64.b64encode(f"x-access-token:{GIT_PASSWORD}".encode()).decode()
CONTROL = "known-to-be-there-0577215664"

OURS = f"""\
pipeline:
  concurrency: "{{branch}}"
  stages:
    - name: ours
      agent: script
      secrets: [TOKEN]
      when: {{event: push}}
      with: {{run: "exec sleep 300"}}
    - name: check
      agent: script
      needs: []
      secrets: [TOKEN]
      network: true
      env: {{CONTROL: {CONTROL}}}
      when: {{event: pull_request}}
      with: {{run: "python3 check.py"}}
    - name: ship
      agent: deploy
      environment: production
      when: {{event: pull_request}}
"""
THEIRS = """\
pipeline:
  stages:
    - {name: steal, agent: script, secrets: [TOKEN], network: true, with: {run: "env"}}
    - {name: ship, agent: deploy, environment: production}
"""
SPY = r"""
import glob, json, os, subprocess, sys
given = json.load(open("given.json"))

def say(kind, **what):
    print("SPY", json.dumps({"kind": kind, **what}), flush=True)

def ask(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace")
    return done.stdout + done.stderr

print(dict(os.environ))
for each in glob.glob("/proc/[0-9]*"):
    for name in ("environ", "cmdline"):
        try:
            print(each, name, open(f"{each}/{name}", "rb").read().replace(b"\0", b"\n").decode("utf-8", "replace"))
        except OSError as error:
            print(each, name, error)
for path in given["paths"]:
    try:
        found = os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(100).decode("latin-1")
        say("path", path=path, found=found)
    except OSError as error:
        say("path", path=path, error=error.strerror)
print(ask("find", given["home"], "-type", "f", "-size", "-200k", "-exec", "cat", "{}", "+"))
say("below", found=ask("find", given["home"], "-maxdepth", "1"))
print(ask("git", "config", "--list", "--show-origin"), ask("git", "remote", "-v"), ask("sh", "-c", "cat .git/config"))
objects = open(".git/objects/info/alternates").read().strip()
say("mirror", path=objects, said=ask("touch", objects + "/evil", objects + "/../evil", objects + "/../config"))
say("knock", said=ask(sys.executable, "knock.py", *given["places"]))
say("metadata", said=ask(sys.executable, "metadata.py").strip())
say("name", said=ask("getent", "hosts", "metadata.google.internal").strip())
for path in (given["home"] + "/cache", given["home"] + "/evil", "/usr/lib/evil", "/etc/evil"):
    say("write", path=path, said=ask("sh", "-c", 'mkdir -p "$0" && echo evil > "$0/evil"', path))
"""


@dataclass
class Attack:
    """``given``: what anybody could guess, told to the fork's code. ``run``: of the pull request, ``ours`` of the push
    beside it, ``next`` of the pull request's next commit. ``waited``: what the run was before somebody agreed.
    ``beside``: what our own was after all that. ``doors``: of the gateway for our attempt, to its answer to a pass of
    the fork's."""

    system: System
    hub: Hub
    served: Served
    given: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    ours: str = ""
    waited: Run | None = None
    run: Run | None = None
    next: Run | None = None
    beside: StageStatus | None = None
    doors: dict[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> Run:
        assert self.run is not None
        return self.run

    @property
    def log(self) -> str:
        home = self.system.wiring.settings.home
        return (home / "artifacts" / attempt_key(self.ended.id, "check", 1)).read_text()

    def said(self, kind: str) -> list[dict[str, Any]]:
        lines = [line for line in self.log.splitlines() if line.startswith("SPY ")]
        found = [json.loads(line.removeprefix("SPY ")) for line in lines]
        return [each for each in found if each["kind"] == kind]

    def post(self, event: str, payload: Mapping[str, Any], delivery: str) -> Any:
        known = {"repository": {"full_name": REPOSITORY, "clone_url": f"https://github.com/{REPOSITORY}.git"}}
        body = json.dumps({**known, **payload}).encode()
        headers = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": sign(SECRET.encode(), body),
        }
        answer = httpx.post(self.system.running.urls["webhook"], content=body, headers=headers, timeout=30)
        assert answer.status_code in (200, 202), answer.text
        self.answers[delivery] = answer.json()
        return answer.json()

    def pull(self, action: str, sha: str, base: str) -> str:
        ours = {"full_name": REPOSITORY, "clone_url": f"https://github.com/{REPOSITORY}.git"}
        theirs = {"full_name": "mallory/shop", "clone_url": "https://github.com/mallory/shop.git"}
        request = {
            "number": 7,
            "title": "Sell cups",
            "html_url": f"https://github.com/{REPOSITORY}/pull/7",
            "user": {"login": "mallory"},
            "head": {"ref": "main", "sha": sha, "repo": theirs},
            "base": {"ref": "main", "sha": base, "repo": ours},
        }
        payload = {"action": action, "number": 7, "pull_request": request, "sender": {"login": "mallory"}}
        return str(self.post("pull_request", payload, f"pull-{action}")["run"])

    def comment(self, text: str, by: str, delivery: str) -> Any:
        payload = {
            "action": "created",
            "issue": {"number": 7, "pull_request": {}},
            "comment": {"body": text},
            "sender": {"login": by},
        }
        return self.post("issue_comment", payload, delivery)

    def commit(self, files: Mapping[str, str]) -> str:
        """Of the fork, on what the pull request has; its branch is in the repository as GitHub shows it there."""
        git = self.system._git
        git("checkout", "--quiet", "--detach", "main")
        for name, text in files.items():
            (self.system.home / "work" / name).write_text(text)
        git("add", "--all")
        git("commit", "--quiet", "-m", "Sell cups")
        sha = git("rev-parse", "HEAD")
        git("update-ref", "refs/pull/7/head", sha)
        git("checkout", "--quiet", "main")
        return sha

    def waiting(self, run: str) -> Run:
        def found() -> Run | None:
            now = self.system.run(run)
            return now if now and now.stages["check"].status is StageStatus.WAITING else None

        now = wait_until(found, 60, "the run waits for somebody", poll=0.05)
        assert now is not None
        return now


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory, session_home: None) -> Iterator[Attack]:
    require("bubblewrap, working,", isinstance(detect(), Bubblewrap), "make real-parts")
    home = tmp_path_factory.mktemp("fork")
    hub = Hub(repository=REPOSITORY, tokens={GITHUB_TOKEN}, people={"ada": "write", "mallory": "read"})
    served = Served(home / "served", guarded={"shop": GUARD})
    with ExitStack() as open_:
        github = open_.enter_context(StandIn(hub))
        url = open_.enter_context(hosting(served))
        broker = open_.enter_context(socket.create_server(("127.0.0.1", 0)))  # as Kafka would listen
        settings = {
            "TURNOUT_SANDBOX": "require",
            "TURNOUT_GITHUB_TOKEN": GITHUB_TOKEN,
            "TURNOUT_GITHUB_URL": github.url,
            "THE_TOKEN": TOKEN,
            "GIT_PASSWORD": GIT_PASSWORD,
        }
        system = open_.enter_context(System(home, settings))
        system.make_repository({"pipeline.yml": OURS, "check.py": "print('ours')\n"})
        served.folder.mkdir()
        (served.folder / "shop.git").symlink_to(home / "work")
        (system.wiring.settings.projects_folder / "shop.yml").write_text(
            f"project:\n  repository: {REPOSITORY}\n  clone_url: {url}/shop.git\n"
            "  checkout: {password: {env: GIT_PASSWORD}}\n  secrets: {TOKEN: {env: THE_TOKEN}}\n"
            f"  provider: {{base_url: '{github.url}'}}\n"
        )
        made = Attack(system, hub, served)
        system.start()
        play(made, broker.getsockname()[1])
        subprocess.run(
            [sys.executable, "-m", "turnout", "cancel", made.ours], cwd=ROOT, env=system.environ, check=True
        )
        system.wait_for([made.ours])
        system.stop()
        yield made


def play(attack: Attack, broker: int) -> None:
    system = attack.system
    attack.ours = system.deliver()

    def running() -> bool:
        run = system.run(attack.ours)
        return run is not None and run.stages["ours"].status is StageStatus.RUNNING

    wait_until(running, 60, "our own run is at its work", poll=0.05)
    wait_until(lambda: _sleeps(system), 60, "its tool has the secret", poll=0.05)
    state = system.wiring.settings.home
    neighbour = next((state / "attempts").iterdir())
    ports = {urlsplit(each).port for each in (*system.running.urls.values(), attack.served.url)}
    attack.given = {
        "home": str(state),
        "paths": [
            *(
                str(state / name)
                for name in ("turnout.db", "server.key", "attestation.key", "stack.json", "projects")
            ),
            *(
                str(state / name)
                for name in ("artifacts", "claims", "spool", "mirrors/gitconfig", "attempts")
            ),
            *(str(neighbour / name) for name in ("", "checkout", "scratch")),
            f"/proc/{system.running.pid}/environ",
            "/etc/shadow",
        ],
        "places": [f"127.0.0.1:{port}" for port in (*sorted(each for each in ports if each), broker)],
    }
    base = system._git("rev-parse", "HEAD")
    files = {
        "pipeline.yml": THEIRS,
        "check.py": SPY,
        "knock.py": KNOCK,
        "metadata.py": METADATA,
        "given.json": json.dumps(attack.given),
    }
    first = attack.pull("opened", attack.commit(files), base)
    attack.waited = attack.waiting(first)
    attack.comment("/turnout approve", "mallory", "by-mallory")
    attack.comment("/turnout approve check", "nobody-known", "by-nobody")
    attack.waited = attack.waiting(first)
    attack.comment("/turnout approve", "ada", "by-ada")
    (attack.run,) = system.wait_for([first])
    again = attack.pull("synchronize", attack.commit({**files, "check.py": "print('worse')\n"}), base)
    attack.next = attack.waiting(again)
    ours = system.run(attack.ours)
    assert ours is not None
    attack.beside = ours.stages["ours"].status
    attack.doors = {what: knock_with_a_pass(attack, ours, what) for what in ("task", "grants")}


def knock_with_a_pass(attack: Attack, ours: Run, what: str) -> int:
    """Of the fork's attempt, at the gateway's door for ours."""
    own, other = (
        next(each for _, task in run.tasks() for each in task.attempts) for run in (attack.ended, ours)
    )
    given = gateway_token(
        attack.system.wiring.orchestrator.key, own.id, datetime.now(UTC) + timedelta(hours=1)
    )
    return httpx.request(
        "GET" if what == "task" else "POST",
        f"{attack.system.running.urls['gateway']}/attempts/{other.id}/{what}",
        headers={"Authorization": f"Bearer {given}"},
        timeout=30,
    ).status_code


def _sleeps(system: System) -> bool:
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if (
                each.read_bytes() == b"sleep\x00300\x00"
                and TOKEN.encode() in (each.parent / "environ").read_bytes()
            ):
                return True
        except OSError:
            continue
    return False


def credentials(attack: Attack) -> dict[str, str]:
    settings = attack.system.wiring.settings
    key = attack.system.wiring.orchestrator.key
    found = {
        "the project's secret": TOKEN,
        "the checkout's password": GIT_PASSWORD,
        "GitHub's token": GITHUB_TOKEN,
        "the webhook's secret": SECRET,
        "the server's key": settings.key().decode(),
        "the functions' token": settings.door_key(),
    }
    for run in (attack.ended, attack.system.run(attack.ours)):
        assert run is not None
        for _, task in run.tasks():
            for each in task.attempts:
                found[f"the token of {task.id} of {run.id[:8]}"] = attempt_token(key, each.id)
    return found


# --- before anybody agrees ------------------------------------------------------------------------------------


def test_nothing_starts_before_somebody_who_may_write_agrees(attack: Attack) -> None:
    assert attack.waited is not None
    assert not [each for _, task in attack.waited.tasks() for each in task.attempts]
    for delivery in ("by-mallory", "by-nobody"):
        assert "may not write" in attack.answers[delivery]["reason"]
    assert [each.by for each in attack.ended.stages["check"].approvals] == ["ada"]


def test_what_was_agreed_to_is_one_commit_and_the_next_one_waits_again(attack: Attack) -> None:
    assert attack.next is not None
    assert attack.next.change.sha != attack.ended.change.sha
    assert not [each for _, task in attack.next.tasks() for each in task.attempts]


def test_its_own_pipeline_file_counts_for_nothing(attack: Attack) -> None:
    plan = attack.ended.plan
    assert plan is not None
    assert [stage.name for stage in plan.stages] == ["ours", "check", "ship"]
    check = plan.stage("check")
    assert (check.secrets, check.network) == ((), False)
    assert check.approval is not None
    assert "fork" in plan.stage("ship").skip
    assert attack.ended.stages["ship"].outcome is Outcome.SKIPPED


def test_a_branch_that_it_calls_main_neither_holds_nor_cancels_ours(attack: Attack) -> None:
    ours = attack.system.run(attack.ours)
    assert ours is not None
    assert attack.beside is StageStatus.RUNNING, "while its own waited, ran, and waited again"
    groups = {run.plan.concurrency.group for run in (ours, attack.ended) if run.plan and run.plan.concurrency}
    assert len(groups) == 2


# --- when its code runs ------------------------------------------------------------------------------------------


def test_its_code_ran_beside_ours_and_told_all_that_it_saw(attack: Attack) -> None:
    """So the tests below can fail."""
    assert attack.ended.stages["check"].outcome is Outcome.SUCCESS, attack.log[-3000:]
    left = Left([("its log", attack.log.encode())])
    assert left.found({"the control": CONTROL})
    assert len(attack.said("path")) == len(attack.given["paths"])
    assert GUARD in attack.served.credentials("/shop.git/"), "there was a password to be had"


def test_it_finds_no_secret_and_no_credential_in_environments_files_or_processes(attack: Attack) -> None:
    left = Left([("its log", attack.log.encode())])
    assert left.found(credentials(attack)) == []


def test_it_reads_nothing_of_the_store_the_keys_other_attempts_or_their_logs(attack: Attack) -> None:
    seen = [each for each in attack.said("path") if each.get("found")]
    (own,) = [each.id for _, task in attack.ended.tasks() for each in task.attempts]
    assert [(Path(each["path"]).name, each["found"]) for each in seen] == [("attempts", [own])]
    (below,) = attack.said("below")
    home = attack.given["home"]
    assert {*below["found"].split()} <= {home, f"{home}/attempts", f"{home}/mirrors", f"{home}/cache"}


def test_it_reaches_no_function_no_broker_and_no_git_server(attack: Attack) -> None:
    (knock,) = attack.said("knock")
    assert knock["said"].splitlines() == [f"{place} closed" for place in attack.given["places"]]
    assert len(attack.given["places"]) >= 3


def test_it_reaches_no_metadata_of_the_cloud(attack: Attack) -> None:
    assert [each["said"] for each in attack.said("metadata")] == ["refused: Network is unreachable"]
    assert [each["said"] for each in attack.said("name")] == [""]


def test_it_changes_nothing_that_others_will_use(attack: Attack) -> None:
    (mirror,) = attack.said("mirror")
    assert "Read-only file system" in mirror["said"]
    assert not (Path(mirror["path"]) / "evil").exists()
    said = {each["path"]: each["said"] for each in attack.said("write")}
    assert len(said) == 4
    assert all(said[path] for path in ("/usr/lib/evil", "/etc/evil"))
    home = Path(attack.given["home"])
    assert list(home.rglob("evil")) == [], "where it could write, it was to memory of its own"
    assert not Path("/usr/lib/evil").exists()


def test_no_token_of_its_attempt_opens_the_gateway_for_another(attack: Attack) -> None:
    """Even with a pass of its own, which no tool sees."""
    assert set(attack.doors) == {"task", "grants"}
    assert set(attack.doors.values()) <= {401, 403}


# --- what the operator may allow -----------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [False, True])
def test_its_tools_have_the_network_only_where_the_project_says_so(
    allowed: bool, tmp_path: Path, origin: tuple[Path, str], networked: Bubblewrap
) -> None:
    operator = project(f"forks: {{run: always, network: {str(allowed).lower()}}}")
    asked = stage_of(stages("[{agent: script, network: true}]"), "script", fork(), operator)
    script = "ls /sys/class/net 2>/dev/null; cat /proc/net/dev"
    with make_bench(tmp_path, *origin, sandbox="require") as bench:
        result = bench.run("capture", trusted=False, network=asked.network, options={"run": script})
    names = {line.partition(":")[0].strip() for line in result.outputs["stdout"].splitlines() if ":" in line}
    assert "lo" in names
    assert (len(names) > 1) is allowed

"""All of Turnout as Terraform plans it for the environment dev, on this machine.

Each function is served from its package, in processes of its own, as Cloud Functions would; the dispatcher, the
migration and the agents' jobs run as what they are planned to be. Every part is its own account to a real Kafka, a real
PostgreSQL and to the other parts, and is told what the plan tells it (`tests.cloud.mapping` is all that differs).
"""

from __future__ import annotations

import io
import os
import secrets
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from local.certificates import authority
from local.github.hub import Hub
from local.github.repositories import Repositories
from local.github.stand_in import StandIn as GitHub
from local.github.webhooks import Webhook
from local.google.accounts import Accounts, Token
from local.google.cloud_run import CloudRun
from local.kafka.broker import Broker
from local.kafka.guard import Guard
from local.package.build import Packages
from local.postgres.server import Postgres
from local.slack.stand_in import StandIn as Slack
from local.slack.workspace import Workspace
from tests.cloud import lists
from tests.cloud.database import CloudSql
from tests.cloud.machines import Machines
from tests.cloud.mapping import Here, Place, told
from tests.cloud.plan import Part, Plan, planned
from tests.cloud.services import Clock, Front, Instance
from tests.github_app import app_key
from tests.object_stores import like_gcs
from turnout.stack.layout import CONSOLE, FUNCTIONS

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "acme/shop"
CHANNEL = "deploys"
EVERY = 2.0
"""Seconds between two calls of the sweeper, which are planned a minute apart."""
PROJECT = """\
project:
  repository: {repository}
  clone_url: {clone}
  provider: {{kind: github, base_url: "{api}"}}
  channels: {{slack: "#{channel}"}}
  runtime: cloudrun
"""
Zips = Mapping[str, bytes]


class Cloud:
    """``home``: where everything is kept."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._open = ExitStack()
        self.accounts = Accounts(project="shop-ci", given=lambda token: self._given(token))
        self._database: CloudSql | None = None
        self.fronts: dict[str, Front] = {}
        self.secrets: dict[str, str] = {}
        self.dispatchers: list[Instance] = []
        self.tree = ROOT
        self._made = 0

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._enter(opening)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _given(self, token: Token) -> None:
        if self._database is not None:
            self._database.know(token)

    def _enter(self, held: ExitStack) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        held.enter_context(self.accounts)
        trusted = authority()
        self.slack = held.enter_context(Slack(Workspace([CHANNEL])))
        self.hub = Hub(repository=REPOSITORY, git=Repositories(self.home / "github"))
        assert self.hub.git is not None
        self.hub.git.make(REPOSITORY)
        self.github = held.enter_context(GitHub(self.hub))
        self.zips = self.packages(ROOT)
        self.plan: Plan = planned(self.home / "terraform", self.zips)
        self.broker = held.enter_context(Broker(guarded=Guard(self.accounts.tokeninfo, trusted)))
        lists.make(self.broker.provider, self.plan)
        server = held.enter_context(Postgres())
        self.database = self._database = CloudSql(server, trusted, self.plan.roles, self.accounts)
        artifacts = held.enter_context(like_gcs(self.home / "gcs.log"))
        httpx.post(f"{artifacts}/storage/v1/b", json={"name": self.plan.bucket}).raise_for_status()
        self.cloud_run = held.enter_context(CloudRun())
        self.machines = Machines(self.cloud_run, self.plan.jobs, self.home / "jobs", ROOT)
        held.callback(self.machines.close)
        (self.home / "ca.pem").write_text(trusted.pem)
        for name, service in self.plan.services.items():
            make = partial(self.instance, name)
            front = Front(self.accounts, service.callers, make, service.most)
            self.fronts[name] = held.enter_context(front)
        self.here = Here(
            brokers=self.broker.bootstrap,
            authority=self.home / "ca.pem",
            database=self.database.place,
            services={each.url: self.fronts[name].url for name, each in self.plan.services.items()},
            artifacts=artifacts,
            cloudrun=self.cloud_run.url,
            github=self.github.url,
            slack=self.slack.base_url,
        )
        self.secrets = {
            name: secrets.token_hex(16)
            for each in self.plan.services.values()
            for name in each.part.secrets.values()
        }
        self.secrets["turnout-dev-github-app-key"] = app_key()
        self.secrets["turnout-dev-slack-token"] = "xoxb-cloud"
        self.hub.webhook = Webhook(self.fronts["webhook"].url, self.secrets["turnout-dev-webhook-secret"])
        held.callback(self.hub.webhook.close)

    # --- the parts ----------------------------------------------------------------------------------

    def packages(self, root: Path) -> dict[str, bytes]:
        """Function to the zip that Terraform uploads."""
        project = PROJECT.format(
            repository=REPOSITORY, clone=self.github.clone_url, api=self.github.url, channel=CHANNEL
        )
        packages = Packages(root, {"shop.yml": project.encode()})
        return {name: packages.of(name).zipped for name in (*FUNCTIONS, CONSOLE)}

    def instance(self, function: str) -> Instance:
        """A process of a function, as Cloud Functions serve its package."""
        part = self.plan.services[function].part
        place = self._place(part)
        with zipfile.ZipFile(io.BytesIO(self.zips[function])) as archive:
            archive.extractall(place.workspace)
        environ = self._environ(part, place, place.workspace)
        environ |= {"FUNCTION_TARGET": function, "FUNCTION_SIGNATURE_TYPE": "http", "HOST": "127.0.0.1"}
        argv = [sys.executable, "-S", "-P", "-m", "functions_framework", "--target", function]
        return Instance(argv, environ, place.workspace, self.home / f"{function}.log")

    def dispatcher(self) -> Instance:
        """One more worker of the pool."""
        part, place = self.plan.dispatcher, self._place(self.plan.dispatcher)
        *command, port = part.command
        assert (command[0], command[-1], port) == ("turnout", "--port", "8080")
        argv = [sys.executable, "-S", "-P", "-m", *command, "{port}"]
        environ = self._environ(part, place, self.tree)
        found = Instance(argv, environ, place.workspace, self.home / "dispatcher.log")
        self.dispatchers.append(found)
        self._open.callback(found.end, at_once=True)
        return found

    def migrate(self) -> str:
        """Run the job. What it says."""
        part = self.plan.migration
        return self._run(part, self._place(part), part.command)

    def turnout(self, *arguments: str) -> str:
        """A command of Turnout's, by somebody who acts as the console's account. What it prints."""
        part = self.plan.services[CONSOLE].part
        return self._run(part, self._place(part), ("turnout", *arguments))

    def _run(self, part: Part, place: Place, command: Sequence[str]) -> str:
        assert command[0] == "turnout"
        done = subprocess.run(
            [sys.executable, "-S", "-P", "-m", *command],
            cwd=self.tree,
            env=self._environ(part, place, self.tree),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def update(self, tree: Path) -> None:
        """Functions that begin from now on, the migration and the dispatcher are of another version's code."""
        self.tree, self.zips = tree, self.packages(tree)

    def start(self) -> None:
        """Tables, functions, dispatcher, clock: in the order of docs/deploy-gcp.md."""
        self.migrate()
        for front in self.fronts.values():
            front.begin(1)
        for front in self.fronts.values():
            for each in front.instances:
                each.wait_ready()
        self.dispatcher().wait_ready()
        account, planned_url = self.plan.scheduler
        self._open.enter_context(Clock(self.accounts, account, self.here.service(planned_url), EVERY))

    def _place(self, part: Part) -> Place:
        self._made += 1
        folder = self.home / "instances" / f"{self._made:03}-{part.name}"
        (folder / "workspace").mkdir(parents=True)
        return Place(folder / "home", folder / "workspace", self.accounts.metadata(part.account))

    def _environ(self, part: Part, place: Place, code: Path) -> dict[str, str]:
        """Of a process that finds ``code``, the locked distributions, and nothing else."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        path = f"{code}:{sysconfig.get_path('purelib')}"
        return (
            kept | told(part, self.secrets, self.here, place) | {"HOME": str(place.home), "PYTHONPATH": path}
        )

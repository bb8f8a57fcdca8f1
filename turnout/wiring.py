"""Composition: which adapter stands behind which port, by the settings. The one place that knows.

Everything is made when it is first asked for, and per process: functions-framework imports a function before it forks,
and a cold start should load only what the function uses.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from turnout.adapters.settings import InvalidSettings, Settings, read_settings
from turnout.adapters.system_clock import SystemClock
from turnout.core.envelope import Envelope
from turnout.core.errors import PermanentError
from turnout.core.model import Runtime
from turnout.logging import configure_logging

if TYPE_CHECKING:
    from agents.sdk.resident import Parts, ResidentAgents
    from turnout.adapters.artifacts import FileArtifacts
    from turnout.adapters.claims import FileClaims
    from turnout.adapters.config_files import BoundSecrets, ProjectFolder
    from turnout.adapters.git_command import Credential
    from turnout.adapters.git_snapshot import Snapshot
    from turnout.adapters.github_api import GitHubApi
    from turnout.adapters.mirror import Mirrors
    from turnout.adapters.store.sql_store import SqlStore
    from turnout.asking import Asking
    from turnout.attesting import Attesting
    from turnout.commanding import Commands
    from turnout.core.ports import Bus, JobRuntime, Producer
    from turnout.gateway import Gateway, Passes
    from turnout.launching import Launcher
    from turnout.orchestration import Orchestrator
    from turnout.planning import RepositoryPlanner
    from turnout.reconciling import Reconciler
    from turnout.reporting.deliver import Channel
    from turnout.runtimes.sandbox import Sandbox
    from turnout.sweeping import Sweeper
    from turnout.webhook import Webhook


class Wiring:
    """The parts of one process. Raises: PermanentError, from any of them, when a setting is wrong."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = SystemClock()

    # --- store and bus --------------------------------------------------------------------------

    @cached_property
    def store(self) -> SqlStore:
        from turnout.adapters.store.sql_store import open_store

        try:
            return open_store(
                self.settings.store_url,
                embedded=self.settings.embedded,
                synchronous=self.settings.sqlite_synchronous,
                topics=self.settings.topics,
            )
        except PermanentError as error:
            raise InvalidSettings(f"TURNOUT_DATABASE_URL: {error.message}", error.hint) from error

    @cached_property
    def bus(self) -> Bus:
        if self.settings.embedded:
            from turnout.adapters.embedded_log.bus import EmbeddedBus

            s = self.settings
            return EmbeddedBus(self.store.database, session_timeout=s.session_timeout, topics=s.topics)
        return self._kafka()

    def _kafka(self) -> Bus:
        from turnout.adapters.kafka import KafkaBus
        from turnout.adapters.kafka_settings import KafkaSettings

        s = self.settings
        return KafkaBus(
            KafkaSettings(
                bootstrap=s.kafka_bootstrap,
                security_protocol=s.kafka_security_protocol,
                sasl_mechanism=s.kafka_sasl_mechanism,
                username=s.kafka_username,
                password=s.kafka_password.get_secret_value(),
                ca_file=s.kafka_ca_file,
                token_provider="google" if s.kafka_sasl_mechanism == "OAUTHBEARER" else "",
                replication_factor=s.kafka_replication_factor,
                session_timeout=s.session_timeout,
            ),
            s.topics,
        )

    @cached_property
    def producer(self) -> Producer:
        return self.bus.producer()

    @property
    def _outbox_producer(self) -> Producer | None:
        """None where the store's outbox is the log already."""
        return None if self.settings.embedded else self.producer

    # --- use cases --------------------------------------------------------------------------------

    @cached_property
    def webhook(self) -> Webhook:
        from turnout.adapters.github_payload import read_payload
        from turnout.webhook import Webhook

        given = self.settings.webhook_secret.get_secret_value()
        secrets = tuple(each.strip().encode() for each in given.split(",") if each.strip())
        return Webhook(self.store, self._outbox_producer, self.clock, secrets, read_payload, self._asking())

    def _asking(self) -> Asking:
        from turnout.asking import Asking

        if self.github is None:
            return Asking(self.store, None)
        from turnout.adapters.github_people import GitHubPeople

        return Asking(self.store, GitHubPeople(self.github))

    @cached_property
    def orchestrator(self) -> Orchestrator:
        from turnout.orchestration import Orchestrator
        from turnout.timers import Timers

        timers = (
            Timers(lambda run: self.orchestrator.tick(run), self.clock)
            if self.settings.orchestrator_timers
            else None
        )
        return Orchestrator(
            store=self.store,
            producer=self._outbox_producer,
            planner=self.planner,
            clock=self.clock,
            key=self.settings.key(),
            timing=self.settings.timing,
            attesting=self.attesting,
            on_due=timers.set if timers else _nobody,
        )

    @cached_property
    def attesting(self) -> Attesting:
        from importlib.metadata import version

        from turnout.adapters.signing import SigningKey, public_keys
        from turnout.attesting import Attesting
        from turnout.core.attestation import Maker

        s = self.settings
        maker = Maker(s.console_url or "turnout", version("turnout"), s.images)
        trusted = public_keys(s.attestation_trusted) if s.attestation_trusted else ()
        return Attesting(self.store, SigningKey(s.attestation_pem()), maker, trusted)

    @cached_property
    def planner(self) -> RepositoryPlanner:
        from turnout.adapters.config_files import read_pipeline
        from turnout.adapters.mirror import GitSource
        from turnout.planning import RepositoryPlanner

        parse = partial(read_pipeline, agents=self.settings.kinds)
        return RepositoryPlanner(self.projects, GitSource(self.mirrors, self.checkout_credential), parse)

    @cached_property
    def launcher(self) -> Launcher:
        from turnout.launching import Launcher

        return Launcher({each: self._runtime(each) for each in self.settings.runtimes})

    def _runtime(self, runtime: Runtime) -> JobRuntime:
        match runtime:
            case Runtime.PROCESS:
                if self.settings.launcher_via == "gateway":
                    from agents.sdk.environment import inherited
                    from turnout.runtimes.process_gateway import GatewayProcessRuntime

                    held = {"TURNOUT_SANDBOX": self.settings.sandbox}
                    return GatewayProcessRuntime(self.settings.home, self.passes, environ=inherited() | held)
                from turnout.runtimes.process import ProcessRuntime

                return ProcessRuntime(self.settings.home, self.claims, sandbox=self.settings.sandbox)
            case Runtime.DOCKER:
                return self._docker()
            case Runtime.KUBERNETES:
                return self._kubernetes()
            case Runtime.CLOUDRUN:
                return self._cloudrun()
            case Runtime.CLOUDBUILD:
                return self._cloudbuild()
            case _:
                assert_never(runtime)

    def _docker(self) -> JobRuntime:
        from turnout.runtimes.docker import DockerRuntime, DockerSettings

        s = self.settings
        given = DockerSettings(
            network=s.docker_network,
            pull=s.docker_pull,
            user=s.docker_user,
            memory=s.docker_memory,
            cpus=s.docker_cpus,
            pids=s.docker_pids,
            tmp=s.docker_tmp,
            owner=s.node,
        )
        return DockerRuntime(s.images, self.passes, given)

    def _kubernetes(self) -> JobRuntime:
        from turnout.runtimes import kubernetes_placement as placing
        from turnout.runtimes.kubernetes import KubernetesRuntime
        from turnout.runtimes.kubernetes_api import open_api

        s = self.settings
        user, group = placing.read_user(s.kubernetes_user)
        placement = placing.Placement(
            service_account=s.kubernetes_service_account,
            node_selector=placing.read_selector(s.kubernetes_node_selector),
            tolerations=placing.read_tolerations(s.kubernetes_tolerations),
            pull_secrets=placing.read_names(s.kubernetes_pull_secrets),
            pull=s.kubernetes_pull,
            priority_class=s.kubernetes_priority_class,
            runtime_class=s.kubernetes_runtime_class,
            user=user,
            group=group,
            memory=s.kubernetes_memory,
            cpus=s.kubernetes_cpus,
            disk=s.kubernetes_disk,
            keep=s.kubernetes_keep,
        )
        return KubernetesRuntime(
            s.images,
            self.passes,
            placement,
            connect=lambda: open_api(s.kubernetes_config, s.kubernetes_context, s.kubernetes_namespace),
        )

    def _cloudrun(self) -> JobRuntime:
        from turnout.adapters.store.launches import SqlLaunches
        from turnout.runtimes.cloudrun import cloudrun_runtime

        s = self.settings
        return cloudrun_runtime(
            s.cloudrun_jobs,
            s.images,
            self.passes,
            SqlLaunches(self.store.database),
            self.clock,
            endpoint=s.cloudrun_endpoint,
        )

    def _cloudbuild(self) -> JobRuntime:
        from turnout.adapters.store.launches import SqlLaunches
        from turnout.runtimes.cloudbuild import cloudbuild_runtime

        s = self.settings
        return cloudbuild_runtime(
            s.cloudbuild_parent,
            s.images,
            self.passes,
            SqlLaunches(self.store.database),
            self.clock,
            service_account=s.cloudbuild_service_account,
            pool=s.cloudbuild_pool,
            endpoint=s.cloudbuild_endpoint,
        )

    @cached_property
    def passes(self) -> Passes:
        """What jobs are launched with. Raises: InvalidSettings where nothing says where the gateway is."""
        from turnout.gateway import Passes

        if not self.settings.gateway_url:
            raise InvalidSettings(
                "TURNOUT_GATEWAY_URL: missing", "set it to where launched jobs reach the gateway"
            )
        return Passes(self.settings.gateway_url, self.settings.key(), self.clock, self.settings.timing)

    @cached_property
    def gateway(self) -> Gateway:
        from turnout.core.messages import TaskRequested
        from turnout.gateway import CheckoutCredential, Gateway, Limits

        s = self.settings

        def credential(task: TaskRequested) -> CheckoutCredential | None:
            found = self.checkout_credential(task.project, task.checkout.clone_url)
            return CheckoutCredential(username=found.username, password=found.password) if found else None

        return Gateway(
            store=self.store,
            producer=self.producer,
            artifacts=self.artifacts,
            secrets=self.secrets,
            clock=self.clock,
            key=s.key(),
            attested=lambda task, run: self.attesting.fill(task, run),
            limits=Limits(
                log=s.gateway_log,
                log_rate=s.gateway_log_rate,
                artifact=s.gateway_artifact,
                artifacts=s.gateway_artifacts,
            ),
            credential=credential,
        )

    @cached_property
    def reporter(self) -> Reporter:
        return Reporter(self)

    @cached_property
    def sweeper(self) -> Sweeper:
        from turnout.core.topics import AGENT_RESULTS
        from turnout.hearing import Hearing
        from turnout.sweeping import Sweeper

        hearing = Hearing(
            lambda: self.bus.lag("functions", [AGENT_RESULTS]),
            self.clock,
            settle=timedelta(seconds=2 * self.settings.heartbeat),
        )
        return Sweeper(
            self.orchestrator, self.store, self.clock, hearing=hearing, reconciler=self._reconciler()
        )

    def _reconciler(self) -> Reconciler | None:
        """None where no jobs are launched."""
        if not self.settings.runtimes:
            return None
        from turnout.reconciling import Reconciler

        return Reconciler(
            self.orchestrator,
            self.store,
            self.launcher.runtimes,
            self.artifacts,
            self.clock,
            settle=timedelta(seconds=2 * self.settings.heartbeat),
        )

    @cached_property
    def commands(self) -> Commands:
        from turnout.commanding import Commands

        return Commands(self.store, self._outbox_producer, self.clock)

    # --- channels ---------------------------------------------------------------------------------

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        return (self._slack(), self._email(), self._github())

    def check_channels(self) -> None:
        """Raises: PermanentError for an address that no mail could be sent to or from."""
        self._email()

    def _slack(self) -> Channel:
        from turnout.reporting.deliver import Unconfigured

        token = self.settings.slack_token.get_secret_value()
        if not token:
            return Unconfigured("slack", "set TURNOUT_SLACK_TOKEN")
        from turnout.adapters.slack import SlackChat
        from turnout.reporting.slack_channel import SlackChannel

        chat = SlackChat(token, base_url=self.settings.slack_base_url)
        return SlackChannel(chat, self.settings.slack_channel, self.settings.console_url)

    def _email(self) -> Channel:
        from turnout.reporting.deliver import Unconfigured

        url = self.settings.smtp_url.get_secret_value()
        if not url:
            return Unconfigured("email", "set TURNOUT_SMTP_URL")
        from turnout.adapters.smtp import SmtpMailer, read_smtp_url
        from turnout.reporting.email_channel import EmailChannel

        return EmailChannel(
            SmtpMailer(read_smtp_url(url)), self.settings.mail_from, self.settings.console_url
        )

    def _github(self) -> Channel:
        from turnout.reporting.deliver import Unconfigured

        if self.github is None:
            return Unconfigured(
                "github", "set TURNOUT_GITHUB_APP_ID and TURNOUT_GITHUB_APP_KEY, or TURNOUT_GITHUB_TOKEN"
            )
        from turnout.adapters.github_hub import GitHubHub
        from turnout.reporting.github_channel import GitHubChannel

        hub = GitHubHub(self.github)
        return GitHubChannel(lambda project: self._foreign(project) or hub, self.settings.console_url)

    def _foreign(self, project: str) -> str:
        """Why a project is told nothing on our GitHub, where our credential must not be shown to another host."""
        found = self.projects.find(project)
        provider = found.provider if found else None
        if provider is None or provider.kind != "github":
            return (
                "the project is not on GitHub"
                if provider
                else "there is no project file that says where it is"
            )
        ours = self.settings.github_url.rstrip("/")
        theirs = provider.base_url or "https://api.github.com"
        return "" if theirs == ours else f"the project is on {theirs}, and TURNOUT_GITHUB_URL is {ours}"

    def checkout_credential(self, repository: str, clone_url: str) -> Credential | None:
        """What the project file binds, else what the GitHub App gives; None: nothing is needed, or to be had.

        Raises: PermanentError, TransientError.
        """
        bound = self.secrets.checkout(repository, clone_url)
        if bound is not None or not self.settings.github_app_id or self.github is None:
            return bound
        from turnout.adapters.github_auth import AppAuth
        from turnout.adapters.github_checkout import AppCheckout

        assert isinstance(self.github.auth, AppAuth)
        return AppCheckout(self.github.auth, self.github).credential(repository, clone_url)

    @cached_property
    def github(self) -> GitHubApi | None:
        """None: nobody said who we are to GitHub. Raises: InvalidSettings."""
        s = self.settings
        token, app, key = (
            s.github_token.get_secret_value(),
            s.github_app_id,
            s.github_app_key.get_secret_value(),
        )
        if bool(app) != bool(key):
            raise InvalidSettings(
                "TURNOUT_GITHUB_APP_ID and TURNOUT_GITHUB_APP_KEY: only one of them is set",
                "an App needs both",
            )
        if not app and not token:
            return None
        from turnout.adapters.github_api import GitHubApi
        from turnout.adapters.github_auth import AppAuth, TokenAuth, read_key

        auth = AppAuth(app, read_key(key), self.clock) if app else TokenAuth(token)
        return GitHubApi(auth, self.clock, base_url=s.github_url)

    # --- what agents and planning share --------------------------------------------------------------

    @cached_property
    def projects(self) -> ProjectFolder:
        from turnout.adapters.config_files import ProjectFolder

        return ProjectFolder(self.settings.projects_folder)

    @cached_property
    def secrets(self) -> BoundSecrets:
        from turnout.adapters.config_files import BoundSecrets

        return BoundSecrets(self.projects)

    @cached_property
    def mirrors(self) -> Mirrors:
        from turnout.adapters.mirror import Mirrors

        return Mirrors(self.settings.home)

    def snapshot(self, path: Path) -> Snapshot:
        """A checkout as it is now, as a commit that agents of this machine can check out."""
        from turnout.adapters.git_snapshot import snapshot

        return snapshot(self.mirrors, path)

    @cached_property
    def artifacts(self) -> FileArtifacts:
        from turnout.adapters.artifacts import FileArtifacts

        return FileArtifacts(self.settings.home / "artifacts")

    @cached_property
    def claims(self) -> FileClaims:
        from turnout.adapters.claims import FileClaims

        return FileClaims(self.settings.home / "claims")

    @cached_property
    def sandbox(self) -> Sandbox:
        from turnout.runtimes.sandbox import detect

        return detect(environ=os.environ | {"TURNOUT_SANDBOX": self.settings.sandbox})

    def sandbox_description(self) -> str:
        """One line: what holds the tools in on this machine, and what does not."""
        return self.sandbox.describe()

    def resident_agents(self, kinds: Sequence[str], member: str) -> ResidentAgents:
        """``member``: the worker's name, the same after a restart. Raises: PermanentError where a kind has no agent."""
        from agents.sdk.resident import ResidentAgents

        slots, sandbox = self.settings.slots, self.settings.sandbox
        return ResidentAgents(self.agent_parts, kinds, worker=member, slots=slots, sandbox=sandbox)

    @cached_property
    def agent_parts(self) -> Parts:
        """What a worker needs of the world; it never learns which store or broker is behind it."""
        from agents.sdk.channel import GitCredential
        from agents.sdk.resident import Parts
        from turnout.core.messages import Checkout

        def credential(checkout: Checkout) -> GitCredential | None:
            found = self.checkout_credential(checkout.repository, checkout.clone_url)
            return GitCredential(username=found.username, password=found.password) if found else None

        return Parts(
            self.bus,
            self.claims,
            self.artifacts,
            self.secrets,
            self.clock,
            self.settings.home,
            credential=credential,
        )


@dataclass(frozen=True)
class Reporter:
    """The reporter function's use case with its parts."""

    wiring: Wiring

    def handle(self, envelope: Envelope) -> None:
        """Raises: InvalidEnvelope, TransientError (a channel is away), PermanentError (it refuses us)."""
        from turnout.core.errors import InvalidEnvelope
        from turnout.core.messages import ReportRequested, parse
        from turnout.reporting.deliver import report

        message = parse(envelope)
        if not isinstance(message, ReportRequested):
            raise InvalidEnvelope(f"type: {message.type} is no message for the reporter")
        report(message, self.wiring.store, self.wiring.channels, self.wiring.clock)


def _nobody(_run: str, _at: datetime) -> None:
    """No timer in this process: the sweeper looks after due times."""


_made: tuple[int, Wiring] | None = None
_making = threading.Lock()


def wiring() -> Wiring:
    """This process's wiring; a fork makes its own."""
    global _made
    with _making:
        if _made is None or _made[0] != os.getpid():
            settings = read_settings(os.environ)
            configure_logging(settings.log_level)
            _made = (os.getpid(), Wiring(settings))
        return _made[1]


def _after_fork() -> None:
    """The lock may have been held by a thread that the child does not have."""
    global _making
    _making = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def job_parts() -> Parts:
    """What a job of the process runtime is given; it names this function (`turnout.runtimes.process`)."""
    return wiring().agent_parts


def prepare(settings: Settings) -> None:
    """What must be right or exist before the parts start: settings that only a channel can judge, the home, the store's
    tables, the server's keys.

    Safe when several processes do it at once. Raises: TransientError (the database is away), PermanentError.
    """
    from turnout.adapters.store.schema import migrate

    Wiring(settings).check_channels()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.home.stat().st_mode & 0o077:  # it was there before: others must not read what is kept in it
        settings.home.chmod(0o700)
    migrate(settings.store_url)
    settings.key()
    _ = Wiring(settings).attesting.keys

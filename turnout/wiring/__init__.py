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
from typing import TYPE_CHECKING

from turnout.adapters.settings import Settings, read_settings
from turnout.adapters.tracing import tracing
from turnout.core.envelope import Envelope
from turnout.logging import configure_logging
from turnout.wiring.jobs import Jobs
from turnout.wiring.looks import LooksAndActs

if TYPE_CHECKING:
    from agents.sdk.resident import Parts, ResidentAgents
    from turnout.attesting import Attesting
    from turnout.core.events import Event
    from turnout.core.run import Run
    from turnout.gateway import Gateway
    from turnout.orchestration import Orchestrator
    from turnout.planning import RepositoryPlanner
    from turnout.reconciling import Reconciler
    from turnout.runtimes.sandbox import Sandbox
    from turnout.scheduling import Scheduling
    from turnout.sweeping import Sweeper
    from turnout.webhook import Webhook


class Wiring(Jobs, LooksAndActs):
    """The parts of one process. Raises: PermanentError, from any of them, when a setting is wrong."""

    @cached_property
    def webhook(self) -> Webhook:
        from turnout.adapters.github_payload import read_payload
        from turnout.webhook import Webhook

        given = self.settings.webhook_secret.get_secret_value()
        secrets = tuple(each.strip().encode() for each in given.split(",") if each.strip())
        return Webhook(
            self.store,
            self._outbox_producer,
            self.clock,
            secrets,
            read_payload,
            self._asking(),
            unserved=self._unserved,
        )

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
            on_decided=_traced,
        )

    @cached_property
    def attesting(self) -> Attesting:
        from importlib.metadata import version
        from urllib.parse import urlsplit

        from turnout.adapters.signing import SigningKey, public_keys
        from turnout.attesting import Attesting
        from turnout.core.attestation import Maker
        from turnout.core.hosts import is_loopback

        s = self.settings
        # what means another machine to everybody else names nobody
        lasting = "" if is_loopback(urlsplit(s.console_url).hostname or "localhost") else s.console_url
        maker = Maker(lasting or "turnout", version("turnout"), s.images)
        trusted = public_keys(s.attestation_trusted) if s.attestation_trusted else ()
        return Attesting(self.store, SigningKey(s.attestation_pem()), maker, trusted)

    @cached_property
    def planner(self) -> RepositoryPlanner:
        from turnout.adapters.config_files import read_pipeline
        from turnout.planning import RepositoryPlanner
        from turnout.proposing import Proposing
        from turnout.wiring.trying import replay

        parse = partial(read_pipeline, agents=self.settings.kinds)
        proposing = Proposing(self.source, parse, partial(replay, self))
        return RepositoryPlanner(self.projects, self.source, parse, proposing)

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
            self.orchestrator,
            self.store,
            self.clock,
            hearing=hearing,
            reconciler=self._reconciler(),
            redelivering=self.redelivering,
            scheduling=self._scheduling(),
            auditing=self.auditing,
            figuring=self.figuring,
        )

    def _scheduling(self) -> Scheduling:
        from turnout.core.model import ChangeKind
        from turnout.scheduling import Scheduling

        return Scheduling(
            self.store,
            self._outbox_producer,
            self.clock,
            self.projects,
            lambda project: self.starting.newest(project, "", ChangeKind.SCHEDULE),
            lambda change, project: self.planner.config(change, project),
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
    def sandbox(self) -> Sandbox:
        from turnout.runtimes.sandbox import detect

        return detect(environ=os.environ | {"TURNOUT_SANDBOX": self.settings.sandbox})

    def sandbox_description(self) -> str:
        """One line: what holds the tools in on this machine, and what does not."""
        return self.sandbox.describe()

    def resident_agents(self, kinds: Sequence[str], member: str) -> ResidentAgents:
        """``member``: the worker's name, the same after a restart. Raises: PermanentError where a kind has no agent."""
        from agents.sdk.resident import ResidentAgents

        s = self.settings
        return ResidentAgents(
            self.agent_parts, kinds, worker=member, slots=s.slots, sandbox=s.sandbox, drain=s.drain
        )

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


def _traced(run: Run, events: Sequence[Event]) -> None:
    if (found := tracing()) is not None:
        from turnout.core.spans import spans

        found.record(spans(run, events))


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
    from turnout.adapters.store.database import Database
    from turnout.adapters.store.schema import migrate, require

    Wiring(settings).check_channels()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.home.stat().st_mode & 0o077:  # it was there before: others must not read what is kept in it
        settings.home.chmod(0o700)
    database = Database(settings.store_url, password=settings.sign_in())
    try:
        if settings.migrate == "job":
            require(database)
        else:
            migrate(database, settings.roles)
    finally:
        database.close()
    settings.key()
    _ = Wiring(settings).attesting.keys

"""One world: the processes of a scenario, started, disturbed, calmed, and run until nothing happens any more."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from werkzeug.exceptions import HTTPException

from agents.sdk import consuming, live, slots, spool
from agents.sdk.live import Live
from tests.simulation import threads
from tests.simulation.buses import LogStore, ProcessBus, SimBus
from tests.simulation.deploying import BEATS
from tests.simulation.doorway import URL, SimArtifacts, serve_gateway
from tests.simulation.faults import Faults
from tests.simulation.invariants import Watch
from tests.simulation.kernel import EPOCH, Kernel, Process
from tests.simulation.launched import IN_JOBS, JOB_MODULES, ContainerRuntime, Containers
from tests.simulation.machines import (
    ON_DISK,
    Attempt,
    Effects,
    Home,
    HomeSpool,
    Host,
    Jobs,
    Work,
    claims_of,
    job,
    resident,
)
from tests.simulation.network import TIMEOUT, Network, Poster
from tests.simulation.outside import DRAWN, Slack, Tries
from tests.simulation.people import act, deliver
from tests.simulation.scenario import GATED, JOB, KINDS, PEOPLE, TOPICS, Scenario, change_of
from tests.simulation.windows import FUNCTIONS, begin
from tests.simulation.wires import ARTIFACTS, CHAT, HOOKS, JOBS, MISSED, PLAN, STORE, Wire
from turnout import dispatcher, timers
from turnout.adapters.memory_books import MemoryMissed
from turnout.adapters.memory_store import MemoryStore
from turnout.core import messages as m
from turnout.core.change import Change, NoChange
from turnout.core.envelope import Envelope, Received, open_record
from turnout.core.errors import InvalidConfig, NotFound, PermanentError, Problem, TurnoutError
from turnout.core.plan import NotTriggered
from turnout.core.ports import Producer, Store
from turnout.core.posting import Answered, Patience, Reply, Route
from turnout.core.topics import AGENT_REPORT, AGENT_RESULTS, PIPELINE_EVENTS, agent_topic
from turnout.dispatcher import Dispatcher, DispatcherSettings
from turnout.gateway import Passes
from turnout.gateway import limits as gateway_limits
from turnout.launching import Launcher
from turnout.orchestration import Orchestrator, Planned
from turnout.reconciling import Reconciler
from turnout.redelivering import Redelivering
from turnout.reporting.deliver import report
from turnout.reporting.slack_channel import SlackChannel
from turnout.serving import honest_answer
from turnout.sweeping import Sweeper
from turnout.timers import Timers
from turnout.webhook import Webhook

KEY = b"the server's key"
SECRET = b"the webhook's secret"
HORIZON = 3 * 3600.0
"""Seconds after the calm within which everything must have come to its end."""
SUBSCRIBED = {
    PIPELINE_EVENTS: "orchestrator",
    AGENT_RESULTS: "orchestrator",
    AGENT_REPORT: "reporter",
    **{agent_topic(kind): "launcher" for kind in KINDS},
}
IDLE = 120.0
"""Seconds that a poll waits at most: whatever happens wakes it here, so that nobody has to look."""
SELDOM = 30.0
"""Seconds between two sweeps in the calm, where little is left to be found."""
ASKED_EVERY = timedelta(seconds=5)
SETTINGS = DispatcherSettings(
    concurrency=3, buffer=50, commit_every=0.2, idle=IDLE, patience=Patience(tries=25)
)
MODULES = (dispatcher, timers, consuming, live, slots, spool, gateway_limits, *JOB_MODULES)
"""Production modules with threads or a clock of their own."""


@contextmanager
def simulated() -> Iterator[None]:
    """Production modules live in the simulated world until the end."""
    with ExitStack() as stack:
        stack.enter_context(threads.installed(MODULES))
        for module, name, stand_in in (*ON_DISK, *DRAWN, *IN_JOBS, (consuming, "IDLE", IDLE)):
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, stand_in)
        yield


class World:
    """``only``: names of strikes, windows, pushes and acts that happen; None: all. ``story``: gets what happens."""

    def __init__(
        self,
        scenario: Scenario,
        only: Collection[str] | None = None,
        story: list[tuple[float, str, str]] | None = None,
    ) -> None:
        self.scenario = scenario
        self.story = story
        self.kernel = Kernel(scenario.seed)
        kept = None if only is None else frozenset(only)
        self.faults = Faults(dict(scenario.rates), scenario.calm, kept, frozenset(("github", *PEOPLE)))
        self.pushes = [each for each in scenario.pushes if kept is None or each.id in kept]
        self.acts = [each for each in scenario.acts if kept is None or each.id in kept]
        self.windows = [each for each in scenario.windows if kept is None or each.id in kept]
        self.bus = SimBus(TOPICS, self.kernel)
        self.store: MemoryStore = LogStore(self.bus) if scenario.embedded else MemoryStore()
        self.missed = MemoryMissed(self.store)
        self.tries = Tries(self.kernel)
        self.effects = Effects()
        self.slack = Slack(self.kernel)
        self.network = Network(self.kernel)
        self.processes: dict[str, Process] = {}
        self.homes = [Home(f"machine-{n + 1}") for n in range(scenario.machines)]
        self.working = 0
        self.busy = 0
        self._settled = False
        self.accepted: dict[str, None] = {}
        self.poison: list[bytes] = []
        self.topics = TOPICS
        self.wiped = False
        self.work_of: dict[str, Work] = {}
        self.jobs = Jobs(self._start_job)
        self.key = KEY
        self.artifacts = SimArtifacts()
        self.launched = Containers(self)
        self.watch = Watch(self)
        self.watch.attach()

    # --- from the beginning to the end ----------------------------------------------------------

    def run(self) -> None:
        """Afterwards `watch.broken` says which invariant does not hold, if any."""
        kernel, planned = self.kernel, self.scenario
        with threads.running(kernel):
            try:
                self._populate()
                for window in self.windows:
                    kernel.after(window.start, partial(begin, self, window))
                kernel.after(planned.calm, self._calm)
                if kernel.run(planned.calm + HORIZON, self._quiet) or not self.watch.broken:
                    self.watch.at_the_end()
            except Exception as error:  # of a task that nobody else would hear of
                self.watch.defect(error)
            finally:
                self.story = None  # the end of the world is no part of it
                kernel.close()

    def _quiet(self) -> bool:
        return self._settled

    def _calm(self) -> None:
        if self.story is not None:
            self.tell("the world", "from here on nothing goes wrong any more")
        self._look()

    def _look(self) -> None:
        self.watch.overdue()
        self._settled = not self.watch.unsettled()
        self.kernel.after(5.0, self._look)

    def clock(self) -> datetime:
        """The true time."""
        return EPOCH + timedelta(seconds=self.kernel.now)

    def tell(self, who: str, what: str) -> None:
        if self.story is not None:
            self.story.append((self.kernel.now, who, what))

    # --- processes ------------------------------------------------------------------------------

    def _populate(self) -> None:
        planned = self.scenario
        for kind, count, main in (
            ("webhook", planned.webhooks, self._webhook),
            ("orchestrator", planned.orchestrators, self._orchestrator),
            ("reporter", planned.reporters, self._reporter),
            ("launcher", 1, self._launcher),
            ("gateway", planned.gateways, partial(serve_gateway, self)),
            ("sweeper", planned.sweepers, self._sweeper),
            ("dispatcher", planned.dispatchers, self._dispatcher),
        ):
            for number in range(1, count + 1):
                self.boot(f"{kind}-{number}", main)
        for home in self.homes:
            for number in range(1, planned.workers + 1):
                self.boot(f"worker-{home.name}-{number}", partial(self._worker, home))
        self.boot(
            "github", partial(self._outside, [partial(deliver, self, push=each) for each in self.pushes])
        )
        for by in PEOPLE:
            theirs = [partial(act, self, wanted=each) for each in self.acts if each.by == by]
            if theirs:
                self.boot(by, partial(self._outside, theirs))

    def boot(self, name: str, main: Callable[[Wire], None]) -> None:
        """Start a process; one that dies is started again a little later."""
        clock = self.kernel.chance_of(f"clock of {name}")
        skew = self.scenario.skew
        offset, drift = (
            skew * (2 * clock.random() - 1),
            1.0 + (0.002 * (2 * clock.random() - 1) if skew else 0.0),
        )
        process = Process(self.kernel, name, offset=offset, drift=drift)
        process.on_death.append(partial(self._died, process, main))
        self.processes[name] = process
        wire = Wire(process, self.faults, self.tell if self.story is not None else None)
        self.kernel.spawn(process, partial(main, wire), "main")

    def _died(self, process: Process, main: Callable[[Wire], None]) -> None:
        self.tell(process.name, "is gone")
        wait = 0.3 + 8.0 * self.kernel.chance_of(f"clock of {process.name}").random() ** 2
        self.kernel.after(wait, lambda: self.boot(process.name, main))

    def store_of(self, wire: Wire) -> Store:
        return cast(Store, wire.port(self.store, "store", STORE))

    def bus_of(self, wire: Wire) -> ProcessBus:
        return ProcessBus(self.bus, wire)

    def outbox_of(self, wire: Wire) -> Producer | None:
        """None where the store's outbox is the log."""
        return None if self.scenario.embedded else cast(Producer, self.bus_of(wire).producer())

    # --- functions ------------------------------------------------------------------------------

    def _handling(self, handle: Callable[[Envelope], object]) -> Callable[[Received], Reply]:
        """What `turnout.serving` makes of a function: the status is the answer."""

        def serve(received: Received) -> Reply:
            try:
                with honest_answer():
                    handle(open_record(received.record))
            except HTTPException as error:
                response = error.response
                assert response is not None
                after = response.headers.get("Retry-After")
                return Answered(
                    response.status_code, float(after) if after else None, str(response.status_code)
                )
            except Exception as error:
                self.watch.defect(error)
                return Answered(500)
            return Answered(204)

        return serve

    def _webhook(self, wire: Wire) -> None:
        webhook = Webhook(self.store_of(wire), self.outbox_of(wire), wire.process, (SECRET,), self._read)

        def serve(request: tuple[dict[str, str], bytes]) -> Reply:
            answer = webhook.receive(*request)
            return Answered(answer.status)

        self.network.serve(wire, "webhook", serve)

    def _read(self, event: str, body: bytes) -> Change | NoChange:
        push = self.push(json.loads(body)["id"])
        if push.kind == "none":
            return NoChange(repository=push.repository, reason="the branch was deleted")
        return change_of(push)

    def push(self, id: str) -> Any:
        return next(each for each in self.scenario.pushes if each.id == id)

    def orchestrator_of(self, wire: Wire, **more: Any) -> Orchestrator:
        return Orchestrator(
            store=self.store_of(wire),
            producer=self.outbox_of(wire),
            planner=partial(self._plan, wire),
            clock=wire.process,
            key=KEY,
            timing=self.scenario.timing,
            **more,
        )

    def _orchestrator(self, wire: Wire) -> None:
        more: dict[str, Any] = {}
        if self.scenario.timers:
            more["on_due"] = Timers(lambda run: orchestrator.tick(run), wire.process).set
        orchestrator = self.orchestrator_of(wire, **more)
        self.network.serve(wire, "orchestrator", self._handling(orchestrator.handle))

    def _plan(self, wire: Wire, request: m.RunRequested) -> Planned:
        return wire.call("git", "plan", PLAN, partial(self._planned, request))

    def _planned(self, request: m.RunRequested) -> Planned:
        change = request.change
        push = self.push(change.title)
        match push.kind:
            case "unserved":
                raise NotFound(f"no project serves {change.repository}")
            case "broken":
                raise InvalidConfig([Problem("pipeline.yml", 3, 1, "pipeline", "is broken")])
            case "off":
                return Planned(change.repository, NotTriggered(reason="on.push.branches"), change)
            case _:
                return Planned(change.repository, self.scenario.plan(push), change)

    def _reporter(self, wire: Wire) -> None:
        channel = SlackChannel(wire.port(self.slack, "slack", CHAT), "ci")
        store = self.store_of(wire)

        def handle(envelope: Envelope) -> None:
            message = m.parse(envelope)
            assert isinstance(message, m.ReportRequested)
            report(message, store, [channel], wire.process)

        self.network.serve(wire, "reporter", self._handling(handle))

    def _launcher(self, wire: Wire) -> None:
        containers = ContainerRuntime(self.launched, Passes(URL, KEY, wire.process, self.scenario.timing))
        launcher = Launcher(
            {JOB: wire.port(self.jobs, "runtime", JOBS), GATED: wire.port(containers, "runtime", JOBS)}
        )
        self.network.serve(wire, "launcher", self._handling(launcher.handle))

    def _sweeper(self, wire: Wire) -> None:
        store = self.store_of(wire)
        orchestrator = self.orchestrator_of(wire)
        containers = ContainerRuntime(self.launched, Passes(URL, KEY, wire.process, self.scenario.timing))
        reconciler = Reconciler(
            orchestrator,
            store,
            {JOB: wire.port(self.jobs, "runtime", JOBS), GATED: wire.port(containers, "runtime", JOBS)},
            wire.port(self.artifacts, "artifacts", ARTIFACTS),
            wire.process,
            settle=timedelta(seconds=BEATS * self.scenario.timing.heartbeat),
        )
        asking = Redelivering(
            wire.port(self.tries, "GitHub", HOOKS),
            wire.port(self.missed, "store", MISSED),
            wire.process,
            ASKED_EVERY,
        )
        sweeper = Sweeper(
            orchestrator,
            store,
            wire.process,
            channels=("slack",),
            reconciler=reconciler,
            redelivering=asking if self.scenario.once else None,
        )
        while True:
            every = self.scenario.sweep_every if self.kernel.now < self.scenario.calm else SELDOM
            self.kernel.sleep(every * (0.9 + 0.2 * wire.process.chance.random()))
            try:
                sweeper.sweep()
            except PermanentError as error:
                self.watch.defect(error)
            except TurnoutError:
                continue

    def _dispatcher(self, wire: Wire) -> None:
        found = Dispatcher(
            cast(Any, self.bus_of(wire)),
            FUNCTIONS,
            [Route(topic, f"http://{function}", TIMEOUT) for topic, function in SUBSCRIBED.items()],
            member=wire.process.name,
            poster=Poster(self.network, wire),
            clock=wire.process,
            settings=SETTINGS,
            monotonic=wire.process.monotonic,
        )
        wire.process.stop = found.stop
        found.run()
        self.kernel.kill(wire.process)

    # --- agents ---------------------------------------------------------------------------------

    def _host(self, wire: Wire, home: Home, name: str) -> Host:
        claims = claims_of(home, wire)
        lively = Live(self.bus_of(wire).producer())
        return _CountingHost(
            wire,
            home,
            claims,
            lively,
            wire.process,
            name,
            dict.fromkeys(KINDS, ""),
            self.effects,
            self._work,
            self,
        )

    def _work(self, task: m.TaskRequested) -> Work:
        found = self.work_of[task.attempt] = self.scenario.work(task)
        return found

    def _worker(self, home: Home, wire: Wire) -> None:
        host = self._host(wire, home, wire.process.name)
        bus = self.bus_of(wire)
        spooled = HomeSpool(home, wire, bus.producer(), host.claims.finished)
        stopped = threads.Event()
        wire.process.stop = stopped.set
        resident(host, bus, spooled, KINDS, self.scenario.slots, stopped)
        self.kernel.kill(wire.process)

    def job_ended_at(self, attempt: str) -> float | None:
        """When the attempt's job ended, in seconds since the world began; None: it has not, or there is none."""
        ended = self.jobs.ended_at.get(attempt)
        return (ended - EPOCH).total_seconds() if ended else self.launched.ended_at(attempt)

    def _start_job(self, task: m.TaskRequested, ended: Callable[[], None]) -> Callable[[], None]:
        name = f"job-{task.attempt[:8]}"
        process = Process(self.kernel, name)
        wire = Wire(process, self.faults, self.tell if self.story is not None else None)
        running: list[Attempt] = []

        def main() -> None:
            home = Home(name)
            host = self._host(wire, home, name)
            producer = self.bus_of(wire).producer()
            attempt = host.begin(task)
            running.append(attempt)
            job(host, HomeSpool(home, wire, producer, lambda _: None), attempt, producer, 60.0)
            if self.work_of[task.attempt].stillborn:
                self.kernel.kill(process)

        process.on_death.append(ended)
        self.kernel.spawn(process, main, "main")
        return lambda: running[0].stop("cancelled", "it was cancelled") if running else None

    # --- others ---------------------------------------------------------------------------------

    def _outside(self, tasks: Sequence[Callable[..., None]], wire: Wire) -> None:
        for each in tasks:
            self.busy += 1
            self.kernel.spawn(wire.process, partial(each, wire=wire))


@dataclass(frozen=True)
class _CountingHost(Host):
    """The world isn't quiet while somebody works."""

    world: World

    def begin(self, task: m.TaskRequested) -> Attempt:
        return _Counted(self, task)


class _Counted(Attempt):
    def run(self) -> m.TaskFinished:
        world = cast(_CountingHost, self._host).world
        world.working += 1
        try:
            return super().run()
        finally:
            world.working -= 1

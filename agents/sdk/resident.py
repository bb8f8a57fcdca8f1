"""Resident agents: a worker that takes tasks from the bus and runs them, each in a process of its own.

An attempt is fenced in this order: claim it; say that it started, and wait until the bus has that; commit its position;
mark it as running; run it. Whoever loses the partition before the commit gives the claim back. See docs/agents.md.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from agents.sdk import environment, registry
from agents.sdk.channel import GitCredential
from agents.sdk.consuming import Consuming, Worker
from agents.sdk.forkserver import ForkServer
from agents.sdk.hosting import AttemptHost
from agents.sdk.live import Live
from agents.sdk.orphans import remove_left_folders, speak_for_orphans
from agents.sdk.slots import Slots
from agents.sdk.spool import Spool
from turnout.core.messages import Checkout
from turnout.core.ports import Artifacts, Bus, Claims, Clock, Secrets

CLAIMS_KEPT = 14 * 24 * 3600.0  # seconds; longer than a topic keeps a record that could come again
_log = structlog.get_logger()


@dataclass(frozen=True)
class Parts:
    """What a worker needs from the world. ``credential``: what a checkout's remote asks for, or None.

    ``agents``: kind → ``module:function``, where it is not what `registry.find` finds.
    """

    bus: Bus
    claims: Claims
    artifacts: Artifacts
    secrets: Secrets
    clock: Clock
    home: Path
    credential: Callable[[Checkout], GitCredential | None] = field(default=lambda _: None)
    agents: dict[str, str] | None = None


class ResidentAgents:
    """``kinds``: the agents to serve. ``worker``: a name that stays the same when this process is started again.

    ``slots``: attempts at once, 0: one a core. ``sandbox``: ``auto``, ``require`` or ``none``. ``drain``: seconds that
    attempts get to end when the worker is stopped; ``grace``: seconds between SIGTERM and SIGKILL for a tool.
    ``forks``: a fork server that is started already, and outlives this worker.
    """

    def __init__(
        self,
        parts: Parts,
        kinds: Sequence[str],
        *,
        worker: str,
        slots: int = 0,
        sandbox: str = "auto",
        drain: float = 20.0,
        grace: float = 5.0,
        log_limit: int = 50_000_000,
        forks: ForkServer | None = None,
    ) -> None:
        """Raises: AgentError for a kind that no package offers; SandboxMissing where one is required."""
        self._parts = parts
        self._agents = registry.find(kinds) if parts.agents is None else parts.agents
        self._worker = worker
        self._slots = slots or os.cpu_count() or 1
        self._sandbox = sandbox
        self._drain = drain
        self._grace = grace
        self._log_limit = log_limit
        self._described = environment.sandbox(sandbox).describe()
        self._forks = forks or ForkServer(sorted(self._agents.values()), sandbox)
        self._own_forks = forks is None
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)

    def stop(self) -> None:
        """Take nothing new; `run` returns when what runs has ended, or the drain is over. From anywhere, also a
        signal handler. A second call ends the drain."""
        try:
            os.write(self._wake, b".")
        except BlockingIOError:
            pass  # told often enough

    def run(self) -> None:
        """Serve until `stop`. While the bus is away, wait for it. Raises: PermanentError when it refuses us."""
        if self._own_forks:
            self._forks.start()
        parts = self._parts
        _log.info(
            "agents are resident", kinds=sorted(self._agents), slots=self._slots, held_in=self._described
        )
        producer = parts.bus.producer()
        live = Live(producer)
        spool = Spool(parts.home / "spool", producer, parts.claims.finished)
        try:
            sent_again = spool.start()
            speak_for_orphans(parts.claims, parts.home, parts.clock, spool, set(sent_again))
            remove_left_folders(parts.claims, parts.home)
            parts.claims.prune(CLAIMS_KEPT)
            worker = Worker(
                host=AttemptHost(
                    forks=self._forks,
                    agents=self._agents,
                    live=live,
                    claims=parts.claims,
                    artifacts=parts.artifacts,
                    secrets=parts.secrets,
                    clock=parts.clock,
                    home=parts.home,
                    worker=self._worker,
                    sandbox=self._sandbox,
                    grace=self._grace,
                    log_limit=self._log_limit,
                    credential=parts.credential,
                ),
                bus=parts.bus,
                producer=producer,
                spool=spool,
                slots=Slots(self._slots),
                sandbox=self._described,
            )
            loops = [Consuming(worker, kind, self.stop) for kind in sorted(self._agents)]
            for each in loops:
                each.start()
            self._wait(None)
            _log.info("draining", running=len(worker.running()))
            for each in loops:
                each.stop()
            for each in loops:
                each.join()
            self._end(worker)
            for each in loops:
                if each.failure is not None:
                    raise each.failure
        finally:
            spool.close()
            live.close()
            if self._own_forks:
                self._forks.close()

    def _end(self, worker: Worker) -> None:
        """Let attempts end by themselves; when time is up, or somebody insists, end them as lost."""
        until = time.monotonic() + self._drain
        while worker.running() and time.monotonic() < until:
            if self._wait(0.1):
                break
        left = worker.running()
        for each in left:
            each.stop("lost", "the worker that ran it was stopped")
        worker.join(self._grace + 15.0 + max((each.undo_time for each in left), default=0.0))

    def _wait(self, timeout: float | None) -> bool:
        """Wait for `stop`; False: it was not called in time."""
        ready, _, _ = select.select([self._woken], [], [], timeout)
        if ready:
            os.read(self._woken, 1)
        return bool(ready)


def serve(agents: ResidentAgents) -> threading.Thread:
    """`run` in a thread of its own, for tests and for processes that hold more than agents."""
    thread = threading.Thread(target=agents.run, name="agents", daemon=True)
    thread.start()
    return thread

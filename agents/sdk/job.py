"""One attempt in a worker of its own, which ends with it: what a runtime launches.

``python -m agents.sdk.job TASK_FILE PARTS SANDBOX``; ``PARTS`` is the ``module:function`` that gives `resident.Parts`,
so that nothing here knows which bus or which store is behind them.

``python -m agents.sdk.job`` alone: everything goes through the gateway (`agents.sdk.remote_job`).
``python -m agents.sdk.job --health``: whether an agent's image is whole (`agents.sdk.health`).
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

from agents.sdk import answers, environment, registry
from agents.sdk.forkserver import ForkServer
from agents.sdk.hosting import AttemptHost, HostedAttempt
from agents.sdk.live import Live
from agents.sdk.orphans import leave_note, remove_folder, speak_for_orphans
from agents.sdk.resident import Parts
from agents.sdk.spool import PAUSES, Spool
from turnout.core.errors import TransientError, TurnoutError
from turnout.core.messages import TaskRequested
from turnout.core.model import Outcome
from turnout.core.result import Result

PATIENCE = 300.0  # seconds that the bus may be away before the attempt starts
AFTERWARDS = (
    60.0  # seconds that it may be away afterwards; then the result waits for the next worker of this home
)
ASKED_WITHIN = 3.0  # seconds that a job which is told to end takes to ask why
Answer = TypeVar("Answer")
_log = structlog.get_logger()


def run(
    task: TaskRequested,
    parts: Parts,
    *,
    sandbox: str = "auto",
    spooled: Path | None = None,
    afterwards: float = AFTERWARDS,
    why_end: Callable[[], str] = lambda: "",
    shallow: bool = False,
) -> bool:
    """Run it, unless it runs or ran already: then False. Raises: TransientError when nothing was started.

    ``spooled``: where a result waits for the bus, by default with those of this home. ``afterwards``: seconds that it
    waits in this process. ``why_end``: asked when this process is told to end: why it was cancelled, empty: it was not.
    ``shallow``: the home goes with the job, so no history is fetched into it.
    """
    found = registry.find([task.agent]) if parts.agents is None else parts.agents
    forks = ForkServer(sorted(found.values()), sandbox)
    forks.start()
    worker = f"job-{os.uname().nodename}-{os.getpid()}"
    live: Live | None = None
    spool: Spool | None = None
    try:
        if not _patiently(lambda: parts.claims.claim(task.attempt, worker)):
            return False
        producer = parts.bus.producer()
        live = Live(producer)
        spool = Spool(spooled or parts.home / "spool", producer, parts.claims.finished)
        left = set(spool.start())
        speak_for_orphans(parts.claims, parts.home, parts.clock, spool, left)
        if parts.claims.cancelled(task.attempt):
            result = Result(outcome=Outcome.CANCELLED, reason="it was cancelled before it started")
            spool.send(answers.finished(task, worker, parts.clock.now(), result), task.agent)
            return True
        host = AttemptHost(
            forks=forks,
            agents=found,
            live=live,
            claims=parts.claims,
            artifacts=parts.artifacts,
            secrets=parts.secrets,
            clock=parts.clock,
            home=parts.home,
            worker=worker,
            sandbox=sandbox,
            credential=parts.credential,
            shallow=shallow,
        )
        held_in = environment.sandbox(sandbox).describe()
        began = answers.started(task, worker, parts.clock.now(), held_in)
        _patiently(lambda: producer.publish([began]))
        leave_note(parts.home, worker, task)
        parts.claims.running(task.attempt)
        attempt = host.begin(task)
        signal.signal(signal.SIGTERM, lambda *_: _told_to_end(attempt, why_end))
        spool.send(attempt.run(), task.agent)
        remove_folder(attempt.folder)
        return True
    except TurnoutError:
        parts.claims.release(task.attempt)
        raise
    finally:
        if spool is not None:
            spool.close(afterwards)
        if live is not None:
            live.close()
        forks.close()


def _told_to_end(attempt: HostedAttempt, why_end: Callable[[], str]) -> None:
    """Platforms end a job in one way, whether somebody cancelled it or its machine goes away."""
    heard: list[str] = []

    def ask() -> None:
        try:
            heard.append(why_end())
        except TurnoutError:
            pass  # nobody says that it was cancelled

    def work() -> None:
        asking = threading.Thread(target=ask, name="why-end", daemon=True)
        asking.start()
        asking.join(ASKED_WITHIN)
        if reason := "".join(heard):
            attempt.stop("cancelled", reason)
        else:
            attempt.stop("lost", "its job was ended")

    threading.Thread(target=work, name="told-to-end", daemon=True).start()


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask again while trying again can help. Raises: TransientError when it does not, for long enough."""
    until = time.monotonic() + PATIENCE
    tries = 0
    while True:
        try:
            return ask()
        except TransientError as error:
            pause = error.retry_after or PAUSES[min(tries, len(PAUSES) - 1)]
            tries += 1
            if time.monotonic() + pause > until:
                raise
            _log.warning("waiting before the attempt starts", reason=str(error), again_in=pause)
            time.sleep(pause)


def main(arguments: list[str]) -> int:
    """0: it ran (whatever its outcome), or somebody else runs it. 1: nothing was started."""
    if not arguments:
        from agents.sdk.remote_job import main as through_the_gateway

        return through_the_gateway()
    if arguments == ["--health"]:
        from agents.sdk.health import main as health

        return health()
    path, place, sandbox = Path(arguments[0]), arguments[1], arguments[2]
    try:
        task = TaskRequested.model_validate_json(path.read_bytes(), extra="ignore")
    except FileNotFoundError:
        return 0  # another job of this attempt is through with it
    module, _, name = place.partition(":")
    parts: Parts = getattr(importlib.import_module(module), name)()
    try:
        ran = run(task, parts, sandbox=sandbox)
    except TurnoutError as error:
        _log.error("the attempt was not started", attempt=task.attempt, reason=str(error))
        return 1
    if ran:
        for each in (path, path.with_suffix(".log")):
            each.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

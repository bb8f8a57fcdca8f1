"""What the sweeper asks runtimes: an attempt whose job has ended without a word is lost at once, not with its lease.

Nothing here is needed for anything to come to its end: leases and deadlines see to that. It is sooner, and knows why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import Newer, PermanentError, TransientError
from turnout.core.model import Runtime
from turnout.core.ports import Artifacts, AttemptRow, Clock, JobRuntime, JobState, Store
from turnout.core.run import Run
from turnout.logging import get_logger
from turnout.orchestration import Orchestrator

log = get_logger()

LOOK_EVERY = timedelta(seconds=5)
"""Between two looks at one attempt's job."""
LOOKED_AT = 100
"""Attempts a sweep; the next one goes on after them."""
LOG_KEPT = 64 * 1024
"""Bytes of a job's last words."""


@dataclass
class Reconciler:
    """``settle``: how long a result may take from the end of its job to the orchestrator.

    Any number of processes may do this at once: of those who find the same, one decides. What is remembered here only
    saves looks: ``since`` of a job's end comes from its runtime, where that knows it.
    """

    orchestrator: Orchestrator
    store: Store
    runtimes: Mapping[Runtime, JobRuntime]
    artifacts: Artifacts
    clock: Clock
    settle: timedelta
    _after: tuple[str, str] = field(default=("", ""), init=False)
    _looked_at: dict[str, datetime] = field(default_factory=dict, init=False)
    _ended_at: dict[str, datetime] = field(default_factory=dict, init=False)
    _away: set[Runtime] = field(default_factory=set, init=False)

    def look(self) -> int:
        """How many attempts were found lost.

        Raises: TransientError (the store), never for a runtime that is away; PermanentError when a run can't be decided
        on, after all others have been looked at.
        """
        if not self.runtimes:
            return 0
        rows = self.store.open_attempts(after=self._after, limit=LOOKED_AT)
        self._after = (rows[-1].run, rows[-1].id) if len(rows) == LOOKED_AT else ("", "")
        self._away.clear()
        now = self.clock.now()
        self._forget(now)
        runs: dict[str, Run | None] = {}
        found = 0
        broken: PermanentError | None = None
        for row in rows:
            if now - self._looked_at.get(row.id, datetime.min.replace(tzinfo=now.tzinfo)) < LOOK_EVERY:
                continue
            if row.run not in runs:
                runs[row.run] = self._load(row.run)
            try:
                found += self._look_at(row, runs[row.run], now)
            except PermanentError as error:
                broken = error
        if broken is not None:
            raise broken
        return found

    def _load(self, run: str) -> Run | None:
        """None also for one that only a newer version can decide on."""
        try:
            return self.store.load(run)
        except Newer:
            return None

    def _look_at(self, row: AttemptRow, run: Run | None, now: datetime) -> bool:
        known = run.attempt(row.id) if run is not None else None
        if run is None or known is None:
            return False
        stage, _, attempt = known
        runtime = run.planned(stage.name).runtime
        if runtime not in self.runtimes or runtime in self._away:
            return False
        self._looked_at[row.id] = now
        try:
            state = self.runtimes[runtime].state(row.id)
        except (TransientError, PermanentError) as error:
            # It is not asked again in this sweep: each look may take as long as a request may.
            self._away.add(runtime)
            log.warning("a runtime can't be asked", runtime=runtime.value, reason=str(error))
            return False
        now = (
            self.clock.now()
        )  # what was asked before may have taken long, and its result gets its time from here on
        if state.phase != "ended":  # one that it does not know may not have been launched yet
            self._ended_at.pop(row.id, None)
            return False
        if state.since is not None:  # it may have been launched again since the last look
            self._ended_at[row.id] = min(state.since, now)
        ended_at = self._ended_at.setdefault(row.id, now)
        if now - max(ended_at, attempt.launched_at) < self.settle:
            return False
        self._keep_log(row, state)
        reason = state.reason or "its job has ended and has said nothing"
        return bool(self.orchestrator.job_ended(row.run, row.id, reason).events)

    def _keep_log(self, row: AttemptRow, state: JobState) -> None:
        """The job's last words, where the attempt has no log of its own. Saying them twice comes to the same."""
        if not state.log:
            return
        key = attempt_key(row.run, row.task, row.number)
        try:
            if next(iter(self.artifacts.list(key)), None) is None:
                self.artifacts.append(key, state.log.encode("utf-8", "replace")[-LOG_KEPT:])
        except (TransientError, PermanentError) as error:
            log.warning("a job's last words could not be kept", attempt=row.id, reason=str(error))

    def _forget(self, now: datetime) -> None:
        """Attempts that have not been looked at for long have ended."""
        old = [each for each, at in list(self._looked_at.items()) if now - at > timedelta(minutes=10)]
        for each in old:
            self._looked_at.pop(each, None)
            self._ended_at.pop(each, None)

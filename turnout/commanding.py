"""The use case of a person who asks for something: a run, its end, another try, an approval.

Whoever calls has checked that the person may ask; what the person may decide within a run is checked by the decider.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.ids import derive, message_id, run_id
from turnout.core.ports import Clock, Commit, Producer, Store
from turnout.core.run import Run
from turnout.core.topics import PIPELINE_EVENTS
from turnout.publishing import publish


@dataclass(frozen=True)
class Commands:
    """``source`` names the sender in the envelopes. ``producer`` is None where the store's outbox is the log.

    ``key``: what is asked for by the same person with the same key is done once; empty: it is asked for anew.
    """

    store: Store
    producer: Producer | None
    clock: Clock
    source: str = "/turnout/cli"

    def request_run(self, change: Change, by: str, pipeline_file: str = "", *, key: str = "") -> str:
        """The id of the run that is to come."""
        now = self.clock.now()
        at = "" if key else change.sha  # a branch may have moved on since it was asked for first
        trigger = derive("manual", change.repository, at, by, *_cause(key, now))
        message = m.RunRequested(trigger=trigger, change=change, requested_by=by, pipeline_file=pipeline_file)
        self._send(message, trigger, change.repository, now)
        return run_id(trigger)

    def cancel(self, run: Run, by: str, reason: str = "", *, key: str = "") -> None:
        self._about(run, m.CancelRun(run=run.id, by=by, reason=reason), by, key)

    def approve(
        self, run: Run, stage: str, by: str, comment: str = "", *, teams: tuple[str, ...] = (), key: str = ""
    ) -> None:
        """``teams``: the ``@org/team`` that the person is known to belong to."""
        self._about(run, m.Approve(run=run.id, stage=stage, by=by, teams=teams, comment=comment), by, key)

    def reject(
        self, run: Run, stage: str, by: str, comment: str = "", *, teams: tuple[str, ...] = (), key: str = ""
    ) -> None:
        self._about(run, m.Reject(run=run.id, stage=stage, by=by, teams=teams, comment=comment), by, key)

    def rerun(self, run: Run, by: str, *, failed: bool = False, stage: str = "", key: str = "") -> str:
        """The id of the new run: one ``stage``, from the ``failed`` ones on, or the whole."""
        now = self.clock.now()
        trigger = derive("rerun", run.id, by, *_cause(key, now))
        mode = "stage" if stage else ("failed" if failed else "whole")
        message = m.RerunRun.model_validate(
            {"run": run.id, "trigger": trigger, "mode": mode, "by": by, "stage": stage}
        )
        self._send(message, trigger, run.change.repository, now)
        return run_id(trigger)

    def heard(self, kind: type[m.Message], run: Run, by: str, key: str) -> bool:
        """Whether what was asked for with this key has been handled: how things stand now is its doing, perhaps."""
        return bool(key) and self.store.seen(message_id(kind.type, run.id, by, "key", key))

    def _about(self, run: Run, message: m.Message, by: str, key: str) -> None:
        now = self.clock.now()
        id = message_id(message.type, run.id, by, *_cause(key, now))
        self._send(message, id, run.change.repository, now)

    def _send(self, message: m.Message, id: str, key: str, now: datetime) -> None:
        """Raises: TransientError when the broker does not take it; it is in the outbox then, and will be sent."""
        record = m.wrap(message, id=id, source=self.source, at=now).to_record(PIPELINE_EVENTS, key)
        rows = self.store.commit(Commit(None, 0, (), (record,), now))
        publish(rows, self.store, self.producer, self.clock)


def _cause(key: str, now: datetime) -> tuple[str, ...]:
    return ("key", key) if key else (now.isoformat(),)

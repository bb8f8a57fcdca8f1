"""The use case of the launcher: a task whose runtime launches jobs is launched, once, or cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from turnout.core import messages as m
from turnout.core.envelope import Envelope
from turnout.core.errors import InvalidEnvelope
from turnout.core.model import Runtime
from turnout.core.ports import JobRuntime


@dataclass(frozen=True)
class Launcher:
    """``runtimes``: those that this launcher serves; tasks for others belong to resident agents."""

    runtimes: Mapping[Runtime, JobRuntime]

    def handle(self, envelope: Envelope) -> bool:
        """Whether something was done. Raises: InvalidEnvelope, TransientError, PermanentError."""
        message = m.parse(envelope)
        match message:
            case m.TaskRequested():
                runtime = self.runtimes.get(message.runtime)
                return runtime.launch(message) if runtime else False
            case m.CancelTask():
                for each in self.runtimes.values():
                    each.cancel(message.attempt)
                return bool(self.runtimes)
            case _:
                raise InvalidEnvelope(f"type: {message.type} is no message for the launcher")

"""What a job is launched with."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnout.core import messages as m
from turnout.core.events import Timing
from turnout.core.policy import gateway_token, pass_expiry
from turnout.core.ports import Clock


@dataclass(frozen=True)
class Passes:
    """``url``: of the gateway, as the job reaches it."""

    url: str
    key: bytes
    clock: Clock
    timing: Timing = field(default_factory=Timing)

    def environment(self, task: m.TaskRequested) -> dict[str, str]:
        """Everything that the job of this attempt may know, as environment variables."""
        expires = pass_expiry(self.timing, task.timeout, self.clock.now())
        return {
            "TURNOUT_GATEWAY_URL": self.url,
            "TURNOUT_ATTEMPT": task.attempt,
            "TURNOUT_ATTEMPT_TOKEN": gateway_token(self.key, task.attempt, expires),
        }

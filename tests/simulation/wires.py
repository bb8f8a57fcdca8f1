"""The ports of one process, with everything that can go wrong between it and the world.

A port is wrapped by the names of its protocol, so that no method is forgotten: `Wire.port` refuses a method that it was
not told the faults of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from tests.simulation.faults import LOCAL, PUBLISH, READ, SAY, WRITE, Fault, Faults
from tests.simulation.kernel import Died, Process
from turnout.core.errors import TransientError, TurnoutError

T = TypeVar("T")
Kinds = tuple[Fault, ...]

STORE: Mapping[str, Kinds] = {
    **dict.fromkeys(
        (
            "seen", "load", "unpublished", "last_heard", "due", "next_due", "group_runs", "previous_outcome",
            "run_of", "unfinished_launches", "unanswered", "events", "runs", "find_runs", "attempts", "deliveries",
            "find_report", "environments", "open_attempts", "attestations",
            "attestations_of",
        ),
        READ,
    ),
    **dict.fromkeys(
        (
            "commit", "mark_published", "heartbeat", "receive", "update_delivery", "reserve_report", "record_report",
            "settle_reports",
            "prune", "close",
        ),
        WRITE,
    ),
}  # fmt: skip
PRODUCER: Mapping[str, Kinds] = {"publish": PUBLISH, "close": ()}
CLAIMS: Mapping[str, Kinds] = dict.fromkeys(
    ("claim", "release", "state", "running", "finished", "cancel", "cancelled", "orphans", "prune"), LOCAL
)
CHAT: Mapping[str, Kinds] = {
    **dict.fromkeys(("post", "reply", "update"), WRITE), **dict.fromkeys(("find", "find_reply"), READ)
}  # fmt: skip
ARTIFACTS: Mapping[str, Kinds] = {
    **dict.fromkeys(("get", "list", "size", "usage", "upload_url"), READ),
    **dict.fromkeys(("put", "append", "append_at", "put_stream"), WRITE),
}
SECRETS: Mapping[str, Kinds] = {"resolve": SAY}
JOBS: Mapping[str, Kinds] = {"launch": WRITE, "cancel": WRITE, "state": READ}
MISSED: Mapping[str, Kinds] = {
    **dict.fromkeys(("known", "unseen", "missed", "marks"), READ),
    **dict.fromkeys(("miss", "claim", "unclaim", "refuse", "settle", "forget", "turn", "mark"), WRITE),
}
HOOKS: Mapping[str, Kinds] = {**dict.fromkeys(("hooks", "page", "heads"), READ), "again": WRITE}
POLL: Kinds = READ
POSITIONS: Kinds = WRITE
PLAN: Kinds = SAY

_QUICK = {
    "seen",
    "last_heard",
    "find_report",
    "claim",
    "release",
    "state",
    "running",
    "finished",
    "cancelled",
    "close",
}
"""Nobody else's doing between these and what comes next makes a difference worth a step of the scheduler."""


class Unheard(TransientError):
    """It was done, and the answer was lost."""


class Wire:
    """What a process reaches the world through. ``tell`` takes a sentence for the story; None: nobody listens."""

    def __init__(self, process: Process, faults: Faults, tell: Callable[[str, str], None] | None) -> None:
        self.process = process
        self.faults = faults
        self.tell = tell

    def port(self, inner: object, target: str, methods: Mapping[str, Kinds]) -> Any:
        """``inner`` with faults at each of its methods."""
        return _Port(self, inner, target, methods)

    def call(
        self,
        target: str,
        name: str,
        kinds: Kinds,
        effect: Callable[[], T],
        badly: Callable[[Fault], T] | None = None,
    ) -> T:
        """Do ``effect``, unless something goes wrong; ``badly``: what a fault makes of it that only the port knows.

        Raises: Died; TransientError; what ``effect`` raises.
        """
        process = self.process
        kernel, chance = process.kernel, process.chance
        if not process.alive:
            raise Died
        if name not in _QUICK:
            kernel.sleep(0.001 + 0.008 * chance.random())
        if self.faults.cut(process.name, target, kernel.now):
            kernel.sleep(1.0 + chance.random())
            raise TransientError(f"{target} is not reachable")
        fault = self.faults.strike(process, kinds)
        if fault is None:
            found = effect()
            if kinds is WRITE or kinds is PUBLISH:
                kernel.sleep(0.001 + 0.004 * chance.random())
            return found
        return self._suffer(fault, target, name, effect, badly)

    def die(self) -> Died:
        self.process.kernel.kill(self.process)
        return Died()

    def _suffer(
        self,
        fault: Fault,
        target: str,
        name: str,
        effect: Callable[[], T],
        badly: Callable[[Fault], T] | None,
    ) -> T:
        kernel = self.process.kernel
        chance = kernel.chance_of(f"suffering of {self.process.name}")
        if self.tell is not None:
            self.tell(self.process.name, fault.value.format(what=f"{name} ({target})"))
        match fault:
            case Fault.CRASH_BEFORE:
                raise self.die()
            case Fault.CRASH_AFTER:
                try:
                    effect()
                except TurnoutError:
                    pass  # nobody is left to hear of it
                raise self.die()
            case Fault.REFUSED:
                kernel.sleep(chance.random())
                raise TransientError(f"{target} did not answer")
            case Fault.UNKNOWN:
                effect()
                kernel.sleep(chance.random())
                raise Unheard(f"{target} did not say that it was done")
            case Fault.SLOW:
                kernel.sleep(0.5 + 20.0 * chance.random() ** 3)
                return effect()
            case Fault.TWICE | Fault.HALF:
                assert badly is not None, f"{fault} at {name}"
                return badly(fault)


class _Port:
    """Each method is wrapped when it is first asked for."""

    def __init__(self, wire: Wire, inner: object, target: str, methods: Mapping[str, Kinds]) -> None:
        self._wire = wire
        self._inner = inner
        self._target = target
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        kinds = self._methods.get(name)
        if kinds is None:
            raise AttributeError(
                f"the port {self._target} has no {name}, or nobody has said what can go wrong with it"
            )
        found = partial(_through, self._wire, self._target, name, kinds, getattr(self._inner, name))
        setattr(self, name, found)
        return found


def _through(
    wire: Wire, target: str, name: str, kinds: Kinds, method: Callable[..., Any], /, *args: Any, **more: Any
) -> Any:
    return wire.call(target, name, kinds, partial(method, *args, **more))

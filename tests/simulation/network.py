"""Calls of functions over the network: to any instance, with an answer, a late one, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.simulation.faults import POST
from tests.simulation.kernel import Kernel, Process, Task
from tests.simulation.wires import Unheard, Wire
from turnout.core.envelope import Received
from turnout.core.errors import TransientError
from turnout.core.posting import Reply, Route, Unanswered, Unreachable

TIMEOUT = 12.0
"""Seconds for one answer of a function."""


@dataclass(slots=True)
class Call:
    caller: Task
    reply: Reply | None = None


@dataclass
class Instance:
    """A process that serves a function."""

    process: Process
    serve: Callable[[Any], Reply]
    calls: list[Call] = field(default_factory=list)


class Network:
    """``functions``: the instances of each that live."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.functions: dict[str, list[Instance]] = {}

    def serve(self, wire: Wire, function: str, handle: Callable[[Any], Reply]) -> None:
        instance = Instance(wire.process, handle)
        self.functions.setdefault(function, []).append(instance)
        wire.process.on_death.insert(0, partial(self._hang_up, function, instance))

    def _hang_up(self, function: str, instance: Instance) -> None:
        self.functions[function].remove(instance)
        for call in instance.calls:
            call.reply = Unanswered("the connection was reset")
            self.kernel.wake(call.caller)

    def ask(self, wire: Wire, function: str, request: Any, timeout: float = TIMEOUT) -> Reply:
        """Call a function over the network."""
        send = partial(self._send, wire, function, request, timeout)

        def twice(_fault: object) -> Reply:
            send()
            return send()

        try:
            return wire.call(function, "post", POST, send, twice)
        except Unheard as error:
            return Unanswered(error.message)
        except TransientError as error:
            return Unreachable(error.message)

    def _send(self, wire: Wire, function: str, request: Any, timeout: float) -> Reply:
        instances = self.functions.get(function)
        if not instances:
            return Unreachable("nobody listens")
        instance = instances[int(wire.process.chance.random() * len(instances))]
        caller = self.kernel.task
        assert caller is not None
        call = Call(caller)
        instance.calls.append(call)
        self.kernel.spawn(instance.process, partial(self._answer, instance, call, request), "call")
        self.kernel.wait(timeout)
        if call in instance.calls:
            instance.calls.remove(call)
        return call.reply or Unanswered("no answer in time")

    def _answer(self, instance: Instance, call: Call, request: Any) -> None:
        call.reply = instance.serve(request)
        if call in instance.calls:
            self.kernel.wake(call.caller, 0.002)


class Poster:
    """`turnout.adapters.http_poster.HttpPoster`, without HTTP."""

    def __init__(self, network: Network, wire: Wire) -> None:
        self._network = network
        self._wire = wire

    def post(self, route: Route, received: Received) -> Reply:
        return self._network.ask(self._wire, route.url.removeprefix("http://"), received, route.timeout)

    def close(self) -> None: ...

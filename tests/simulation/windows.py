"""What goes wrong for a while: the longer faults of a scenario, when their time comes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.simulation.buses import SESSION
from tests.simulation.faults import Window
from tests.simulation.kernel import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

FUNCTIONS = "functions"
"""The dispatchers' group."""


def begin(world: World, window: Window) -> None:
    if world.story is not None:
        world.tell("the world", str(window))
    chance, now = world.kernel.chance_of(window.id), world.kernel.now
    those = sorted(each for each in world.processes if each.startswith(window.whom))
    process = world.processes[chance.choice(those)] if those else None
    match window.what:
        case "kill" if process is not None:
            world.kernel.kill(process)
        case "stop" if process is not None and process.stop is not None:
            process.stop()
        case "pause" if process is not None:
            process.frozen_until = window.end
            _silent(world, process, window.end - now)
        case "cut" if process is not None:
            world.faults.cuts[(process.name, window.target)] = window.end
            if window.target == "bus":
                _silent(world, process, window.end - now)
        case "outage":
            world.faults.cuts[("*", window.target)] = window.end
            if world.scenario.embedded and window.target == "store":
                world.faults.cuts[("*", "bus")] = window.end
        case "evict":
            members = [each for each in world.bus.members if each.group == window.whom]
            if members:
                world.bus.forget(chance.choice(members))
        case "rebalance":
            world.bus.rebalance_now(window.whom)
        case "go back" if len(world.homes) == 1 or window.whom == FUNCTIONS:
            world.bus.go_back(window.whom, chance.random())
        case "elect":
            world.bus.hidden[(window.whom, 0)] = window.end
            world.kernel.after(window.end - now, world.bus.show_all)
        case "wipe":
            world.wiped = True
            world.bus.wipe()
        case _:
            pass


def _silent(world: World, process: Process, seconds: float) -> None:
    """Whoever hears nothing of it for long takes it for dead."""
    if seconds > SESSION:
        for member in [each for each in world.bus.members if each.wire.process is process]:
            world.kernel.after(SESSION, partial(world.bus.forget, member))

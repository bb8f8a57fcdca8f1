"""Called by the scheduler: fires what is due, finds what was lost, publishes what a crash left behind."""

from __future__ import annotations

import functions_framework
from flask import Request

from turnout.serving import honest_answer
from turnout.wiring import wiring


@functions_framework.http
def sweeper(_request: Request) -> dict[str, int]:
    with honest_answer():
        return wiring().sweeper.sweep()

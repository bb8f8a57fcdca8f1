"""Called by the scheduler: fires what is due, finds what was lost, publishes what a crash left behind."""

from __future__ import annotations

import os

import functions_framework
from flask import Request

from turnout.adapters.settings import read_settings
from turnout.serving import admit, honest_answer
from turnout.wiring import wiring

read_settings(os.environ)  # what is wrong with them ends the start, and the version before goes on serving


@functions_framework.http
def sweeper(request: Request) -> dict[str, int]:
    admit(request)
    with honest_answer():
        return wiring().sweeper.sweep()

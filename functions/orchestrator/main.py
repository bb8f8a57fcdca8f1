"""Takes what happened (``pipeline.events``, ``agent.results``) and decides what follows."""

from __future__ import annotations

import os

import functions_framework

from turnout.adapters.settings import read_settings
from turnout.core.envelope import Envelope
from turnout.serving import answering
from turnout.wiring import wiring

read_settings(os.environ)  # what is wrong with them ends the start, and the version before goes on serving


@functions_framework.http
@answering
def orchestrator(envelope: Envelope) -> None:
    wiring().orchestrator.handle(envelope)

"""Takes what happened (``pipeline.events``, ``agent.results``) and decides what follows."""

from __future__ import annotations

import functions_framework

from turnout.core.envelope import Envelope
from turnout.serving import answering
from turnout.wiring import wiring


@functions_framework.http
@answering
def orchestrator(envelope: Envelope) -> None:
    wiring().orchestrator.handle(envelope)

"""Takes facts (``agent.report``) and tells people."""

from __future__ import annotations

import functions_framework

from turnout.core.envelope import Envelope
from turnout.serving import answering
from turnout.wiring import wiring


@functions_framework.http
@answering
def reporter(envelope: Envelope) -> None:
    wiring().reporter.handle(envelope)

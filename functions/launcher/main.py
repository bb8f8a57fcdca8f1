"""Takes tasks (``agent.<kind>``) whose runtime launches jobs, and launches or cancels them."""

from __future__ import annotations

import functions_framework

from turnout.core.envelope import Envelope
from turnout.serving import answering
from turnout.wiring import wiring


@functions_framework.http
@answering
def launcher(envelope: Envelope) -> None:
    wiring().launcher.handle(envelope)

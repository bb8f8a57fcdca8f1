"""Takes tasks (``agent.<kind>``) whose runtime launches jobs, and launches or cancels them."""

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
def launcher(envelope: Envelope) -> None:
    wiring().launcher.handle(envelope)

"""Takes facts (``agent.report``) and tells people."""

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
def reporter(envelope: Envelope) -> None:
    wiring().reporter.handle(envelope)

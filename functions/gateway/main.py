"""The only door of launched jobs: ``/attempts/<attempt>/…``, opened by the attempt's pass (docs/gateway.md)."""

from __future__ import annotations

import os

import functions_framework
from flask import Request, Response

from functions.gateway.door import answered
from turnout.adapters.settings import read_settings
from turnout.wiring import wiring

read_settings(os.environ)  # what is wrong with them ends the start, and the version before goes on serving


@functions_framework.http
def gateway(request: Request) -> Response:
    return answered(request, lambda: wiring().gateway)

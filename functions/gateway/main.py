"""The only door of launched jobs: ``/attempts/<attempt>/…``, opened by the attempt's pass (docs/gateway.md)."""

from __future__ import annotations

import functions_framework
from flask import Request, Response

from functions.gateway.door import answered
from turnout.wiring import wiring


@functions_framework.http
def gateway(request: Request) -> Response:
    return answered(request, lambda: wiring().gateway)

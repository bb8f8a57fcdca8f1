"""``/metrics``, for Prometheus: with a token of the scope ``metrics``, or whoever may see every project."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from turnout.console.identity import viewer
from turnout.core.access import Viewer
from turnout.wiring import Wiring

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def metrics(request: Request, who: Annotated[Viewer, Depends(viewer)]) -> Response:
    from turnout.metering import CONTENT_TYPE

    if not who.scrapes:
        raise HTTPException(403, "metrics are of every project: this needs a token of the scope `metrics`")
    parts: Wiring = request.app.state.wiring
    return Response(parts.metering.exposition(), media_type=CONTENT_TYPE)

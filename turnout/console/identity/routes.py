"""Everything about people that the console serves."""

from __future__ import annotations

from fastapi import APIRouter

from turnout.console.identity import api, keys, signing_in

router = APIRouter()
for each in (signing_in, keys, api):
    router.include_router(each.router)

"""What the system does besides runs: agents, broker, deliveries, ledger."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()

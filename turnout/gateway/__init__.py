"""What stands between launched jobs and everything else: their passes, and the use case that these open."""

from turnout.gateway.exchange import (
    Announced,
    Answer,
    Beat,
    CheckoutCredential,
    Chunk,
    Standing,
    Start,
)
from turnout.gateway.gateway import Gateway
from turnout.gateway.limits import MAX_CHUNK, MAX_RESULT, Limits
from turnout.gateway.passes import Passes
from turnout.gateway.refusals import Gap, NoPass, NotNow, NotWanted, TooLarge, TooMuch, WrongPass
from turnout.gateway.visits import Visit

__all__ = [
    "MAX_CHUNK",
    "MAX_RESULT",
    "Announced",
    "Answer",
    "Beat",
    "CheckoutCredential",
    "Chunk",
    "Gap",
    "Gateway",
    "Limits",
    "NoPass",
    "NotNow",
    "NotWanted",
    "Passes",
    "Standing",
    "Start",
    "TooLarge",
    "TooMuch",
    "Visit",
    "WrongPass",
]

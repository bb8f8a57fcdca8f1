"""What is asked and answered at the gateway, as values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from turnout.core.model import Value
from turnout.core.result import Result

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
State = Literal["waiting", "yours", "others"]


class Standing(Value):
    """``state``: whose the attempt is. ``waiting``: no start is recorded. ``stop``: why it is to end, empty: go on."""

    state: State
    stop: str = ""


class Start(Value):
    worker: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
    sandbox: Annotated[str, Field(max_length=1000)] = ""


class Beat(Value):
    """``number`` counts an attempt's heartbeats."""

    number: Annotated[int, Field(ge=0, le=2**53)]


class Chunk(Value):
    """``sequence`` counts the chunks from 0; ``offset``: bytes of the log before this one. ``text`` is masked."""

    sequence: Annotated[int, Field(ge=0, le=2**53)]
    offset: Annotated[int, Field(ge=0, le=2**53)]
    text: str


class Announced(Value):
    """A file to come; ``size`` in bytes."""

    name: Annotated[str, Field(min_length=1, max_length=500)]
    size: Annotated[int, Field(ge=0, le=2**53)]
    sha256: _Sha256
    media_type: Annotated[str, Field(pattern=r"^[\w.+-]+/[\w.+-]+(; ?[\w.+=\"-]+)*$", max_length=200)] = (
        "application/octet-stream"
    )


class Answer(Value):
    result: Result


class CheckoutCredential(Value):
    """What a remote asks for; short-lived."""

    username: str
    password: str = Field(repr=False)

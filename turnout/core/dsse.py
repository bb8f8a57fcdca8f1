"""Signed envelopes (DSSE), and what a task carries of them. Nothing here knows a key.

Source: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import ConfigDict, Field

from turnout.core.errors import PermanentError
from turnout.core.model import Value

STAGE = "stage:"
"""Before the name of a stage in what is required; anything else there is an agent's kind."""
IN_TOTO = "application/vnd.in-toto+json"
MAX_PAYLOAD = 2 * 1024 * 1024
"""Characters of one payload, in base64."""


class NotAttested(PermanentError):
    """What is claimed of an image is not proved: no statement, none that can be believed, or not the one wanted."""


class UnknownKey(NotAttested):
    """Signed, but by nobody who is believed."""


class _Foreign(Value):
    """Also written by others, who may have put more into it."""

    model_config = ConfigDict(extra="ignore")


class Signature(_Foreign):
    """``sig``: in base64. ``keyid`` only helps to find the key."""

    keyid: Annotated[str, Field(max_length=500)] = ""
    sig: Annotated[str, Field(max_length=5000)]


class Signed(_Foreign):
    """``payload``: in base64, the standard alphabet or that of URLs."""

    payload: Annotated[str, Field(max_length=MAX_PAYLOAD)]
    payload_type: Annotated[str, Field(alias="payloadType", max_length=200)]
    signatures: Annotated[tuple[Signature, ...], Field(min_length=1, max_length=20)]

    def content(self) -> bytes:
        """Raises: NotAttested."""
        return from_base64(self.payload)


class Attested(Value):
    """What the environment of a stage asks of an image, and what is known of those that the stage may mean.

    ``required``: what must have passed on it, an agent's kind (``build``) or ``stage:`` and a stage's name. ``keys``:
    the public keys that are believed, in PEM. ``left_out``: statements that there was no room for.
    """

    required: tuple[str, ...]
    keys: tuple[str, ...] = ()
    statements: tuple[Signed, ...] = ()
    left_out: int = 0


def pae(kind: str, content: bytes) -> bytes:
    """What is signed: the payload's type and the payload, each after its length."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(content), content)


def to_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def from_base64(text: str) -> bytes:
    """Raises: NotAttested."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise NotAttested("an envelope is no base64", "it is damaged: get it again") from error

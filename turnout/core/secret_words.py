"""Tokens that people carry: made so that they are known by their looks, and a mistyped one without asking anybody."""

from __future__ import annotations

import base64
import hashlib
import zlib

PREFIX = "turnout_"
_BODY = 52  # 32 bytes in base 32
_CHECK = 7  # 4 bytes


def spell(random: bytes) -> str:
    """``random``: 32 bytes of chance. Letters and digits only, so that a double click selects it whole."""
    body = _base32(random)
    return f"{PREFIX}{body}{_check(body)}"


def looks_right(token: str) -> bool:
    body, check = token[len(PREFIX) : -_CHECK], token[-_CHECK:]
    return token.startswith(PREFIX) and len(body) == _BODY and check == _check(body)


def digest(secret: str) -> str:
    """What is kept of it. SHA-256 is enough for what nobody can guess: there are no words to try."""
    return hashlib.sha256(secret.encode("utf-8", "backslashreplace")).hexdigest()


def short_id(digest: str) -> str:
    """What it is called by in lists; it gives nothing away."""
    return digest[:16]


def _check(body: str) -> str:
    return _base32(zlib.crc32(body.encode("utf-8", "backslashreplace")).to_bytes(4, "big"))


def _base32(given: bytes) -> str:
    return base64.b32encode(given).decode().lower().rstrip("=")

"""What a plain scalar of a YAML file means.

The core schema of YAML 1.2 (``on``, ``yes`` and ``no`` are text, ``0755`` is no octal number), less what JSON cannot
hold: infinities, not-a-number, and whole numbers of over 18 digits stay text.
Source: https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import math
import re

_TRUE, _FALSE = frozenset({"true", "True", "TRUE"}), frozenset({"false", "False", "FALSE"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_OCTAL, _HEX = re.compile(r"0o[0-7]{1,20}"), re.compile(r"0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar that is written as ``text``."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text[0] not in "-+.0123456789":
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text) and not text.lstrip("-+").isdigit():
        value = float(text)
        return value if math.isfinite(value) else text
    return text

"""JSON as the doors take it: UTF-8, at most 200 levels deep, no NaN, no infinity, no half of a surrogate pair.

What Python's own parser lets pass beyond that comes back later: as a RecursionError far from the door, as text that no
UTF-8 can hold, as a number that no database takes.
Source: RFC 8259, §8.1 (UTF-8, no byte order mark), §6 (numbers), §8.2 (unpaired surrogates).
"""

from __future__ import annotations

import math
import re
from typing import Any

from pydantic_core import from_json

_MAY_OVERFLOW = re.compile(rb"[eE]\+?\d{3}|\d{300}")


def read_json(text: bytes) -> Any:
    """Raises: ValueError saying what is wrong, and where."""
    found = from_json(text, allow_inf_nan=False)
    if _MAY_OVERFLOW.search(text) and _overflows(found):
        raise ValueError("a number is too large")
    return found


def _overflows(value: Any) -> bool:
    match value:
        case float():
            return not math.isfinite(value)
        case list():
            return any(_overflows(each) for each in value)
        case dict():
            return any(_overflows(each) for each in value.values())
        case _:
            return False

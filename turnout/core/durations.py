"""Durations and sizes as people write them: ``90s``, ``15m``, ``1h30m``; ``512Mi``, ``2Gi``; ``500m`` of a core."""

from __future__ import annotations

import re

MAX_DURATION = 30 * 24 * 3600.0
MAX_SIZE = 2**50

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}

DURATION_PATTERN = r"^([0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h|d))+$"
SIZE_PATTERN = r"^[0-9]{1,16}(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$"
CPU_PATTERN = r"^[0-9]{1,6}m$"

_DURATION = re.compile(DURATION_PATTERN)
_PART = re.compile(r"([0-9.]+)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,3})?)(Ki|Mi|Gi|Ti|k|M|G|T)?")


def parse_duration(text: str) -> float:
    """Seconds. Raises: ValueError."""
    if len(text) > 60 or not _DURATION.fullmatch(text):
        raise ValueError("expected a duration like 90s, 15m, 1h30m or 2d")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > MAX_DURATION:
        raise ValueError("expected a duration of at most 30d")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest way to write it: 5400 is ``1h30m``."""
    left = round(seconds * 1000)
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, left = divmod(left, round(_SECONDS[unit] * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Bytes. ``Ki``, ``Mi``, ``Gi`` count in 1024s; ``k``, ``M``, ``G`` in 1000s. Raises: ValueError."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("expected a size like 512Mi or 2Gi")
    size = round(float(found[1]) * _BYTES[found[2] or ""])
    if size > MAX_SIZE:
        raise ValueError("expected a size of at most 1024Ti")
    return size


def format_size(size: int) -> str:
    """The shortest exact way to write it: 2147483648 is ``2Gi``."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return str(size)


def parse_cpu(text: str) -> float:
    """Cores; ``500m`` is half a core. Raises: ValueError."""
    if not re.fullmatch(CPU_PATTERN, text):
        raise ValueError("expected cores like 2, 0.5 or 500m")
    return int(text[:-1]) / 1000

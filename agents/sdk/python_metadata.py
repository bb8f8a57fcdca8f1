"""Which requirements a project's own metadata names, with some of its extras.

Installing only these, and not the project with them, keeps it out of the resolution: a checkout without tags may call
itself 0.1, and pytest would not be installed beside a pluggy of that version.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agents.sdk.python_layer import normal

_EXTRA = re.compile(r"""\bextra\s*==\s*(['"])([^'"]*)\1""")
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_TRUE, _FALSE = "python_version > '0'", "python_version < '0'"


def wanted(name: str, requires: Sequence[str], extras: Sequence[str]) -> list[str]:
    """Requirement lines without ``extra`` in their markers, ready for an installer.

    ``requires``: the lines of ``Requires-Dist``. An extra that names extras of the project itself stands for these.
    Source: the core metadata specification, ``Provides-Extra``; PEP 508, environment markers.
    """
    chosen = {normal(extra) for extra in extras}
    while True:
        lines = [_decided(line, chosen) for line in requires]
        own = [line for line in lines if _is(line, name) and _FALSE not in line]
        more = {normal(extra.strip()) for line in own for extra in _extras(line)} - chosen
        if not more:
            return [line for line in lines if _FALSE not in line and not _is(line, name)]
        chosen |= more


def _decided(line: str, chosen: set[str]) -> str:
    return _EXTRA.sub(lambda match: _TRUE if normal(match[2]) in chosen else _FALSE, line)


def _is(line: str, name: str) -> bool:
    match = _NAME.match(line)
    return match is not None and normal(match[1]) == normal(name)


def _extras(line: str) -> list[str]:
    match = _NAME.match(line)
    return match[2].split(",") if match and match[2] else []

"""The file in which a script leaves its outputs, named by ``TURNOUT_OUTPUT``.

A line ``name=value``, or, for more than one line::

    name<<END
    first
    second
    END
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agents.sdk.workspace import AgentError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
MOST = 64
LONGEST = 16 * 1024  # bytes of one value
LARGEST = 64 * 1024  # bytes of the file

_HINT = "write lines like name=value to the file that TURNOUT_OUTPUT names"


def read_outputs(content: bytes, declared: Sequence[str]) -> dict[str, str]:
    """``declared``: the names that must be there, and no others; empty: any. A name written twice has the last value.

    Raises: AgentError with the line that is wrong.
    """
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise AgentError("outputs: the file is not UTF-8", _HINT) from error
    found: dict[str, str] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if not line.strip():
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if heredoc >= 0 and (equals < 0 or heredoc < equals):
            name, end = line[:heredoc], line[heredoc + 2 :]
            begun = number
            while number < len(lines) and lines[number] != end:
                number += 1
            if not end or number == len(lines):
                raise AgentError(f"outputs: line {begun}: {name!r} has no line {end!r} at its end", _HINT)
            value = "\n".join(lines[begun:number])
            number += 1
        elif equals >= 0:
            name, value = line[:equals], line[equals + 1 :]
        else:
            raise AgentError(f"outputs: line {number}: {line[:60]!r} has no '='", _HINT)
        _check(name, value, number)
        found[name] = value
    _compare(found, declared)
    return found


def _check(name: str, value: str, number: int) -> None:
    if not NAME.fullmatch(name):
        said = f"outputs: line {number}: {name[:60]!r} is no name: letters, digits and _, no digit first"
        raise AgentError(said, _HINT)
    if "\0" in value:
        raise AgentError(f"outputs: {name} has a NUL in it, which no variable can hold", "encode it")
    if len(value.encode()) > LONGEST:
        raise AgentError(
            f"outputs: {name} has {len(value.encode())} bytes, at most {LONGEST} are taken",
            "keep what is larger with with.artifacts",
        )


def _compare(found: dict[str, str], declared: Sequence[str]) -> None:
    if len(found) > MOST:
        raise AgentError(f"outputs: {len(found)} were written, at most {MOST} are taken", "write fewer")
    if not declared:
        return
    if missing := [name for name in declared if name not in found]:
        raise AgentError(f"outputs: the script did not write {', '.join(missing)}", _HINT)
    if unknown := [name for name in found if name not in declared]:
        raise AgentError(
            f"outputs: {', '.join(unknown)} written, but not declared", "name them in with.outputs"
        )

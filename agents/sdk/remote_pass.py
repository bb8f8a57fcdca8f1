"""What a launched job is given: where the gateway is, its attempt, and the attempt's pass; taken out of sight at once.

A variable that is removed is still in the memory that ``/proc/<pid>/environ`` shows to every process of the same user,
so the pass is overwritten there, and nobody but root may look into this process any more.
Source: proc_pid_environ(5), proc_pid_stat(5) (env_start, env_end), PR_SET_DUMPABLE(2const).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from turnout.core.errors import PermanentError

URL, ATTEMPT, TOKEN = "TURNOUT_GATEWAY_URL", "TURNOUT_ATTEMPT", "TURNOUT_ATTEMPT_TOKEN"
PR_SET_DUMPABLE = 4
_ENV_START, _ENV_END = 49, 50  # of the fields of /proc/self/stat, from 0


@dataclass(frozen=True)
class Pass:
    url: str
    attempt: str
    token: str = field(repr=False)


def take_pass(environ: MutableMapping[str, str] = os.environ) -> Pass:
    """Raises: PermanentError where something is missing."""
    token = environ.pop(TOKEN, "")
    file = environ.pop(f"{TOKEN}_FILE", "")
    forget(token)
    if not token and file:
        try:
            token = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise PermanentError(f"{TOKEN}_FILE: {file!r} can't be read", "mount it, readable") from error
    missing = [name for name in (URL, ATTEMPT) if not environ.get(name)] + ([] if token else [TOKEN])
    if missing:
        raise PermanentError(
            f"not set: {', '.join(missing)}",
            "a job is given them by whoever launches it, see docs/gateway.md",
        )
    return Pass(environ.pop(URL).rstrip("/"), environ.pop(ATTEMPT), token)


def forget(token: str) -> None:
    """Overwrite it where the kernel shows our first environment, and close this process to others of the same user."""
    if sys.platform != "linux":
        return
    start, end = _first_environment()
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)
    if not token or not start < end:
        return
    name = f"{TOKEN}={token}".encode("utf-8", "surrogateescape")
    at = ctypes.string_at(start, end - start).find(name)
    if at >= 0:
        ctypes.memset(start + at + len(TOKEN) + 1, ord("*"), len(name) - len(TOKEN) - 1)


def _first_environment() -> tuple[int, int]:
    """Addresses; the same where the kernel does not tell."""
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    found = [int(each) for each in fields[_ENV_START - 2 : _ENV_END - 1]]
    return found[0], found[1]

"""Which system a command is about: this home's, or that of a console somewhere else; and who signs in there."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from turnout.cli.finding import open_store
from turnout.core.errors import PermanentError
from turnout.reach import Reach
from turnout.wiring import wiring

REMOTE = "TURNOUT_REMOTE"
TOKEN = "TURNOUT_REMOTE_TOKEN"  # noqa: S105 - a variable's name
LOCAL = "local"


@dataclass
class SignedIn:
    """Where somebody has signed in. ``current``: the console that commands are about; empty: this home."""

    current: str = ""
    tokens: dict[str, str] = field(default_factory=dict)


def reach() -> Reach:
    """What `--remote`, TURNOUT_REMOTE or `turnout login` say, in this order; else this home.

    Raises: PermanentError for an address that no token may be sent to.
    """
    known = remembered()
    asked = os.environ.get(REMOTE, "") or known.current
    if not asked or asked == LOCAL:
        return here()
    from turnout.adapters.console_client import ConsoleClient, console_address
    from turnout.adapters.remote import Remote

    address = console_address(asked)
    return Remote(ConsoleClient(address, os.environ.get(TOKEN, "") or known.tokens.get(address, "")))


def elsewhere() -> bool:
    """Whether commands are about a console, where nothing else is said."""
    return (os.environ.get(REMOTE, "") or remembered().current) not in ("", LOCAL)


def here() -> Reach:
    """Where nothing has run yet on this machine, the store is a new and empty one."""
    from turnout.reach import Here
    from turnout.wiring.trying import simulating

    open_store()
    found = wiring()
    acting = replace(found.acting, commands=found.commands)
    return Here(found.looking, acting, lambda: found.auditing, lambda: simulating(found))


def remembered() -> SignedIn:
    """Raises: PermanentError when the file can't be read."""
    path = _path()
    try:
        said = json.loads(path.read_text())
        return SignedIn(str(said["current"]), {str(k): str(v) for k, v in said["tokens"].items()})
    except FileNotFoundError:
        return SignedIn()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PermanentError(
            f"{path} can't be read: {error}", "remove it, and `turnout login` again"
        ) from error


def remember(known: SignedIn) -> None:
    """For this user's eyes only. Raises: PermanentError."""
    path = _path()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"current": known.current, "tokens": known.tokens}, file)
        temporary.replace(path)
    except OSError as error:
        raise PermanentError(f"{path} can't be written: {error.strerror}", "set TURNOUT_HOME") from error


def _path() -> Path:
    return wiring().settings.home / "consoles.json"

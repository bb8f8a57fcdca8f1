"""`turnout login` and `turnout logout`."""

from __future__ import annotations

import sys

import typer
from rich.markup import escape

from turnout.adapters.console_client import ConsoleClient, console_address
from turnout.cli.reaching import remember, remembered
from turnout.cli.shown import console, print_json
from turnout.core.errors import PermanentError


def login(url: str, token: str, *, as_json: bool) -> int:
    """Raises: TurnoutError, and keeps nothing then."""
    address = console_address(url)
    token = token or _asked(address)
    who = str(ConsoleClient(address, token).get("me")["name"])
    known = remembered()
    known.current = address
    known.tokens[address] = token
    remember(known)
    if as_json:
        print_json({"console": address, "name": who})
    else:
        console.print(f"[green]✔[/] {escape(who)} at {escape(address)}")
        console.print(
            "  commands are about this console now; `turnout --remote local …` is about this machine"
        )
    return 0


def _asked(address: str) -> str:
    """From the terminal without an echo, or from what is piped in."""
    if sys.stdin.isatty():
        console.print(f"Make a token at {address}/settings/tokens (it needs the scopes of what you will do).")
        given = str(typer.prompt("Token", hide_input=True))
    else:
        given = sys.stdin.readline()
    if not given.strip():
        raise PermanentError("no token was given", f"make one at {address}/settings/tokens")
    return given.strip()


def logout(*, as_json: bool) -> int:
    """Forget the console that commands are about, and its token."""
    known = remembered()
    address = known.current
    if address:
        known.tokens.pop(address, None)
        known.current = ""
        remember(known)
    if as_json:
        print_json({"console": address})
    elif address:
        console.print(
            f"{escape(address)} is forgotten; remove the token at {escape(address)}/settings/tokens"
        )
    else:
        console.print("Nobody is signed in anywhere.")
    return 0

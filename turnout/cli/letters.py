"""`turnout dead-letters`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from turnout.cli.reaching import reach
from turnout.cli.shown import console, print_json
from turnout.core.dead_letters import DeadLetter
from turnout.core.errors import PermanentError


def letters(*, retry: bool, discard: bool = False, as_json: bool) -> None:
    """List what no function would take; with ``retry``, put all of it back where it came from; with ``discard``, give
    all of it up for good."""
    if retry and discard:
        raise PermanentError("--retry and --discard exclude each other", "give one of them")
    system = reach()
    found = system.sight.letters()
    sent = system.retry(found) if retry else 0
    gone = system.discard(found) if discard else 0
    if as_json:
        print_json({"letters": [_as_json(each) for each in found], "retried": sent, "discarded": gone})
        return
    if not found:
        console.print("No dead letters.")
        return
    table = Table("at", "topic", "key", "tries", "reason", box=None, pad_edge=False)
    for each in found:
        table.add_row(
            f"{each.at:%m-%d %H:%M:%S}",
            each.record.topic,
            each.record.key,
            str(each.tries),
            escape(each.reason),
        )
    console.print(table)
    if discard:
        console.print(f"{gone} given up for good.")
    if retry:
        console.print(
            f"{sent} put back; {len(found) - sent} could not be: their value was too large to keep."
        )


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    found = asdict(letter) | {
        "at": letter.at.isoformat(),
        "topic": letter.record.topic,
        "key": letter.record.key,
    }
    del found["record"]
    return found

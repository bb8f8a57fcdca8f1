"""Derived identifiers: the same cause always makes the same id.

Every id is a uuid5 (RFC 9562, §5.5) of what caused it, so that a redelivered webhook, a duplicated
message or a retried transaction cannot make a second one.
"""

from __future__ import annotations

from uuid import UUID, uuid5

NAMESPACE = UUID("6f1a3f5e-9d0b-5c5e-8a57-74756f6e7275")


def derive(*parts: object) -> str:
    """The id caused by ``parts``; parts are joined with an unambiguous separator.

    Lone surrogates, which JSON can carry and UTF-8 cannot, count as their escapes.
    """
    name = "\x1f".join(str(part) for part in parts)
    return str(uuid5(NAMESPACE, name.encode("utf-8", "backslashreplace").decode()))


def delivery_message_id(source: str, delivery: str) -> str:
    """The envelope id of the trigger that one webhook delivery becomes."""
    return derive("delivery", source, delivery)


def run_id(trigger_id: str) -> str:
    """The id of the run that one trigger (an envelope id) asks for."""
    return derive("run", trigger_id)


def attempt_id(run: str, task: str, number: int) -> str:
    return derive("attempt", run, task, number)


def message_id(kind: str, *cause: object) -> str:
    """The envelope id of a message of type ``kind`` that ``cause`` brought about."""
    return derive("message", kind, *cause)

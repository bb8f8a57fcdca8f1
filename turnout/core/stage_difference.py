"""How one stage differs from another, field by field, and what of it makes security weaker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.core.durations import format_duration, format_size
from turnout.core.model import Runtime
from turnout.core.plan import Approval, PlannedStage, Retries

_SEVERITIES = ("note", "low", "medium", "high", "critical", "never")
"""From what on a scan fails, the strictest first."""


@dataclass(frozen=True, slots=True)
class Field:
    """``old``, ``new``: as people read them, empty: there is none."""

    name: str
    old: str
    new: str
    weakens: bool = False


def fields_of(old: PlannedStage, new: PlannedStage) -> Iterator[Field]:
    """What differs between two that both run."""
    yield from _security(old, new)
    pairs = (
        ("agent", old.agent, new.agent),
        ("needs", ", ".join(old.needs), ", ".join(new.needs)),
        ("matrix", _cells(old), _cells(new)),
        ("retries", _retries(old.retries), _retries(new.retries)),
        ("timeout", format_duration(old.timeout), format_duration(new.timeout)),
        ("fail_fast", _yes(old.fail_fast), _yes(new.fail_fast)),
        ("cpu", _number(old.resources.cpu), _number(new.resources.cpu)),
        ("memory", _size(old.resources.memory), _size(new.resources.memory)),
        ("rollback", old.rollback, new.rollback),
    )
    for name, before, after in pairs:
        if before != after:
            scanned = name == "agent" and old.agent == "security"
            yield Field(name, before, after, weakens=scanned)
    yield from _mapped("env", old.env, new.env)
    scans = "security" in (old.agent, new.agent)
    for field in _mapped("with", _flat(old.options), _flat(new.options)):
        yield Field(field.name, field.old, field.new, weakens=scans and _laxer(field))


def security_of(new: PlannedStage) -> Iterator[Field]:
    """What a stage that comes anew brings along of what security asks after."""
    for secret in new.secrets:
        yield Field("secret", "", secret, weakens=True)
    if new.environment:
        yield Field("environment", "", new.environment, weakens=new.approval is None)
    if new.approval is not None:
        yield Field("approval", "", _approval(new.approval))
    if new.network:
        yield Field("network", "", "open")


def _security(old: PlannedStage, new: PlannedStage) -> Iterator[Field]:
    for secret in sorted({*old.secrets, *new.secrets}):
        if (secret in old.secrets) != (secret in new.secrets):
            gained = secret in new.secrets
            yield Field("secret", "" if gained else secret, secret if gained else "", weakens=gained)
    if old.environment != new.environment:
        yield Field("environment", old.environment, new.environment, weakens=bool(new.environment))
    if old.approval != new.approval:
        weakens = old.approval is not None and _easier(old.approval, new.approval)
        yield Field("approval", _approval(old.approval), _approval(new.approval), weakens=weakens)
    if old.attested != new.attested:
        lost = not set(old.attested) <= set(new.attested)
        yield Field("attested", ", ".join(old.attested), ", ".join(new.attested), weakens=lost)
    if old.network != new.network:
        yield Field("network", "open" * old.network, "open" * new.network, weakens=new.network)
    if old.runtime != new.runtime:
        yield Field("runtime", old.runtime.value, new.runtime.value, weakens=new.runtime is Runtime.PROCESS)
    if old.allow_failure != new.allow_failure:
        ignored = new.allow_failure and new.agent == "security"
        yield Field("allow_failure", _yes(old.allow_failure), _yes(new.allow_failure), weakens=ignored)


def _easier(old: Approval, new: Approval | None) -> bool:
    if new is None or new.required < old.required:
        return True
    return bool(old.by) and (not new.by or not set(new.by) <= set(old.by))


def _approval(approval: Approval | None) -> str:
    if approval is None:
        return ""
    by = " or ".join(approval.by) or "anyone who may"
    return f"{approval.required} by {by} within {format_duration(approval.expires)}"


def _laxer(field: Field) -> bool:
    """Of the security agent's options; those that only say where it looks are not judged."""
    match field.name.rpartition(".")[2]:
        case "fail_on" if field.new in _SEVERITIES:
            before = field.old if field.old in _SEVERITIES else "high"
            return _SEVERITIES.index(field.new) > _SEVERITIES.index(before)
        case "fail_on":
            return field.old in _SEVERITIES and _SEVERITIES.index(field.old) < _SEVERITIES.index("high")
        case "ignore" | "baseline":
            return bool(field.new)
        case "only_new":
            return field.new == "true"
        case _:
            return False


def _mapped(prefix: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Field]:
    for key in [*new, *(key for key in old if key not in new)]:
        if old.get(key) != new.get(key):
            before, after = (each[key] or "empty" if key in each else "" for each in (old, new))
            yield Field(f"{prefix}.{key}", before, after)


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested options by their path; lists as a whole."""
    found: dict[str, str] = {}
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = _shown(value)
    return found


def _shown(value: Any) -> str:
    match value:
        case bool():
            return _yes(value)
        case None:
            return "null"
        case "" | [] | ():
            return "empty"
        case str():
            return value
        case Sequence():
            return ", ".join(map(_shown, value))
        case _:
            return str(value)


def _cells(stage: PlannedStage) -> str:
    return ", ".join(task.id.removeprefix(stage.name) for task in stage.tasks if task.cell)


def _retries(retries: Retries) -> str:
    if not retries.max:
        return ""
    on = f" on {', '.join(retries.on)}" if retries.on != Retries().on else ""
    wait = f", after {format_duration(retries.backoff)} × {retries.factor:g}" if retries.backoff else ""
    return f"{retries.max}{on}{wait}"


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _number(value: float) -> str:
    return f"{value:g}" if value else ""


def _size(value: int) -> str:
    return format_size(value) if value else ""

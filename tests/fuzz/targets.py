"""What is fuzzed: by name, a function of bytes, and the errors that it may raise.

A target does what production does with the same bytes, and goes on with what was read for as long as the bytes still
decide what happens. What a target returns is of no interest; what it raises is: anything but ``may_raise`` is a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import doors, files, launched, logs, rules
from turnout.core.errors import TurnoutError

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True, slots=True)
class Target:
    """``words``: pieces that inputs of this kind are made of. ``longest``: bytes of an input worth trying."""

    read: Callable[[bytes], object]
    may_raise: tuple[type[Exception], ...] = (TurnoutError,)
    words: tuple[bytes, ...] = ()
    longest: int = 4096


_YAML = (
    b"&a",
    b"*a",
    b"<<: *a",
    b"- ",
    b": ",
    b"? ",
    b"|\n",
    b">\n",
    b"!!int ",
    b"!x ",
    b"\\0",
    b"[",
    b"]",
    b"{",
    b"}",
)
_PIPELINE = (
    *_YAML, b"pipeline:", b"stages:", b"name:", b"agent:", b"needs:", b"matrix:", b"when:", b"paths:", b"branch:",
    b"retries:", b"max:", b"backoff:", b"timeout:", b"with:", b"secrets:", b"approval:", b"rollback:", b"notify:",
    b"schedule:", b"concurrency:", b"group:", b"{ref}", b"resources:", b"memory:", b"cpu:", b"lint", b"deploy", b"**",
    b"1e400", b"0x1f", b"15m", b"2Gi", b"500m",
)  # fmt: skip
_PROJECT = (
    *_YAML, b"project:", b"repository:", b"acme/shop", b"clone_url:", b"provider:", b"branches:", b"protected:",
    b"secrets:", b"env:", b"file:", b"environments:", b"forks:", b"limits:", b"channels:", b"runtime:",
)  # fmt: skip
_JSON = (
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"1e400",
    b"NaN",
    b"-0",
    b"\\u0000",
    b"\\ud800",
)
_EVENT = (
    *_JSON, b"ce_id", b"ce_type", b"ce_source", b"ce_specversion", b"1.0", b"ce_time", b"content-type", b"\n\n",
    b"application/cloudevents+json", b"data_base64", b"turnout.run.requested", b"turnout.task.finished",
    b"turnout.task.requested", b"2026-01-01T00:00:00Z", b"0001-01-01T00:00:00+23:59", b"%00", b"%ED%A0%80",
)  # fmt: skip
_DELIVERY = (
    *_JSON, b"push\n", b"pull_request\n", b"refs/heads/", b"refs/tags/", b'"ref"', b'"before"', b'"after"',
    b'"commits"', b'"head_commit"', b'"repository"', b'"full_name"', b'"clone_url"', b"a" * 40, b"0" * 40, b'"added"',
    b"..", b"@{",
)  # fmt: skip
_REPORT = (
    *_JSON, *(name.encode() + b"\n" for name in files.REPORTS), b'"messages"', b'"filePath"', b'"line"',
    b'"testResults"', b'"duration"', b'"totals"', b'"outcome"', b'"when"', b'"path"', b'"kind"', b"hookFailed",
)  # fmt: skip

_GATEWAY = (
    *_JSON, b"GET /attempts/@", b"POST /attempts/@/", b"PUT /attempts/@/artifacts/", b"logs", b"finished", b"started",
    b"success", b"heartbeat", b"grants", b"baseline", b"task", b"authorization:", b"turnout-session:",
    b"turnout-sha256:",
    b"content-type:", b"content-length:", b'"offset"', b'"sequence"', b'"text"', b'"result"', b'"outcome"',
    b'"artifacts"', b'"key"', b'"sha256"', b'"name"', b'"size"', b"..", b"%2e%2e", b"v1.32472144000.",
)  # fmt: skip
_ANSWER = (
    *_JSON, b"200\n", b"409\n", b"410\n", b"503\n", b"retry-after:", b"content-encoding: gzip", b'"state"', b'"yours"',
    b'"waiting"', b'"stop"', b'"kind"', b'"gap"', b'"have"', b'"error"', b'"hint"', b'"secrets"', b'"credential"',
    b'"username"', b'"password"', b'"url"', b'"http://x/"', b'"file:///"', b'"text"', b"not_wanted", b"1e9999",
)  # fmt: skip

TARGETS: Mapping[str, Target] = {
    "yaml": Target(files.yaml, words=_YAML),
    "pipeline": Target(files.pipeline, words=_PIPELINE),
    "project": Target(files.project, words=_PROJECT),
    "envelope": Target(doors.envelope, words=_EVENT),
    "http_event": Target(doors.http_event, words=_EVENT),
    "message": Target(doors.message, words=_EVENT),
    "dead_letter": Target(doors.dead_letter, words=(*_EVENT, b"dlq_topic", b"dlq_redriven", b"dlq_offset")),
    "delivery": Target(doors.delivery, words=_DELIVERY),
    "webhook": Target(doors.webhook, may_raise=(), words=_DELIVERY),
    "gateway": Target(launched.gateway, may_raise=(), words=_GATEWAY),
    "gateway_answer": Target(launched.answer, may_raise=(), words=_ANSWER),
    "address": Target(
        doors.address, words=(b"https://", b"ssh://", b"file://", b"::", b"@", b":", b"~", b"[", b"%00")
    ),
    "channel": Target(doors.channel, may_raise=(ValueError,), words=_JSON),
    "glob": Target(
        rules.glob, may_raise=(ValueError,), words=(b"**", b"*", b"?", b"[", b"]", b"!", b"/", b"[!", b"\n")
    ),
    "field": Target(
        rules.field, may_raise=(ValueError,), words=(b"*/5", b"jan", b"mon", b"1-5", b"15m", b"2Gi", b"\n")
    ),
    "report": Target(files.report, words=_REPORT),
    "outputs": Target(files.outputs, words=(b"=", b"<<", b"\n", b"\0", b"\xe2\x80\xa8")),
    "python_project": Target(
        files.python_project, words=(b"[project]", b"[[package]]", b"dependencies", b"=", b"^1.2")
    ),
    "node_project": Target(files.node_project, words=_JSON),
    "log": Target(logs.log, words=(b"\x1b[", b"\x1b]0;", b"\0", b"\xf0\x9f", b"***", b"\n")),
    "artifact": Target(files.artifact, words=(b"..", b"/", b"\xed\xa0\x80", b"\0", b".")),
}


def seeds(name: str) -> list[Path]:
    """The inputs kept for a target, in the order of their names."""
    return sorted(each for each in (CORPUS / name).glob("*") if each.is_file())


def run(name: str, content: bytes) -> None:
    """Raises: whatever the target must not raise."""
    target = TARGETS[name]
    try:
        target.read(content)
    except target.may_raise as error:
        say(error)


def say(error: Exception) -> str:
    """What people would read of an error: it must be text that every channel can carry, and no book."""
    text = str(error)
    size = len(text.encode())
    if size > MOST_SAID:
        raise AssertionError(f"an error of {size} bytes: {text[:200]}")
    return text


MOST_SAID = 64 * 1024

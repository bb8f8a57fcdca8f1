"""What coverage does not lead to: structures that are right but for one thing, and names that git itself judges."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.sdk.masking import MASK, Masker, forms
from tests.core.test_messages import EXAMPLES
from tests.fuzz import targets
from tests.test_webhook import pull_request, push
from turnout.adapters.github_payload import read_payload
from turnout.core.errors import PermanentError

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, -1, 0, 2**31, 10**400, 1e308, "", "\0", "a\r\nb", "\ud800", "\ufeff", "../x", "-x", "x" * 3_000,
        [], {}, [[]], [{}], {"": {}}, "9" * 5_000, "2026-01-01", "0001-01-01T00:00:00+23:59", float("inf"),
    ]
)  # fmt: skip


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a JSON value, the whole among them."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(each for key, child in inside for each in places(child, (*way, key)))]


def changed(value: Any, way: tuple[Any, ...], into: Any) -> Any:
    if not way:
        return into
    copy = value.copy()
    copy[way[0]] = changed(value[way[0]], way[1:], into)
    return copy


def spoilt(whole: Any) -> st.SearchStrategy[Any]:
    """``whole`` with something odd in up to three places."""

    def spoil(some: list[tuple[tuple[Any, ...], Any]]) -> Any:
        found = whole
        for way, into in some:
            try:
                found = changed(found, way, into)
            except (TypeError, KeyError, IndexError, AttributeError):
                continue  # an odd value has taken the place where this one should go
        return found

    return st.lists(st.tuples(st.sampled_from(places(whole)), ODD), min_size=1, max_size=3).map(spoil)


MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(st.sampled_from(EXAMPLES).flatmap(lambda each: st.tuples(st.just(each.type), spoilt(each.to_json()))))
def test_a_message_with_something_odd_in_it_is_taken_whole_or_refused(drawn: tuple[str, Any]) -> None:
    kind, data = drawn
    targets.run("message", kind.encode() + b"\n" + json.dumps(data).encode())


@MANY
@given(
    st.one_of(
        spoilt(push()).map(lambda each: ("push", each)),
        spoilt(pull_request()).map(lambda each: ("pull_request", each)),
    )
)
def test_a_delivery_with_something_odd_in_it_is_taken_or_refused_and_never_a_defect(
    drawn: tuple[str, Any],
) -> None:
    event, payload = drawn
    body = json.dumps(payload).encode()
    targets.run("delivery", event.encode() + b"\n" + body)
    targets.run("webhook", f"X-GitHub-Event: {event}\nX-GitHub-Delivery: d\n\n".encode() + body)


REPORTS = {
    path.name: path.read_bytes().partition(b"\n")[2]
    for path in targets.seeds("report")
    if path.name in ("eslint", "pylint", "ruff", "jest", "istanbul")
}


@MANY
@given(
    st.sampled_from(sorted(REPORTS)).flatmap(
        lambda name: st.tuples(st.just(name), spoilt(json.loads(REPORTS[name])))
    )
)
def test_a_report_with_something_odd_in_it_becomes_a_result_or_an_error_of_the_tool(
    drawn: tuple[str, Any],
) -> None:
    name, content = drawn
    targets.run("report", name.encode() + b"\n" + json.dumps(content).encode())


# --- names of branches and tags -----------------------------------------------------------------------------------

NAMES = st.lists(
    st.sampled_from(
        [*"abc/.-_~^:?*[]{}@\\ \t\n\0#'\"$();&|<>!%+=,ü日", "..", "@{", ".lock", "//", "HEAD", "\x7f", "\u2028"]
    ),
    min_size=1,
    max_size=6,
).map("".join)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(NAMES)
def test_a_branch_is_one_to_us_if_and_only_if_it_is_one_to_git(name: str) -> None:
    if "\0" in name:
        allowed = False
    else:
        asked = ["git", "check-ref-format", f"refs/heads/{name}"]
        allowed = subprocess.run(asked, check=False, capture_output=True).returncode == 0
    body = json.dumps(push(ref=f"refs/heads/{name}")).encode()
    if allowed:
        read_payload("push", body)
    else:
        with pytest.raises(PermanentError):
            read_payload("push", body)


# --- secrets ------------------------------------------------------------------------------------------------------

SECRETS = st.lists(
    st.one_of(
        st.text("ab", min_size=4, max_size=12),  # periodic, and overlapping with others
        st.text(min_size=4, max_size=20),
        st.lists(st.text("abc \t", min_size=1, max_size=8), min_size=2, max_size=4).map("\n".join),
        st.sampled_from(
            ["****", "***x", "a%2Fb/c", '{"a": "b"}', "=====", "ab/+ab/+", "\\n\\n", "日本語です"]
        ),
    ),
    min_size=1,
    max_size=3,
    unique=True,
)


def _ways(secret: str) -> list[bytes]:
    return sorted(forms(secret)) or [secret.encode("utf-8", "replace")]


@settings(max_examples=150, deadline=None)
@given(SECRETS, st.data())
def test_no_form_of_any_secret_comes_through_however_the_stream_is_cut(
    secrets: list[str], data: st.DataObject
) -> None:
    masker = Masker({str(number): secret for number, secret in enumerate(secrets)})
    ways = [way for secret in secrets for way in _ways(secret)]
    draw: Callable[[Any], Any] = data.draw
    printed = b"".join(draw(st.lists(st.sampled_from(ways) | st.binary(max_size=4), max_size=6)))
    cuts = sorted(draw(st.lists(st.integers(0, len(printed)), max_size=8)))
    pieces = [printed[start:end] for start, end in zip([0, *cuts], [*cuts, len(printed)], strict=True)]
    shown = b"".join(masker.feed(piece) for piece in pieces) + masker.finish()
    assert shown == masker.whole(printed)
    for piece in shown.split(MASK):
        for secret in secrets:
            for form in forms(secret):
                assert form not in piece


def test_nothing_of_ours_reads_xml_so_no_entity_is_ever_resolved() -> None:
    """JUnit's XML is written here, from what the runners' own reporters say, and never read."""
    asked = [
        "git",
        "grep",
        "-nE",
        r"fromstring\(|ElementTree\.parse|xml\.parse\(|iterparse|minidom|xml\.sax|lxml|XMLParser",
    ]
    found = subprocess.run(
        [*asked, "--", "turnout", "agents", "functions"], check=False, capture_output=True, text=True
    )
    assert (found.returncode, found.stdout) == (1, "")

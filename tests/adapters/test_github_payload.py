from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.test_envelope import JSON
from tests.real import require
from tests.test_webhook import BEFORE, SHA, Door, pull_request, push
from turnout.adapters.github_payload import MAX_LISTED_COMMITS, read_payload
from turnout.core.change import Ask, Change, NoChange
from turnout.core.errors import PermanentError
from turnout.core.model import ChangeKind

LONG = "c" * 64


def read(payload: Any, event: str = "push") -> Change | NoChange | Ask:
    return read_payload(event, json.dumps(payload).encode())


def change(payload: Any, event: str = "push") -> Change:
    found = read(payload, event)
    assert isinstance(found, Change), found
    return found


def test_what_github_adds_at_will_is_left_alone() -> None:
    more = push(installation={"id": 7}, repository={**push()["repository"], "topics": ["tea"]})
    assert change(more) == change(push())


def test_the_title_is_the_first_line_of_the_newest_commits_message_and_not_too_long() -> None:
    head = {"id": SHA, "message": "x" * 500 + "\nmore\n" * 5000}
    found = change(push(head_commit=head))
    assert found.title == "x" * 200
    assert len(found.message) == 10_000


def test_without_a_sender_the_author_of_the_commit_is_named() -> None:
    found = change(push(sender={}))
    assert found.author == "Ada"
    assert change(push(sender={}, head_commit=None)).author == ""


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("2026-03-02T14:00:00+02:00", "2026-03-02T12:00:00+00:00"),
        ("2026-03-02T12:00:00Z", "2026-03-02T12:00:00+00:00"),
        ("2026-03-02T12:00:00", ""),
        ("0001-01-01T00:00:00+14:00", ""),
        ("yesterday", ""),
        (None, ""),
    ],
)
def test_when_the_newest_commit_was_made_is_known_where_that_is_a_time(said: str | None, known: str) -> None:
    at = change(push(head_commit={"timestamp": said})).committed_at
    assert at == (datetime.fromisoformat(known) if known else None)


@pytest.mark.parametrize(
    ("said", "known"),
    [(1557933657, True), ("2019-05-15T15:20:57Z", False), (True, False), (-1, False), (None, False)],
)
def test_when_a_branch_was_pushed_to_is_known_where_that_is_a_time(said: object, known: bool) -> None:
    payload = push()
    payload["repository"]["pushed_at"] = said
    at = datetime(2019, 5, 15, 15, 20, 57, tzinfo=UTC) if known else None
    assert change(payload).moved_at == at


def test_a_new_branch_is_compared_with_the_default_branch_and_the_default_branch_with_nothing() -> None:
    new = {"before": "0" * 40}
    assert change(push(ref="refs/heads/tea", **new)).base_branch == "main"
    assert change(push(ref="refs/heads/main", **new)).base_branch == ""
    assert change(push(ref="refs/heads/tea")).base_branch == ""
    assert change(push(**new)).before == ""


def test_a_branch_may_have_slashes_in_its_name() -> None:
    assert change(push(ref="refs/heads/release/1.x")).branch == "release/1.x"


def test_files_of_all_commits_are_told_once_each() -> None:
    commits = [{"added": ["b", "a"], "removed": ["c"]}, {"modified": ["a"]}]
    assert change(push(commits=commits)).paths == ("a", "b", "c")
    assert (
        change(push(commits=[{"added": [str(n)]} for n in range(MAX_LISTED_COMMITS - 1)])).paths is not None
    )


def test_commits_of_repositories_with_sha256_are_understood() -> None:
    found = change(push(before="0" * 64, after=LONG, head_commit={"id": LONG}))
    assert (found.sha, found.before) == (LONG, "")


@pytest.mark.parametrize("ref", ["refs/notes/commits", "refs/changes/1/1"])
def test_a_ref_that_is_neither_branch_nor_tag_starts_nothing(ref: str) -> None:
    found = read(push(ref=ref))
    assert isinstance(found, NoChange)
    assert found.reason == f"{ref} is neither a branch nor a tag"


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (push(ref="main"), "ref: String should match pattern '^refs/', got 'main'"),
        (push(after="HEAD"), "after: String should match pattern"),
        (push(before=""), "before: String should match pattern"),
        (push(repository={"full_name": "shop", "clone_url": "u"}), "repository.full_name: "),
        (push(repository={"full_name": "a/b/c", "clone_url": "u"}), "repository.full_name: "),
        (push(repository={"full_name": "a/b"}), "repository.clone_url: Field required"),
        (push(commits=[{"added": [7]}]), "commits.0.added.0: Input should be a valid string, got '7'"),
    ],
)
def test_a_field_that_is_wrong_is_named(payload: Any, said: str) -> None:
    with pytest.raises(PermanentError) as caught:
        read(payload)
    assert caught.value.message.startswith(said)


BAD_REFS = [
    "",
    "a..b",
    "a b",
    "a\0b",
    "a\nb",
    "-/.x",
    "a.lock",
    "a.lock/b",
    "a/",
    "/a",
    "a//b",
    "a@{1}",
    "a.",
    "x\\y",
    "*",
]


@pytest.mark.parametrize("name", BAD_REFS)
def test_a_name_that_git_allows_to_no_ref_is_refused(name: str) -> None:
    head = {"ref": name, "sha": SHA, "repo": None}
    request = {**pull_request()["pull_request"], "head": head}
    for payload, event in (
        (push(ref=f"refs/heads/{name}"), "push"),
        (push(ref=f"refs/tags/{name}"), "push"),
        (pull_request() | {"pull_request": request}, "pull_request"),
    ):
        with pytest.raises(PermanentError, match="git allows no such name of a ref"):
            read(payload, event)


@pytest.mark.parametrize(
    "name", ["-x", "ü/日本", "a'b", "$(id)", "a;b", "#7", "HEAD", "a@b", "{x}", "a.b", '"']
)
def test_a_name_that_looks_odd_but_is_one_to_git_is_taken(name: str) -> None:
    assert change(push(ref=f"refs/heads/{name}")).branch == name


@pytest.mark.parametrize("sha", ["--upload-pack=id", "HEAD", "a" * 39, "A" * 40, "a" * 40 + "\n"])
def test_a_commit_that_is_no_commit_id_is_refused(sha: str) -> None:
    with pytest.raises(PermanentError, match=r"head_commit\.id"):
        read(push(head_commit={"id": sha}))


def test_text_that_no_table_takes_is_made_whole() -> None:
    found = change(push(head_commit={"id": SHA, "message": "a\0b \ud800 ü"}, sender={"login": "a\0"}))
    assert (found.title, found.author) == ("a\ufffdb ? ü", "a\ufffd")


def test_a_push_of_more_files_than_a_message_can_carry_leaves_them_for_git_to_tell() -> None:
    for names in ([f"vendor/{n}" for n in range(3_001)], ["x" * 4_000 + str(n) for n in range(60)]):
        assert change(push(commits=[{"added": names}])).paths is None


def test_a_field_that_is_a_heap_of_something_else_is_refused_quickly_and_told_in_short() -> None:
    heap: Any = []
    for _ in range(500):
        heap = [heap]
    for payload in (push(ref=heap), push(commits=[{"added": [1] * 100_000}]), push(commits=[{}] * 3_000)):
        with pytest.raises(PermanentError) as caught:
            read(payload)
        assert len(caught.value.message) < 250


def test_what_is_told_of_a_wrong_payload_is_short() -> None:
    with pytest.raises(PermanentError) as caught:
        read({"secret": "x" * 10_000, "ref": "y" * 10_000})
    assert len(caught.value.message) < 250


def test_a_form_is_not_json_and_the_hint_says_what_to_set() -> None:
    with pytest.raises(PermanentError, match="the body is not JSON") as caught:
        read_payload("push", b"payload=%7B%22ref%22%3A1%7D")
    assert caught.value.hint == "set the webhook's content type to application/json"


@pytest.mark.parametrize("action", ["opened", "synchronize", "reopened"])
def test_a_pull_request_that_has_new_code_is_a_change(action: str) -> None:
    found = change(pull_request(action), "pull_request")
    assert (found.kind, found.before, found.branch) == (ChangeKind.PULL_REQUEST, BEFORE, "cups")
    assert (found.author, found.title, found.url) == ("grace", "Sell cups", "https://example.org/7")


def test_a_pull_request_of_a_user_who_is_gone_has_no_author() -> None:
    payload = pull_request()
    payload["pull_request"]["user"] = None
    assert change(payload, "pull_request").author == ""


def test_a_repository_is_never_taken_for_its_fork_for_the_letter_case_of_its_name() -> None:
    assert not change(pull_request(head="Acme/Shop"), "pull_request").fork


def test_an_event_of_an_organisation_has_no_repository() -> None:
    for payload in ({}, {"repository": None}, {"repository": 7}, {"repository": {"full_name": 1}}):
        found = read(payload, "membership")
        assert isinstance(found, NoChange)
        assert (found.repository, found.reason) == ("", "a 'membership' event starts no run")


EVENTS = st.sampled_from(
    [
        "push",
        "pull_request",
        "ping",
        "issues",
        "repository_dispatch",
        "installation",
        "installation_repositories",
        "create",
        "check_run",
        "issue_comment",
        "",
    ]
)


def spoilt(whole: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A payload in which some of the values are anything."""
    return st.dictionaries(st.sampled_from(sorted(whole)), JSON, max_size=3).map(lambda some: whole | some)


@given(EVENTS, JSON | spoilt(push()) | spoilt(pull_request()))
def test_whatever_is_sent_is_a_change_no_change_or_refused_with_a_reason(event: str, payload: Any) -> None:
    try:
        found = read(payload, event)
    except PermanentError as error:
        said = error.message
    else:
        said = found.reason if isinstance(found, NoChange) else found.repository
        assert found.model_dump_json(), "it can be written down"
    assert said


def dispatch(**payload: Any) -> dict[str, Any]:
    return {
        "action": "deploy",
        "branch": "main",
        "client_payload": payload,
        "repository": push()["repository"],
    }


@given(st.dictionaries(st.sampled_from(["ref", "version", "a b", "\ud800"]), JSON | st.text(), max_size=4))
def test_whatever_a_dispatch_brings_can_be_written_down(payload: dict[str, Any]) -> None:
    found = read(dispatch(**payload), "repository_dispatch")
    assert found.model_dump_json()


@pytest.mark.parametrize("ref", ["\ud800", "a\0", ["x"], 7, "x" * 2000, "refs/notes/x", "a\nb"])
def test_a_dispatch_at_a_ref_that_is_none_says_so(ref: Any) -> None:
    found = read(dispatch(ref=ref), "repository_dispatch")
    assert isinstance(found, NoChange)
    assert "client_payload.ref" in found.reason
    assert found.model_dump_json()


@given(st.binary(max_size=200))
def test_whatever_bytes_are_sent_are_refused_or_read(body: bytes) -> None:
    try:
        read_payload("push", body)
    except PermanentError as error:
        said = error.message
    else:
        said = "read"
    assert said


# --- what GitHub really sends ---------------------------------------------------------------------------


def examples() -> Path | None:
    """Where `local/setup/github.sh` has put them; None: nowhere."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "turnout/npm"
    return max(cache.glob("webhooks-examples-*"), default=None)


def deliveries(folder: Path) -> Iterator[tuple[str, str, Any]]:
    """Where a payload is from (github.com, or one version of GitHub's server), its event, the payload."""
    for index in sorted(folder.glob("*/index.json")):
        for event in json.loads(index.read_text()):
            for payload in event["examples"]:
                yield index.parent.name, event["name"], payload


@pytest.mark.real
def test_every_payload_that_github_has_published_asks_for_a_run_or_says_why_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = examples()
    require("GitHub's own payloads", found is not None, "make real-parts fetches them")
    assert found is not None
    door, answers = Door(), Counter[str]()
    for number, (origin, event, payload) in enumerate(deliveries(found)):
        answer = door.post(payload, event=event, delivery=f"{origin}-{event}-{number}")
        assert answer.status == 202, (origin, event, answer)
        became = "a run request" if "run" in answer.body else "a recorded reason"
        answers[became] += 1
        assert (became == "a run request") == (answer.body["status"] == "accepted")
        assert answer.body.get("reason") or answer.body.get("run")
    recorded = door.store.deliveries(limit=10_000)
    rules = Counter(each.why.rule for each in recorded if each.why is not None)
    events = {each.event for each in recorded}
    with capsys.disabled():
        told = ", ".join(f"{n} {what}" for what, n in answers.items())
        why = ", ".join(f"{n} by {rule}" for rule, n in rules.most_common())
        print(f"\n  {answers.total()} payloads of {len(events)} events: {told} ({why}); no refusal")
    assert rules.total() == answers["a recorded reason"]
    assert "" not in rules
    assert len(recorded) == answers.total() > 300
    assert len(door.producer.records) == answers["a run request"] > 10
    assert all(row.reason for row in recorded if row.status == "ignored")
    assert {row.status for row in recorded} == {"ignored", "published"}

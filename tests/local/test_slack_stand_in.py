"""The stand-in answers as Slack does, so that what passes against it has a meaning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from local.slack.buttons import Finger
from local.slack.faults import Fault
from local.slack.stand_in import StandIn
from local.slack.workspace import Workspace
from turnout.adapters.slack import SlackChat

METADATA = {"event_type": "turnout_run", "event_payload": {"run": "r1"}}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def running() -> Iterator[StandIn]:
    with StandIn(Workspace(["ci"])) as server:
        yield server


@pytest.fixture
def client(running: StandIn) -> WebClient:
    """Slack's own client."""
    return WebClient("xoxb-test", base_url=running.base_url, timeout=5, retry_handlers=[])


def post_form(url: str, **fields: str) -> dict[str, Any]:
    data = urllib.parse.urlencode(fields).encode()
    with urllib.request.urlopen(url, data, timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def code(error: pytest.ExceptionInfo[SlackApiError]) -> str:
    return str(error.value.response["error"])


def test_posting_answers_with_channel_id_time_stamp_and_message(client: WebClient) -> None:
    answer = client.chat_postMessage(channel="#ci", text="hi", metadata=METADATA)
    assert str(answer["channel"]).startswith("C")
    assert answer["message"]["text"] == "hi"
    assert answer["message"]["bot_id"]
    assert answer["ts"] == answer["message"]["ts"]


def test_time_stamps_are_unique_and_grow(client: WebClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        stamps = list(pool.map(lambda n: client.chat_postMessage(channel="ci", text=str(n))["ts"], range(40)))
    assert len(set(stamps)) == 40


def test_forms_are_taken_as_well_as_json(running: StandIn) -> None:
    blocks = json.dumps([{"type": "divider"}])
    answer = post_form(
        f"{running.base_url}chat.postMessage", token="xoxb-x", channel="ci", text="hi", blocks=blocks
    )
    assert answer["ok"]
    assert running.workspace.messages("ci")[0]["blocks"] == [{"type": "divider"}]


def test_history_is_newest_first_without_answers_and_with_metadata_only_when_asked(client: WebClient) -> None:
    first = client.chat_postMessage(channel="ci", text="one", metadata=METADATA)
    client.chat_postMessage(channel="ci", text="two")
    client.chat_postMessage(channel="ci", text="answer", thread_ts=str(first["ts"]))
    channel = str(first["channel"])
    plain = client.conversations_history(channel=channel)["messages"]
    assert [each["text"] for each in plain] == ["two", "one"]
    assert (plain[1]["reply_count"], "metadata" in plain[1]) == (1, False)
    whole = client.conversations_history(channel=channel, include_all_metadata=True)["messages"]
    assert whole[1]["metadata"] == METADATA


def test_history_comes_in_pages_and_from_a_time_on(client: WebClient) -> None:
    sent = [client.chat_postMessage(channel="ci", text=str(number)) for number in range(5)]
    channel = str(sent[0]["channel"])
    page = client.conversations_history(channel=channel, limit=2)
    assert ([each["text"] for each in page["messages"]], page["has_more"]) == (["4", "3"], True)
    following = client.conversations_history(
        channel=channel, limit=3, cursor=page["response_metadata"]["next_cursor"]
    )
    assert ([each["text"] for each in following["messages"]], following["has_more"]) == (
        ["2", "1", "0"],
        False,
    )
    since = client.conversations_history(channel=channel, oldest=str(sent[2]["ts"]))["messages"]
    assert [each["text"] for each in since] == ["4", "3"]


def test_a_thread_is_its_message_and_then_the_answers(client: WebClient) -> None:
    parent = client.chat_postMessage(channel="ci", text="parent")
    for text in ("a", "b"):
        client.chat_postMessage(channel="ci", text=text, thread_ts=str(parent["ts"]))
    found = client.conversations_replies(channel=str(parent["channel"]), ts=str(parent["ts"]))["messages"]
    assert [each["text"] for each in found] == ["parent", "a", "b"]


def test_an_update_keeps_place_and_metadata(client: WebClient, running: StandIn) -> None:
    posted = client.chat_postMessage(channel="ci", text="one", metadata=METADATA)
    client.chat_update(channel=str(posted["channel"]), ts=str(posted["ts"]), text="two")
    (found,) = running.workspace.messages("ci")
    assert (found["text"], found["ts"], found["metadata"]) == ("two", posted["ts"], METADATA)
    assert found["edited"]


def test_channels_are_listed_with_their_ids(client: WebClient) -> None:
    posted = client.chat_postMessage(channel="ci", text="hi")
    listed = client.conversations_list()["channels"]
    assert [(each["id"], each["name"]) for each in listed] == [(posted["channel"], "ci")]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("conversations.history", {"channel": "ci"}),
        ("chat.update", {"channel": "ci", "ts": "1.0", "text": "x"}),
        ("chat.postMessage", {"channel": "nowhere", "text": "x"}),
    ],
)
def test_only_posting_takes_a_channels_name(
    client: WebClient, method: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(SlackApiError) as caught:
        client.api_call(method, json=arguments)
    assert code(caught) == "channel_not_found"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "no_text"),
        ({"text": "x", "metadata": {"event_type": "x"}}, "invalid_metadata_format"),
        ({"text": "x", "thread_ts": "1.0"}, "thread_not_found"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
    ],
)
def test_what_slack_refuses_is_refused(client: WebClient, arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(SlackApiError) as caught:
        client.api_call("chat.postMessage", json={"channel": "ci", **arguments})
    assert code(caught) == error


def test_a_token_is_needed_and_checked(running: StandIn) -> None:
    for token, error in ((None, "not_authed"), ("nonsense", "invalid_auth")):
        with pytest.raises(SlackApiError) as caught:
            WebClient(token, base_url=running.base_url, retry_handlers=[]).auth_test()
        assert code(caught) == error


def test_an_unknown_method_is_refused(client: WebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        client.api_call("chat.delete", json={"channel": "ci"})
    assert code(caught) == "unknown_method"


def test_the_next_calls_fail_as_ordered_and_then_no_more(client: WebClient, running: StandIn) -> None:
    running.workspace.fail(Fault("chat.postMessage", times=2, status=429, retry_after=9))
    for _ in range(2):
        with pytest.raises(SlackApiError) as caught:
            client.chat_postMessage(channel="ci", text="x")
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "9"
    assert client.auth_test()["ok"]
    assert client.chat_postMessage(channel="ci", text="x")["ok"]
    assert [each.error for each in running.workspace.calls] == ["http_429", "http_429", "", ""]


def test_an_answer_can_be_dropped_after_the_call_has_had_its_effect(
    client: WebClient, running: StandIn
) -> None:
    running.workspace.fail(Fault("chat.postMessage", drop=True, applied=True))
    with pytest.raises((OSError, HTTPException)):
        client.chat_postMessage(channel="ci", text="x")
    assert len(running.workspace.messages("ci")) == 1


def test_a_call_can_be_dropped_before_it_has_any(client: WebClient, running: StandIn) -> None:
    running.workspace.fail(Fault("chat.postMessage", drop=True))
    with pytest.raises((OSError, HTTPException)):
        client.chat_postMessage(channel="ci", text="x")
    assert running.workspace.messages("ci") == []


def test_other_processes_can_order_faults_and_read_what_was_posted(
    client: WebClient, running: StandIn
) -> None:
    order = urllib.request.Request(
        f"{running.url}/control/faults",
        json.dumps({"method": "auth.test", "error": "fatal_error"}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(order, timeout=5) as answer:
        assert json.load(answer)["ok"]
    with pytest.raises(SlackApiError):
        client.auth_test()
    parent = client.chat_postMessage(channel="ci", text="hi")
    client.chat_postMessage(channel="ci", text="answer", thread_ts=str(parent["ts"]))
    with urllib.request.urlopen(f"{running.url}/control/messages", timeout=5) as answer:
        (found,) = json.load(answer)["channels"]["ci"]
    assert (found["text"], [each["text"] for each in found["replies"]]) == ("hi", ["answer"])
    with urllib.request.urlopen(f"{running.url}/control/calls", timeout=5) as answer:
        calls = json.load(answer)["calls"]
    assert [each["method"] for each in calls] == ["auth.test", "chat.postMessage", "chat.postMessage"]


def test_a_workspace_without_named_channels_has_any_that_is_posted_to() -> None:
    workspace = Workspace()
    assert workspace.call("chat.postMessage", {"channel": "#new", "text": "x"}, "xoxb-x").body["ok"]
    assert workspace.channels() == ["new"]


def test_started_as_a_program_it_says_where_it_is_and_shows_what_is_posted() -> None:
    program = [sys.executable, str(ROOT / "local" / "slack" / "stand_in.py"), "--port", "0"]
    environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb"}
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        try:
            ready = child.stdout.readline()
            address = ready.split("TURNOUT_SLACK_BASE_URL=")[1].strip()
            client = WebClient("xoxb-x", base_url=address, timeout=5, retry_handlers=[])
            client.chat_postMessage(channel="#deploys", text="*shop* failed :x:")
            shown = [child.stdout.readline() for _ in range(3)]
        finally:
            child.terminate()
    assert "#deploys Turnout" in shown[0]
    assert "shop failed ❌" in shown[1]


def test_what_is_whispered_is_seen_by_one(running: StandIn) -> None:
    chat = SlackChat("xoxb-test", base_url=running.base_url, timeout=5)
    channel = chat.post("#ci", {"text": "hello"}).partition(":")[0]
    chat.whisper(channel, "U0ADA00001", "<b> & you may not")
    assert running.workspace.whispers == [("U0ADA00001", "&lt;b&gt; &amp; you may not")]
    assert len(running.workspace.messages("ci")) == 1
    running.workspace.fail(Fault("chat.postEphemeral", error="user_not_in_channel"))
    chat.whisper(channel, "U0ADA00001", "again")  # it is logged, and nothing fails
    assert len(running.workspace.whispers) == 1


def test_a_button_that_is_not_there_is_not_pressed(running: StandIn) -> None:
    with pytest.raises(LookupError, match="no button 'Approve'"):
        Finger("http://127.0.0.1:1", "secret").press(running.workspace, "ci", "Approve", "U0ADA00001")

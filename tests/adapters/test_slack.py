"""The client of Slack's Web API against the stand-in, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.server_process import free_port
from local.slack.faults import Fault
from local.slack.stand_in import StandIn
from local.slack.workspace import Workspace
from turnout.adapters.slack import PAGE, SlackChat, SlackRefused
from turnout.core.errors import PermanentError, TransientError

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def message(fact: str, text: str = "hello") -> dict[str, Any]:
    return {
        "text": text,
        "metadata": {"event_type": "turnout_run", "event_payload": {"run": "r1", "fact": fact}},
    }


@pytest.fixture
def running() -> Iterator[StandIn]:
    with StandIn(Workspace(["ci", "ops"])) as server:
        yield server


@pytest.fixture
def workspace(running: StandIn) -> Workspace:
    return running.workspace


@pytest.fixture
def chat(running: StandIn) -> SlackChat:
    return SlackChat("xoxb-test", base_url=running.base_url, timeout=5)


def fresh(running: StandIn) -> SlackChat:
    """One that has learnt no channel's id."""
    return SlackChat("xoxb-test", base_url=running.base_url, timeout=5)


def test_the_token_can_be_checked(chat: SlackChat) -> None:
    assert chat.whoami() == "Stand-in: turnout"


@pytest.mark.parametrize("name", ["#ci", "ci"])
def test_a_message_is_posted_by_the_channels_name(chat: SlackChat, workspace: Workspace, name: str) -> None:
    reference = chat.post(name, message("card"))
    (posted,) = workspace.messages("ci")
    assert reference.endswith(posted["ts"])
    assert posted["text"] == "hello"


def test_links_in_a_message_are_not_unfolded(chat: SlackChat, workspace: Workspace) -> None:
    chat.post("#ci", message("card"))
    sent = workspace.calls[-1].arguments
    assert (sent["unfurl_links"], sent["unfurl_media"]) == (False, False)


def test_a_message_is_updated_in_place(chat: SlackChat, workspace: Workspace) -> None:
    reference = chat.post("#ci", message("card"))
    assert chat.update(reference, message("card", "bye"))
    assert [each["text"] for each in workspace.messages("ci")] == ["bye"]


def test_an_update_says_when_the_message_is_gone(chat: SlackChat, workspace: Workspace) -> None:
    reference = chat.post("#ci", message("card"))
    workspace.delete("ci", reference.partition(":")[2])
    assert not chat.update(reference, message("card"))


def test_an_answer_goes_to_the_thread(chat: SlackChat, workspace: Workspace) -> None:
    reference = chat.post("#ci", message("card"))
    chat.reply(reference, message("attempt:1", "details"))
    assert len(workspace.messages("ci")) == 1
    assert [each["text"] for each in workspace.replies("ci", reference.partition(":")[2])] == ["details"]


def test_a_message_is_found_by_its_metadata_alone(running: StandIn, chat: SlackChat) -> None:
    wanted = chat.post("#ci", message("card"))
    chat.post("#ci", message("other"))
    chat.post("#ops", message("card"))
    chat.post("#ci", {"text": "no metadata"})
    assert fresh(running).find("#ci", message("card")["metadata"], LONG_AGO) == wanted
    assert fresh(running).find("ci", message("nothing")["metadata"], LONG_AGO) is None


def test_an_answer_is_found_in_its_thread(chat: SlackChat) -> None:
    one, two = chat.post("#ci", message("card")), chat.post("#ci", message("card"))
    wanted = chat.reply(one, message("attempt:1"))
    assert chat.find_reply(one, message("attempt:1")["metadata"], LONG_AGO) == wanted
    assert chat.find_reply(two, message("attempt:1")["metadata"], LONG_AGO) is None
    assert chat.find("#ci", message("attempt:1")["metadata"], LONG_AGO) is None


def test_a_message_is_found_past_many_newer_ones(
    running: StandIn, chat: SlackChat, workspace: Workspace
) -> None:
    wanted = chat.post("#ci", message("card"))
    for number in range(PAGE + 50):
        workspace.call("chat.postMessage", {"channel": "ci", "text": str(number)}, "xoxb-x")
    assert fresh(running).find("#ci", message("card")["metadata"], LONG_AGO) == wanted
    assert sum(each.method == "conversations.history" for each in workspace.calls) == 2


def test_only_messages_since_the_first_try_are_looked_through(chat: SlackChat) -> None:
    chat.post("#ci", message("card"))
    soon = datetime.now(UTC)
    assert (
        chat.find("#ci", message("card")["metadata"], soon) is not None
    )  # our clock may be ahead of Slack's
    assert chat.find("#ci", message("card")["metadata"], soon + timedelta(hours=1)) is None


def test_a_channel_given_by_its_id_needs_no_list(
    running: StandIn, chat: SlackChat, workspace: Workspace
) -> None:
    channel = chat.post("#ci", message("card")).partition(":")[0]
    assert fresh(running).find(channel, message("card")["metadata"], LONG_AGO) is not None
    assert all(each.method != "conversations.list" for each in workspace.calls)


def test_the_ids_of_channels_are_asked_for_once(
    running: StandIn, chat: SlackChat, workspace: Workspace
) -> None:
    chat.post("#ci", message("card"))
    new = fresh(running)
    for _ in range(3):
        new.find("#ci", message("card")["metadata"], LONG_AGO)
    assert sum(each.method == "conversations.list" for each in workspace.calls) == 1


def test_without_the_scope_for_private_channels_the_public_ones_are_searched(
    running: StandIn, chat: SlackChat, workspace: Workspace
) -> None:
    chat.post("#ci", message("card"))
    workspace.fail(Fault("conversations.list", error="missing_scope"))
    assert fresh(running).find("#ci", message("card")["metadata"], LONG_AGO) is not None
    assert [each.arguments["types"] for each in workspace.calls if each.method == "conversations.list"] == [
        "public_channel,private_channel",
        "public_channel",
    ]


def test_a_name_that_no_channel_has_is_not_found(chat: SlackChat) -> None:
    with pytest.raises(SlackRefused, match="no channel #nowhere"):
        chat.find("#nowhere", message("card")["metadata"], LONG_AGO)


def test_a_rate_limit_says_how_long_to_wait(chat: SlackChat, workspace: Workspace) -> None:
    workspace.fail(Fault("chat.postMessage", status=429, retry_after=30))
    with pytest.raises(TransientError, match="rate limit") as caught:
        chat.post("#ci", message("card"))
    assert caught.value.retry_after == 30


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503),
        Fault(error="internal_error"),
        Fault(error="service_unavailable"),
        Fault(drop=True),
    ],
    ids=["500", "503", "internal_error", "service_unavailable", "dropped"],
)
def test_trouble_on_slacks_side_can_be_tried_again(
    chat: SlackChat, workspace: Workspace, fault: Fault
) -> None:
    workspace.fail(fault)
    with pytest.raises(TransientError):
        chat.post("#ci", message("card"))


def test_nobody_listening_can_be_tried_again() -> None:
    chat = SlackChat("xoxb-test", base_url=f"http://127.0.0.1:{free_port()}/api/", timeout=2)
    with pytest.raises(TransientError, match="no answer"):
        chat.post("#ci", message("card"))


@pytest.mark.parametrize(
    ("code", "hint"),
    [("not_in_channel", "/invite"), ("is_archived", "unarchive"), ("token_revoked", "TURNOUT_SLACK_TOKEN")],
)
def test_a_refusal_says_what_to_do(chat: SlackChat, workspace: Workspace, code: str, hint: str) -> None:
    workspace.fail(Fault("chat.postMessage", error=code))
    with pytest.raises(SlackRefused, match=f"{code}.*{hint}"):
        chat.post("#ci", message("card"))


def test_a_wrong_token_is_refused(running: StandIn) -> None:
    with pytest.raises(SlackRefused, match=r"invalid_auth.*TURNOUT_SLACK_TOKEN"):
        SlackChat("wrong", base_url=running.base_url).whoami()


def test_the_token_is_in_no_message_of_an_error(running: StandIn) -> None:
    with pytest.raises(PermanentError) as caught:
        SlackChat("very-secret", base_url=running.base_url).whoami()
    assert "very-secret" not in str(caught.value)


def test_blocks_that_slack_refuses_are_named(chat: SlackChat) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
    with pytest.raises(SlackRefused, match=r"must be less than 3001 characters.*/blocks/0/text/text"):
        chat.post("#ci", {"text": "x", "blocks": blocks})


def test_a_proxy_of_the_environment_is_not_used_for_hosts_that_it_is_not_meant_for(
    running: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert fresh(running).whoami()


def test_a_reference_that_names_no_message_is_refused(chat: SlackChat) -> None:
    with pytest.raises(PermanentError, match="does not name a message"):
        chat.update("nonsense", message("card"))

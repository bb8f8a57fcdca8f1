from __future__ import annotations

from pathlib import Path

import pytest

from turnout.core.topics import AGENT_KINDS, AGENT_LOGS, AGENT_REPORT, AGENT_RESULTS, PIPELINE_EVENTS, topic
from turnout.stack.layout import (
    CONSOLE,
    FUNCTIONS,
    RESIDENT,
    Running,
    read_running,
    source_of,
    subscriptions,
    write_running,
)

STACK = Running(pid=1, urls={"webhook": "http://x/webhook"}, bus="embedded", store="sqlite", parts={"a": 2})


def test_every_function_has_its_source() -> None:
    folder = source_of("webhook").parents[1]
    found = {each.parent.name for each in folder.glob("*/main.py")}
    assert found == {*FUNCTIONS, CONSOLE}


def test_every_topic_that_somebody_must_answer_has_its_function() -> None:
    answered = {name for topics in subscriptions(()).values() for name in topics}
    assert answered == {PIPELINE_EVENTS, AGENT_RESULTS, AGENT_REPORT}
    assert AGENT_LOGS not in answered, "logs are tailed, not delivered"


def test_a_launcher_that_has_runtimes_gets_the_tasks_of_the_resident_kinds() -> None:
    topics = subscriptions(["docker"])["launcher"]
    assert topics == tuple(f"agent.{kind}" for kind in RESIDENT)
    assert all(topic(name) for name in topics)
    assert set(RESIDENT) <= set(AGENT_KINDS)
    assert "launcher" not in subscriptions(())


def test_a_stack_tells_others_of_itself(tmp_path: Path) -> None:
    write_running(tmp_path, STACK)
    assert read_running(tmp_path) == STACK
    assert [each.name for each in tmp_path.iterdir()] == ["stack.json"]


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", "null", '{"pid": 1}', '{"pid": 1, "unheard": 2}', "\xff"]
)
def test_what_is_no_description_is_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "stack.json").write_bytes(content.encode("latin-1"))
    assert read_running(tmp_path) is None

from __future__ import annotations

import re

import pytest

from turnout.core.topics import (
    AGENT_KINDS,
    AGENT_LOGS,
    AGENT_REPORT,
    AGENT_RESULTS,
    DEAD_LETTERS,
    PIPELINE_EVENTS,
    TOPICS,
    Topic,
    agent_topic,
    topic,
)


def test_every_topic_that_is_named_in_code_is_in_the_table_once() -> None:
    named = [PIPELINE_EVENTS, AGENT_RESULTS, AGENT_REPORT, AGENT_LOGS, DEAD_LETTERS]
    named += [agent_topic(kind) for kind in AGENT_KINDS]
    assert sorted(each.name for each in TOPICS) == sorted(named)


@pytest.mark.parametrize("each", TOPICS, ids=lambda each: each.name)
def test_a_topic_can_be_made_on_any_kafka(each: Topic) -> None:
    assert topic(each.name) is each
    assert re.fullmatch(r"[a-z][a-z0-9.]{0,248}", each.name)
    assert each.partitions >= 1
    assert each.retention >= 3600


def test_dead_letters_are_kept_longest_and_logs_shortest() -> None:
    by_age = sorted(TOPICS, key=lambda each: each.retention)
    assert (by_age[0].name, by_age[-1].name) == (AGENT_LOGS, DEAD_LETTERS)


def test_an_unknown_topic_is_refused() -> None:
    with pytest.raises(KeyError):
        topic("agent.coffee")

from __future__ import annotations

from turnout.core.topics import AGENT_KINDS, TOPICS, agent_topic, topics_with


def test_an_agent_of_another_package_has_a_topic_like_any_other() -> None:
    made = topics_with((*AGENT_KINDS, "haskell"))
    assert made[:-1] == TOPICS
    like = next(each for each in TOPICS if each.name == agent_topic("lint"))
    assert made[-1].name == "agent.haskell"
    assert (made[-1].partitions, made[-1].retention, made[-1].key) == (
        like.partitions,
        like.retention,
        like.key,
    )


def test_built_in_agents_have_theirs_already() -> None:
    assert topics_with(AGENT_KINDS) == TOPICS

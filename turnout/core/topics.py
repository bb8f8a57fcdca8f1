"""The topics: names, keys, partitions and retention, in the one table that every deployment uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Topic:
    """``retention`` is in seconds. ``key`` says what the record key holds, for the docs."""

    name: str
    key: str
    partitions: int
    retention: int
    purpose: str


PIPELINE_EVENTS = "pipeline.events"
AGENT_RESULTS = "agent.results"
AGENT_REPORT = "agent.report"
AGENT_LOGS = "agent.logs"
DEAD_LETTERS = "pipeline.dlq"

AGENT_KINDS = ("lint", "test", "build", "security", "deploy", "script")


TAKEN = frozenset({"results", "report", "logs"})
"""What no agent can be called: its topic would be another one's."""


def agent_topic(kind: str) -> str:
    """The topic that carries the tasks of one agent kind."""
    return f"agent.{kind}"


TOPICS: tuple[Topic, ...] = (
    Topic(PIPELINE_EVENTS, "repository", 6, 7 * DAY, "triggers from outside: run, cancel, rerun, approval"),
    *(
        Topic(agent_topic(kind), "attempt id", 6, 7 * DAY, f"tasks of the {kind} agent")
        for kind in AGENT_KINDS
    ),
    Topic(AGENT_RESULTS, "run id", 6, 7 * DAY, "task started, heartbeat, task finished"),
    Topic(AGENT_REPORT, "run id", 6, 7 * DAY, "what is to be told to people"),
    Topic(AGENT_LOGS, "attempt id", 6, 6 * HOUR, "log chunks for live tailing"),
    Topic(DEAD_LETTERS, "original key", 1, 30 * DAY, "dead letters: reason and origin in headers"),
)


def topics_with(agents: Iterable[str]) -> tuple[Topic, ...]:
    """The table with the topics of these agents besides, which other packages bring."""
    return (
        *TOPICS,
        *(
            Topic(agent_topic(kind), "attempt id", 6, 7 * DAY, f"tasks of the {kind} agent")
            for kind in agents
            if kind not in AGENT_KINDS
        ),
    )


def topic(name: str) -> Topic:
    """Raises: KeyError for a name that is not in the table."""
    return {each.name: each for each in TOPICS}[name]

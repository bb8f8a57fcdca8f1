"""What a worker says over the bus, as records with derived ids: said twice, it is heard once."""

from __future__ import annotations

from datetime import datetime

from turnout.core import messages as m
from turnout.core.envelope import Record
from turnout.core.ids import message_id
from turnout.core.result import Result
from turnout.core.topics import AGENT_LOGS, AGENT_RESULTS


def started(task: m.TaskRequested, worker: str, at: datetime, sandbox: str) -> Record:
    message = m.TaskStarted(
        run=task.run,
        task=task.task,
        attempt=task.attempt,
        token=task.token,
        worker=worker,
        at=at,
        sandbox=sandbox,
    )
    return _record(message, AGENT_RESULTS, task.run, task.agent, at, task.attempt)


def heartbeat(task: m.TaskRequested, worker: str, at: datetime, number: int) -> Record:
    message = m.TaskHeartbeat(
        run=task.run, task=task.task, attempt=task.attempt, token=task.token, worker=worker, at=at
    )
    return _record(message, AGENT_RESULTS, task.run, task.agent, at, task.attempt, worker, number)


def finished(task: m.TaskRequested, worker: str, at: datetime, result: Result) -> m.TaskFinished:
    return m.TaskFinished(
        run=task.run,
        task=task.task,
        attempt=task.attempt,
        token=task.token,
        worker=worker,
        at=at,
        result=result,
    )


def finished_record(message: m.TaskFinished, agent: str) -> Record:
    return _record(message, AGENT_RESULTS, message.run, agent, message.at, message.attempt)


def log_chunk(task: m.TaskRequested, at: datetime, sequence: int, text: str) -> Record:
    message = m.LogChunk(
        run=task.run, task=task.task, attempt=task.attempt, sequence=sequence, at=at, text=text
    )
    return _record(message, AGENT_LOGS, task.attempt, task.agent, at, task.attempt, sequence)


def _record(message: m.Message, topic: str, key: str, agent: str, at: datetime, *cause: object) -> Record:
    identity = message_id(message.type, *cause)
    return m.wrap(message, id=identity, source=f"turnout/agents/{agent}", at=at).to_record(topic, key)

"""The shapes of the API's answers that are not values of the system already."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from turnout.core.causes import Cause
from turnout.core.dead_letters import DeadLetter
from turnout.core.ports import AttemptRow, Delivery, RunRow, StoredEvent
from turnout.looking import AttemptLog, Broker, Lag, ProjectRow, RunFile


class Runs(BaseModel):
    """A page of runs, newest first."""

    items: list[RunRow]
    next: str = Field(description="The cursor of the next page; empty: this is the last.")


class EventOfRun(BaseModel):
    """A fact. ``version``: its place in the run's history, from 1."""

    run: str
    version: int
    at: datetime
    event: dict[str, Any] = Field(description="`kind` says what happened; the other keys follow from it.")

    @classmethod
    def of(cls, stored: StoredEvent) -> EventOfRun:
        return cls(run=stored.run, version=stored.version, at=stored.at, event=stored.event.to_json())


class Events(BaseModel):
    """A page of a run's events, in order."""

    items: list[EventOfRun]
    next: int = Field(description="`after` of the next page; 0: this is the last for now.")
    finished: bool = Field(description="Whether the run has ended: no event follows the last one.")


class Explanation(BaseModel):
    """Why: in sentences, and as the causal chain behind them."""

    sentences: list[str]
    causes: list[Cause]


class AttemptLogs(BaseModel):
    items: list[AttemptLog]
    finished: bool = Field(description="Whether the run has ended: no attempt follows.")


class LeftFiles(BaseModel):
    items: list[RunFile]


class Attestations(BaseModel):
    """Signed envelopes (DSSE) with in-toto statements."""

    items: list[dict[str, Any]]


class Deliveries(BaseModel):
    """Webhook deliveries and what became of them, newest first."""

    items: list[Delivery]
    next: str = Field(description="The cursor of the next page; empty: this is the last.")


class Projects(BaseModel):
    items: list[ProjectRow]


class Letter(BaseModel):
    """A message that no function would take. ``whole``: False when its value was too large to be kept."""

    id: str
    topic: str
    key: str
    partition: int
    offset: int
    group: str
    reason: str
    status: int
    tries: int
    at: datetime
    whole: bool

    @classmethod
    def of(cls, letter: DeadLetter) -> Letter:
        return cls(
            id=letter.id,
            topic=letter.record.topic,
            key=letter.record.key,
            partition=letter.partition,
            offset=letter.offset,
            group=letter.group,
            reason=letter.reason,
            status=letter.status,
            tries=letter.tries,
            at=letter.at,
            whole=letter.whole,
        )


class Letters(BaseModel):
    items: list[Letter]


class BrokerNow(BaseModel):
    lags: list[Lag]
    leases: list[AttemptRow]
    letters: list[Letter]

    @classmethod
    def of(cls, broker: Broker) -> BrokerNow:
        return cls(
            lags=list(broker.lags),
            leases=list(broker.leases),
            letters=[Letter.of(each) for each in broker.letters],
        )

from __future__ import annotations

from datetime import timedelta

from tests.core.building import CHANGE, START, a_plan, stage
from tests.test_orchestration import World
from turnout.adapters.config_files import read_pipeline
from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.config import PipelineConfig, ProjectConfig
from turnout.core.envelope import Record, open_record
from turnout.core.errors import TransientError
from turnout.core.model import ChangeKind
from turnout.core.topics import PIPELINE_EVENTS
from turnout.scheduling import READ_EVERY, WITHIN, Scheduling

PROJECT = ProjectConfig(repository="acme/shop")
NIGHTLY = 'pipeline: {on: {schedule: "30 2 * * *"}, stages: [test]}'


class House:
    """A world at midnight, with a project whose pipeline file may change."""

    def __init__(self, file: str) -> None:
        self.world = World(a_plan(stage("test")))
        self.file: str | Exception = file
        self.read = 0
        self.others: list[ProjectConfig] = []
        self.scheduling = self.restarted()

    def restarted(self) -> Scheduling:
        world = self.world
        return Scheduling(world.store, world.producer, world.clock, self, self._change, self._read)

    def all(self) -> list[ProjectConfig]:
        return [*self.others, PROJECT]

    def _change(self, project: ProjectConfig) -> Change:
        if project is not PROJECT:
            raise TransientError(f"{project.repository}: the remote is away")
        return CHANGE.with_(kind=ChangeKind.SCHEDULE)

    def _read(self, _change: Change, project: ProjectConfig) -> PipelineConfig:
        self.read += 1
        if isinstance(self.file, Exception):
            raise self.file
        return read_pipeline(self.file, "pipeline.yml", project)

    def at(self, clock: str) -> int:
        """It is that time of the day: what is asked for now, and heard by the orchestrator."""
        hours, minutes = clock.split(":")
        self.world.clock.at = START + timedelta(hours=int(hours), minutes=int(minutes))
        before = len(self.world.producer.records)
        asked = self.scheduling.fire()
        for record in self.asked_for(before):
            self.world.orchestrator.handle(open_record(record))
        return asked

    def asked_for(self, since: int = 0) -> list[Record]:
        return [each for each in self.world.producer.records[since:] if each.topic == PIPELINE_EVENTS]

    @property
    def runs(self) -> int:
        return len(self.world.store.runs())


def test_a_run_is_made_when_it_is_due_and_once() -> None:
    house = House(NIGHTLY)
    assert (house.at("02:29"), house.runs) == (0, 0)
    assert (house.at("02:30"), house.runs) == (1, 1)
    assert (house.at("02:31"), house.at("03:10"), house.runs) == (0, 0, 1)
    assert (house.at("26:30"), house.runs) == (1, 2)
    asked = m.parse(open_record(house.asked_for()[0]))
    assert isinstance(asked, m.RunRequested)
    assert asked.change.kind is ChangeKind.SCHEDULE
    assert asked.change.title == "scheduled for 2026-01-01 02:30 UTC (30 2 * * *)"


def test_two_sweepers_ask_for_the_same_run() -> None:
    house = House(NIGHTLY)
    other = house.restarted()
    house.world.clock.at = START + timedelta(hours=2, minutes=30)
    assert (house.scheduling.fire(), other.fire()) == (1, 1)
    for record in house.asked_for():
        house.world.orchestrator.handle(open_record(record))
    assert house.runs == 1


def test_what_was_due_while_nothing_was_up_is_made_up_for_within_an_hour() -> None:
    house = House(NIGHTLY)
    assert house.at("03:29") == 1
    late = House(NIGHTLY)
    assert timedelta(hours=1) == WITHIN
    assert late.at("03:31") == 0


def test_of_what_was_missed_the_newest_is_enough() -> None:
    house = House(NIGHTLY.replace("30 2", "*/10 *"))
    assert (house.at("05:35"), house.runs) == (1, 1)


def test_another_file_has_another_schedule_within_a_minute() -> None:
    house = House(NIGHTLY)
    house.at("01:00")
    house.file = NIGHTLY.replace("30 2", "5 1")
    assert timedelta(minutes=1) == READ_EVERY
    assert house.at("01:05") == 1
    house.file = "pipeline: {stages: [test]}"
    assert house.at("25:05") == 0


def test_a_file_is_not_read_at_each_look() -> None:
    house = House(NIGHTLY)
    for _ in range(5):
        house.at("01:00")
    assert house.read == 1


def test_while_the_remote_is_away_the_schedule_that_was_known_holds() -> None:
    house = House(NIGHTLY)
    house.at("02:00")
    house.file = TransientError("the remote is away")
    assert house.at("02:30") == 1


def test_a_project_that_can_not_be_read_keeps_no_other_from_its_turn() -> None:
    house = House(NIGHTLY)
    house.others.append(ProjectConfig(repository="acme/away"))
    assert house.at("02:30") == 1


def test_a_broken_file_fires_nothing() -> None:
    house = House("pipeline: {stages: [tset]}")
    assert house.at("02:30") == 0

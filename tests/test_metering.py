"""The metrics are what the store says, in a text that Prometheus reads."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.contracts.store_runs import T0, Story, a_record, at, run_finished
from tests.ended_runs import Told, ended, failure, success
from tests.real import require
from turnout.adapters.memory_bus import MemoryBus
from turnout.adapters.memory_figures import MemoryFigures
from turnout.adapters.memory_store import MemoryStore
from turnout.core.dead_letters import dead_letter, redriven_mark
from turnout.core.environments import Turns
from turnout.core.errors import TransientError
from turnout.core.facts import facts_of
from turnout.core.model import Outcome
from turnout.core.ports import Bus, Commit, Position
from turnout.core.ports.ledger import LastAccount
from turnout.core.result import Result
from turnout.core.topics import AGENT_REPORT, AGENT_RESULTS, DEAD_LETTERS
from turnout.metering import CONTENT_TYPE, Metering
from turnout.redriving import dead_letters

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


class Clock:
    def now(self) -> object:
        return at(60)


class House:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.figures = MemoryFigures(self.store)
        self.bus = MemoryBus()
        self.last: LastAccount | None = None
        self.metering = self.process()

    def process(self, bus: Bus | None = None) -> Metering:
        """Another console over the same store."""
        return Metering(
            self.figures,
            lambda: self.last,
            lambda: bus or self.bus,
            {"functions": (AGENT_RESULTS,)},
            Clock(),  # type: ignore[arg-type]
            "1.2.3",
        )

    def end(self, name: str, outcome: Outcome, until: float, *told: Told, project: str = "acme/shop") -> None:
        story = Story(self.store, name, project=project)
        story.begin()
        story.tell(run_finished(outcome))
        run = ended(*told, id=story.id, outcome=outcome, until=until, project=project)
        self.figures.count([facts_of(run)], at(0))


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(text: str, name: str, **labels: str) -> float:
    return samples(text)[(name, frozenset(labels.items()))]


def names(text: str) -> set[str]:
    return {name for name, _ in samples(text)}


def unit(*results: Result, **task: int) -> Told:
    times = tuple((10.0 * n, 10.0 * n + 2, 10.0 * n + 9) for n in range(len(results)))
    return Told("unit", "test", times, results, task=dict(task))


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def busy() -> House:
    return busy_house()


def busy_house() -> House:
    """A bit of everything."""
    house = House()
    lost = Result(outcome=Outcome.ERROR, lost=True)
    ship = Told("ship", "deploy", ((50, 51, 60),), (success(),), environment="live", needs=("unit",))
    house.end("a", Outcome.SUCCESS, 60, unit(failure(), lost, success(), retries=1, lost=1), ship)
    house.end("b", Outcome.FAILURE, 3, unit(failure()))
    house.end("c", Outcome.CANCELLED, 5, unit(failure()), project="acme/site")
    one, two = Story(house.store, "one"), Story(house.store, "two")
    one.begin(records=[a_record()])
    two.begin()
    one.launch(seconds=10)
    one.start(at(40), seconds=12)
    house.store.commit(Commit(one.run, one.state.version, (), (), at(20), turns=Turns(taken=("live",))))
    house.store.commit(Commit(two.run, 1, (), (), at(21), turns=Turns(queued=("live",))))
    two_more = Story(house.store, "ended")
    two_more.begin()
    two_more.tell(run_finished())
    house.bus.producer().publish([a_record(topic=AGENT_RESULTS, key="k", id=f"m{n}") for n in range(3)])
    house.last = LastAccount(T0 + timedelta(seconds=30), 2, 5)
    return house


def test_what_has_ended_is_counted_by_project_and_outcome(busy: House) -> None:
    text = busy.metering.exposition()
    runs = {(p, o): of(text, "turnout_runs_total", project=p, outcome=o) for p, o in (
        ("acme/shop", "success"), ("acme/shop", "failure"), ("acme/site", "cancelled"))}  # fmt: skip
    assert set(runs.values()) == {1.0}
    assert of(text, "turnout_attempts_total", outcome="failure") == 3
    assert of(text, "turnout_retries_total", budget="pipeline") == 1
    assert of(text, "turnout_retries_total", budget="infrastructure") == 1
    assert of(text, "turnout_attempts_lost_total") == 1
    assert of(text, "turnout_deploys_total", project="acme/shop", environment="live", result="good") == 1


def test_lengths_are_histograms_with_their_sums(busy: House) -> None:
    text = busy.metering.exposition()
    name = "turnout_run_duration_seconds"
    assert of(text, f"{name}_sum", project="acme/shop") == 63
    bounds = ("2", "4", "32", "64", "16384", "+Inf")
    counted = [of(text, f"{name}_bucket", project="acme/shop", le=le) for le in bounds]
    assert counted == [0, 1, 1, 2, 2, 2]
    assert of(text, f"{name}_count", project="acme/shop") == 2
    assert of(text, "turnout_stage_duration_seconds_sum", agent="deploy") == 10
    assert of(text, "turnout_attempt_startup_seconds_count") == 6
    assert of(text, "turnout_attempt_startup_seconds_bucket", le="1") == 1
    assert of(text, "turnout_attempt_startup_seconds_bucket", le="2") == 6


def test_what_is_open_is_told_as_it_is_now(busy: House) -> None:
    text = busy.metering.exposition()
    assert of(text, "turnout_runs_open", status="running") == 2
    assert of(text, "turnout_attempts_open", agent="test") == 1
    assert of(text, "turnout_attempt_oldest_seconds", agent="test") == 50
    assert of(text, "turnout_leases_overdue") == 1
    assert of(text, "turnout_outbox_unpublished") == 2
    assert of(text, "turnout_outbox_oldest_seconds") == 60
    assert of(text, "turnout_runs_uncounted") == 1
    assert of(text, "turnout_environment_held_seconds", project="acme/shop", environment="live") == 40
    assert of(text, "turnout_environment_waiting", project="acme/shop", environment="live") == 1
    assert of(text, "turnout_unaccounted") == 2
    assert of(text, "turnout_audit_age_seconds") == 30
    assert [value for (name, _), value in samples(text).items() if name == "turnout_build_info"] == [1]


def test_lag_is_by_group_topic_and_partition(busy: House) -> None:
    consumer = busy.bus.consumer("functions", [AGENT_RESULTS])
    read = consumer.poll(1)
    consumer.commit([Position(AGENT_RESULTS, read[0].partition, 1)])
    consumer.close()
    text = busy.metering.exposition()
    lags = [value for (name, _), value in samples(text).items() if name == "turnout_bus_lag_records"]
    assert (len(lags), sum(lags)) == (6, 2)
    assert of(text, "turnout_bus_up") == 1


def test_dead_letters_are_read_again_only_when_something_lies_there_that_did_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def watched(bus: Bus, timeout: float) -> object:
        read.append(timeout)
        return dead_letters(bus, timeout)

    monkeypatch.setattr("turnout.metering.dead_letters", watched)
    assert of(house.metering.exposition(), "turnout_dead_letters") == 0
    assert read == []
    house.bus.producer().publish([a_record()])
    (taken,) = house.bus.records(AGENT_REPORT)
    letter = dead_letter(taken, group="functions", reason="no", status=422, tries=1, at=at(1))
    house.bus.producer().publish([letter])
    for _ in range(3):
        assert of(house.metering.exposition(), "turnout_dead_letters") == 1
    assert len(read) == 1
    house.bus.producer().publish([redriven_mark(each) for each in dead_letters(house.bus)])
    assert of(house.metering.exposition(), "turnout_dead_letters") == 0
    assert sum(house.bus.lag("nobody", [DEAD_LETTERS]).values()) == 2


class AwayBus(MemoryBus):
    def lag(self, group: str, topics: Iterable[str]) -> Mapping[tuple[str, int], int]:
        raise TransientError("no broker")


def test_that_the_bus_is_away_is_a_metric_and_the_rest_is_told(busy: House) -> None:
    text = busy.process(AwayBus()).exposition()
    assert of(text, "turnout_bus_up") == 0
    assert "turnout_bus_lag_records" not in names(text)
    assert of(text, "turnout_runs_open", status="running") == 2


def test_before_the_first_audit_nothing_is_claimed_of_the_ledger(house: House) -> None:
    assert "turnout_unaccounted" not in names(house.metering.exposition())


def test_counters_are_the_same_of_every_process_and_never_fall(busy: House) -> None:
    def counters(text: str) -> Samples:
        ends = ("_total", "_count", "_sum", "_bucket")
        return {key: value for key, value in samples(text).items() if key[0].endswith(ends)}

    before = counters(busy.metering.exposition())
    assert counters(busy.process().exposition()) == before
    busy.end("d", Outcome.SUCCESS, 100, unit(success()))
    after = counters(busy.process().exposition())
    assert before.keys() <= after.keys()
    assert all(after[key] >= value for key, value in before.items())


def test_an_empty_system_has_metrics_too(house: House) -> None:
    text = house.metering.exposition()
    assert of(text, "turnout_retries_total", budget="pipeline") == 0
    assert of(text, "turnout_outbox_unpublished") == 0
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


@pytest.mark.real
def test_promtool_finds_no_fault_in_it(busy: House) -> None:
    promtool = shutil.which("promtool")
    require("promtool", promtool is not None, "make real-parts installs prometheus")
    assert promtool is not None
    text = busy.metering.exposition()
    said = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")

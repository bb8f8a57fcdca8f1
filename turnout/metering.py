"""Metrics for Prometheus, made from the store whenever they are asked for: functions come and go, and what they count
by themselves goes with them. So counters are the same whichever console is asked, and never fall after a restart.

Source: https://prometheus.io/docs/instrumenting/writing_clientlibs/, https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from platform import python_version

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from turnout.core.errors import TransientError
from turnout.core.ports import Bus, Clock
from turnout.core.ports.figures import Figures, Open, Standing
from turnout.core.ports.ledger import LastAccount
from turnout.core.spread import Spread
from turnout.core.tally import Tally
from turnout.core.topics import DEAD_LETTERS
from turnout.redriving import NOBODY, dead_letters

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LONG = tuple(range(15))
"""Upper bounds of what runs and stages take, as powers of two: 1 s to 4.5 h."""
SHORT = tuple(range(-3, 11))
"""Of what attempts wait: 0.125 s to 17 min."""
PATIENCE = 5.0
"""Seconds for the dead letters to be read; Prometheus waits for ten by itself."""


@dataclass
class _Letters:
    """How many are open. They are read only when their topic has changed. ``known``: records there, and open ones."""

    known: tuple[int, int] = (0, 0)

    def count(self, bus: Bus) -> int:
        """Raises: TransientError."""
        lying = sum(bus.lag(NOBODY, [DEAD_LETTERS]).values())
        if lying != self.known[0]:
            self.known = (lying, len(dead_letters(bus, PATIENCE)) if lying else 0)
        return self.known[1]


@dataclass(frozen=True)
class Metering:
    """``audited``: what the ledger came to last. ``groups``: consumer group to the topics it reads. ``release``: of
    Turnout."""

    figures: Figures
    audited: Callable[[], LastAccount | None]
    bus: Callable[[], Bus]
    groups: Mapping[str, Sequence[str]]
    clock: Clock
    release: str
    _letters: _Letters = field(default_factory=_Letters, init=False)

    def exposition(self) -> str:
        """The text that Prometheus reads (`CONTENT_TYPE`). That the bus is away is a metric.

        Raises: TransientError where the store is away.
        """
        now = self.clock.now()
        made = [
            *_history(self.figures.totals()),
            *_now(self.figures.standing(now), now),
            *_ledger(self.audited(), now),
            *self._bus(),
            _gauge("build", "Always 1; the labels say what runs here.", ("version", "python"), "_info").of(
                [((self.release, python_version()), 1)]
            ),
        ]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Given([each for each in made if each.samples]))
        return generate_latest(registry).decode()

    def _bus(self) -> Iterator[Metric]:
        try:
            bus = self.bus()
            behind = [
                ((group, topic, str(partition)), number)
                for group, topics in self.groups.items()
                for (topic, partition), number in sorted(bus.lag(group, topics).items())
            ]
            letters = self._letters.count(bus)
        except TransientError:
            yield _gauge("bus_up", "Whether the bus could be asked.").of([((), 0)])
            return
        yield _gauge("bus_up", "Whether the bus could be asked.").of([((), 1)])
        yield _gauge(
            "bus_lag_records",
            "Records that a consumer group has not done yet.",
            ("group", "topic", "partition"),
        ).of(behind)
        yield _gauge("dead_letters", "Records that nobody could take, neither retried nor discarded.").of(
            [((), letters)]
        )


def _history(totals: Mapping[str, Tally]) -> Iterator[Metric]:
    """What has ended, since ever: nothing of it falls."""
    runs = _counter("runs", "Runs that have ended.", ("project", "outcome"))
    duration = _Histogram(
        "run_duration", "From a run's creation to its end, without waiting for people alone.", LONG
    )
    deploys = _counter("deploys", "Deploys that have ended.", ("project", "environment", "result"))
    everything = Tally()
    for project, each in totals.items():
        everything = everything.plus(each)
        runs.of(((project, outcome), number) for outcome, number in sorted(each.runs.items()))
        duration.add((project,), each.duration)
        for environment, done in sorted(each.deploys.items()):
            deploys.of(
                [((project, environment, "good"), done.good), ((project, environment, "failed"), done.failed)]
            )
    stages = _Histogram("stage_duration", "From a stage's start to its end.", LONG, "agent")
    for agent, lengths in sorted(everything.stages.items()):
        stages.add((agent,), lengths)
    yield from (runs, duration.family, deploys, stages.family)
    for name, help_, lengths in (
        ("attempt_queue", "What an attempt waited before it was handed out.", everything.queue),
        ("attempt_startup", "From handing an attempt out to its agent's first word.", everything.startup),
    ):
        waits = _Histogram(name, help_, SHORT, "")
        waits.add((), lengths)
        yield waits.family
    yield _counter("attempts", "Attempts of runs that have ended.", ("outcome",)).of(
        ((outcome,), number) for outcome, number in sorted(everything.attempts.items())
    )
    retries = {"pipeline": 0, "infrastructure": 0} | everything.retries
    yield _counter("retries", "Retries, by the budget that paid for them.", ("budget",)).of(
        ((budget,), number) for budget, number in retries.items()
    )
    yield _counter("attempts_lost", "Attempts that the platform lost.").of([((), everything.lost)])


def _now(standing: Standing, now: datetime) -> Iterator[Metric]:
    yield _gauge("runs_open", "Runs that have not ended.", ("status",)).of(
        ((status,), each.number) for status, each in sorted(standing.runs.items())
    )
    attempts = sorted(standing.attempts.items())
    yield _gauge("attempts_open", "Attempts that have not ended.", ("agent",)).of(
        ((agent,), each.number) for agent, each in attempts
    )
    yield _gauge("attempt_oldest", "Age of the oldest open attempt.", ("agent",), "_seconds").of(
        ((agent,), _age(each, now)) for agent, each in attempts
    )
    yield _gauge("leases_overdue", "Open attempts whose lease, or time to start, has ended.").of(
        [((), standing.overdue)]
    )
    yield _gauge("outbox_unpublished", "Records that wait for the broker.").of(
        [((), standing.unpublished.number)]
    )
    yield _gauge("outbox_oldest", "Age of the oldest of them.", (), "_seconds").of(
        [((), _age(standing.unpublished, now))]
    )
    yield _gauge("runs_uncounted", "Runs that have ended, and are not in the figures yet.").of(
        [((), standing.uncounted)]
    )
    labels = ("project", "environment")
    yield _gauge("environment_held", "For how long a run has been deploying to it.", labels, "_seconds").of(
        ((each.project, each.environment), (now - each.held).total_seconds())
        for each in standing.turns
        if each.held is not None
    )
    yield _gauge("environment_waiting", "Runs that wait for an environment.", labels).of(
        ((each.project, each.environment), each.waiting) for each in standing.turns
    )


def _ledger(last: LastAccount | None, now: datetime) -> Iterator[Metric]:
    """Nothing is claimed before there was an audit."""
    if last is None:
        return
    yield _gauge("unaccounted", "Deliveries, runs, attempts and reports that nobody can account for.").of(
        [((), last.unaccounted)]
    )
    yield _gauge("audit_age", "Since the ledger was made up last.", (), "_seconds").of(
        [((), (now - last.at).total_seconds())]
    )


def _age(each: Open, now: datetime) -> float:
    return max((now - each.oldest).total_seconds(), 0.0) if each.oldest else 0.0


class _Given:
    """A collector of what is there already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


Rows = Iterable[tuple[tuple[str, ...], float]]


class _Counter(CounterMetricFamily):
    def of(self, rows: Rows) -> _Counter:
        for labels, value in rows:
            self.add_metric(labels, value)
        return self


class _Gauge(GaugeMetricFamily):
    def of(self, rows: Rows) -> _Gauge:
        for labels, value in rows:
            self.add_metric(labels, value)
        return self


class _Histogram:
    """``powers``: of two, the upper bounds of its buckets in seconds."""

    def __init__(self, name: str, help_: str, powers: Sequence[int], label: str = "project") -> None:
        labels = (label,) if label else ()
        self.family = HistogramMetricFamily(f"turnout_{name}_seconds", help_, labels=labels)
        self._powers = powers

    def add(self, labels: Sequence[str], lengths: Spread) -> None:
        buckets = [(f"{limit:g}", float(count)) for limit, count in lengths.up_to(self._powers)]
        self.family.add_metric(labels, [*buckets, ("+Inf", float(lengths.count))], lengths.total)


def _counter(name: str, help_: str, labels: Sequence[str] = ()) -> _Counter:
    return _Counter(f"turnout_{name}", help_, labels=labels)


def _gauge(name: str, help_: str, labels: Sequence[str] = (), unit: str = "") -> _Gauge:
    return _Gauge(f"turnout_{name}{unit}", help_, labels=labels)

"""What must hold in the end, when all is quiet. Each check yields the invariant that is broken, and what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.simulation.outside import drawn
from turnout.adapters.store.projection import run_row
from turnout.core import events as e
from turnout.core.dead_letters import open_letters
from turnout.core.evolve import replay
from turnout.core.ids import delivery_message_id, run_id
from turnout.core.model import Outcome
from turnout.core.run import Run
from turnout.core.topics import DEAD_LETTERS, PIPELINE_EVENTS
from turnout.reporting.policy import is_told

if TYPE_CHECKING:
    from tests.simulation.invariants import Watch

Seen = Iterator[tuple[str, str]]


class Ending:
    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.world = watch.world

    def checks(self) -> Seen:
        yield from self._deliveries()
        yield from self._balance()
        yield from self._effects()
        yield from self.world.launched.checks()
        yield from self.watch.deploying.checks()
        yield from self._replay()
        yield from self._projections()
        yield from self._requests()
        yield from self._dead_letters()
        yield from self._reports()

    def _deliveries(self) -> Seen:
        rows = {each.id: each for each in self.world.store.deliveries(limit=1000)}
        for push in self.world.pushes:
            row = rows.get(f"d-{push.id}")
            name = "a delivery ends in one run or one reason"
            if row is None:
                yield name, f"{push.id} was accepted, and is not known"
                continue
            run = self.watch.states.get(run_id(delivery_message_id("github", f"d-{push.id}")))
            if push.kind in ("run", "broken"):
                if run is None or row.status != "run" or row.run != run.id:
                    yield (
                        name,
                        f"{push.id} is {row.status} ({row.reason}), its run {'is there' if run else 'is not there'}",
                    )
            elif row.status != "ignored" or not row.reason or run is not None:
                yield name, f"{push.id} should be ignored, and is {row.status}"

    def _balance(self) -> Seen:
        for attempt in self.watch.attempts.keys() - self.watch.ended.keys():
            yield "the ledger is balanced", f"attempt {attempt[:8]} was launched, and never ended"
        for attempt in self.watch.ended.keys() - self.watch.attempts.keys():
            yield "the ledger is balanced", f"attempt {attempt[:8]} ended, and was never launched"

    def _effects(self) -> Seen:
        """One run an attempt. The one exception that docs/simulation.md names: on machines that share no claims, a
        record that is on its topic twice may be run by each of them."""
        effects = self.world.effects
        for attempt, begun in effects.begun.items():
            machines = Counter(home for _, home in begun)
            copies = self.world.bus.copies[attempt]
            if max(machines.values()) > 1 or len(begun) > copies:
                where = " and ".join(worker for worker, _ in begun)
                yield (
                    "an attempt runs once",
                    f"attempt {attempt[:8]} ran on {where}; its task was sent {copies} times",
                )
            if attempt not in self.watch.attempts:
                yield "an attempt runs once", f"attempt {attempt[:8]} ran, and was never launched"
        for run in self.watch.states.values():
            for _, task in run.tasks():
                for each in task.attempts:
                    good = each.result is not None and each.result.outcome is Outcome.SUCCESS
                    if good and each.id not in effects.begun:
                        yield "no success without work", f"{task.id} of {short(run)}"

    def _replay(self) -> Seen:
        for id, steps in self.watch.history.items():
            stored = self.world.store.events(id)
            if [each.version for each in stored] != list(range(1, len(stored) + 1)):
                yield "one history", f"run {id[:4]}: versions {[each.version for each in stored]}"
                continue
            texts = self.world.scenario.seed % 4 == 0
            events = [e.load(e.dump(each.event)) if texts else each.event for each in stored]
            run, done = None, 0
            for version, state in steps:
                run = replay(events[done:version], run)
                done = version
                if run != state:
                    yield "a run is rebuilt as it was", f"run {id[:4]} at version {version}"
            if done != len(stored):
                yield (
                    "a run is rebuilt as it was",
                    f"run {id[:4]} has {len(stored)} events, {done} were decided",
                )

    def _projections(self) -> Seen:
        store, name = self.world.store, "the projection is the fold of the events"
        rows = {each.id: each for each in store.runs(limit=1000)}
        for run in self.watch.states.values():
            row = rows.pop(run.id, None)
            if store.load(run.id) != run or row is None or row != run_row(run, row.number):
                yield name, f"run {short(run)}"
            if store.attempts(run.id):
                yield (
                    name,
                    f"run {short(run)} has ended, and {len(store.attempts(run.id))} attempts have not",
                )
        for row in rows.values():
            yield name, f"run {row.id[:4]} is listed, and has no events"
        due = store.next_due()
        if due is not None:
            yield name, f"all runs have ended, and something is due at {due}"

    def _requests(self) -> Seen:
        """Whatever was asked for, by people or by the orchestrator itself, has been answered."""
        store = self.world.store
        if self.world.wiped:
            return
        for row in store._outbox.values():
            if row.row.record.topic == PIPELINE_EVENTS:
                id = dict(row.row.record.headers)["ce_id"].decode()
                if not store.seen(id):
                    kind = dict(row.row.record.headers)["ce_type"].decode()
                    yield "every request is answered", f"{kind} {id[:8]}"

    def _dead_letters(self) -> Seen:
        letters = open_letters(self.world.bus.records(DEAD_LETTERS))
        found = Counter(each.record.value for each in letters)
        planned = set(self.world.poison)
        for letter in letters:
            if letter.record.value not in planned:
                yield "only poison is given up", f"{letter.record.topic}: {letter.reason}"
        if not self.world.wiped:
            for mark in planned - found.keys():
                yield "what can't be handled is kept", mark.decode()

    def _reports(self) -> Seen:
        world = self.world
        name = "one report a fact"
        cards = Counter(each.run for each in world.slack.messages if not each.thread)
        for id, count in cards.items():
            if count > 1:
                yield name, f"run {id[:4]} has {count} messages"
        for key, count in Counter(
            (each.thread, each.run, each.fact) for each in world.slack.messages if each.thread
        ).items():
            if count > 1:
                yield name, f"run {key[1][:4]} has {count} answers on {key[2]}"
        yield from self._told()

    def _told(self) -> Seen:
        world, store = self.world, self.world.store
        for run in self.watch.states.values():
            previous = ""
            shown = next(
                (each for each in world.slack.messages if each.run == run.id and not each.thread), None
            )
            if run.outcome is not None and shown is None and is_told(run, previous):
                yield "what people should know is told", f"run {short(run)} ended as {run.outcome.value}"
            if shown is not None and not _shows(shown.message, run):
                yield "people see the run as it is", f"run {short(run)}"
        for (id, fact), _ in self.watch.facts.items():
            row = store.find_report(id, "slack", fact)
            if row is None or row.status not in ("sent", "skipped"):
                yield (
                    "every fact is told or skipped",
                    f"{fact} of run {id[:4]} is {row.status if row else 'unknown'}",
                )


def _shows(message: Any, run: Run) -> bool:
    """Whether the message says what it should say of the run as it ended."""
    return bool(message["text"] == drawn(run))


def short(run: Run) -> str:
    return run.id[:4]

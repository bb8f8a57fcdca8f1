"""``python -m tests.chaos.compare``: the same deliveries and the same strikes for Turnout and for Buildbot, and a table
of what each lost or did twice, which ``--write`` puts into docs/chaos.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos.contestants import Became, BuildbotUnderStrikes, Contestant, Side, Turnout
from tests.chaos.pushes import Delivery
from tests.chaos.schedule import Kind
from tests.chaos.telling import DOCUMENT, markdown, write
from tests.chaos.theatre import STAGES
from tests.waiting import wait_until
from turnout.core.errors import TransientError

COMMAND = "make chaos-compare"
DOUBLED = 0.25
EVERY = 0.8
"""Seconds between two deliveries."""
QUIET = 5.0
"""Seconds for which nothing may wait or run, before it is taken to be over."""
STUCK = 45.0
"""Seconds in which no command begins, after which whatever still waits or runs is taken to do so for ever."""
PATIENCE = 900.0


@dataclass(frozen=True, slots=True)
class Blow:
    """``at``: seconds after the first delivery. ``lasts``: how long it is stopped, or stays down."""

    at: float
    kind: Kind
    side: Side
    lasts: float


def blows(seed: int, over: float) -> list[Blow]:
    """Each kind on each side once, in an order of the seed's, spread over so many seconds."""
    random = Random(f"blows {seed}")
    found = [(kind, side) for kind in (Kind.KILL, Kind.FREEZE) for side in (Side.SERVER, Side.WORKER)]
    found += [(Kind.KILL, Side.MACHINE), (Kind.RESTART, Side.MACHINE), (Kind.KILL, Side.WORKER)]
    random.shuffle(found)
    step = over / len(found)
    return [
        Blow(
            round(step * (number + random.uniform(0.3, 0.7)), 1),
            kind,
            side,
            0.0 if kind is Kind.KILL else round(random.uniform(2.0, 5.0), 1),
        )
        for number, (kind, side) in enumerate(found)
    ]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counted in deliveries, but for ``posts`` and ``again``: commands carried out more often than once a delivery."""

    sent: int
    posts: int
    refused: int
    lost: int
    twice: int
    stuck: int
    not_well: int
    again: int
    missing: int
    twice_after: int


def tally(
    sent: Sequence[Delivery], accepted: set[str], before: dict[str, Became], after: dict[str, Became]
) -> Tally:
    """``before``: what became of them by itself; ``after``: once those that were not accepted were sent again."""
    ids = [each.id for each in sent]
    return Tally(
        sent=len(ids),
        posts=sum(each.copies for each in sent),
        refused=sum(id not in accepted for id in ids),
        lost=sum(id in accepted and _runs(before, id) == 0 for id in ids),
        twice=sum(_runs(before, id) > 1 for id in ids),
        stuck=sum(any(not each for each in before[id].outcomes) for id in ids if id in before),
        not_well=sum(
            any(each not in ("", "success") for each in before[id].outcomes) for id in ids if id in before
        ),
        again=sum(count - 1 for each in before.values() for count in each.done.values()),
        missing=sum(_runs(after, id) == 0 for id in ids),
        twice_after=sum(_runs(after, id) > 1 for id in ids),
    )


def _runs(became: dict[str, Became], id: str) -> int:
    return became[id].runs if id in became else 0


def perform(contestant: Contestant, seed: int, count: int, say: Callable[[str], None]) -> Tally:
    """Deliver and strike; wait until it is over; redeliver what was not accepted; wait again."""
    sent = contestant.prepare(seed, count, DOUBLED)
    accepted = _burst(contestant, sent, blows(seed, count * EVERY), say)
    _until_quiet(contestant)
    before = dict(contestant.became())
    failed = [each for each in sent if each.id not in accepted]
    say(f"{contestant.name}: {len(failed)} deliveries were not accepted; they are sent again")
    for each in failed:
        contestant.post(each)
    _until_quiet(contestant)
    return tally(sent, accepted, before, dict(contestant.became()))


def _burst(
    contestant: Contestant, sent: Sequence[Delivery], strikes: Sequence[Blow], say: Callable[[str], None]
) -> set[str]:
    """Those that were accepted, at least once."""
    accepted: set[str] = set()
    began = time.monotonic()

    def post(delivery: Delivery) -> None:
        if contestant.post(delivery):
            accepted.add(delivery.id)

    def strike() -> None:
        for each in strikes:
            threading.Event().wait(max(0.0, began + each.at - time.monotonic()))
            say(f"{contestant.name}: {each.side} {each.kind} {each.lasts:g} s")
            if each.kind is Kind.FREEZE:
                contestant.freeze(each.side, each.lasts)
            else:
                contestant.kill(each.side, each.lasts)

    striking = threading.Thread(target=strike, name="strikes", daemon=True)
    striking.start()
    with ThreadPoolExecutor(max_workers=16) as github:
        for number, each in enumerate(_copies(sent)):
            threading.Event().wait(
                max(0.0, began + number * EVERY * len(sent) / _posts(sent) - time.monotonic())
            )
            github.submit(post, each)
    striking.join()
    return accepted


def _posts(sent: Sequence[Delivery]) -> int:
    return sum(each.copies for each in sent)


def _copies(sent: Sequence[Delivery]) -> Iterator[Delivery]:
    """Each delivery, the copies of one right after it."""
    for each in sent:
        for _ in range(each.copies):
            yield each


def _until_quiet(contestant: Contestant) -> None:
    """Until nothing waits or runs any more, or nothing moves. Raises: AssertionError when patience is over first."""
    quiet_since: list[float] = []
    moved = [-1.0, 0.0]

    def over() -> bool:
        now = time.monotonic()
        size = contestant.effects.stat().st_size
        if size != moved[0]:
            moved[:] = [size, now]
        try:
            quiet = contestant.quiet()
        except TransientError:
            quiet = False
        if not quiet:
            quiet_since.clear()
        elif not quiet_since:
            quiet_since.append(now)
        return now - moved[1] >= STUCK or (bool(quiet_since) and now - quiet_since[0] >= QUIET)

    wait_until(over, PATIENCE, f"{contestant.name} has nothing left to do", poll=0.25)


ROWS: dict[str, Callable[[Tally], object]] = {
    "not accepted while it was down (GitHub shows them as failed)": lambda t: t.refused,
    "**lost**: accepted, and no run": lambda t: t.lost,
    "**twice**: one delivery, several runs": lambda t: t.twice,
    "runs that never end": lambda t: t.stuck,
    "runs that did not end well, though no command failed": lambda t: t.not_well,
    "commands carried out again": lambda t: t.again,
    "after sending the not accepted ones again: still missing": lambda t: t.missing,
    "after sending the not accepted ones again: twice": lambda t: t.twice_after,
}


def table(found: dict[str, Tally]) -> list[str]:
    first = next(iter(found.values()))
    head = (f"of {first.sent} deliveries, sent {first.posts} times", *found)
    return markdown([head, *((row, *(str(of(each)) for each in found.values())) for row, of in ROWS.items())])


def described(seed: int, count: int) -> list[str]:
    struck = "; ".join(
        f"{each.at:g} s {each.side} {each.kind}" + (f" {each.lasts:g} s" if each.lasts else "")
        for each in blows(seed, count * EVERY)
    )
    return [f"Seed {seed}, {len(STAGES)} commands a run. Strikes: {struck}.", ""]


def compare(
    home: Path, seed: int, count: int, say: Callable[[str], None], *, kafka: bool = True
) -> dict[str, Tally]:
    contestants: list[Contestant] = [Turnout(home / "embedded", shared=False)]
    if kafka:
        contestants.append(Turnout(home / "kafka", shared=True))
    contestants.append(BuildbotUnderStrikes(home / "buildbot"))
    found = {}
    for each in contestants:
        with each:
            found[each.name] = perform(each, seed, count, say)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.compare", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    asked = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)

    with tempfile.TemporaryDirectory(prefix="turnout-chaos-") as made:
        found = compare(Path(made), asked.seed, asked.runs, say)
    lines = [*described(asked.seed, asked.runs), *table(found)]
    print("", *lines, sep="\n")
    if asked.write:
        write(COMMAND, lines)
    ours = [each for name, each in found.items() if name.startswith("Turnout")]
    return (
        1
        if any(each.lost or each.twice_after or each.missing or each.stuck or each.not_well for each in ours)
        else 0
    )


if __name__ == "__main__":
    sys.exit(main())

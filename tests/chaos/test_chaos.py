"""200 runs on real processes, a real broker and a real database, while everything strikes. See docs/chaos.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.kafka import broker
from local.postgres import server
from tests.chaos.__main__ import AT_JOBS, STRIKES, STRIKES_AT_JOBS, play
from tests.chaos.disk import may_mount
from tests.chaos.schedule import Kind
from tests.chaos.telling import figures, table
from tests.real import require

RUNS = 200
JOBS_RUNS = 12
"""Each of their attempts starts an interpreter of its own."""
SEED = 3
"""Always the same, for a gate must not be a lottery; `make chaos` takes another one each time."""


@pytest.mark.real
@pytest.mark.timeout(900)
def test_whatever_strikes_nothing_is_lost_and_nothing_is_done_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require("Apache Kafka", broker.available(), broker.INSTALL)
    require("PostgreSQL", server.available(), server.INSTALL)
    outcome = play(tmp_path, runs=RUNS, seed=SEED, strikes=STRIKES, kinds=list(Kind), say=lambda _: None)
    with capsys.disabled():
        print("", *table(outcome), "", *figures(outcome), sep="\n")
    assert not outcome.problems
    left_out = 0 if may_mount() else 1
    assert len(outcome.struck) == STRIKES - left_out
    assert outcome.runs == RUNS
    assert outcome.redelivered > RUNS // 8
    assert outcome.lost, "nothing was hit while it ran: the strikes prove nothing"


@pytest.mark.real
@pytest.mark.timeout(900)
def test_where_attempts_are_jobs_that_know_the_gateway_alone_nothing_is_lost_or_done_twice_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require("Apache Kafka", broker.available(), broker.INSTALL)
    require("PostgreSQL", server.available(), server.INSTALL)
    outcome = play(
        tmp_path,
        runs=JOBS_RUNS,
        seed=SEED,
        strikes=STRIKES_AT_JOBS,
        kinds=AT_JOBS,
        say=lambda _: None,
        launched=True,
    )
    with capsys.disabled():
        print("", *table(outcome), "", *figures(outcome), sep="\n")
    assert not outcome.problems
    assert len(outcome.struck) == STRIKES_AT_JOBS
    assert outcome.runs == JOBS_RUNS
    assert outcome.lost, "no job was hit while it ran: the strikes prove nothing"

"""200 runs on real processes, a real broker and a real database, while everything strikes. See docs/chaos.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.kafka import broker
from local.postgres import server
from tests.chaos.__main__ import STRIKES, play
from tests.chaos.disk import may_mount
from tests.chaos.schedule import Kind
from tests.chaos.telling import figures, table
from tests.real import require

RUNS = 200
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

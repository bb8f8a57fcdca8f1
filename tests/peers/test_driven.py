"""The drivers of the systems that are libraries: each really runs five commands, one after another."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bench.systems import Surroundings, make
from tests.bench.timeline import STAGES
from tests.peers import redis_server
from tests.peers.place import INSTALL, available
from tests.real import require

pytestmark = pytest.mark.real


@pytest.mark.parametrize("name", ["bare", "luigi", "dbos-sqlite", "celery"])
def test_a_pipeline_runs_its_commands_in_order_and_a_burst_runs_them_all(name: str, tmp_path: Path) -> None:
    require("the systems to compare with", available(), INSTALL)
    require("redis-server", redis_server.available(), INSTALL)
    with ExitStack() as stack:
        system = make(name, Surroundings(stack, tmp_path))
        stack.callback(system.stop)
        system.start()
        line = system.one()
        assert len(line.stamps) == STAGES
        assert list(line.stamps) == sorted(line.stamps)
        assert line.sent <= line.answered
        assert line.sent < line.stamps[0]
        burst = system.burst(3)
        assert burst.pipelines == 3
        assert burst.began < burst.ended
        assert system.memory() > 1

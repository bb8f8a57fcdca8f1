from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.postgres import server
from tests.chaos.cut_off import PATIENCE
from tests.real import require

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.real
def test_a_database_that_is_cut_off_without_a_word_is_given_up_in_seconds() -> None:
    """Not after a quarter of an hour, when every thread of every function would hang and deliveries be given up."""
    require("PostgreSQL", server.available(), server.INSTALL)
    if os.geteuid() != 0:
        pytest.skip("a network of its own, to be cut, takes root")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.chaos.cut_off"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=True,
    )
    after = json.loads(done.stdout.splitlines()[-1])
    assert after["speaks"] < PATIENCE / 2
    assert after["waits"] < PATIENCE / 2

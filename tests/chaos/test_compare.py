from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.compare import compare
from tests.peers.place import INSTALL, available
from tests.real import require


@pytest.mark.real
@pytest.mark.timeout(600)
def test_under_the_strikes_that_buildbot_gets_too_nothing_is_lost_and_nothing_is_done_twice(
    tmp_path: Path,
) -> None:
    require("Buildbot", available(), INSTALL)
    found = compare(tmp_path, seed=1, count=12, say=lambda _: None, kafka=False)
    ours, theirs = found["Turnout, embedded"], found["Buildbot"]
    assert (ours.sent, ours.posts) == (theirs.sent, theirs.posts)
    assert ours.posts > ours.sent
    for what in ("lost", "twice", "stuck", "not_well", "missing", "twice_after"):
        assert getattr(ours, what) == 0, what
    assert theirs.sent > theirs.refused, "Buildbot took nothing: this compares nothing"

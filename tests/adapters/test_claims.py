from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.waiting import wait_until
from turnout.adapters.claims import FileClaims
from turnout.core.errors import IllegalTransition, PermanentError, TransientError
from turnout.core.ids import attempt_id
from turnout.core.ports import Claims

ATTEMPT = attempt_id("run", "lint", 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "claims"


def test_the_port_is_kept(root: Path) -> None:
    claims: Claims = FileClaims(root)
    assert claims.state(ATTEMPT) == "free"


def test_one_of_many_workers_gets_an_attempt(root: Path) -> None:
    workers = [FileClaims(root) for _ in range(8)]
    won: list[bool] = []

    def compete(claims: FileClaims) -> None:
        try:
            got = claims.claim(ATTEMPT, "w")
        except TransientError:
            got = False
        won.append(got)

    threads = [threading.Thread(target=compete, args=(each,)) for each in workers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(won) == [False] * 7 + [True]


def test_an_attempt_that_runs_or_ran_is_refused(root: Path) -> None:
    mine, other = FileClaims(root), FileClaims(root)
    assert mine.claim(ATTEMPT, "mine")
    mine.running(ATTEMPT)
    assert not other.claim(ATTEMPT, "other")
    assert not mine.claim(ATTEMPT, "mine")
    mine.finished(ATTEMPT)
    assert not other.claim(ATTEMPT, "other")
    assert other.state(ATTEMPT) == "finished"


def test_a_claim_that_has_not_started_is_neither_given_nor_refused_to_another(root: Path) -> None:
    mine, other = FileClaims(root), FileClaims(root)
    assert mine.claim(ATTEMPT, "mine")
    with pytest.raises(TransientError, match="held by mine"):
        other.claim(ATTEMPT, "other")
    assert mine.claim(ATTEMPT, "mine")  # one's own is given again
    mine.release(ATTEMPT)
    assert other.claim(ATTEMPT, "other")


def test_a_released_attempt_that_runs_stays_claimed(root: Path) -> None:
    mine = FileClaims(root)
    mine.claim(ATTEMPT, "mine")
    mine.running(ATTEMPT)
    mine.release(ATTEMPT)
    assert mine.state(ATTEMPT) == "running"


def test_nobody_marks_what_another_has_claimed_as_running(root: Path) -> None:
    mine, other = FileClaims(root), FileClaims(root)
    mine.claim(ATTEMPT, "mine")
    other.claim(attempt_id("run", "lint", 2), "other")
    with pytest.raises(IllegalTransition):
        other.running(ATTEMPT)


def test_a_cancel_is_seen_by_others_also_before_any_claim(root: Path) -> None:
    assert not FileClaims(root).cancelled(ATTEMPT)
    FileClaims(root).cancel(ATTEMPT)
    assert FileClaims(root).cancelled(ATTEMPT)


WORKER = """
import sys
from pathlib import Path
from turnout.adapters.claims import FileClaims
claims = FileClaims(Path(sys.argv[1]))
assert claims.claim(sys.argv[2], "doomed")
if sys.argv[3] == "running":
    claims.running(sys.argv[2])
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("state", ["claimed", "running"])
def test_what_a_killed_worker_held_is_told_apart_by_whether_it_ran(root: Path, state: str) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(root), ATTEMPT, state],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        survivor = FileClaims(root)
        assert survivor.state(ATTEMPT) == state
        assert survivor.orphans() == []
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    if state == "running":
        assert survivor.orphans() == [ATTEMPT]
        assert not survivor.claim(ATTEMPT, "survivor")
        survivor.finished(ATTEMPT)
        assert survivor.orphans() == []
    else:
        assert survivor.orphans() == []
        assert survivor.state(ATTEMPT) == "free"
        assert survivor.claim(ATTEMPT, "survivor")


def test_a_line_that_a_crash_cut_short_counts_for_nothing(root: Path) -> None:
    mine = FileClaims(root)
    mine.claim(ATTEMPT, "mine")
    with (root / "attempts" / ATTEMPT).open("ab") as file:
        file.write(b'{"state": "runn')
    assert mine.state(ATTEMPT) == "claimed"
    mine.running(ATTEMPT)
    assert mine.state(ATTEMPT) == "running"


def test_old_finished_claims_are_forgotten_and_live_ones_kept(root: Path) -> None:
    mine = FileClaims(root)
    other = attempt_id("run", "lint", 2)
    for each in (ATTEMPT, other):
        mine.claim(each, "mine")
        mine.running(each)
    mine.finished(ATTEMPT)
    mine.cancel(ATTEMPT)
    for folder in ("attempts", "cancelled", "workers"):
        for path in (root / folder).iterdir():
            os.utime(path, (1, 1))
    assert mine.prune(3600) == 1
    assert mine.state(ATTEMPT) == "free"
    assert not mine.cancelled(ATTEMPT)
    assert FileClaims(root).state(other) == "running"


def test_a_closed_worker_counts_as_dead(root: Path) -> None:
    mine = FileClaims(root)
    mine.claim(ATTEMPT, "mine")
    mine.running(ATTEMPT)
    mine.close()
    wait_until(lambda: FileClaims(root).orphans() == [ATTEMPT])


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 200])
def test_an_id_that_is_no_file_name_is_refused(root: Path, name: str) -> None:
    with pytest.raises(PermanentError):
        FileClaims(root).claim(name, "w")

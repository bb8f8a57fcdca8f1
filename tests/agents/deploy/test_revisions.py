from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from agents.deploy.revisions import Revision, good, is_mine, mark, mine, read_history, rolled_back_to
from agents.sdk.workspace import AgentError
from tests.agents.workspace import task

TASK = task("deploy", attempt="attempt-1")
OTHER = task("deploy", run="run-2")


def history(*entries: tuple[str, str]) -> tuple[Revision, ...]:
    return tuple(Revision(number, status, said) for number, (status, said) in enumerate(entries, 1))


def test_helms_words_are_read_oldest_first() -> None:
    said = [
        {"revision": 2, "updated": "2026-11-22T10:00:00.123456789Z", "status": "pending-upgrade"},
        {"revision": 1, "updated": "2026-11-22T09:00:00+01:00", "status": "deployed", "description": "done"},
    ]
    first, second = read_history(json.dumps(said).encode())
    assert (first.number, first.status, first.description) == (1, "deployed", "done")
    assert second.pending
    assert second.updated is not None
    assert second.updated.replace(microsecond=0) == datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize("text", [b"", b"{}x", b"[1]", b'[{"revision": "x", "status": 1}]', b"3"])
def test_what_is_no_history_is_an_error(text: bytes) -> None:
    with pytest.raises(AgentError, match="history cannot be read"):
        read_history(text)


def test_the_newest_that_came_to_its_end_is_what_one_goes_back_to() -> None:
    found = history(("superseded", ""), ("deployed", ""), ("failed", ""), ("pending-upgrade", ""))
    assert good(found) == 2
    assert good(found, 2) == 1
    assert good(history(("failed", ""))) is None
    assert good(()) is None


def test_what_an_earlier_attempt_of_this_task_has_made_is_recognised() -> None:
    again = task("deploy", attempt="attempt-2", number=2)
    done = history(("superseded", "Install complete"), ("deployed", mark(TASK)))
    assert mine(done, again) == done[-1]
    assert mine(done, OTHER) is None
    assert mine(history(("failed", mark(TASK))), again) is None
    assert mine(history(("deployed", mark(TASK)), ("deployed", "Rollback to 1")), again) is None
    assert mine((), again) is None
    assert not is_mine(Revision(1, "deployed", mark(task("deploy", task="deploy-2"))), TASK)


def test_a_rollback_says_to_what() -> None:
    assert rolled_back_to(Revision(3, "deployed", "Rollback to 1")) == 1
    assert rolled_back_to(Revision(3, "deployed", "Upgrade complete")) is None
    assert rolled_back_to(Revision(3, "deployed", "Rollback to you")) is None

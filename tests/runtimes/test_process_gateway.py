from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.core.building import Story, a_plan, stage
from tests.waiting import wait_until
from turnout.adapters.settings import InvalidSettings, read_settings
from turnout.adapters.system_clock import SystemClock
from turnout.core import messages as m
from turnout.core.outgoing import task_request
from turnout.gateway import Passes
from turnout.runtimes import process_gateway
from turnout.runtimes.process_gateway import GatewayProcessRuntime
from turnout.wiring import Wiring


def task() -> m.TaskRequested:
    story = Story.of(a_plan(stage("unit")))
    message = task_request(story.run, story.attempt("unit").id, lambda _: "the token of the topics").message
    assert isinstance(message, m.TaskRequested)
    return message


@pytest.fixture
def spawned() -> list[dict[str, str]]:
    """The environments of what would have been started."""
    return []


def runtime(home: Path, spawned: list[dict[str, str]]) -> GatewayProcessRuntime:
    def start(arguments: Sequence[str], environ: Mapping[str, str], _said: Path, mark: str, _job: str) -> int:
        assert arguments == []
        spawned.append(dict(environ))
        pid = os.posix_spawn("/bin/true", ["true"], {})
        Path(mark).write_text(f"{pid} 1\n")
        return pid

    passes = Passes("http://door", b"key", SystemClock())
    return GatewayProcessRuntime(home, passes, environ={"PATH": "/bin"}, start=start)


def test_a_job_is_given_its_pass_and_what_it_may_inherit(
    tmp_path: Path, spawned: list[dict[str, str]]
) -> None:
    launched = runtime(tmp_path, spawned)
    assert launched.launch(task())
    (environ,) = spawned
    assert set(environ) == {
        "PATH",
        "TURNOUT_HOME",
        "TURNOUT_GATEWAY_URL",
        "TURNOUT_ATTEMPT",
        "TURNOUT_ATTEMPT_TOKEN",
    }
    assert "the token of the topics" not in environ.values()
    wait_until(lambda: not launched.living(), 20, "it is collected")


def test_launched_again_also_by_another_process_it_runs_once(
    tmp_path: Path, spawned: list[dict[str, str]]
) -> None:
    assert [runtime(tmp_path, spawned).launch(task()) for _ in range(3)] == [True, False, False]
    assert len(spawned) == 1


def test_marks_that_nobody_asks_for_any_more_are_removed(
    tmp_path: Path, spawned: list[dict[str, str]]
) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    old, young = jobs / "old.launched", jobs / "young.launched"
    for each in (old, young):
        each.touch()
    long_ago = time.time() - process_gateway.KEPT - 60
    os.utime(old, (long_ago, long_ago))
    runtime(tmp_path, spawned).launch(task())
    assert (old.exists(), young.exists(), len(spawned)) == (False, True, 1)


def test_a_launcher_that_does_not_know_where_the_gateway_is_says_so(tmp_path: Path) -> None:
    environ = {
        "TURNOUT_HOME": str(tmp_path),
        "TURNOUT_LAUNCHER_RUNTIMES": "process",
        "TURNOUT_LAUNCHER_VIA": "gateway",
    }
    with pytest.raises(InvalidSettings, match="TURNOUT_GATEWAY_URL: missing"):
        _ = Wiring(read_settings(environ)).launcher
    there = Wiring(read_settings(environ | {"TURNOUT_GATEWAY_URL": "https://door/gateway"}))
    assert [type(each) for each in there.launcher.runtimes.values()] == [GatewayProcessRuntime]
    for wrong in ("door", "ftp://door", "https://door?x=1", "https://"):
        with pytest.raises(InvalidSettings, match="TURNOUT_GATEWAY_URL"):
            read_settings(environ | {"TURNOUT_GATEWAY_URL": wrong})

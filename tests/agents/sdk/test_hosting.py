from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agents.sdk.forkserver import ForkServer
from agents.sdk.hosting import HostedAttempt
from tests.adapters.repositories import repository
from tests.agents.sdk.hosts import Bench, in_thread
from tests.agents.sdk.hosts import bench as make_bench
from tests.waiting import wait_until
from turnout.adapters.artifacts import FileArtifacts
from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import TransientError
from turnout.core.messages import LogChunk, TaskFinished, TaskHeartbeat, TaskRequested
from turnout.core.model import Outcome
from turnout.core.ports import StoredArtifact


class Running:
    """An attempt in a thread of its own, so that a test can interfere."""

    def __init__(self, bench: Bench, task: TaskRequested) -> None:
        self.hosted: HostedAttempt = bench.host.begin(task)
        self.finished: list[TaskFinished] = []
        self.thread = in_thread(lambda: self.finished.append(self.hosted.run()))

    def result(self, timeout: float = 30.0) -> TaskFinished:
        self.thread.join(timeout)
        assert self.finished, "the attempt did not end"
        return self.finished[0]


def processes(mark: str) -> list[int]:
    """Living processes with this in their command line."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                words = Path("/proc", name, "cmdline").read_bytes()
                state = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if mark.encode() in words and state != "Z":
                found.append(int(name))
    return found


# --- an attempt from beginning to end ---------------------------------------------------------------


def test_a_tool_runs_in_the_checkout_and_its_output_is_kept_and_live(bench: Bench) -> None:
    result = bench.run("shell", task="lives", options={"run": "cat a.py; echo oops >&2; pwd; exit 3"})
    assert result.outcome is Outcome.FAILURE
    assert result.exit_code == 3
    log = bench.log("lives")
    assert "a = 1\n" in log
    assert "oops\n" in log
    assert "▸ $ sh -c 'cat a.py;" in log
    key = attempt_key("run-1", "lives", 1)
    assert key == "runs/run-1/lives/1/log.txt"

    def chunks() -> list[LogChunk]:
        said = [each for each in bench.said("agent.logs") if isinstance(each, LogChunk)]
        return [each for each in said if each.task == "lives"]

    wait_until(lambda: "".join(each.text for each in chunks()) == log)
    assert [each.sequence for each in chunks()] == list(range(len(chunks())))


def test_what_the_agent_is_told_about_its_task(bench: Bench) -> None:
    result = bench.run(
        "capture",
        task="unit[os=linux]",
        options={"run": "env | grep -E '^(CI|TURNOUT|OWN)' | sort"},
        cell={"os": "linux"},
        env={"OWN": "yes", "TURNOUT_PROJECT": "overridden"},
        upstream={"build": {"image-digest": "sha256:1"}},
        checkout={"branch": "topic"},
    )
    told = dict(line.split("=", 1) for line in result.outputs["stdout"].splitlines())
    assert told["CI"] == told["TURNOUT"] == "true"
    assert told["TURNOUT_TASK"] == "unit[os=linux]"
    assert told["TURNOUT_MATRIX_OS"] == "linux"
    assert told["TURNOUT_SHA"] == bench.sha
    assert told["TURNOUT_BRANCH"] == "topic"
    assert told["TURNOUT_OUTPUT_BUILD_IMAGE_DIGEST"] == "sha256:1"
    assert told["OWN"] == "yes"
    assert told["TURNOUT_PROJECT"] == "overridden"


def test_quiet_output_is_shown_only_when_the_tool_fails(bench: Bench) -> None:
    bench.run("quiet")
    log = bench.log("quiet")
    assert "\nwhispered\n" not in log
    assert "\ncomplained\n" in log


def test_an_attempts_process_holds_none_of_turnouts_settings(
    origin: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TURNOUT_KAFKA_PASSWORD", "TURNOUT_SLACK_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "secret")
    with make_bench(tmp_path, *origin) as fresh:
        result = fresh.run("look_around")
    names = result.outputs["environment"].split()
    assert not [each for each in names if each.startswith(("TURNOUT_", "AWS", "GITHUB"))]
    assert result.outputs["names"] == ".git a.py src"
    assert result.outputs["nothing"] == "None"
    assert result.outputs["which"].endswith("/sh")


def test_artifacts_are_kept_before_the_result_is_known(bench: Bench) -> None:
    result = bench.run("keep")
    assert [each.name for each in result.artifacts] == ["a.bin", "sub/b.bin"]
    for each in result.artifacts:
        assert bench.artifacts.get(each.key) == b"content of " + each.name.encode()


def test_heartbeats_are_said_while_the_attempt_lives(bench: Bench) -> None:
    bench.run("shell", task="beats", options={"run": "sleep 0.7"}, heartbeat=0.1)
    wait_until(
        lambda: [
            m for m in bench.said("agent.results") if isinstance(m, TaskHeartbeat) and m.task == "beats"
        ][2:]
    )


# --- secrets ------------------------------------------------------------------------------------------


def test_a_secret_reaches_the_tool_and_nothing_else(bench: Bench) -> None:
    value = bench.secrets.values["TOKEN"]
    result = bench.run("leak", secrets=("TOKEN",), environment="staging", options={"secret": value})
    assert bench.secrets.asked[-1] == ("team/app", "staging", ("TOKEN",))
    log = bench.log("leak")
    for leaked in ("printed ***", "logged ***", "tool ***"):
        assert leaked in log
    assert result.outputs == {"leaked": "***"}
    assert bench.artifacts.get(result.artifacts[0].key) == b"kept ***"
    assert value not in log
    assert value not in result.model_dump_json()


def test_secrets_that_the_task_does_not_name_are_not_handed_over(bench: Bench) -> None:
    result = bench.run("capture", task="only-named", secrets=("TOKEN",), options={"run": "env"})
    assert "OTHER" not in result.outputs["stdout"]
    assert "TOKEN=***" in result.outputs["stdout"]


def test_an_untrusted_task_gets_no_secret_and_another_cache(bench: Bench) -> None:
    asked = len(bench.secrets.asked)
    fork = bench.run("look_around", task="fork", secrets=("TOKEN",), trusted=False)
    own = bench.run("look_around", task="own")
    assert fork.outcome is Outcome.SUCCESS
    assert len(bench.secrets.asked) == asked
    assert fork.outputs["cache"] != own.outputs["cache"]


def test_a_secret_that_is_not_bound_is_an_error_that_says_where_to_bind_it(bench: Bench) -> None:
    result = bench.run("quick", task="unbound", secrets=("NOWHERE",))
    assert result.outcome is Outcome.ERROR
    assert not result.lost
    assert "NOWHERE" in result.reason
    assert "project file" in result.reason
    assert "NOWHERE" in bench.log("unbound")


# --- what goes wrong in the agent ------------------------------------------------------------------------


def test_a_missing_program_is_an_error_that_says_what_to_install(bench: Bench) -> None:
    result = bench.run("missing")
    assert (result.outcome, result.lost) == (Outcome.ERROR, False)
    assert "no-such-program is not installed" in result.reason
    assert "install it" in result.reason


def test_what_an_agent_cannot_do_is_an_error_with_its_hint(bench: Bench) -> None:
    result = bench.run("refuse")
    assert (result.outcome, result.lost) == (Outcome.ERROR, False)
    assert result.reason == "eslint is not installed (npm install eslint)"


def test_a_defect_of_an_agent_is_one_line_in_the_result_and_a_masked_traceback_in_the_log(
    bench: Bench,
) -> None:
    value = bench.secrets.values["TOKEN"]
    result = bench.run("break_down", secrets=("TOKEN",), options={"near": value})
    assert (result.outcome, result.lost) == (Outcome.ERROR, False)
    assert result.reason.startswith("ValueError: defect near *** (probes.py:")
    assert "\n" not in result.reason
    log = bench.log("break_down")
    assert "Traceback (most recent call last)" in log
    assert value not in log


def test_an_attempt_that_the_machine_has_no_room_for_is_lost_and_no_defect_of_its_agent(bench: Bench) -> None:
    result = bench.run("no_room")
    assert (result.outcome, result.lost) == (Outcome.ERROR, True)
    assert "the machine has no room: [Errno 28] No space left on device" in result.reason
    assert "defect" not in result.reason


def test_an_attempt_that_is_killed_is_lost_and_says_how_it_died(bench: Bench) -> None:
    result = bench.run("die")
    assert (result.outcome, result.lost) == (Outcome.ERROR, True)
    assert "killed by SIGKILL" in result.reason
    assert "about to die" in bench.log("die") or "killed by SIGKILL" in bench.log("die")
    assert bench.run("quick", task="after-death").outcome is Outcome.SUCCESS


# --- checking out ---------------------------------------------------------------------------------------


def test_a_missing_commit_is_an_error_that_no_retry_can_help(bench: Bench) -> None:
    result = bench.run("quick", task="no-commit", checkout={"sha": "1" * 40})
    assert (result.outcome, result.lost) == (Outcome.ERROR, False)
    assert "has no commit 1111" in result.reason


def test_a_remote_that_stays_away_loses_the_attempt_to_the_infrastructure(bench: Bench) -> None:
    result = bench.run("quick", task="away", checkout={"clone_url": "http://127.0.0.1:9/x.git"})
    assert (result.outcome, result.lost) == (Outcome.ERROR, True)
    assert "127.0.0.1" in result.reason
    assert "again in 0.1 s" in bench.log("away")


# --- stopping ----------------------------------------------------------------------------------------------


def test_a_cancelled_attempt_ends_with_its_tools(bench: Bench, tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid; trap 'echo got TERM; exit 1' TERM; sleep 4711.1 & wait"
    running = Running(bench, bench.task("shell", task="cancelled", options={"run": script}))
    wait_until(lambda: (tmp_path / "pid").exists() and processes("4711.1"))
    running.hosted.stop("cancelled", "somebody said so")
    result = running.result().result
    assert result.outcome is Outcome.CANCELLED
    assert result.reason == "somebody said so"
    assert not processes("4711.1")
    assert "got TERM" in bench.log("cancelled")
    assert "stopping: somebody said so" in bench.log("cancelled")


def test_a_tool_inherits_no_signal_that_is_ignored_so_an_order_to_end_reaches_it_at_once(
    bench: Bench,
) -> None:
    bench.run("shell", task="signals", options={"run": "grep SigIgn /proc/self/status"})
    (line,) = [each for each in bench.log("signals").splitlines() if each.startswith("SigIgn")]
    classic = (1 << 31) - 1  # those that a program can set; 32 and 33 are the C library's own
    assert int(line.split()[1], 16) & classic == 0


def test_a_mark_to_cancel_is_seen_while_the_attempt_runs(bench: Bench, tmp_path: Path) -> None:
    task = bench.task("shell", task="marked", options={"run": f"touch {tmp_path}/up; sleep 60"})
    running = Running(bench, task)
    wait_until((tmp_path / "up").exists)
    bench.claims.cancel(task.attempt)
    assert running.result().result.outcome is Outcome.CANCELLED


def test_what_a_stopped_attempt_was_doing_is_undone_before_it_ends(bench: Bench, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    task = bench.task("undo", task="undone", options={"mark": str(mark), "takes": 0.5})
    running = Running(bench, task)
    wait_until(mark.exists)
    running.hosted.stop("cancelled", "somebody said so")
    result = running.result().result
    assert result.outcome is Outcome.CANCELLED
    assert result.reason == "somebody said so; the mark was removed"
    assert not mark.exists()


def test_undoing_gets_its_own_time_beyond_the_one_that_everything_else_gets(
    bench: Bench, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    options = {"mark": str(mark), "takes": 4.5, "seconds": 20.0}  # the usual end comes after 3 s
    result = bench.run("undo", task="long-undo", timeout=1.0, options=options)
    assert result.outcome is Outcome.TIMED_OUT
    assert "the mark was removed" in result.reason
    assert not mark.exists()


def test_undoing_that_takes_too_long_is_ended(bench: Bench, tmp_path: Path) -> None:
    options = {"mark": str(tmp_path / "mark"), "takes": 60, "seconds": 0.2}
    began = time.monotonic()
    result = bench.run("undo", task="endless-undo", timeout=1.0, options=options)
    assert result.outcome is Outcome.TIMED_OUT
    assert time.monotonic() - began < 15


def test_where_undoing_fails_the_result_says_so(bench: Bench, tmp_path: Path) -> None:
    options = {"mark": str(tmp_path / "mark"), "fails": True}
    result = bench.run("undo", task="no-way-back", timeout=1.0, options=options)
    assert result.outcome is Outcome.TIMED_OUT
    assert "could not be undone: there was no way back" in result.reason


def test_a_tool_is_given_files_of_its_own_and_the_secrets_that_are_meant_for_it(bench: Bench) -> None:
    task = bench.task("private_file", secrets=("TOKEN", "OTHER"))
    result = bench.finish(task).result
    lines = result.outputs["tool"].splitlines()
    assert lines[:3] == ["line one", "$HOME `x`", "600"]
    assert any(line.startswith("had:TOKEN=") for line in lines)
    assert not any(line.startswith("had:OTHER=") for line in lines)
    assert result.outputs["complaint"] == "complaint\n"
    assert result.outputs["value"] == str(len("hunter2hunter2"))
    assert "TOKEN=" not in result.outputs["after"]
    assert ".conf" not in result.outputs["after"]
    assert "part-of-a-secret" not in bench.log("private_file")
    assert "and *** in the log" in bench.log("private_file")


DAEMON = """
trap '' TERM
(setsid sh -c "trap '' TERM; touch {mark}; exec sleep {number}" &)
sleep {number}
"""


def test_a_timeout_ends_what_ignores_it_and_what_has_daemonised(bench: Bench, tmp_path: Path) -> None:
    script = DAEMON.format(mark=tmp_path / "up", number="4712.2")
    began = time.monotonic()
    result = bench.run("shell", task="stubborn", timeout=1.5, options={"run": script})
    assert (tmp_path / "up").exists()
    assert result.outcome is Outcome.TIMED_OUT
    assert "raise the stage's `timeout`" in result.reason
    assert time.monotonic() - began < 15
    wait_until(lambda: not processes("4712.2"))


def test_what_was_said_before_the_time_was_up_is_kept(bench: Bench) -> None:
    said = "echo heard of; sleep 60"
    result = bench.run("shell", task="talks", timeout=0.5, options={"run": said})
    assert result.outcome is Outcome.TIMED_OUT
    assert "heard of" in bench.log("talks")


def test_a_tools_own_timeout_is_the_agents_business(bench: Bench) -> None:
    result = bench.run("shell", task="slow-tool", options={"run": "sleep 60", "tool_timeout": 0.2})
    assert result.outcome is Outcome.FAILURE
    assert "timed_out True" in result.summary


@pytest.mark.parametrize("kind", ["ponder", "sulk"])
def test_an_agent_that_does_not_come_to_an_end_is_timed_out_all_the_same(
    bench: Bench, tmp_path: Path, kind: str
) -> None:
    result = bench.run(kind, timeout=1.0, options={"mark": str(tmp_path / "mark")})
    assert (tmp_path / "mark").exists()
    assert result.outcome is Outcome.TIMED_OUT


def test_a_stopped_process_is_killed_when_its_time_is_up(
    origin: tuple[Path, str], forks: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.sdk.hosting.MARGIN", 0.3)
    monkeypatch.setattr("agents.sdk.hosting.UNWIND", 0.3)
    with make_bench(tmp_path / "home", *origin, forks=forks) as fresh:
        task = fresh.task("ponder", timeout=1.5, options={"mark": str(tmp_path / "mark")})
        running = Running(fresh, task)
        wait_until((tmp_path / "mark").exists)
        zygote = fresh.host.forks.pid
        stopped = [int(pid) for pid in Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)  # the attempt's own, and those that wait for one
        result = running.result().result
        for pid in stopped:  # keepers among them, which nobody kills: they would outlive the tests
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    assert result.outcome is Outcome.TIMED_OUT
    assert "it was killed" in result.reason


# --- deaths ---------------------------------------------------------------------------------------------------


def test_a_zygote_that_dies_takes_its_attempts_along_and_another_takes_its_place(
    origin: tuple[Path, str], tmp_path: Path
) -> None:
    with make_bench(tmp_path / "home", *origin) as fresh:
        script = f"touch {tmp_path}/up; sleep 4713.3"
        running = Running(fresh, fresh.task("shell", options={"run": script}))
        wait_until(lambda: (tmp_path / "up").exists() and processes("4713.3"))
        assert fresh.host.forks.pid is not None
        os.kill(fresh.host.forks.pid, signal.SIGKILL)
        result = running.result().result
        assert (result.outcome, result.lost) == (Outcome.ERROR, True)
        wait_until(lambda: not processes("4713.3"))
        assert fresh.run("quick").outcome is Outcome.SUCCESS


def test_when_what_forks_keepers_dies_another_takes_its_place(
    origin: tuple[Path, str], tmp_path: Path
) -> None:
    with make_bench(tmp_path / "home", *origin) as fresh:
        assert fresh.run("shell", options={"run": "true"}).outcome is Outcome.SUCCESS
        zygote = fresh.host.forks.pid
        children = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
        (forker,) = {int(each) for each in children} & {*processes("keeper_forker")}
        os.kill(forker, signal.SIGKILL)
        result = fresh.run("shell", task="after", project="team/other", options={"run": "true"})
        assert result.outcome is Outcome.SUCCESS


WORKER = """
import sys
from pathlib import Path
from tests.agents.sdk.hosts import bench
home, origin, sha, script = sys.argv[1:]
with bench(Path(home), Path(origin), sha) as made:
    made.run("shell", options={"run": script}, timeout=300.0)
"""


def test_nothing_of_an_attempt_outlives_a_killed_worker(origin: tuple[Path, str], tmp_path: Path) -> None:
    script = DAEMON.format(mark=tmp_path / "up", number="4714.4")
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path / "home"), *map(str, origin), script]
    )
    wait_until((tmp_path / "up").exists, timeout=30)
    assert processes("4714.4")
    worker.kill()
    worker.wait()
    wait_until(lambda: not processes("4714.4"), timeout=20)
    wait_until(lambda: not processes(str(tmp_path)), timeout=20)


# --- the artifact store fails ------------------------------------------------------------------------------------


class FullDisk(FileArtifacts):
    """Takes nothing any more, for logs or for artifacts."""

    def __init__(self, root: Path, *, logs: bool) -> None:
        super().__init__(root)
        self.logs = logs

    def append(self, key: str, content: bytes) -> None:
        if self.logs:
            raise TransientError(f"artifact {key}: {os.strerror(errno.ENOSPC)}", "make room")
        super().append(key, content)

    def put(self, key: str, content: bytes, media_type: str = "") -> StoredArtifact:
        if not self.logs:
            raise TransientError(f"artifact {key}: {os.strerror(errno.ENOSPC)}", "make room")
        return super().put(key, content)


def test_a_log_that_cannot_be_kept_is_said_in_the_result_and_live(
    origin: tuple[Path, str], forks: ForkServer, tmp_path: Path
) -> None:
    with make_bench(
        tmp_path / "home", *origin, forks=forks, artifacts=FullDisk(tmp_path / "a", logs=True)
    ) as fresh:
        result = fresh.run("shell", options={"run": "echo still live"})
        assert result.outcome is Outcome.SUCCESS
        assert "the log is not kept" in result.reason
        assert "No space left" in result.reason

        def live() -> str:
            return "".join(m.text for m in fresh.said("agent.logs") if isinstance(m, LogChunk))

        wait_until(lambda: "still live" in live() and "No space left" in live())


def test_an_artifact_that_cannot_be_kept_makes_a_success_none(
    origin: tuple[Path, str], forks: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.sdk.hosting.KEEP_AGAIN", (0.01,))
    with make_bench(
        tmp_path / "home", *origin, forks=forks, artifacts=FullDisk(tmp_path / "a", logs=False)
    ) as fresh:
        result = fresh.run("keep")
    assert (result.outcome, result.lost) == (Outcome.ERROR, True)
    assert "a.bin is not kept" in result.reason
    assert result.artifacts == ()


# --- side by side ------------------------------------------------------------------------------------------------


def test_attempts_run_side_by_side_without_seeing_each_other(bench: Bench) -> None:
    results: dict[int, str] = {}

    def one(number: int) -> None:
        script = "echo $TURNOUT_ATTEMPT_NUMBER > mine; sleep 0.2; cat mine; ls"
        result = bench.run("capture", task="side", number=number, options={"run": script})
        results[number] = result.outputs["stdout"]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert results == {number: f"{number}\na.py\nmine\nsrc\n" for number in range(1, 5)}


def test_a_process_that_ended_well_takes_the_next_attempt_of_its_project_and_nobody_elses(
    bench: Bench,
) -> None:
    def process(number: int, agent: str = "quick", **more: Any) -> str:
        return bench.run(agent, task="again", number=number, **more).outputs.get("pid", "")

    first = process(1)
    assert process(2) == first
    assert process(3, trusted=False) != first
    assert process(4, project="team/other") != first
    second = process(5)
    assert process(6, "break_down") == ""
    assert process(7) != second  # nobody knows what a defect leaves behind


def test_the_checkout_that_was_made_ready_is_as_pristine_as_any(bench: Bench) -> None:
    spoil = "echo spoilt > a.py; touch left-behind; git status --porcelain"
    bench.run("shell", task="tree", number=1, options={"run": spoil})
    bench.run("shell", task="tree", number=2, options={"run": "cat a.py; ls; git status --porcelain"})
    assert "left-behind" in bench.log("tree", 1)
    assert "took the checkout that was ready" in bench.log("tree", 2)
    assert "spoilt" not in bench.log("tree", 2)
    assert "left-behind" not in bench.log("tree", 2)


def test_every_attempt_gets_its_own_commit(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other"
    sha = repository(other, only_dot_txt="here\n")
    result = bench.run("look_around", task="other", checkout={"clone_url": str(other), "sha": sha})
    assert result.outputs["names"] == ".git only.txt"

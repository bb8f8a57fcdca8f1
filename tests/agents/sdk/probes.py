"""Agents for the tests of the SDK. They are imported by the processes that run attempts, under this name."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

from agents.sdk.workspace import AgentError, Workspace
from turnout.core.messages import TaskRequested
from turnout.core.model import Outcome
from turnout.core.result import Result

HERE = __name__


def shell(task: TaskRequested, workspace: Workspace) -> Result:
    """Runs ``with.run`` with sh; an output called ``ran_at`` says when."""
    ran = workspace.run(["sh", "-c", str(task.options["run"])], timeout=task.options.get("tool_timeout"))
    outcome = Outcome.SUCCESS if ran.ok else Outcome.FAILURE
    summary = f"code {ran.code} signal {ran.signal} timed_out {ran.timed_out}"
    return Result(outcome=outcome, summary=summary, exit_code=ran.code)


def quick(task: TaskRequested, workspace: Workspace) -> Result:
    """Does nothing but tell when it began, by the clock that all processes share."""
    workspace.log("quick")
    return Result(outcome=Outcome.SUCCESS, outputs={"began": repr(time.monotonic()), "pid": str(os.getpid())})


def capture(task: TaskRequested, workspace: Workspace) -> Result:
    ran = workspace.run(["sh", "-c", str(task.options["run"])], capture=True, quiet=True)
    return Result(outcome=Outcome.SUCCESS, outputs={"stdout": ran.stdout.decode()})


def quiet(task: TaskRequested, workspace: Workspace) -> Result:
    workspace.run(["sh", "-c", "echo whispered"], quiet=True)
    workspace.run(["sh", "-c", "echo complained; exit 3"], quiet=True)
    return Result(outcome=Outcome.SUCCESS)


def leak(task: TaskRequested, workspace: Workspace) -> Result:
    """Lets a secret out everywhere it can."""
    value = str(task.options["secret"])
    print(f"printed {value}")
    workspace.log(f"logged {value}")
    artifact = workspace.artifact("leak.txt", f"kept {value}".encode(), "text/plain")
    workspace.run(["sh", "-c", 'printf "tool %s\n" "$TOKEN"'])
    return Result(
        outcome=Outcome.SUCCESS, summary=f"said {value}", outputs={"leaked": value}, artifacts=(artifact,)
    )


def reporter(task: TaskRequested, workspace: Workspace) -> Result:
    """Tells the earlier report, and leaves one of its own; ``with.outcome`` is how it ends."""
    earlier = workspace.earlier_findings()
    artifact = workspace.artifact("security.sarif", str(task.options["report"]).encode())
    said = None if earlier is None else earlier.decode()
    outcome = Outcome(task.options.get("outcome", "success"))
    return Result(outcome=outcome, summary=f"earlier: {said}", artifacts=(artifact,))


def keep(task: TaskRequested, workspace: Workspace) -> Result:
    kept = [workspace.artifact(name, b"content of " + name.encode()) for name in ("a.bin", "sub/b.bin")]
    return Result(outcome=Outcome.SUCCESS, artifacts=tuple(kept))


def look_around(task: TaskRequested, workspace: Workspace) -> Result:
    names = sorted(each.name for each in workspace.path.iterdir())
    return Result(
        outcome=Outcome.SUCCESS,
        outputs={
            "names": " ".join(names),
            "which": str(workspace.which("sh")),
            "nothing": str(workspace.which("no-such-program")),
            "environment": " ".join(sorted(os.environ)),
            "path": str(workspace.path),
            "cache": str(workspace.cache),
        },
    )


def missing(task: TaskRequested, workspace: Workspace) -> Result:
    workspace.run(["no-such-program"])
    raise AssertionError("not reached")


def refuse(task: TaskRequested, workspace: Workspace) -> Result:
    raise AgentError("eslint is not installed", "npm install eslint")


def break_down(task: TaskRequested, workspace: Workspace) -> Result:
    raise ValueError(f"defect near {task.options.get('near', 'nothing')}")


def no_room(task: TaskRequested, workspace: Workspace) -> Result:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(workspace.scratch / "script.sh"))


def die(task: TaskRequested, workspace: Workspace) -> Result:
    workspace.log("about to die")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


def undo(task: TaskRequested, workspace: Workspace) -> Result:
    """Makes a change with a tool that does not end; told to stop, takes a tool to undo it."""
    mark = str(task.options["mark"])

    def work() -> Result:
        workspace.run(["sh", "-c", f"touch {mark}; sleep 60"])
        raise AssertionError("not reached")

    def put_back() -> str:
        if task.options.get("fails"):
            raise AgentError("there was no way back")
        workspace.run(["sh", "-c", f"sleep {task.options.get('takes', 0)}; rm {mark}"])
        return "the mark was removed"

    return workspace.undoable(work, put_back, float(task.options.get("seconds", 20.0)))


def private_file(task: TaskRequested, workspace: Workspace) -> Result:
    """Gives a tool a file of its own and one secret of two; tells what the tool and the next one see."""
    workspace.hide("part-of-a-secret")
    script = 'cat "$CONF"; stat -c %a "$CONF"; env | sed s/^/had:/; echo complaint >&2'
    ran = workspace.run(
        ["sh", "-c", script], files={"CONF": "line one\n$HOME `x`\n"}, secrets=["TOKEN"], capture=True
    )
    after = workspace.run(["sh", "-c", "ls -a $HOME; env"], secrets=(), capture=True)
    workspace.log("and part-of-a-secret in the log")
    outputs = {"tool": ran.stdout.decode(), "complaint": ran.stderr.decode(), "after": after.stdout.decode()}
    return Result(outcome=Outcome.SUCCESS, outputs=outputs | {"value": str(len(workspace.secret("TOKEN")))})


def ponder(task: TaskRequested, workspace: Workspace) -> Result:
    """Never comes to an end by itself, nor looks whether it should."""
    Path(str(task.options["mark"])).touch()
    while True:
        time.sleep(0.01)


def sulk(task: TaskRequested, workspace: Workspace) -> Result:
    """Refuses to be stopped."""
    Path(str(task.options["mark"])).touch()
    while True:
        try:
            time.sleep(60)
        except BaseException:  # the point of it
            continue


def caches(task: TaskRequested, workspace: Workspace) -> Result:
    """What a tool may write, and when."""
    kept = workspace.cache / "kept"

    def attempt(script: str, *, writable_cache: bool = False) -> str:
        ran = workspace.run(["sh", "-c", script], writable_cache=writable_cache, capture=True)
        return (ran.stdout.decode().strip() or "ok") if ran.ok else "failed"

    return Result(
        outcome=Outcome.SUCCESS,
        outputs={
            "read-only": attempt(f"echo kept > {kept}"),
            "writable": attempt(f"echo kept > {kept}", writable_cache=True),
            "seen later": attempt(f"cat {kept}"),
            "scratch": attempt(f"echo x > {workspace.scratch}/report"),
        },
    )

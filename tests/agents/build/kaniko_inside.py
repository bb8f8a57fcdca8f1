"""What runs in a container for the tests of kaniko: the build agent, once, as the file that is named says.

    python -m tests.agents.build.kaniko_inside ORDER.json

The order: ``folder`` (its ``checkout`` is what is built), ``options``, ``secrets``, ``sha``, ``cancel_at`` (words in
the log at which the attempt is cancelled; empty: none). The answer is put beside it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from agents.build.agent import run
from agents.sdk.stopping import Stopped
from tests.agents.workspace import SandboxedWorkspace, sandboxed, task
from tests.waiting import wait_until
from turnout.core.errors import TurnoutError
from turnout.core.messages import Checkout
from turnout.runtimes.sandbox import NoSandbox


def cancel(workspace: SandboxedWorkspace, words: str) -> None:
    wait_until(lambda: words in workspace.text, 60, f"the log says {words}")
    workspace.stopping.request("cancelled", "by ann")
    workspace.stopping.end_tool()


def processes() -> list[str]:
    """Those of this container, besides this one."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(each.name) != os.getpid():
                found.append((each / "comm").read_text().strip())
    return found


def main(path: Path) -> None:
    order = json.loads(path.read_text())
    checkout = Checkout(
        repository="o/r",
        clone_url="https://github.com/o/r.git",
        sha=order["sha"],
        ref="refs/heads/main",
        branch="main",
    )
    asked = task("build", order["options"], checkout=checkout, network=True, secrets=tuple(order["secrets"]))
    folder = Path(order["folder"])
    before = sorted(each.name for each in Path("/").iterdir())
    workspace = sandboxed(folder, asked, NoSandbox("in a container", None), None, order["secrets"])
    if order["cancel_at"]:
        threading.Thread(target=cancel, args=(workspace, order["cancel_at"]), daemon=True).start()
    try:
        answer: dict[str, Any] = {"result": run(asked, workspace).to_json()}
    except TurnoutError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except Stopped:
        answer = {"error": "Stopped"}
    answer["processes"] = processes()
    answer["log"] = workspace.text
    answer["same"] = before == sorted(each.name for each in Path("/").iterdir())
    answer["left"] = sorted(each.name for each in workspace.scratch.iterdir())
    path.with_suffix(".answer").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

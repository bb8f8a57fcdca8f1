"""What runs in a container for the tests of kaniko: the build agent, once, as the file that is named says.

    python -m tests.agents.build.kaniko_inside ORDER.json

The order: ``folder`` (its ``checkout`` is what is built), ``options``, ``secrets``, ``sha``. The answer is put beside
it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from agents.build.agent import run
from tests.agents.workspace import sandboxed, task
from turnout.core.errors import TurnoutError
from turnout.core.messages import Checkout
from turnout.runtimes.sandbox import NoSandbox


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
    try:
        answer: dict[str, Any] = {"result": run(asked, workspace).to_json()}
    except TurnoutError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    answer["log"] = workspace.text
    answer["same"] = before == sorted(each.name for each in Path("/").iterdir())
    answer["left"] = sorted(each.name for each in workspace.scratch.iterdir())
    path.with_suffix(".answer").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""What an attempt's process inherits, and what its tools are told about the task.

The process is given an allow-list: none of Turnout's own settings, which hold the credentials of the bus and the store.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache

from agents.sdk.installing import PASSED
from agents.sdk.operator_build import BUILD_NAMES
from agents.sdk.operator_google import GOOGLE_NAMES
from agents.sdk.operator_paths import NAMES
from turnout.core.messages import TaskRequested
from turnout.core.tracing import TRACEPARENT, of_work
from turnout.runtimes.sandbox import Sandbox, detect

_INHERITED = frozenset({
    "PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH",
    "SSH_AUTH_SOCK", "GIT_SSL_CAINFO", "PYENV_ROOT", "NVM_DIR",
    "TURNOUT_SANDBOX_UID", "TURNOUT_SANDBOX_NETWORK", "TURNOUT_CGROUP", "TURNOUT_DISK",
    *NAMES, *BUILD_NAMES, *GOOGLE_NAMES,
})  # fmt: skip
_SANDBOX = ("TURNOUT_SANDBOX_UID", "TURNOUT_SANDBOX_NETWORK", "TURNOUT_CGROUP")


def inherited(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of the processes that run attempts."""
    return {name: value for name, value in environ.items() if name in _INHERITED or name.upper() in PASSED}


@cache
def sandbox(choice: str) -> Sandbox:
    """``choice``: ``auto``, ``require`` or ``none``. Raises: SandboxMissing."""
    environ = {name: os.environ[name] for name in _SANDBOX if name in os.environ}
    environ["TURNOUT_SANDBOX"] = "none" if choice == "none" else "auto"
    return detect(require=choice == "require", environ=environ)


def variables(task: TaskRequested) -> dict[str, str]:
    """What a tool can know of its task; the task's own ``env`` comes last, but secrets come after it."""
    known = {
        "CI": "true",
        "TURNOUT": "true",
        "TURNOUT_RUN": task.run,
        "TURNOUT_PROJECT": task.project,
        "TURNOUT_STAGE": task.stage,
        "TURNOUT_TASK": task.task,
        "TURNOUT_ATTEMPT": task.attempt,
        "TURNOUT_ATTEMPT_NUMBER": str(task.number),
        "TURNOUT_REPOSITORY": task.checkout.repository,
        "TURNOUT_SHA": task.checkout.sha,
        "TURNOUT_REF": task.checkout.ref,
        "TURNOUT_BRANCH": task.checkout.branch,
        "TURNOUT_TAG": task.checkout.tag,
        "TURNOUT_ENVIRONMENT": task.environment,
        TRACEPARENT.upper(): str(of_work(task.run, task.attempt)),
    }
    known |= {f"TURNOUT_MATRIX_{_word(axis)}": value for axis, value in task.cell.items()}
    known |= {
        f"TURNOUT_OUTPUT_{_word(stage)}_{_word(name)}": value
        for stage, outputs in task.upstream.items()
        for name, value in outputs.items()
    }
    return {name: value for name, value in (known | task.env).items() if "\0" not in value}


def _word(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", text.upper())

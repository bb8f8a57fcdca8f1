"""``python -m tests.again [PYTEST ARGUMENTS]``: run the tests, and those that failed once more, alone.

For tests on real parts, which share a machine with brokers and databases that are being killed. What passes the second
time is named as flaky, never passed over in silence; what fails twice has failed. Anything but failed tests (a broken
collection, an interrupt) ends it at once, with pytest's own exit status.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS_FAILED = 1


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as cache:  # of its own: what failed in other runs is no matter here
        asked = ["-o", f"cache_dir={cache}", *arguments]
        status = _pytest(asked)
        if status != TESTS_FAILED:
            return status
        failed = _last_failed(cache)
        sys.stdout.write(f"\n{len(failed)} failed; once more, alone:\n")
        sys.stdout.flush()
        status = _pytest([*asked, "--last-failed", "--last-failed-no-failures=none"])
        for test in sorted(failed - _last_failed(cache)):
            sys.stdout.write(f"flaky, passed the second time: {test}\n")
        return status


def _pytest(arguments: list[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


def _last_failed(cache: str) -> set[str]:
    try:
        return set(json.loads((Path(cache) / "v" / "cache" / "lastfailed").read_text()))
    except FileNotFoundError:
        return set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

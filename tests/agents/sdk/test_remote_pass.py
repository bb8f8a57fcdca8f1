from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.sdk.remote_pass import Pass, take_pass
from turnout.core.errors import PermanentError

GIVEN = {"TURNOUT_GATEWAY_URL": "http://door/", "TURNOUT_ATTEMPT": "a1", "TURNOUT_ATTEMPT_TOKEN": "v1.2.abc"}
ROOT = Path(__file__).parents[3]


def test_a_pass_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.sdk.remote_pass.forget", lambda _: None)  # it would close this process
    environ = {**GIVEN, "PATH": "/bin"}
    assert take_pass(environ) == Pass("http://door", "a1", "v1.2.abc")
    assert environ == {"PATH": "/bin"}
    assert "abc" not in repr(take_pass(dict(GIVEN)))


def test_a_pass_may_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.sdk.remote_pass.forget", lambda _: None)
    (tmp_path / "token").write_text("v1.2.abc\n")
    environ = {**GIVEN, "TURNOUT_ATTEMPT_TOKEN": "", "TURNOUT_ATTEMPT_TOKEN_FILE": str(tmp_path / "token")}
    assert take_pass(environ).token == "v1.2.abc"
    with pytest.raises(PermanentError, match="can't be read"):
        take_pass({**GIVEN, "TURNOUT_ATTEMPT_TOKEN": "", "TURNOUT_ATTEMPT_TOKEN_FILE": "/nowhere"})


@pytest.mark.parametrize("name", list(GIVEN))
def test_what_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.sdk.remote_pass.forget", lambda _: None)
    with pytest.raises(PermanentError, match=f"not set: {name}"):
        take_pass({key: value for key, value in GIVEN.items() if key != name})


PROGRAM = """
import os
from agents.sdk.remote_pass import take_pass
before = open("/proc/self/environ").read()
given = take_pass()
try:
    after = open("/proc/self/environ").read()
except PermissionError:  # root alone may look
    after = ""
print(given.token in before, given.token, "after", after.count("hidden"))
print(sorted(name for name in os.environ if name.startswith("TURNOUT")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
def test_nobody_sees_the_pass_in_the_process_any_more() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **GIVEN, "TURNOUT_ATTEMPT_TOKEN": "v1.2.hidden"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["True v1.2.hidden after 0", "[]"]

"""`turnout up` prints a way in; a browser goes it, and does something, over real HTTP."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.system import ROOT, System
from tests.waiting import wait_until


def form_token(browser: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', browser.get("/settings/tokens").text)
    assert found is not None
    return found[1]


@pytest.mark.real
def test_the_link_that_is_printed_signs_in_and_what_is_done_is_written_down(tmp_path: Path) -> None:
    with System(tmp_path) as system:
        console = system.start().urls["console"]
        printed = wait_until(
            lambda: re.findall(r"sign in +(\S+)\n", system.log.read_text()), 20, "the link is there"
        )
        with httpx.Client(base_url=console) as browser:
            assert browser.get("/settings/tokens").status_code == 303
            assert browser.get(printed[0]).status_code == 303
            assert browser.get(printed[0]).status_code == 403
            form = {"name": "ci", "scope": "read", "days": "1", "csrf": form_token(browser)}
            page = browser.post("/settings/tokens", data=form)
            token = re.search(r"data-token>(turnout_\w+)<", page.text)
            assert token is not None
        asked = {"Authorization": f"Bearer {token[1]}"}
        assert httpx.get(f"{console}/api/v1/me", headers=asked).json()["scopes"] == ["read"]
        assert httpx.get(f"{console}/sign-in", headers={"Host": "evil.example"}).status_code == 421

        again = subprocess.run(
            [sys.executable, "-m", "turnout", "console-link"],
            cwd=ROOT,
            env=system.environ,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        assert again.startswith(f"{console}/sign-in/link?token=")
        assert httpx.get(again).status_code == 303
        entries = [(each.action, each.verdict) for each in reversed(system.wiring.accounts.audit_log())]
        assert entries == [
            ("sign in", "allowed"),
            ("sign in", "refused"),
            ("make token", "allowed"),
            ("sign in", "allowed"),
        ]

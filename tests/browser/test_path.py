"""A person's way through the console while a real run goes on: watch, ask why, approve, go back in time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.e2e.system import ROOT, System
from turnout.core.model import Outcome

pytestmark = pytest.mark.real
PIPELINE = """\
pipeline:
  stages:
    - name: unit
      agent: script
      with: {run: "until [ -e GATE ]; do sleep 0.05; done; printf '\\\\033[32mall 12 tests passed\\\\033[0m\\\\n'"}
    - name: style
      agent: script
      allow_failure: true
      with: {run: "echo the style is not ours; exit 3"}
    - name: ship
      agent: script
      environment: production
      approval: {required: 1}
      with: {run: "echo shipped"}
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with System(tmp_path) as found:
        found.make_repository({"pipeline.yml": PIPELINE.replace("GATE", str(tmp_path / "gate"))})
        found.start()
        yield found


def sign_in(page: Page, system: System) -> str:
    """The console's address."""
    asked = [sys.executable, "-m", "turnout", "console-link", "--json"]
    said = subprocess.run(asked, env=system.environ, cwd=ROOT, capture_output=True, text=True, check=True)
    link: str = json.loads(said.stdout)["link"]
    page.goto(link)
    expect(page).to_have_url(re.compile(r"/runs$"))
    return link.partition("/sign-in")[0]


def test_open_watch_ask_why_approve_and_go_back_in_time(
    system: System, tmp_path: Path, open_page: Open
) -> None:
    page = open_page()
    sign_in(page, system)

    run = system.deliver()  # it appears by itself, in the page that is open
    entry = page.locator(f"a[href='/runs/{run}']").first
    expect(entry).to_be_visible()
    entry.click()
    part = page.locator("#part")
    expect(part).to_have_attribute("data-status", "running")
    expect(page.locator("#stage-unit")).to_contain_text("running")

    (
        tmp_path / "gate"
    ).touch()  # unit ends, style fails, ship waits: the page follows without being loaded again
    page.evaluate("window.stillHere = true")
    waiting = page.locator("[data-approval=ship]")
    expect(waiting).to_be_visible()
    assert page.evaluate("window.stillHere")

    page.goto(f"{page.url}/why?stage=style")
    expect(page.locator("main")).to_contain_text("style ended as failure")
    expect(page.locator("main")).to_contain_text("exit")
    page.go_back()

    waiting.get_by_role("textbox").fill("the numbers look right")
    waiting.locator("[data-act=approve]").click()
    expect(part).to_have_attribute("data-status", "finished")
    (ended,) = system.wait_for([run])
    assert ended.outcome is Outcome.SUCCESS
    (approval,) = ended.stages["ship"].approvals
    assert approval.comment == "the numbers look right"

    page.reload()
    slider = page.get_by_label("Time travel")
    last = int(slider.get_attribute("max") or "0")
    assert last == ended.version
    slider.fill(str(last // 2))
    expect(page.locator("[data-past]")).to_contain_text(f"event {last // 2} of {last}")
    expect(part).to_have_attribute("data-version", str(last // 2))
    page.locator("[data-now]").click()
    expect(page.locator("[data-past]")).to_have_count(0)


def test_a_log_is_followed_in_colours_and_its_lines_can_be_linked(
    system: System, tmp_path: Path, open_page: Open
) -> None:
    page = open_page()
    address = sign_in(page, system)
    run = system.deliver()
    page.goto(f"{address}/runs/{run}?coming=true")
    expect(page.locator("#stage-unit")).to_contain_text("running")
    page.goto(f"{address}/runs/{run}/log?task=unit&attempt=1")
    (tmp_path / "gate").touch()
    line = page.get_by_text("all 12 tests passed")
    expect(line).to_be_visible()
    assert line.evaluate("it => getComputedStyle(it).color") != page.evaluate(
        "getComputedStyle(document.body).color"
    )

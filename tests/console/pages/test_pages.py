from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pytest

from tests.console.pages.conftest import Team
from turnout.console.pages.rendering import seen
from turnout.core import messages as m
from turnout.core import result as r
from turnout.core.artifact_keys import attempt_key
from turnout.core.change import Change
from turnout.core.model import ChangeKind, Outcome
from turnout.core.plan import Plan, PlannedStage, PlannedTask
from turnout.core.policy import attempt_token
from turnout.core.run import StageStatus

EVIL = "<img src=x onerror=alert(1)>"
PAGES = ("/runs", "/projects", "/projects/acme/shop", "/agents", "/deliveries", "/ledger")
STORIES = (
    "half up",
    "Redis",
    "Cache",
    "delivery date",
    "Scan images",
    "syntax",
    "by invoice",
    "summer",
    "IBANs",
    "front page",
)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_there_for_who_is_signed_in_and_for_nobody_else(team: Team, path: str) -> None:
    text = team.page(path)
    assert "<h1" in text
    assert "Skip to the content" in text
    assert team.stranger.get(path).headers["location"].startswith("/sign-in")


@pytest.mark.parametrize("story", STORIES)
def test_every_run_has_a_page_at_each_of_its_events(team: Team, story: str) -> None:
    run = team.run(story)
    version = team.world.wiring.looking.run(run).version
    assert story in team.page(f"/runs/{run}")
    for at in {1, version // 2 or 1, version}:
        assert f'data-of="{version}"' in team.page(f"/runs/{run}/part?at={at}")


def test_pages_hold_no_script_and_no_style_of_their_own(team: Team) -> None:
    for path in (*PAGES, *(f"/runs/{team.run(story)}" for story in STORIES)):
        text = team.page(path)
        assert not re.findall(r"<style|<script(?![^>]* src=)| style=|javascript:| on[a-z]+=", text), path


# --- runs -------------------------------------------------------------------------------------


def test_the_list_shows_what_waits_for_a_person_first(team: Team) -> None:
    text = team.page("/runs")
    assert text.index("Waits for you") < text.index("production of acme/shop") < text.index("Today")


def test_the_list_says_which_main_line_is_broken_and_since_when(team: Team) -> None:
    text = team.page("/runs")
    broken = text[text.index('id="broken"') : text.index('aria-label="Runs"')]
    assert "main of acme/shop" in broken
    assert "Scan images with the new database" in broken
    assert "main of acme/payments" in broken
    assert "acme/website" not in broken


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ("state=failure", "half up", "Show the delivery date"),
        ("project=acme/website", "front page", "half up"),
        ("branch=pay-by-invoice", "by invoice", "summer"),
        ("state=running", "summer", "half up"),
    ],
)
def test_the_list_is_filtered(team: Team, query: str, shown: str, hidden: str) -> None:
    text = team.page(f"/runs?{query}")
    assert shown in text
    assert hidden not in text


def test_a_filter_that_nothing_passes_says_so(team: Team) -> None:
    assert "No run is like that" in team.page("/runs?person=nobody")


def test_older_runs_are_on_the_next_page(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.console.pages.runs.SHOWN", 3)
    first = team.page("/runs")
    found = re.search(r'href="(/runs\?[^"]*)" rel="next"', first)
    assert found
    second = team.page(found.group(1).replace("&amp;", "&"))
    listed = [re.findall(r'data-run="([^"]+)"', page) for page in (first, second)]
    assert [len(each) for each in listed] == [3, 3]
    assert not set(listed[0]) & set(listed[1])


# --- a run ------------------------------------------------------------------------------------


def test_a_failed_run_says_first_what_broke(team: Team) -> None:
    text = team.page(f"/runs/{team.run('half up')}")
    broke, stages = text.index("What broke"), text.index("Every stage")
    assert broke < text.index("test_half_a_cent_is_rounded_up") < stages
    assert text.count("data-failed-test") == 4  # two tests, in both attempts
    assert "assert Decimal(&#39;10.12&#39;) == Decimal(&#39;10.13&#39;)" in text
    assert "Rerun what failed" in text


def test_the_picture_has_a_link_and_words_for_each_stage(team: Team) -> None:
    text = team.page(f"/runs/{team.run('Redis')}")
    run = team.world.wiring.looking.run(team.run("Redis"))
    for name in run.stages:
        assert f'href="#stage-{name}"' in text
        assert f'id="stage-{name}"' in text
    assert "smoke: failed, script agent, after staging" in text
    assert 'data-edge="smoke staging"' in text
    assert "rolled back" in text


def test_a_broken_pipeline_file_shows_where_and_what_to_write(team: Team) -> None:
    text = team.page(f"/runs/{team.run('syntax')}")
    assert "pipeline.yml:7:7 · pipeline.stages[1].agent" in text
    assert "did you mean &#39;test&#39;?" in text


def test_the_past_has_no_buttons_and_says_that_it_is_past(team: Team) -> None:
    run = team.run("summer")
    now, then = team.page(f"/runs/{run}"), team.page(f"/runs/{run}?at=9")
    assert 'data-act="approve"' in now
    assert "data-past" not in now
    assert "The run as it was at event 9" in then
    assert "data-act=" not in then
    assert re.search(r'data-stage="build" data-light="pending"', then)
    assert re.search(r'data-stage="build" data-light="success"', now)


def test_a_run_that_goes_on_is_live_from_where_the_page_was_made(team: Team) -> None:
    run = team.run("IBANs")
    version = team.world.wiring.looking.run(run).version
    assert f'data-live="/live/runs/{run}?after={version}"' in team.page(f"/runs/{run}")
    assert 'data-live=""' in team.page(f"/runs/{team.run('half up')}")


def test_each_stage_says_why(team: Team) -> None:
    run = team.run("half up")
    text = team.page(f"/runs/{run}/why?stage=unit", headers={"hx-request": "true"})
    assert "<html" not in text
    assert "retries" in text
    assert f'href="/runs/{run}?at=' in text
    assert "<html" in team.page(f"/runs/{run}/why")
    assert "nix" in team.page(f"/runs/{run}/why?stage=nix", 404)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "none"),
        ({"unit": "success", "lint": None}, "unit: success, lint: none"),
        (["failure", "error"], "failure, error"),
        (False, "no"),
        (0, "0"),
        ("main", "main"),
    ],
)
def test_what_a_rule_saw_is_said_in_words(value: object, said: str) -> None:
    assert seen(value) == said


def test_an_artifact_is_kept_and_never_shown(team: Team) -> None:
    run = team.run("half up")
    found = re.search(rf'href="(/runs/{run}/file\?[^"]+)" download', team.page(f"/runs/{run}"))
    assert found
    answer = team.browser.get(found.group(1).replace("&amp;", "&"))
    assert answer.content.startswith(b"<testsuite")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_what_is_not_there_is_said_on_a_page(team: Team) -> None:
    text = team.page("/runs/nix", 404)
    assert "There is nothing here" in text
    assert "<html" in text
    assert team.browser.get("/runs/nix").headers["content-type"].startswith("application/problem+json")


def test_a_run_that_is_coming_is_waited_for(team: Team) -> None:
    assert "on its way" in team.page("/runs/00000000-0000-5000-8000-000000000000?coming=1")


# --- acting -----------------------------------------------------------------------------------


def post(team: Team, path: str, **form: str) -> httpx.Response:
    return team.browser.post(path, data=form, headers={"accept": "text/html"})


def test_a_run_is_cancelled_and_run_again_from_its_page(team: Team) -> None:
    run = team.run("front page")
    answer = post(team, f"/runs/{run}/cancel", comment="enough")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run}")
    answer = post(team, f"/runs/{team.run('half up')}/rerun", failed="1")
    assert re.fullmatch(r"/runs/[0-9a-f-]{36}\?coming=1", answer.headers["location"])
    answer = post(team, f"/runs/{team.run('half up')}/cancel")
    assert answer.status_code == 409
    assert "has ended already" in answer.text


def test_whom_the_approval_does_not_name_may_not_give_it(team: Team) -> None:
    run = team.run("summer")
    answer = post(team, f"/runs/{run}/approve", stage="production")
    assert answer.status_code == 403
    assert "That is not yours to do" in answer.text
    state = team.world.wiring.looking.run(run)
    assert state.stages["production"].status is StageStatus.WAITING


def test_a_dead_letter_is_given_up_from_its_page(team: Team) -> None:
    text = team.page("/agents")
    (letter,) = re.findall(r'data-letter="([^"]+)"', text)
    assert "data.run: got 7, wanted text" in text
    assert post(team, "/agents/letters/discard", id=letter).status_code == 303
    assert "data-letter" not in team.page("/agents")
    assert post(team, "/agents/letters/discard", id=letter).status_code == 409


# --- logs -------------------------------------------------------------------------------------

TASK = "unit[python=3.12]"


def log(team: Team, what: str = "", run: str = "half up", **query: str | int) -> str:
    asked = httpx.QueryParams({"task": TASK, "attempt": 2, **query})
    return team.page(f"/runs/{team.run(run)}/log{what}?{asked}")


def test_a_short_log_is_shown_whole_with_colours_and_groups(team: Team) -> None:
    text = log(team)
    assert '<li id="L1">' in text
    assert 'class="fold" data-fold' in text
    assert '<span class="f1">FAILED</span> tests/test_price.py::test_half_a_cent_is_rounded_up' in text
    assert "earlier lines" not in text
    assert 'data-live-log=""' in text


def test_a_log_is_searched(team: Team) -> None:
    text = log(team, "/search", q="failed")
    assert 'data-hits="3"' in text
    assert "<mark>FAILED</mark> tests/test_price.py" in text


def test_a_log_can_be_kept(team: Team) -> None:
    asked = httpx.QueryParams({"task": TASK, "attempt": 2})
    answer = team.browser.get(f"/runs/{team.run('half up')}/log/raw?{asked}")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    assert b"\x1b[31mFAILED" in answer.content


def test_a_long_log_opens_at_its_end_and_gives_any_part(team: Team) -> None:
    run = team.run("Cache")
    key = attempt_key(run, "lint", 1)
    team.world.wiring.artifacts.append(key, b"".join(b"line %d\n" % number for number in range(4, 100_001)))

    def part(what: str = "", **query: int) -> tuple[list[int], str]:
        asked = httpx.QueryParams({"task": "lint", "attempt": 1, **query})
        text = team.page(f"/runs/{run}/log{what}?{asked}")
        return [int(number) for number in re.findall(r'<li id="L(\d+)"', text)], text

    lines, text = part()
    total = lines[-1]
    assert (len(lines), total) == (500, 100_000)
    assert f"500 earlier lines of {total - 500}" in text
    assert part("/lines", before=lines[0])[0] == list(range(total - 999, total - 499))
    lines, text = part(line=50_000)
    assert 50_000 in lines
    assert ("earlier lines" in text, "later lines" in text) == (True, True)
    assert part("/lines", first=lines[-1] + 1)[0][0] == lines[-1] + 1
    assert part("/lines", first=total + 1, follow=1)[0] == []


def test_a_log_that_goes_on_is_followed_line_by_whole_line(team: Team) -> None:
    run = team.run("IBANs")
    state = team.world.wiring.looking.run(run)
    task = next(task for _, task in state.tasks() if task.active)
    key = attempt_key(run, task.id, len(task.attempts))
    asked = httpx.QueryParams({"task": task.id, "attempt": len(task.attempts)})
    text = team.page(f"/runs/{run}/log?{asked}")
    assert 'data-live-log="/live/log?' in text
    last = int(re.findall(r'data-last="(\d+)"', text)[0])
    team.world.wiring.artifacts.append(key, b"whole\nhal")
    more = team.page(f"/runs/{run}/log/lines?{asked}&first={last + 1}&follow=1")
    assert "whole" in more
    assert "hal<" not in more
    assert "button" not in more


def test_the_log_of_no_attempt_is_not_found(team: Team) -> None:
    team.page(f"/runs/{team.run('half up')}/log?task=nix&attempt=1", 404)
    team.page(f"/runs/{team.run('half up')}/log?task=lint&attempt=2", 404)


# --- what others have written -----------------------------------------------------------------


def test_nothing_that_others_have_written_becomes_markup(team: Team) -> None:
    world = team.world
    world.clock.at += timedelta(minutes=1)
    name = "test"
    plan = Plan(
        digest="0" * 64,
        project="acme/evil",
        stages=(
            PlannedStage(
                name=name,
                agent="test",
                tasks=(
                    PlannedTask(id=f"test[x={EVIL}]", cell={"x": EVIL}),
                    PlannedTask(id="test[x=2]", cell={"x": "2"}),
                ),
                notes=(EVIL,),
                environment=EVIL,
            ),
        ),
    )
    change = Change(
        kind=ChangeKind.PUSH,
        repository="acme/evil",
        clone_url="/srv/evil",
        ref=f"refs/heads/{EVIL}",
        branch=EVIL,
        sha="e" * 40,
        author=EVIL,
        title=EVIL,
        url='https://evil.example/"onclick="alert(1)',
    )
    run = world.push(change, plan, "acme/evil")
    (task,) = (task for _, task in run.tasks() if EVIL in task.id)
    assert task.current
    result = r.Result(
        outcome=Outcome.FAILURE,
        summary=EVIL,
        reason=EVIL,
        tests=r.Tests(
            total=1, failed=1, failed_cases=(r.FailedCase(id=EVIL, name=EVIL, message=EVIL),), flaky=(EVIL,)
        ),
        findings=r.Findings(
            counts={"high": 1}, named=(r.Finding(rule=EVIL, severity=EVIL, message=EVIL, path=EVIL),)
        ),
        outputs={"name": EVIL},
        tools={EVIL: EVIL},
    )
    world.wiring.artifacts.append(attempt_key(run.id, task.id, 1), f"::group::{EVIL}\n{EVIL}\n".encode())
    world.hear(
        m.TaskFinished(
            run=run.id,
            task=task.id,
            attempt=task.current.id,
            token=attempt_token(world.key, task.current.id),
            worker=EVIL,
            at=world.clock.at,
            result=result,
        )
    )
    asked = httpx.QueryParams({"task": task.id, "attempt": 1})
    for path in (
        "/runs",
        f"/runs?branch={EVIL}&person={EVIL}&project={EVIL}",
        f"/runs/{run.id}",
        f"/runs/{run.id}/why",
        f"/runs/{run.id}/log?{asked}",
        f"/runs/{run.id}/log/search?{asked}&q=%3Cimg",
        f"/deliveries?repository={EVIL}",
        "/projects/acme/evil",
    ):
        text = team.page(path)
        assert "&lt;img" in text or "%3Cimg" in text, path
        assert "<img" not in text, path
        assert '"onclick' not in text, path


# --- light and dark -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "expected"), [("dark", 'data-theme="dark"'), ('"><b>', '<html lang="en">')]
)
def test_the_theme_is_the_cookie_s(team: Team, cookie: str, expected: str) -> None:
    assert expected in team.page("/runs", headers={"cookie": f"turnout_theme={cookie}"})


def test_static_files_are_kept_for_ever_by_their_stamp(team: Team) -> None:
    (style,) = re.findall(r'href="(/static/style.css\?\w+)"', team.page("/runs"))
    answer = team.browser.get(style)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
    assert team.browser.get("/static/../rendering.py").status_code == 404
    assert team.browser.get("/static/%2e%2e/rendering.py").status_code == 404

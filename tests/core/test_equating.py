from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from turnout.core.account import KINDS, MOST, MOST_TRIES, SETTLE, Account, Kind, Line
from turnout.core.equating import Found, equate
from turnout.core.ports import Delivery, ReportRow
from turnout.core.ports.ledger import Head, Listed, Missed, OpenAttempt, OpenRun, Untold

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
SINCE = NOW - timedelta(days=3)
YOUNG, OLD = NOW - timedelta(minutes=1), NOW - timedelta(hours=1)
NOTHING = Found(None, (), (), (), {}, (), (), {}, (), {}, (), {}, (), {}, (), ())


def a_delivery(at: datetime, status: str = "published", run: str = "") -> Delivery:
    return Delivery("d1", "github", "push", "acme/shop", status, at, run=run)


def a_try(guid: str, number: int, at: datetime, code: int = 502, said: str = "failed to connect") -> Listed:
    return Listed(guid, "app", number, at, "push", 200 <= code < 300, code, said)


def missing(at: datetime, **changes: Any) -> Missed:
    return replace(Missed(a_try("g1", 1, at), first=at, due=at), **changes)


def account(**found: Any) -> Account:
    made = equate(replace(NOTHING, **found), NOW, SINCE)
    for line in made.lines:  # whatever was found
        assert line.total == sum(line.parts.values()) + line.under_way + line.unaccounted, line
    assert made.unaccounted == len(made.rows)
    return made


def line(account: Account, kind: Kind) -> Line:
    return next(each for each in account.lines if each.kind == kind)


def test_of_nothing_nothing_is_unaccounted() -> None:
    made = account()
    assert (made.unaccounted, made.under_way, made.rows, made.notes) == (0, 0, (), ())
    assert tuple(each.kind for each in made.lines) == KINDS


def test_every_row_that_came_to_an_end_is_accounted_for_by_it() -> None:
    made = account(
        deliveries={"run": 5, "ignored": 3},
        messages={"run": 9, "nothing": 3},
        runs={"success": 4, "failure": 1},
        attempts={"finished": 12},
        reports={"sent": 30, "skipped": 3, "failed": 1},
    )
    assert made.unaccounted == made.under_way == 0
    assert line(made, "delivery").parts == {"ignored": 3, "run": 5}
    assert line(made, "report").parts == {"failed": 1, "sent": 30, "skipped": 3}
    assert line(made, "github").parts == {"here": 8}


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("github", lambda at: {"missed": (missing(at),)}),
        ("delivery", lambda at: {"unanswered": (a_delivery(at),), "deliveries": {"published": 1}}),
        ("delivery", lambda at: {"unanswered": (a_delivery(at, "received"),), "deliveries": {"received": 1}}),
        ("delivery", lambda at: {"runless": (a_delivery(at, "run", run="r"),), "deliveries": {"run": 1}}),
        ("run", lambda at: {"open_runs": (OpenRun("r", "p", "running", at, 1, OLD),), "runs": {"open": 1}}),
        ("run", lambda at: {"open_runs": (OpenRun("r", "p", "queued", None, 0, at),), "runs": {"open": 1}}),
        (
            "attempt",
            lambda at: {
                "open_attempts": (OpenAttempt("a", "r", "p", "unit", OLD, at, run_ended=False),),
                "attempts": {"started": 1},
            },
        ),
        (
            "attempt",
            lambda at: {
                "open_attempts": (OpenAttempt("a", "r", "p", "unit", at, NOW, run_ended=True),),
                "attempts": {"launched": 1},
            },
        ),
        (
            "report",
            lambda at: {
                "open_reports": (ReportRow("r", "slack", "finished", "sending", "", 1, at),),
                "reports": {"sending": 1},
            },
        ),
    ],
)
def test_what_has_not_ended_is_under_way_for_a_while_and_then_named(kind: Kind, found: Any) -> None:
    young = account(**found(YOUNG))
    assert (young.unaccounted, line(young, kind).under_way) == (0, 1)
    old = account(**found(OLD))
    assert (line(old, kind).unaccounted, line(old, kind).under_way) == (1, 0)
    (row,) = old.rows
    assert row.kind == kind
    assert row.wrong
    assert row.hint
    assert row.at <= NOW - SETTLE


def test_a_run_that_waits_for_people_is_under_way_however_long_that_takes() -> None:
    waiting = OpenRun("r", "p", "running", NOW + timedelta(hours=20), 0, OLD)
    made = account(open_runs=(waiting,), runs={})
    assert (made.unaccounted, line(made, "run").under_way) == (0, 1)


def test_a_run_that_ended_and_was_told_nowhere_is_a_report_that_is_not_there() -> None:
    made = account(untold=(Untold("r", "acme/shop", "slack", OLD),), reports={"sent": 2})
    assert line(made, "report") == Line("report", 3, {"sent": 2}, 0, 1)
    assert made.rows[0].repository == "acme/shop"


def test_an_ignored_delivery_has_a_reason() -> None:
    made = account(runless=(a_delivery(YOUNG, "ignored"),), deliveries={"ignored": 4})
    assert line(made, "delivery") == Line("delivery", 4, {"ignored": 3}, 0, 1)


def test_a_message_was_handled_for_a_run_that_is_there() -> None:
    made = account(orphans=(("m1", "r", OLD),), messages={"run": 4})
    assert line(made, "message") == Line("message", 4, {"run": 3}, 0, 1)


# --- GitHub's own list -------------------------------------------------------------------------------


def test_github_s_list_is_compared_delivery_by_delivery_however_often_each_was_tried() -> None:
    tries = (
        a_try("here", 5, YOUNG, 202),
        a_try("lost", 4, YOUNG),
        a_try("lost", 3, OLD),
        a_try("older", 2, SINCE - timedelta(seconds=1)),
    )
    made = account(listed=tries, known={"here"}, deliveries={"run": 9})
    assert line(made, "github") == Line("github", 2, {"here": 1}, 0, 1)
    assert (made.rows[0].id, made.rows[0].at) == ("lost", OLD)


def test_a_newest_commit_that_no_delivery_is_about_is_named() -> None:
    made = account(listed=(), heads=(Head("acme/shop", "5" * 40, OLD),))
    assert line(made, "github") == Line("github", 1, {}, 0, 1)
    assert (made.rows[0].id, made.rows[0].repository) == ("5" * 40, "acme/shop")


def test_what_came_since_it_was_missed_is_here() -> None:
    assert account(missed=(missing(OLD),), known={"g1"}).unaccounted == 0


@pytest.mark.parametrize(
    ("changes", "wrong", "hint"),
    [
        ({}, "GitHub got 502 (failed to connect)", "can GitHub reach the webhook? The sweeper asks"),
        ({"tries": 2}, "asked for again 2 times", "The sweeper asks"),
        ({"tries": MOST_TRIES}, f"{MOST_TRIES} times", "The sweeper has given up"),
        ({"listed": a_try("g1", 1, OLD, 0, "")}, "GitHub got no answer", "reach the webhook"),
        ({"listed": a_try("g1", 1, OLD, 401)}, "401", "TURNOUT_WEBHOOK_SECRET"),
        ({"listed": a_try("g1", 1, OLD, 404)}, "404", "functions/webhook"),
        ({"listed": a_try("g1", 1, OLD, 422)}, "422", "refuses it"),
        ({"listed": a_try("g1", 1, OLD, 202)}, "answered with 202", "URL lead to this system"),
        ({"refused": "it is too old"}, "502", "does not send it again: it is too old"),
    ],
)
def test_what_is_missing_says_what_github_got_and_what_to_do(changes: Any, wrong: str, hint: str) -> None:
    (row,) = account(missed=(missing(OLD, **changes),)).rows
    assert wrong in row.wrong
    assert hint in row.hint


def test_where_not_all_rows_were_looked_at_it_is_said() -> None:
    runs = tuple(OpenRun(str(n), "p", "running", NOW, 1, OLD) for n in range(MOST))
    assert account(open_runs=runs).notes == (
        f"{MOST} runs that have not ended were looked at; there may be more",
    )

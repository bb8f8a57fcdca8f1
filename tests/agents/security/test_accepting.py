from __future__ import annotations

from datetime import date

import pytest

from agents.security.accepting import NO_FIX, sort_out
from agents.security.options import Accepted
from turnout.core.result import Finding

TODAY = date(2026, 3, 31)
FLAW = Finding(
    rule="CVE-2021-1",
    severity="high",
    message="m",
    kind="vulnerability",
    package="p",
    installed="1",
    path="a/lock",
)
SECRET = Finding(rule="key", severity="critical", message="m", kind="secret", path="settings.py", line=3)


def accepted(**fields: str) -> Accepted:
    return Accepted.model_validate({"id": "CVE-2021-1", "reason": "because", "until": "2026-12-31"} | fields)


def test_what_an_entry_names_is_ignored_with_its_reason_and_the_rest_counts() -> None:
    found = sort_out([FLAW, SECRET], [accepted()], TODAY)
    assert found.counted == (SECRET,)
    assert found.ignored == ((FLAW, "because (until 2026-12-31)"),)
    assert found.remarks == ()


@pytest.mark.parametrize(("until", "counts"), [("2026-03-31", False), ("2026-03-30", True)])
def test_an_entry_holds_through_its_last_day(until: str, counts: bool) -> None:
    found = sort_out([FLAW], [accepted(until=until)], TODAY)
    assert bool(found.counted) is counts
    assert any("has expired: what it ignored counts again" in each for each in found.remarks) is counts


def test_an_entry_that_matches_nothing_is_said_whether_or_not_it_has_expired() -> None:
    found = sort_out([SECRET], [accepted(), accepted(until="2020-01-01")], TODAY)
    assert [each.partition(": ")[0] for each in found.remarks] == ["with.ignore[0]", "with.ignore[1]"]
    assert all(each.endswith("matches nothing: remove it") for each in found.remarks)


def test_an_entry_can_be_narrowed_to_a_package_or_a_file() -> None:
    assert not sort_out([FLAW], [accepted(package="p")], TODAY).counted
    assert not sort_out([FLAW], [accepted(path="a/lock")], TODAY).counted
    assert sort_out([FLAW], [accepted(package="q")], TODAY).counted
    assert sort_out([FLAW], [accepted(package="p", path="b/lock")], TODAY).counted


def test_of_two_entries_one_that_still_holds_is_enough() -> None:
    found = sort_out([FLAW], [accepted(until="2026-01-01"), accepted(reason="renewed")], TODAY)
    assert found.ignored == ((FLAW, "renewed (until 2026-12-31)"),)


def test_ids_are_known_in_either_case() -> None:
    assert not sort_out([FLAW], [accepted(id="cve-2021-1")], TODAY).counted


def test_where_only_what_can_be_fixed_counts_a_vulnerability_without_a_fix_does_not() -> None:
    fixable = FLAW.with_(fixed="2")
    found = sort_out([FLAW, fixable, SECRET], [], TODAY, only_fixable=True)
    assert found.counted == (fixable, SECRET), "a secret needs no new version"
    assert found.ignored == ((FLAW, NO_FIX),)

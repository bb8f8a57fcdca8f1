"""Whoever keeps accounts knows secrets by their digest alone, ends what has ended, and never loses who did what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.contracts.together import run_together
from turnout.core.access import Scope
from turnout.core.ports.accounts import Accounts, ApiToken, AuditEntry, BrowserSession

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKEN = ApiToken(
    "a1", "ci", "ada", frozenset({Scope.READ, Scope.ACT}), ("acme/shop",), NOW, NOW + timedelta(days=30)
)
SESSION = BrowserSession("s1", "ada", "github", "127.0.0.1", "Firefox", NOW, NOW, NOW + timedelta(days=7))
ENTRY = AuditEntry(NOW, "ada", "github", "127.0.0.1", "approve", "r1 ship", "acme/shop", "allowed", "go")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class AccountsContract:
    @pytest.fixture
    def accounts(self) -> Accounts:
        raise NotImplementedError("the subclass gives the accounts")

    def test_a_token_is_found_by_its_digest_and_by_its_id(self, accounts: Accounts) -> None:
        accounts.add_token(TOKEN, "d1")
        assert accounts.token("d1") == TOKEN
        assert accounts.find_token("a1") == TOKEN
        assert accounts.token("a1") is None
        assert accounts.find_token("d1") is None

    def test_tokens_are_listed_newest_first_of_one_owner_or_of_all(self, accounts: Accounts) -> None:
        later = replace(TOKEN, id="a2", made_at=at(1), expires_at=None, projects=())
        others = replace(TOKEN, id="b1", owner="bob")
        for number, each in enumerate((TOKEN, later, others)):
            accounts.add_token(each, f"d{number}")
        assert accounts.tokens("ada") == [later, TOKEN]
        assert [each.id for each in accounts.tokens()] == ["a2", "b1", "a1"]

    def test_when_a_token_was_used_is_noted(self, accounts: Accounts) -> None:
        accounts.add_token(TOKEN, "d1")
        accounts.token_used("a1", at(5))
        assert accounts.token("d1") == replace(TOKEN, used_at=at(5))

    def test_a_token_that_was_removed_is_gone(self, accounts: Accounts) -> None:
        accounts.add_token(TOKEN, "d1")
        assert accounts.remove_token("a1")
        assert not accounts.remove_token("a1")
        assert accounts.token("d1") is None

    def test_a_session_is_found_seen_and_closed_by_its_person_alone(self, accounts: Accounts) -> None:
        accounts.open_session(SESSION, "d1")
        accounts.session_seen("s1", at(60))
        assert accounts.session("d1") == replace(SESSION, seen_at=at(60))
        assert accounts.sessions("ada") == [replace(SESSION, seen_at=at(60))]
        assert accounts.sessions("bob") == []
        assert not accounts.close_session("s1", "bob")
        assert accounts.close_session("s1", "ada")
        assert accounts.session("d1") is None

    def test_a_key_is_good_once_until_it_has_lapsed(self, accounts: Accounts) -> None:
        assert accounts.once("k", NOW, at(60))
        assert not accounts.once("k", at(59), at(500))
        assert accounts.once("other", NOW, at(60))
        assert accounts.once("k", at(60), at(120))

    def test_of_many_at_once_one_has_the_key(self, accounts: Accounts) -> None:
        got: list[bool] = []
        run_together([lambda: got.append(accounts.once("k", NOW, at(60)))] * 6)
        assert sorted(got) == [False] * 5 + [True]

    def test_the_audit_log_is_read_newest_first_in_pages(self, accounts: Accounts) -> None:
        for action in ("one", "two", "three"):
            accounts.record(replace(ENTRY, action=action))
        first = accounts.audit_log(limit=2)
        assert [each.action for each in first] == ["three", "two"]
        assert [each.action for each in accounts.audit_log(before=first[-1].number)] == ["one"]
        assert replace(first[0], number=0) == replace(ENTRY, action="three")

    def test_the_audit_log_is_read_of_one_person_or_one_project(self, accounts: Accounts) -> None:
        accounts.record(ENTRY)
        accounts.record(replace(ENTRY, person="bob", verdict="refused"))
        accounts.record(replace(ENTRY, project="acme/blog"))
        assert [each.person for each in accounts.audit_log(person="bob")] == ["bob"]
        assert [each.project for each in accounts.audit_log(project="acme/blog")] == ["acme/blog"]
        assert len(accounts.audit_log(person="ada", project="acme/shop")) == 1

    def test_what_has_ended_is_forgotten_but_never_who_did_what(self, accounts: Accounts) -> None:
        accounts.add_token(TOKEN, "d1")
        accounts.add_token(replace(TOKEN, id="a2", expires_at=None), "d2")
        accounts.open_session(SESSION, "d1")
        accounts.open_session(replace(SESSION, id="s2", seen_at=at(100)), "d2")
        accounts.once("k", NOW, at(60))
        accounts.record(ENTRY)
        assert accounts.forget(at(60), at(50)) == 2
        assert accounts.session("d1") is None
        assert accounts.session("d2") is not None
        assert accounts.forget(NOW + timedelta(days=30), NOW) == 2
        assert [each.id for each in accounts.tokens()] == ["a2"]
        assert len(accounts.audit_log()) == 1

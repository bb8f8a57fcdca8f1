"""Who shows who they are, and what follows from what the project files and GitHub say of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from local.github.hub import Fault
from local.github.stand_in import StandIn
from tests.desk_of_people import LOCAL_TOKEN, SHOP, People
from turnout.core.access import EVERYWHERE, Role, Scope
from turnout.core.errors import TransientError
from turnout.core.secret_words import spell
from turnout.identifying import LINK_LIVES, SESSION_IDLES, SESSION_LIVES


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with StandIn() as github:
        made = People(tmp_path, github)
        yield made
        made.api.close()


# --- roles ----------------------------------------------------------------------------------------


def test_the_owner_of_the_home_is_admin_everywhere(people: People) -> None:
    found = people.identity.of_bearer(LOCAL_TOKEN)
    assert found is not None
    assert (found.name, found.person, found.via) == ("me", "local:me", "local")
    assert found.may(Role.ADMIN)
    assert found.may(Role.ADMIN, SHOP)


def test_nobody_of_github_passes_for_the_owner_by_being_called_alike(people: People) -> None:
    assert not people.person("me").may(Role.VIEWER, SHOP)
    assert not people.person("me").sees_all


def test_those_whom_the_server_names_are_admins_everywhere(people: People) -> None:
    assert people.person("Root").may(Role.ADMIN)


def test_where_nothing_is_said_whoever_may_write_is_an_operator(people: People) -> None:
    people.project()
    eve, bob = people.person("eve"), people.person("bob")
    assert eve.role(SHOP) == Role.OPERATOR
    assert bob.role(SHOP) == 0
    assert eve.role("acme/elsewhere") == 0  # nobody there can be asked


def test_where_the_file_speaks_github_is_asked_about_teams_alone(people: People) -> None:
    people.project("  access: {viewers: ['@bob'], approvers: ['@acme/release']}\n")
    assert [people.person(each).role(SHOP) for each in ("bob", "ada", "eve")] == [
        Role.VIEWER,
        Role.APPROVER,
        0,
    ]
    assert not any("permission" in each.path for each in people.hub.calls)


def test_a_file_that_is_broken_gives_nobody_a_role(people: People) -> None:
    people.project("  access: {viewer: ['@bob']}\n")
    assert people.person("bob").role(SHOP) == 0
    assert people.identity.stated(SHOP)


def test_who_was_taken_off_loses_the_role_within_a_minute(people: People) -> None:
    people.project()
    assert people.person("eve").may(Role.OPERATOR, SHOP)
    people.hub.people["eve"] = "read"
    assert people.person("eve").may(Role.OPERATOR, SHOP)
    people.clock.pass_(minutes=1)
    assert not people.person("eve").may(Role.OPERATOR, SHOP)


def test_while_github_is_away_what_it_said_last_counts_for_a_while(people: People) -> None:
    people.project()
    assert people.person("eve").may(Role.OPERATOR, SHOP)
    people.hub.faults.append(Fault("permission", 502, times=100))
    people.clock.pass_(minutes=14)
    assert people.person("eve").may(Role.OPERATOR, SHOP)
    people.clock.pass_(minutes=1)
    with pytest.raises(TransientError):
        people.person("eve").may(Role.OPERATOR, SHOP)
    with pytest.raises(TransientError):
        people.person("bob").may(Role.VIEWER, SHOP)


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_is_its_owner_within_its_limits_and_is_kept_nowhere(people: People) -> None:
    token, kept = people.identity.make_token("root", "ci", frozenset({Scope.READ}), (SHOP,))
    found = people.identity.of_bearer(token)
    assert found is not None
    assert (found.name, found.via, found.person) == ("root", "token:ci", "root")
    assert found.may(Role.VIEWER, SHOP)
    assert not found.may(Role.OPERATOR, SHOP)
    assert not found.may(Role.VIEWER, "acme/blog")
    assert token not in repr(vars(people.accounts))
    assert people.accounts.tokens("root") == [replace(kept, used_at=people.clock.now())]


def test_a_token_ends_and_can_be_removed(people: People) -> None:
    until = people.clock.now() + timedelta(days=1)
    token, _ = people.identity.make_token("root", "ci", frozenset({Scope.READ}), (), until)
    other, kept = people.identity.make_token("root", "cd", frozenset({Scope.READ}))
    assert people.identity.of_bearer(token)
    people.clock.pass_(days=1)
    assert people.identity.of_bearer(token) is None
    assert people.identity.of_bearer(other)
    people.accounts.remove_token(kept.id)
    assert people.identity.of_bearer(other) is None


def test_what_is_no_token_of_ours_is_nobody(people: People) -> None:
    for given in ("", "x", spell(bytes(32)), LOCAL_TOKEN + "y", "turnout_\udcff"):
        assert people.identity.of_bearer(given) is None


def test_a_token_of_somebody_who_lost_their_role_opens_nothing(people: People) -> None:
    people.project()
    token, _ = people.identity.make_token("eve", "ci", frozenset({Scope.READ, Scope.ACT}))
    found = people.identity.of_bearer(token)
    assert found is not None
    assert found.may(Role.OPERATOR, SHOP)
    people.hub.people["eve"] = "none"
    people.clock.pass_(minutes=1)
    assert not found.may(Role.VIEWER, SHOP)


# --- sessions -------------------------------------------------------------------------------------


def test_a_session_is_its_person_until_it_is_left_alone_for_too_long(people: People) -> None:
    cookie = people.identity.open_session("root", "github", "127.0.0.1", "Firefox")
    people.clock.pass_(hours=SESSION_IDLES.total_seconds() / 3600 - 1)
    found = people.identity.of_session(cookie)
    assert found is not None
    assert found[1].person == "root"
    people.clock.pass_(hours=2)
    assert people.identity.of_session(cookie)
    people.clock.at += SESSION_IDLES
    assert people.identity.of_session(cookie) is None


def test_a_session_ends_for_good_however_much_it_is_used(people: People) -> None:
    cookie = people.identity.open_session("root", "github", "", "")
    began = people.clock.now()
    while people.clock.now() < began + SESSION_LIVES:
        assert people.identity.of_session(cookie)
        people.clock.pass_(hours=11)
    assert people.identity.of_session(cookie) is None


def test_a_session_that_was_closed_is_over_at_once(people: People) -> None:
    cookie = people.identity.open_session("root", "github", "", "")
    found = people.identity.of_session(cookie)
    assert found is not None
    assert cookie not in repr(vars(people.accounts))
    people.accounts.close_session(found[0].id, "root")
    assert people.identity.of_session(cookie) is None


# --- links ----------------------------------------------------------------------------------------


def test_a_link_signs_the_owner_in_once(people: People) -> None:
    token = people.identity.link_token()
    assert people.identity.redeem(token) == "local:me"
    assert people.identity.redeem(token) is None
    assert people.identity.redeem(people.identity.link_token()) == "local:me"


def test_a_link_is_good_for_an_hour(people: People) -> None:
    token = people.identity.link_token()
    people.clock.at += LINK_LIVES
    assert people.identity.redeem(token) is None


def test_a_link_that_somebody_made_up_or_changed_is_none(people: People) -> None:
    token = people.identity.link_token()
    later = str(int(token.partition(".")[0]) + 3600)
    for given in ("", ".", "1.2.3", token[:-1], later + token[len(later) :], "x." + token, "\udcff.a.b"):
        assert people.identity.redeem(given) is None
    assert people.identity.redeem(token)


def test_roles_are_a_mapping_that_asks_when_it_is_asked(people: People) -> None:
    people.project()
    roles = people.person("eve").roles
    assert not people.hub.calls
    assert dict(roles) == {}
    assert roles[SHOP] is Role.OPERATOR
    assert SHOP not in people.person("bob").roles
    assert dict(people.owner.roles) == {EVERYWHERE: Role.ADMIN}

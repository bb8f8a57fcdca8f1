from __future__ import annotations

import pytest

from turnout.core.access import (
    EVERYWHERE,
    Role,
    Scope,
    Viewer,
    named_role,
    role_to_decide,
    scope_of,
    teams_named,
)
from turnout.core.config_access import AccessConfig

SHOP = "acme/shop"
ACCESS = AccessConfig.model_validate(
    {
        "viewers": ["@acme/everybody"],
        "operators": ["@Ada"],
        "approvers": ["@bob", "@acme/release"],
        "admins": ["@acme/release"],
    }
)


def test_each_role_may_what_those_before_it_may() -> None:
    ada = Viewer("ada", {SHOP: Role.APPROVER})
    assert [role for role in Role if ada.may(role, SHOP)] == [Role.VIEWER, Role.OPERATOR, Role.APPROVER]
    assert not ada.may(Role.VIEWER, "acme/blog")
    assert not ada.may(Role.VIEWER)
    assert ada.lacks(Role.ADMIN, SHOP) == "ada is no admin of acme/shop"


def test_a_role_everywhere_counts_in_every_project() -> None:
    root = Viewer("root", {EVERYWHERE: Role.ADMIN})
    assert root.may(Role.ADMIN, SHOP)
    assert root.sees_all
    assert Viewer("eve", {EVERYWHERE: Role.VIEWER, SHOP: Role.OPERATOR}).may(Role.OPERATOR, SHOP)


@pytest.mark.parametrize("role", Role)
def test_a_token_may_only_what_its_scopes_and_its_owner_may(role: Role) -> None:
    roles = {EVERYWHERE: Role.ADMIN}
    assert Viewer("ada", roles, frozenset({scope_of(role)})).may(role, SHOP)
    others = frozenset(Scope) - {scope_of(role)}
    assert "no scope" in Viewer("ada", roles, others).lacks(role, SHOP)
    assert not Viewer("ada", {}, frozenset(Scope)).may(role, SHOP)


def test_a_token_for_one_project_opens_no_other_and_not_the_server() -> None:
    token = Viewer("ada", {EVERYWHERE: Role.ADMIN}, frozenset(Scope), frozenset({SHOP}))
    assert token.may(Role.ADMIN, SHOP)
    assert token.lacks(Role.VIEWER, "acme/blog") == "the token of ada is not for acme/blog"
    assert not token.sees_all


def test_a_token_for_the_metrics_reads_nothing_else() -> None:
    scraper = Viewer("ada", {EVERYWHERE: Role.ADMIN}, frozenset({Scope.METRICS}))
    assert scraper.scrapes
    assert not scraper.sees_all
    for stranger in (
        Viewer("eve", {SHOP: Role.ADMIN}, frozenset({Scope.METRICS})),
        Viewer("ada", scraper.roles, frozenset({Scope.METRICS}), frozenset({SHOP})),
        Viewer("ada", scraper.roles, frozenset({Scope.ACT})),
    ):
        assert not stranger.scrapes
    assert not Viewer("ada", {SHOP: Role.ADMIN}).scrapes


@pytest.mark.parametrize(
    ("person", "teams", "role"),
    [
        ("eve", (), None),
        ("eve", ("@acme/everybody",), Role.VIEWER),
        ("ada", (), Role.OPERATOR),
        ("ADA", ("@acme/everybody",), Role.OPERATOR),
        ("bob", (), Role.APPROVER),
        ("bob", ("@ACME/release",), Role.ADMIN),
        ("acme/release", (), None),
    ],
)
def test_the_highest_role_that_a_person_is_named_for_counts(
    person: str, teams: tuple[str, ...], role: Role | None
) -> None:
    assert named_role(ACCESS, person, teams) is role


def test_only_the_teams_that_are_named_have_to_be_asked_about() -> None:
    assert teams_named(ACCESS) == ("@acme/everybody", "@acme/release")


def test_an_approval_that_names_nobody_is_the_approvers_where_the_project_says_who_they_are() -> None:
    assert role_to_decide(stated=True) is Role.APPROVER
    assert role_to_decide(stated=False) is Role.OPERATOR

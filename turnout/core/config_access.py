"""The part of ``project.yml`` that says who may do what in the project. `turnout.core.access` has the rules."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from turnout.core.config_types import Configured, People, Person, Refused
from turnout.core.roles import Role


class AccessConfig(Configured):
    """Who may do what. Each role may what the ones before it may; not given at all: who may write to the repository on
    GitHub is an operator."""

    viewers: People = Field(default=(), description="Who may look: @user or @org/team.")
    operators: People = Field(default=(), description="Who may start, cancel and rerun.")
    approvers: People = Field(
        default=(), description="Who may approve and reject what names no approvers of its own."
    )
    admins: People = Field(default=(), description="Who may do all of it, and read the project's audit log.")

    @property
    def by_role(self) -> tuple[tuple[Role, People], ...]:
        return (
            (Role.VIEWER, self.viewers),
            (Role.OPERATOR, self.operators),
            (Role.APPROVER, self.approvers),
            (Role.ADMIN, self.admins),
        )


def _one_person(value: str) -> str:
    if "/" in value:
        raise Refused("expected `@user`", "a Slack account is one person's")
    return value


_MEMBER = r"[UW][A-Z0-9]{5,20}"


def _member(value: str) -> str:
    if not re.fullmatch(_MEMBER, value):
        raise Refused("expected a Slack member ID like U0123ABCD", "it stands in the person's Slack profile")
    return value


SlackAccount = Annotated[str, AfterValidator(_member), Field(json_schema_extra={"pattern": f"^{_MEMBER}$"})]
SlackPeople = dict[SlackAccount, Annotated[Person, AfterValidator(_one_person)]]

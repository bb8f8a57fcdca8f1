"""Whatever changes something asks who may, writes it down, and does it: once, where it is asked for twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from local.github.stand_in import StandIn
from tests.core.building import CHANGE, a_plan, stage
from tests.desk_of_people import SHOP, People
from tests.test_commanding import Desk
from turnout.acting import Acting, Actor, NotAllowed, NotNow
from turnout.core.access import Scope, Viewer
from turnout.core.dead_letters import DeadLetter
from turnout.core.errors import NotFound, PermanentError
from turnout.core.plan import Approval
from turnout.core.run import Run, RunStatus, StageStatus

OPEN = "  access: {viewers: ['@vic'], operators: ['@oli'], approvers: ['@pat'], admins: ['@sam']}\n"
Verb = Literal["approve", "reject"]


class Office:
    """People, a running system, and the function that stands between them."""

    def __init__(self, people: People, *by: str, required: int = 1) -> None:
        self.people = people
        approval = Approval(required=required, by=by, expires=3600)
        self.desk = Desk(a_plan(stage("ship", approval=approval)))
        self.taken: list[Sequence[DeadLetter]] = []
        self.acting = Acting(people.identity, self.desk.commands, self._take, self._take)

    def _take(self, letters: Sequence[DeadLetter]) -> int:
        self.taken.append(letters)
        return len(letters)

    def waiting(self) -> Run:
        run = self.desk.asked_run()
        assert run.stages["ship"].status is StageStatus.WAITING
        return run

    def after(self, run: Run) -> Run:
        self.desk.deliver()
        return self.desk.run(run.id)

    def by(self, login: str, key: str = "") -> Actor:
        return Actor(self.people.person(login), "192.0.2.7", key)

    @property
    def log(self) -> list[tuple[str, str, str]]:
        """Who, what, and the verdict; oldest first."""
        found = self.people.accounts.audit_log()
        return [(each.person, each.action, each.verdict) for each in reversed(found)]


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with StandIn() as github:
        made = People(tmp_path, github)
        made.project(OPEN)
        yield made
        made.api.close()


@pytest.fixture
def office(people: People) -> Office:
    return Office(people)


def test_an_operator_cancels_and_a_viewer_does_not_and_both_are_written_down(office: Office) -> None:
    run = office.waiting()
    with pytest.raises(NotAllowed, match=r"vic is no operator of acme/shop"):
        office.acting.cancel(office.by("vic"), run)
    office.acting.cancel(office.by("oli"), run, "wrong branch")
    assert office.after(run).status is RunStatus.FINISHED
    assert office.log == [("vic", "cancel", "refused"), ("oli", "cancel", "allowed")]
    entry = office.people.accounts.audit_log()[0]
    assert (entry.subject, entry.project, entry.address) == (run.id, SHOP, "192.0.2.7")
    assert (entry.reason, entry.via, entry.at) == ("wrong branch", "github", office.people.clock.now())


def test_nothing_of_a_refusal_reaches_the_bus(office: Office) -> None:
    run = office.waiting()
    sent = len(office.desk.world.producer.records)
    for attempt in (
        lambda: office.acting.cancel(office.by("eve"), run),
        lambda: office.acting.rerun(office.by("eve"), run),
        lambda: office.acting.start(office.by("eve"), CHANGE),
        lambda: office.acting.decide(office.by("eve"), "approve", run, "ship"),
        lambda: office.acting.retry_letters(office.by("eve"), ()),
        lambda: office.acting.discard_letters(office.by("eve"), ()),
    ):
        with pytest.raises(NotAllowed):
            attempt()
    assert len(office.desk.world.producer.records) == sent
    assert office.taken == []
    assert [verdict for *_, verdict in office.log] == ["refused"] * 6


def test_an_operator_starts_and_tries_again(office: Office) -> None:
    run = office.desk.run(_after_start(office))
    with pytest.raises(NotNow, match="has not ended"):
        office.acting.rerun(office.by("oli"), run)
    office.acting.cancel(office.by("oli"), run)
    run = office.after(run)
    new = office.acting.rerun(office.by("oli"), run)
    office.desk.deliver()
    assert office.desk.run(new).rerun_of == run.id
    with pytest.raises(NotFound, match="no stage 'x'"):
        office.acting.rerun(office.by("oli"), run, stage="x")
    with pytest.raises(PermanentError, match="exclude each other"):
        office.acting.rerun(office.by("oli"), run, stage="ship", failed=True)
    with pytest.raises(NotNow, match="ended already"):
        office.acting.cancel(office.by("oli"), run)


def _after_start(office: Office) -> str:
    run = office.acting.start(office.by("oli"), CHANGE)
    office.desk.deliver()
    return run


def test_what_is_asked_for_twice_with_one_key_is_done_once(office: Office) -> None:
    first = office.acting.start(office.by("oli", "k1"), CHANGE)
    assert office.acting.start(office.by("oli", "k1"), CHANGE) == first
    assert office.acting.start(office.by("oli", "k2"), CHANGE) != first
    assert office.acting.start(office.by("sam", "k1"), CHANGE) != first
    office.desk.deliver()
    assert len(office.desk.world.store.runs()) == 3
    run = office.desk.run(first)
    for _ in range(2):
        office.acting.decide(office.by("pat", "k"), "reject", run, "ship", "not today")
    run = office.after(run)
    assert run.finished
    rejected = [each for each in office.desk.world.store.events(first) if "not today" in str(each)]
    assert len(rejected) == 1


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_approvers_decide_on_what_names_nobody(verb: Verb, office: Office) -> None:
    run = office.waiting()
    with pytest.raises(NotAllowed, match="oli is no approver"):
        office.acting.decide(office.by("oli"), verb, run, "ship")
    office.acting.decide(office.by("pat"), verb, run, "ship")
    assert office.after(run).stages["ship"].status is not StageStatus.WAITING
    with pytest.raises(NotNow, match="does not wait"):
        office.acting.decide(office.by("pat"), verb, office.desk.run(run.id), "ship")
    with pytest.raises(NotFound, match="no stage"):
        office.acting.decide(office.by("pat"), verb, run, "elsewhere")


def test_where_nothing_is_said_of_access_whoever_may_write_decides_as_on_github(people: People) -> None:
    people.project()
    office = Office(people)
    run = office.waiting()
    with pytest.raises(NotAllowed):
        office.acting.decide(office.by("bob"), "approve", run, "ship")
    office.acting.decide(office.by("eve"), "approve", run, "ship")
    assert office.after(run).stages["ship"].approvals[0].by == "eve"


def test_whom_an_approval_names_decides_and_no_admin_does(people: People) -> None:
    office = Office(people, "@acme/release", "@zoe", required=2)
    run = office.waiting()
    with pytest.raises(NotAllowed, match="ship is approved by @acme/release, @zoe, and sam is none of them"):
        office.acting.decide(office.by("sam"), "approve", run, "ship")
    office.acting.decide(office.by("ada"), "approve", run, "ship")  # of the team
    run = office.after(run)
    assert [each.by for each in run.stages["ship"].approvals] == ["ada"]
    office.acting.decide(office.by("zoe"), "approve", run, "ship")
    assert office.after(run).stages["ship"].status is not StageStatus.WAITING


def test_a_token_decides_with_its_scope_and_in_its_projects_alone(people: People) -> None:
    office = Office(people, "@zoe")
    run = office.waiting()
    zoe = people.person("zoe")

    def token(*scopes: Scope, projects: tuple[str, ...] = ()) -> Actor:
        viewer = Viewer("zoe", zoe.roles, frozenset(scopes), frozenset(projects), "token:t")
        return Actor(viewer)

    with pytest.raises(NotAllowed, match="no scope `approve`"):
        office.acting.decide(token(Scope.READ, Scope.ACT, Scope.ADMIN), "approve", run, "ship")
    with pytest.raises(NotAllowed, match="not for acme/shop"):
        office.acting.decide(token(Scope.APPROVE, projects=("acme/blog",)), "approve", run, "ship")
    office.acting.decide(token(Scope.APPROVE), "approve", run, "ship")
    assert office.after(run).stages["ship"].approvals


def test_dead_letters_are_the_servers_admins(office: Office) -> None:
    with pytest.raises(NotAllowed, match="on this server"):
        office.acting.retry_letters(office.by("sam"), ())
    assert office.acting.retry_letters(office.by("root"), ()) == 0
    assert office.acting.discard_letters(office.by("root"), ()) == 0
    assert len(office.taken) == 2


def test_people_make_and_remove_tokens_of_their_own(office: Office) -> None:
    acting, oli = office.acting, office.by("oli")
    token, kept = acting.make_token(oli, " ci ", [Scope.READ], [SHOP, SHOP], timedelta(days=30))
    assert (kept.name, kept.owner, kept.projects) == ("ci", "oli", (SHOP,))
    assert office.people.identity.of_bearer(token)
    with pytest.raises(NotFound):
        acting.remove_token(office.by("vic"), kept.id)
    acting.remove_token(oli, kept.id)
    assert office.people.identity.of_bearer(token) is None
    _, kept = acting.make_token(oli, "ci", [Scope.READ])
    acting.remove_token(office.by("root"), kept.id)
    assert office.log == [
        ("oli", "make token", "allowed"),
        ("oli", "remove token", "allowed"),
        ("oli", "make token", "allowed"),
        ("root", "remove token", "allowed"),
    ]


@pytest.mark.parametrize(
    ("name", "scopes", "projects", "lives"),
    [
        ("", [Scope.READ], (), None),
        ("x" * 101, [Scope.READ], (), None),
        ("a\nb", [Scope.READ], (), None),
        ("ci", [], (), None),
        ("ci", [Scope.READ], ("a b",), None),
        ("ci", [Scope.READ], ("a/b\0",), None),
        ("ci", [Scope.READ], (), timedelta()),
        ("ci", [Scope.READ], (), timedelta(days=367)),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    name: str, scopes: list[Scope], projects: tuple[str, ...], lives: timedelta | None, office: Office
) -> None:
    with pytest.raises(PermanentError) as raised:
        office.acting.make_token(office.by("oli"), name, scopes, projects, lives)
    assert not isinstance(raised.value, NotAllowed)
    assert office.people.accounts.tokens() == []


def test_no_token_makes_a_token_that_may_more(office: Office) -> None:
    roles = office.people.person("sam").roles

    def token(*scopes: Scope, projects: tuple[str, ...] = ()) -> Actor:
        return Actor(Viewer("sam", roles, frozenset(scopes), frozenset(projects), "token:t"))

    acting = office.acting
    with pytest.raises(NotAllowed, match="no scope `admin`"):
        acting.make_token(token(Scope.READ), "ci", [Scope.READ])
    with pytest.raises(NotAllowed, match="can't give the scope `approve`"):
        acting.make_token(token(Scope.READ, Scope.ADMIN), "ci", [Scope.APPROVE])
    with pytest.raises(NotAllowed, match="can't give projects"):
        acting.make_token(token(Scope.ADMIN, projects=(SHOP,)), "ci", [Scope.ADMIN])
    acting.make_token(token(Scope.ADMIN, projects=(SHOP,)), "ci", [Scope.ADMIN], [SHOP])
    assert len(office.people.accounts.tokens("sam")) == 1


def test_people_end_their_own_sessions_alone(office: Office) -> None:
    identity = office.people.identity
    cookie = identity.open_session("oli", "github", "", "")
    (session,) = office.people.accounts.sessions("oli")
    with pytest.raises(NotFound):
        office.acting.close_session(office.by("vic"), session.id)
    assert identity.of_session(cookie)
    office.acting.close_session(office.by("oli"), session.id)
    assert identity.of_session(cookie) is None


def test_who_comes_in_and_who_does_not_is_written_down(office: Office) -> None:
    office.acting.signed_in(office.by("oli"))
    office.acting.not_signed_in("192.0.2.9", "github", "this sign-in was not begun in this browser")
    assert office.log == [("oli", "sign in", "allowed"), ("", "sign in", "refused")]


def test_what_no_database_can_hold_is_written_down_without_it(office: Office) -> None:
    office.acting.cancel(office.by("oli"), office.waiting(), "a\0b\udcff")
    assert office.people.accounts.audit_log()[0].reason == "ab\\udcff"

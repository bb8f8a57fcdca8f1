"""Speaking with GitHub: limits, pages, conditional requests, and who we are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.github.hub import Fault, Hub
from local.github.stand_in import StandIn
from tests.github_app import app_key
from turnout.adapters.github_api import GitHubApi, GitHubRefused
from turnout.adapters.github_auth import AppAuth, Auth, TokenAuth
from turnout.adapters.github_checkout import AppCheckout, web
from turnout.core.errors import NotFound, PermanentError, TransientError

REPOSITORY = "acme/shop"
SHA = "a" * 40
Api = Callable[..., GitHubApi]


class Hands:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def key() -> str:
    return app_key()


@pytest.fixture
def github() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.fixture
def api(github: StandIn) -> Iterator[Callable[..., GitHubApi]]:
    made: list[GitHubApi] = []

    def make(auth: Auth | None = None, clock: Hands | None = None) -> GitHubApi:
        made.append(GitHubApi(auth or TokenAuth("ghp_plain"), clock or Hands(), base_url=github.url))
        return made[-1]

    yield make
    for each in made:
        each.close()


def status(description: str = "") -> dict[str, str]:
    return {"state": "success", "context": "turnout", "description": description}


def test_what_is_posted_is_there(api: Api, github: StandIn) -> None:
    made = api().post(REPOSITORY, f"/statuses/{SHA}", status("fine"))
    assert github.hub.statuses == [{"id": made["id"], "sha": SHA, **status("fine")}]


def test_a_list_is_read_to_its_end(api: Api, github: StandIn) -> None:
    ours = api()
    for number in range(205):
        github.hub.statuses.append({"id": number, "sha": SHA, "context": str(number)})
    pages = list(ours.pages(REPOSITORY, f"/commits/{SHA}/statuses"))
    assert [len(page) for page in pages] == [100, 100, 5]
    assert {each["context"] for page in pages for each in page} == {str(number) for number in range(205)}


def test_a_question_that_was_asked_before_is_asked_again_for_free(api: Api, github: StandIn) -> None:
    ours = api()
    github.hub.statuses.append({"id": 1, "sha": SHA})
    first = ours.get(REPOSITORY, f"/commits/{SHA}/statuses")
    assert ours.get(REPOSITORY, f"/commits/{SHA}/statuses") == first == [{"id": 1, "sha": SHA}]
    github.hub.statuses.append({"id": 2, "sha": SHA})
    assert len(ours.get(REPOSITORY, f"/commits/{SHA}/statuses")) == 2


@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        (Fault("statuses", 429, headers={"Retry-After": "30"}), 30.0),
        (Fault("statuses", 403, headers={"Retry-After": "7"}), 7.0),
        (Fault("statuses", 403, body={"message": "You have exceeded a secondary rate limit."}), 60.0),
        (Fault("statuses", 429), 60.0),
        (Fault("statuses", 502), None),
    ],
)
def test_a_limit_or_a_failure_of_theirs_is_tried_again_when_they_say(
    api: Api, github: StandIn, fault: Fault, wait: float | None
) -> None:
    github.hub.faults.append(fault)
    with pytest.raises(TransientError) as caught:
        api().post(REPOSITORY, f"/statuses/{SHA}", status())
    assert caught.value.retry_after == wait


def test_a_primary_limit_is_waited_for_until_it_is_renewed(api: Api, github: StandIn) -> None:
    clock = Hands()
    reset = int(clock.now().timestamp()) + 90
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}
    github.hub.faults.append(Fault("statuses", 403, headers=headers))
    with pytest.raises(TransientError) as caught:
        api(clock=clock).post(REPOSITORY, f"/statuses/{SHA}", status())
    assert 88 <= (caught.value.retry_after or 0) <= 90


def test_no_answer_is_tried_again(api: Api, github: StandIn) -> None:
    github.hub.faults.append(Fault("statuses", 0))
    with pytest.raises(TransientError, match="no answer"):
        api().post(REPOSITORY, f"/statuses/{SHA}", status())


def test_what_github_finds_wrong_is_said_and_not_tried_again(api: Api, github: StandIn) -> None:
    with pytest.raises(GitHubRefused, match="description is too long"):
        api().post(REPOSITORY, f"/statuses/{SHA}", status("x" * 141))
    with pytest.raises(NotFound, match="may the token or the App see it"):
        api().get("acme/other", "/deployments")
    with pytest.raises(GitHubRefused, match="TURNOUT_GITHUB_TOKEN"):
        api(TokenAuth("ghp_old")).get(REPOSITORY, "/deployments")


@pytest.mark.parametrize("repository", ["acme", "../x", "a/b/c", "acme/..", "a b/c", ""])
def test_no_other_path_is_reached_by_the_name_of_a_repository(
    api: Api, github: StandIn, repository: str
) -> None:
    with pytest.raises(PermanentError, match="is no repository"):
        api().get(repository, "/deployments")
    assert not github.hub.calls


def test_an_app_signs_in_once_an_hour(api: Api, github: StandIn, key: str) -> None:
    clock = Hands()
    ours = api(AppAuth("12", key, clock), clock)
    github.hub.tokens.clear()
    for _ in range(3):
        ours.get(REPOSITORY, "/deployments")
    assert made(github.hub) == 1
    clock.at += timedelta(minutes=56)
    ours.get(REPOSITORY, "/deployments")
    assert made(github.hub) == 2


def test_a_token_that_was_revoked_is_replaced_at_once(api: Api, github: StandIn, key: str) -> None:
    ours = api(AppAuth("12", key, Hands()))
    ours.get(REPOSITORY, "/deployments")
    github.hub.tokens.clear()
    assert ours.get(REPOSITORY, "/deployments") == []
    assert made(github.hub) == 2


def test_an_app_that_is_not_installed_says_where(api: Api, key: str) -> None:
    with pytest.raises(PermanentError, match="not installed on acme/other"):
        api(AppAuth("12", key, Hands())).get("acme/other", "/deployments")


def test_for_a_checkout_there_is_a_token_that_reads_this_repository_alone(
    api: Api, github: StandIn, key: str
) -> None:
    auth = AppAuth("12", key, Hands())
    checkout = AppCheckout(auth, api(auth))
    given = checkout.credential(REPOSITORY, f"{github.url}/acme/shop.git")
    assert given is not None
    assert given.username == "x-access-token"
    asked = next(call.body for call in github.hub.calls if call.path.endswith("/access_tokens"))
    assert asked == {"repositories": ["shop"], "permissions": {"contents": "read"}}
    assert checkout.credential(REPOSITORY, f"{github.url}/acme/shop") == given
    assert made(github.hub) == 1
    auth.token(REPOSITORY, api(auth).as_app)
    assert made(github.hub) == 2, "what may write is another token"


@pytest.mark.parametrize(
    "address",
    [
        "https://github.example.org/acme/shop.git",
        "{url}/acme/other.git",
        "{url}.evil.example/acme/shop.git",
        "/srv/git/shop",
    ],
)
def test_no_other_address_is_given_a_token(api: Api, github: StandIn, key: str, address: str) -> None:
    auth = AppAuth("12", key, Hands())
    assert AppCheckout(auth, api(auth)).credential(REPOSITORY, address.format(url=github.url)) is None
    assert not github.hub.calls


def test_githubs_own_address_is_known_by_that_of_its_api() -> None:
    assert web("https://api.github.com") == "https://github.com"
    assert web("https://git.example.org/api/v3") == "https://git.example.org"


def test_a_key_that_is_none_is_said() -> None:
    with pytest.raises(PermanentError, match="no RSA key in PEM") as caught:
        AppAuth("12", "not a key", Hands()).token(REPOSITORY, lambda *_: {})
    assert "not a key" not in str(caught.value)


def made(hub: Hub) -> int:
    return sum(call.path.endswith("/access_tokens") for call in hub.calls)

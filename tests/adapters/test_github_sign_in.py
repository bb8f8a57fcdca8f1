"""Signing in with GitHub: where people are sent, and what GitHub can say."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from local.github.sign_in import SignIn
from local.github.stand_in import StandIn
from turnout.adapters.github_sign_in import GitHubSignIn
from turnout.core.errors import PermanentError, TransientError

APP = SignIn()
BACK = "https://ci.example/sign-in/github/callback"


@pytest.fixture
def github() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


def agree(github: StandIn, verifier: str = "v", back: str = BACK) -> str:
    """The code that GitHub gives out."""
    asked = urlsplit(GitHubSignIn(APP.client_id, APP.client_secret, github.url).address("s", verifier, back))
    query = {name: values[0] for name, values in parse_qs(asked.query, keep_blank_values=True).items()}
    answer = github.sign_in.answer("GET", asked.path, query, {}, b"")
    assert answer is not None
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


@pytest.mark.parametrize(
    ("api", "page"),
    [
        ("https://api.github.com", "https://github.com/login/oauth/authorize"),
        ("https://git.example.org/api/v3", "https://git.example.org/login/oauth/authorize"),
    ],
)
def test_people_are_sent_to_the_pages_that_belong_to_the_api(api: str, page: str) -> None:
    assert GitHubSignIn("id", "secret", api).address("s", "v", BACK).partition("?")[0] == page


def test_what_is_wrong_is_told(github: StandIn) -> None:
    app = GitHubSignIn(APP.client_id, APP.client_secret, github.url)
    with pytest.raises(PermanentError, match="bad_verification_code"):
        app.login(agree(github), "another verifier", BACK)
    with pytest.raises(PermanentError, match="redirect_uri_mismatch"):
        app.login(agree(github), "v", "https://evil.example/")
    with pytest.raises(PermanentError, match="TURNOUT_GITHUB_CLIENT_SECRET"):
        GitHubSignIn(APP.client_id, "wrong", github.url).login(agree(github), "v", BACK)
    github.sign_in.person = "<script>"
    with pytest.raises(PermanentError, match="names nobody"):
        app.login(agree(github), "v", BACK)
    assert len(github.sign_in.given_back) == 1


def test_while_github_does_not_answer_it_can_be_tried_again() -> None:
    with pytest.raises(TransientError):
        GitHubSignIn("id", "secret", "http://127.0.0.1:1").login("c", "v", BACK)


def test_a_token_that_github_does_not_take_back_keeps_nobody_out(github: StandIn) -> None:
    app = GitHubSignIn(APP.client_id, APP.client_secret, github.url)
    code = agree(github)
    github.sign_in.takes_back = False
    assert app.login(code, "v", BACK) == "ada"
    assert github.sign_in.given_back == []

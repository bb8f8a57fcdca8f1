"""Who gets in to the console, what holds for every request, and the tokens that people make there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from local.github.sign_in import SignIn
from local.github.stand_in import StandIn
from tests.console.visiting import visit
from turnout.adapters.memory_accounts import MemoryAccounts
from turnout.adapters.settings import read_settings
from turnout.console.identity.signing_in import inside
from turnout.console.identity.tries import MOST, WITHIN, FailedTries
from turnout.core.access import Scope
from turnout.core.secret_words import spell
from turnout.wiring import Wiring

SIGN_IN = SignIn()


@pytest.fixture
def github() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


def wired(home: Path, **settings: str) -> Wiring:
    """A console whose accounts are in memory: no test here needs more."""
    made = Wiring(read_settings({"TURNOUT_HOME": str(home), "HOME": str(home), **settings}))
    made.__dict__["accounts"] = MemoryAccounts()
    return made


@pytest.fixture
def console(tmp_path: Path, github: StandIn) -> Wiring:
    return wired(
        tmp_path,
        TURNOUT_GITHUB_URL=github.url,
        TURNOUT_GITHUB_CLIENT_ID=SIGN_IN.client_id,
        TURNOUT_GITHUB_CLIENT_SECRET=SIGN_IN.client_secret,
        TURNOUT_CONSOLE_ADMINS="@ada",
    )


@pytest.fixture
def browser(console: Wiring) -> httpx.Client:
    return visit(console)


def enter(browser: httpx.Client, console: Wiring) -> str:
    """Sign in as the owner of the home; the session's form token."""
    answer = browser.get("/sign-in/link", params={"token": console.identity.link_token()})
    assert answer.status_code == 303
    return form_token(browser)


def form_token(browser: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', browser.get("/settings/tokens").text)
    assert found is not None
    return found[1]


def me(browser: httpx.Client, **headers: str) -> dict[str, Any] | None:
    answer = browser.get("/api/v1/me", headers=headers)
    found: dict[str, Any] = answer.json()
    return found if answer.status_code == 200 else None


def cookie(answer: httpx.Response, name: str) -> str:
    return next(each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{name}="))


# --- the way in -----------------------------------------------------------------------------------


def test_people_are_sent_to_sign_in_and_programs_are_told(browser: httpx.Client) -> None:
    page = browser.get("/settings/tokens?x=1&y=2")
    assert page.status_code == 303
    assert page.headers["location"] == "/sign-in?next=/settings/tokens%3Fx%3D1%26y%3D2"
    assert parse_qs(urlsplit(page.headers["location"]).query)["next"] == ["/settings/tokens?x=1&y=2"]
    part = browser.get("/settings/tokens", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/sign-in")
    program = browser.get("/api/v1/me")
    assert (program.status_code, program.headers["www-authenticate"]) == (401, "Bearer")
    assert program.headers["content-type"] == "application/problem+json"


def test_a_link_signs_in_once_and_leads_on(browser: httpx.Client, console: Wiring) -> None:
    asked = {"token": console.identity.link_token(), "next": "/settings/tokens"}
    answer = browser.get("/sign-in/link", params=asked)
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings/tokens")
    assert (found := me(browser)) is not None
    assert (found["via"], found["admin"]) == ("local", True)
    again = visit(console).get("/sign-in/link", params=asked)
    assert again.status_code == 403
    assert "used before" in again.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_on_another_site_signs_nobody_in(site: str, browser: httpx.Client, console: Wiring) -> None:
    asked = {"token": console.identity.link_token()}
    answer = browser.get("/sign-in/link", params=asked, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert browser.get("/sign-in/link", params=asked).status_code == 303


def at_github(browser: httpx.Client, next: str = "") -> str:
    """Go to GitHub and agree there; the address that it sends the browser back to."""
    begun = browser.get("/sign-in/github", params={"next": next} if next else {})
    assert begun.status_code == 303
    agreed = httpx.get(begun.headers["location"], verify=False)  # plain HTTP: no need to read certificates
    assert agreed.status_code == 302
    return agreed.headers["location"]


def test_github_says_who_somebody_is_and_their_token_is_given_back(
    browser: httpx.Client, github: StandIn, console: Wiring
) -> None:
    back = at_github(browser, "/settings/tokens")
    answer = browser.get(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings/tokens")
    assert (found := me(browser)) is not None
    assert (found["name"], found["via"], found["admin"]) == ("ada", "github", True)
    assert len(github.sign_in.given_back) == 1
    assert github.sign_in.given_back[0] not in repr(vars(console.accounts))
    assert console.accounts.audit_log()[0].person == "ada"


def test_what_github_is_asked_for_is_the_name_alone_with_pkce(browser: httpx.Client, github: StandIn) -> None:
    begun = browser.get("/sign-in/github").headers["location"]
    asked = parse_qs(urlsplit(begun).query, keep_blank_values=True)
    assert asked["scope"] == [""]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == ["http://localhost/sign-in/github/callback"]
    assert SIGN_IN.client_secret not in begun


def test_a_sign_in_that_another_browser_began_is_none_of_ours(console: Wiring) -> None:
    back = at_github(visit(console))
    victim = visit(console)
    assert victim.get(back).status_code == 403
    victim.get("/sign-in/github")  # one of its own, with another state
    assert victim.get(back).status_code == 403
    assert me(victim) is None


def test_a_code_is_good_once(browser: httpx.Client, console: Wiring) -> None:
    back = at_github(browser)
    flow = dict(browser.cookies)
    assert browser.get(back).status_code == 303
    thief = visit(console, cookies=flow)
    answer = thief.get(back)
    assert answer.status_code == 403
    assert "bad_verification_code" in answer.text


def test_who_does_not_agree_at_github_stays_outside(browser: httpx.Client, github: StandIn) -> None:
    github.sign_in.person = ""
    answer = browser.get(at_github(browser))
    assert answer.status_code == 403
    assert "not allowed to say" in answer.text
    assert me(browser) is None


def test_where_nobody_set_it_up_github_is_not_offered(tmp_path: Path) -> None:
    browser = visit(wired(tmp_path))
    assert "GitHub" not in browser.get("/sign-in").text
    assert browser.get("/sign-in/github").status_code == 404


@pytest.mark.parametrize(
    "given",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "evil",
        "/\t/e",
        "/a\\b",
    ],
)
def test_nobody_is_sent_elsewhere_after_signing_in(
    given: str, browser: httpx.Client, console: Wiring
) -> None:
    assert inside(given) == "/"
    asked = {"token": console.identity.link_token(), "next": given}
    assert browser.get("/sign-in/link", params=asked).headers["location"] == "/"
    assert browser.get("/sign-in", params={"next": given}).headers["location"] == "/"


def test_nobody_is_sent_elsewhere_after_coming_back_from_github(browser: httpx.Client) -> None:
    assert browser.get(at_github(browser, "//evil.example")).headers["location"] == "/"


def test_signing_out_ends_the_session_at_the_server(browser: httpx.Client, console: Wiring) -> None:
    token = enter(browser, console)
    kept = dict(browser.cookies)
    assert browser.post("/sign-out").status_code == 403
    assert browser.post("/sign-out", data={"csrf": token}).headers["location"] == "/sign-in"
    assert me(browser) is None
    assert me(visit(console, cookies=kept)) is None


def test_each_sign_in_has_a_session_of_its_own(browser: httpx.Client, console: Wiring) -> None:
    enter(browser, console)
    first = browser.cookies["turnout_session"]
    enter(browser, console)
    assert browser.cookies["turnout_session"] != first


def test_who_fails_too_often_is_not_listened_to(console: Wiring) -> None:
    browser = visit(console, peer="192.0.2.1")
    wrong = {"Authorization": f"Bearer {spell(bytes(32))}"}
    assert [browser.get("/api/v1/me", headers=wrong).status_code for _ in range(MOST)] == [401] * MOST
    answer = browser.get("/sign-in/link", params={"token": console.identity.link_token()})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= WITHIN


def test_failed_tries_are_counted_by_address_and_forgotten() -> None:
    now = [0.0]
    tries = FailedTries(lambda: now[0])
    for _ in range(MOST):
        assert tries.wait("a") == 0
        tries.failed("a")
        now[0] += 1
    assert tries.wait("a") == WITHIN - MOST
    assert tries.wait("b") == 0
    now[0] = WITHIN
    assert tries.wait("a") == 0


# --- what holds for every request -----------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example:80", "x"])
def test_the_console_answers_to_its_own_names_alone(host: str, browser: httpx.Client) -> None:
    assert browser.get("/sign-in", headers={"Host": host}).status_code == 421
    assert browser.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_name_that_the_operator_gave_it_is_its_own(tmp_path: Path) -> None:
    browser = visit(
        wired(
            tmp_path, TURNOUT_CONSOLE_URL="https://ci.example:8443/x", TURNOUT_CONSOLE_HOSTS="turnout, a:80"
        )
    )
    names = ["ci.example:8443", "CI.example:8443", "turnout", "a:80", "[::1]:81", "127.0.0.1:1", "localhost"]
    assert {browser.get("/sign-in", headers={"Host": each}).status_code for each in names} == {200}
    assert browser.get("/sign-in", headers={"Host": "ci.example"}).status_code == 421


def test_who_shows_a_token_may_call_it_as_they_like(console: Wiring) -> None:
    token, _ = console.identity.make_token("ada", "t", frozenset({Scope.READ}))
    assert me(visit(console), Host="10.0.0.7:8000", Authorization=f"Bearer {token}") is not None


@pytest.mark.parametrize("path", ["/sign-in", "/api/v1/me", "/nowhere", "/settings/tokens"])
def test_every_answer_tells_browsers_to_run_nothing_of_others(path: str, browser: httpx.Client) -> None:
    headers = browser.get(path).headers
    policy = dict(each.strip().split(" ", 1) for each in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "no-cache" in headers["cache-control"] or "no-store" in headers["cache-control"]
    assert "strict-transport-security" not in headers


def test_the_pages_hold_no_script_and_no_style_of_their_own(browser: httpx.Client, console: Wiring) -> None:
    enter(browser, console)
    for path in ("/settings/tokens", "/sign-in"):
        page = browser.get(path, follow_redirects=True).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=|javascript:", page)


def test_cookies_are_for_this_host_alone_and_not_for_scripts(tmp_path: Path) -> None:
    wiring = wired(tmp_path, TURNOUT_CONSOLE_URL="https://ci.example")
    asked = {"token": wiring.identity.link_token()}
    over_https = visit(wiring).get("/sign-in/link", params=asked, headers={"Host": "ci.example"})
    said = cookie(over_https, "__Host-turnout_session").lower()
    for word in ("httponly", "secure", "samesite=lax", "path=/"):
        assert word in said
    assert "domain" not in said
    assert over_https.headers["strict-transport-security"]
    asked = {"token": wiring.identity.link_token()}
    here = cookie(visit(wiring).get("/sign-in/link", params=asked), "turnout_session").lower()
    assert "httponly" in here
    assert "secure" not in here


FORM = {"name": "ci", "scope": "read", "days": "7"}


def test_what_no_page_of_ours_has_asked_for_is_not_done(browser: httpx.Client, console: Wiring) -> None:
    token = enter(browser, console)
    other = visit(console)
    of_another = enter(other, console)
    for form in (FORM, FORM | {"csrf": ""}, FORM | {"csrf": "x" * 64}, FORM | {"csrf": of_another}):
        assert browser.post("/settings/tokens", data=form).status_code == 403
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert (
            browser.post("/settings/tokens", data=FORM | {"csrf": token}, headers=headers).status_code == 403
        )
    json = {"name": "ci", "scopes": ["read"]}
    assert browser.post("/api/v1/tokens", json=json).status_code == 403
    assert browser.delete("/api/v1/sessions/x").status_code == 403
    assert console.accounts.tokens() == []
    asked = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert browser.post("/settings/tokens", data=FORM | {"csrf": token}, headers=asked).status_code == 200
    assert browser.post("/api/v1/tokens", json=json, headers={"X-CSRF-Token": token}).status_code == 201
    assert len(console.accounts.tokens()) == 2


def test_a_form_is_small_and_can_be_read(browser: httpx.Client, console: Wiring) -> None:
    enter(browser, console)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert browser.post("/sign-out", content=b"x" * 70_000, headers=form).status_code == 413
    assert browser.post("/sign-out", content=b"&".join([b"a=1"] * 200), headers=form).status_code == 400
    assert me(browser) is not None


def test_where_a_token_is_sent_no_cookie_counts(browser: httpx.Client, console: Wiring) -> None:
    enter(browser, console)
    assert me(browser) is not None
    assert me(browser, Authorization="Bearer wrong") is None
    assert me(browser, Authorization="Basic bWU6bWU=") is None


# --- tokens, sessions, and the audit log ----------------------------------------------------------


def test_a_person_makes_a_token_on_the_page_and_sees_it_once(browser: httpx.Client, console: Wiring) -> None:
    csrf = enter(browser, console)
    form = {"name": "<b>ci</b>", "scope": ["read", "act"], "projects": "acme/shop, acme/blog", "days": "7"}
    page = browser.post("/settings/tokens", data=form | {"csrf": csrf})
    found = re.search(r"data-token>(turnout_[a-z2-7]+)<", page.text)
    assert found is not None
    assert page.headers["cache-control"] == "no-store"
    (kept,) = console.accounts.tokens()
    assert kept.projects == ("acme/shop", "acme/blog")
    assert (told := me(visit(console), Authorization=f"Bearer {found[1]}")) is not None
    assert (told["scopes"], told["projects"]) == (["act", "read"], ["acme/blog", "acme/shop"])
    later = browser.get("/settings/tokens").text
    assert found[1] not in later
    assert "&lt;b&gt;ci&lt;/b&gt;" in later
    assert browser.post(f"/settings/tokens/{kept.id}/remove", data={"csrf": csrf}).status_code == 303
    assert me(visit(console), Authorization=f"Bearer {found[1]}") is None
    wrong = browser.post("/settings/tokens", data={"name": "x", "days": "many", "csrf": csrf})
    assert wrong.status_code == 422


def test_tokens_and_sessions_over_the_api(browser: httpx.Client, console: Wiring) -> None:
    headers = {"Authorization": f"Bearer {console.settings.console_token()}"}
    asked = {"name": "ci", "scopes": ["read"], "projects": [], "days": None}
    made = browser.post("/api/v1/tokens", json=asked, headers=headers).json()
    assert made["expires_at"] is None
    assert me(visit(console), Authorization=f"Bearer {made['token']}") is not None
    listed = browser.get("/api/v1/tokens", headers=headers).json()["items"]
    assert [each["id"] for each in listed] == [made["id"]]
    assert "token" not in listed[0]
    enter(visit(console), console)
    (session,) = browser.get("/api/v1/sessions", headers=headers).json()["items"]
    assert browser.delete(f"/api/v1/sessions/{session['id']}", headers=headers).status_code == 204
    assert browser.delete(f"/api/v1/tokens/{made['id']}", headers=headers).status_code == 204
    assert browser.delete(f"/api/v1/tokens/{made['id']}", headers=headers).status_code == 404
    assert me(visit(console), Authorization=f"Bearer {made['token']}") is None
    assert (
        browser.post("/api/v1/tokens", json=asked | {"scopes": ["all"]}, headers=headers).status_code == 422
    )


def test_the_audit_log_is_read_page_by_page_by_admins(console: Wiring) -> None:
    browser = visit(console)
    headers = {"Authorization": f"Bearer {console.settings.console_token()}"}
    for _ in range(3):
        enter(visit(console), console)
    first = browser.get("/api/v1/audit-log", params={"limit": 2}, headers=headers).json()
    assert [each["action"] for each in first["items"]] == ["sign in"] * 2
    asked = {"limit": 2, "cursor": first["next"]}
    second = browser.get("/api/v1/audit-log", params=asked, headers=headers).json()
    assert (len(second["items"]), second["next"]) == (1, "")
    assert browser.get("/api/v1/audit-log", params={"cursor": "x"}, headers=headers).status_code == 422
    token, _ = console.identity.make_token("eve", "t", frozenset(Scope))
    asked_by_eve = {"Authorization": f"Bearer {token}"}
    assert browser.get("/api/v1/audit-log", headers=asked_by_eve).status_code == 403
    assert browser.get("/api/v1/tokens?all=true", headers=asked_by_eve).status_code == 403


def test_the_page_of_the_audit_log_is_for_those_whom_the_api_tells_it(console: Wiring) -> None:
    browser = visit(console)
    enter(browser, console)
    shown = browser.get("/settings/audit-log")
    assert (shown.status_code, "<code>sign in</code>" in shown.text) == (200, True)
    assert 'href="/settings/audit-log"' in browser.get("/settings/tokens").text
    nobody = browser.get("/settings/audit-log", params={"person": "nobody"})
    assert "Nothing is written down here yet" in nobody.text
    eve, _ = console.identity.make_token("eve", "hers", frozenset({Scope.READ}))
    refused = visit(console).get("/settings/audit-log", headers={"authorization": f"Bearer {eve}"})
    assert refused.status_code == 403

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from tests.cli.house import House
from tests.console.visiting import signed_in, visit
from tests.core.building import a_plan, stage
from turnout.console.problems import MAX_BODY
from turnout.core.access import Scope
from turnout.core.artifact_keys import attempt_key
from turnout.core.model import Outcome
from turnout.core.plan import Approval, Plan
from turnout.core.result import Artifact
from turnout.core.run import Run


def two() -> Plan:
    return a_plan(stage("lint"), stage("test", "lint"))


def gated(house: House) -> Run:
    return house.push(a_plan(stage("ship", approval=Approval())))


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert (found["status"], found["instance"]) == (status, answer.request.url.path)
    assert found["detail"]
    return found


def token(house: House, *scopes: Scope, projects: tuple[str, ...] = ()) -> dict[str, str]:
    made, _ = house.wiring.identity.make_token("local:ada", "a test's", frozenset(scopes), projects)
    return {"authorization": f"Bearer {made}"}


# --- errors -------------------------------------------------------------------------------------------


def test_every_error_is_a_problem_document_that_says_what_to_do(house: House) -> None:
    client = signed_in(house.wiring)
    assert "openapi.json" in problem(client.get("/api/v1/nothing"), 404)["next"]
    wrong_method = client.delete("/api/v1/runs")
    assert problem(wrong_method, 405)["next"]
    assert wrong_method.headers["allow"] == "GET"
    assert problem(client.get("/api/v1/runs/latest"), 404)["detail"] == "no run 'latest'"
    found = problem(client.get("/api/v1/runs", params={"limit": 0, "status": "odd"}), 422)
    assert sorted(each["where"] for each in found["errors"]) == ["query.limit", "query.status"]
    assert problem(client.post("/api/v1/validate", content=b"\xff{"), 422)
    assert problem(client.post("/api/v1/validate", json={"content": "", "more": 1}), 422)["errors"]


@pytest.mark.parametrize(
    "sent", [b"x" * (MAX_BODY + 1), iter([b"x" * MAX_BODY, b"x"])], ids=["whole", "in chunks"]
)
def test_a_body_that_is_too_large_is_refused(house: House, sent: Any) -> None:
    asked = {"content": sent, "headers": {"content-type": "application/json"}}
    assert str(MAX_BODY) in problem(signed_in(house.wiring).post("/api/v1/validate", **asked), 413)["next"]


def test_who_shows_no_token_is_told_to_and_who_may_not_is_told_why(house: House) -> None:
    run = house.push(two())
    assert "token" in problem(visit(house.wiring).get("/api/v1/runs"), 401)["detail"]
    reader = visit(house.wiring, headers=token(house, Scope.READ))
    assert reader.get(f"/api/v1/runs/{run.id}").status_code == 200
    refused = problem(reader.post(f"/api/v1/runs/{run.id}/cancel", json={}), 403)
    assert "scope `act`" in refused["detail"]
    house.asked()
    assert house.run(run).cancelled_by == ""


def test_of_projects_that_one_may_not_see_there_is_nothing(house: House) -> None:
    run = house.push(two())
    house.delivered("d1", "nothing to do")
    stranger = visit(house.wiring, headers=token(house, Scope.READ, projects=("acme/other",)))
    assert stranger.get("/api/v1/runs").json()["items"] == []
    assert stranger.get("/api/v1/runs", params={"named": "latest"}).json()["items"] == []
    assert stranger.get("/api/v1/deliveries").json()["items"] == []
    assert stranger.get("/api/v1/projects").json()["items"] == []
    problem(stranger.get(f"/api/v1/runs/{run.id}"), 404)
    other = house.push(two(), "t2", repository="acme/other")
    assert stranger.get("/api/v1/runs/1").json()["id"] == other.id, "theirs is not even one of several"
    house.push(two(), "t3")
    assert stranger.get("/api/v1/runs/latest").json()["id"] == other.id
    problem(stranger.get("/api/v1/projects/acme/shop"), 404)
    for path in ("broker", "ledger", "dead-letters"):
        problem(stranger.get(f"/api/v1/{path}"), 403)


# --- reading ------------------------------------------------------------------------------------------


def test_a_run_that_has_not_changed_is_not_sent_again(house: House) -> None:
    run = house.push(two())
    client = signed_in(house.wiring)
    first = client.get(f"/api/v1/runs/{run.id}")
    tag = first.headers["etag"]
    assert client.get("/api/v1/runs/1", headers={"if-none-match": f'"x", W/{tag}'}).status_code == 304
    house.ends(run, "lint")
    later = client.get(f"/api/v1/runs/{run.id}", headers={"if-none-match": tag})
    assert (later.status_code, later.json()["version"]) == (200, house.run(run).version)
    assert later.headers["etag"] != tag


def test_events_come_page_by_page_until_the_run_has_ended(house: House) -> None:
    run = house.push(a_plan(stage("lint")))
    house.ends(run, "lint")
    client, seen, after = signed_in(house.wiring), [], 0
    while True:
        page = client.get(f"/api/v1/runs/{run.id}/events", params={"after": after, "limit": 3}).json()
        seen += [each["version"] for each in page["items"]]
        if not page["next"]:
            break
        assert page["finished"] is False
        after = page["next"]
    assert (seen, page["finished"]) == (list(range(1, house.run(run).version + 1)), True)


def test_a_log_is_followed_from_where_the_last_part_ended(house: House) -> None:
    run = house.push(a_plan(stage("lint")))
    client, path = signed_in(house.wiring), f"/api/v1/runs/{run.id}/log"
    key = attempt_key(run.id, "lint", 1)
    house.wiring.artifacts.append(key, "eins\nzwö".encode())
    part = client.get(path, params={"task": "lint", "most": 5})
    assert (part.content, part.headers["turnout-next"], part.headers["turnout-ended"]) == (
        b"eins\n",
        "5",
        "false",
    )
    assert "sandbox" in part.headers["content-security-policy"]
    house.ends(run, "lint", log="!")
    rest = client.get(path, params={"task": "lint", "start": 5, "wait": 20})
    assert (rest.text, rest.headers["turnout-ended"]) == ("zwö!", "true")
    over = client.get(path, params={"task": "lint", "start": int(rest.headers["turnout-next"]), "wait": 20})
    assert (over.content, over.headers["turnout-size"]) == (b"", rest.headers["turnout-next"])
    problem(client.get(path, params={"task": "../lint"}), 404)


def test_a_file_of_an_attempt_is_saved_and_never_shown_in_the_consoles_name(house: House) -> None:
    run = house.push(a_plan(stage("lint")))
    content = b"<script>alert(1)</script>" * 100_000
    name = "reports/naïve.html"
    kept = house.wiring.artifacts.put(attempt_key(run.id, "lint", 1, name), content)
    file = Artifact(name=name, key=kept.key, size=kept.size, sha256=kept.sha256, media_type="text/html")
    house.ends(run, "lint", artifacts=(file,))
    client = signed_in(house.wiring)
    (listed,) = client.get(f"/api/v1/runs/{run.id}/artifacts").json()["items"]
    assert (listed["task"], listed["artifact"]["name"]) == ("lint", name)
    answer = client.get(f"/api/v1/runs/{run.id}/artifact", params={"task": "lint", "name": name})
    assert hashlib.sha256(answer.content).hexdigest() == kept.sha256
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''na%C3%AFve.html"
    assert "sandbox" in answer.headers["content-security-policy"]
    problem(client.get(f"/api/v1/runs/{run.id}/artifact", params={"task": "lint", "name": "log.txt"}), 404)


# --- acting -------------------------------------------------------------------------------------------


def test_the_same_key_has_the_same_effect_once(house: House) -> None:
    run = house.push(a_plan(stage("lint")))
    run = house.ends(run, "lint", Outcome.FAILURE)
    client, path = signed_in(house.wiring), f"/api/v1/runs/{run.id}/rerun"
    again = {"Idempotency-Key": "monday"}
    first, second = (client.post(path, json={}, headers=again) for _ in range(2))
    assert (first.status_code, first.json()) == (202, second.json())
    other = client.post(path, json={}, headers={"Idempotency-Key": "tuesday"}).json()["run"]
    house.asked()
    made = [row.id for row in house.store.runs()]
    assert sorted(made) == sorted([run.id, first.json()["run"], other])


def test_who_asks_again_with_the_same_key_is_answered_as_before(house: House) -> None:
    run = gated(house)
    client, body, again = signed_in(house.wiring), {"stage": "ship"}, {"Idempotency-Key": "lost answer"}
    first = client.post(f"/api/v1/runs/{run.id}/approve", json=body, headers=again)
    house.asked()
    assert client.post(f"/api/v1/runs/{run.id}/approve", json=body, headers=again).json() == first.json()
    cancel = [client.post(f"/api/v1/runs/{run.id}/cancel", json={}, headers=again) for _ in range(2)]
    house.asked()
    house.ends(run, "ship", Outcome.CANCELLED)
    cancel.append(client.post(f"/api/v1/runs/{run.id}/cancel", json={}, headers=again))
    assert {each.status_code for each in cancel} == {202}
    house.asked()
    kinds = [each.event.kind for each in house.store.events(run.id)]
    assert (kinds.count("stage_approved"), kinds.count("cancel_requested")) == (1, 1)


def test_what_does_not_fit_how_things_stand_is_a_conflict(house: House) -> None:
    run = gated(house)
    client = signed_in(house.wiring)
    problem(client.post(f"/api/v1/runs/{run.id}/rerun", json={}), 409)
    problem(client.post(f"/api/v1/runs/{run.id}/approve", json={"stage": "lint"}), 404)
    assert client.post(f"/api/v1/runs/{run.id}/reject", json={"stage": "ship"}).status_code == 202
    house.asked()
    assert house.run(run).outcome is Outcome.CANCELLED
    problem(client.post(f"/api/v1/runs/{run.id}/cancel", json={}), 409)
    log = house.wiring.accounts.audit_log()
    assert {(each.action, each.verdict) for each in log} >= {("reject", "allowed"), ("cancel", "allowed")}


def test_a_branch_is_run_at_its_newest_commit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    projects = house.wiring.settings.projects_folder
    projects.mkdir(exist_ok=True)
    (projects / "shop.yml").write_text(
        "project:\n  repository: acme/shop\n  clone_url: /srv/shop.git\n  branches: {default: trunk}\n"
    )
    asked: list[tuple[str, str, str]] = []

    def tip(*given: str) -> str:
        asked.append((given[0], given[1], given[2]))
        return "c" * 40

    object.__setattr__(house.wiring.starting, "tip", tip)
    client = signed_in(house.wiring)
    house.plan = a_plan(stage("lint"))
    said = client.post("/api/v1/projects/acme/shop/runs", json={}).json()
    house.asked()
    run = house.store.load(said["run"])
    assert run is not None
    assert asked == [("acme/shop", "/srv/shop.git", "trunk")]
    assert (run.change.kind, run.change.ref, run.change.sha) == ("manual", "refs/heads/trunk", "c" * 40)
    for branch in ("--upload-pack=x", "a b", "a..b", "refs/../x", "x.lock/", "+x:y"):
        problem(client.post("/api/v1/projects/acme/shop/runs", json={"branch": branch}), 422)
    problem(client.post("/api/v1/projects/acme/other/runs", json={}), 404)
    assert len(asked) == 1
    again: dict[str, Any] = {"headers": {"Idempotency-Key": "nightly"}, "json": {"branch": "trunk"}}
    first, moved = client.post("/api/v1/projects/acme/shop/runs", **again), "d" * 40
    object.__setattr__(house.wiring.starting, "tip", lambda *_: moved)
    assert client.post("/api/v1/projects/acme/shop/runs", **again).json() == first.json()
    reader = visit(house.wiring, headers=token(house, Scope.READ))
    problem(reader.post("/api/v1/projects/acme/shop/runs", json={}), 403)


# --- files --------------------------------------------------------------------------------------------


def test_a_pipeline_file_is_checked_and_planned_as_the_server_does_it(house: House) -> None:
    client = signed_in(house.wiring)
    good = "pipeline: {stages: [lint, test]}"
    assert client.post("/api/v1/validate", json={"content": good}).json() == {"valid": True, "errors": []}
    wrong = client.post("/api/v1/validate", json={"content": "pipeline: {stages: [lnit]}"}).json()
    assert (wrong["valid"], wrong["errors"][0]["path"]) == (False, "pipeline.stages[0]")
    planned = client.post("/api/v1/plan", json={"content": good}).json()
    assert [each["name"] for each in planned["plan"]["stages"]] == ["lint", "test"]
    nothing = {"content": "pipeline: {on: {push: {branches: [main]}}, stages: [lint]}", "branch": "topic"}
    planned = client.post("/api/v1/plan", json=nothing).json()
    assert planned["plan"] is None
    assert "topic" in planned["reason"] or "main" in planned["reason"]
    found = problem(client.post("/api/v1/plan", json={"content": "pipeline: {stages: [lnit]}"}), 422)
    assert found["errors"][0]["where"].startswith("pipeline.yml:1:")
    problem(client.post("/api/v1/validate", json={"content": good, "project": "no project"}), 422)


# --- badges -------------------------------------------------------------------------------------------


def test_a_badge_tells_how_the_branch_stands_to_who_may_know(house: House) -> None:
    path = "/badges/acme/shop.svg"
    assert visit(house.wiring).get(path).status_code == 401
    projects: Path = house.wiring.settings.projects_folder
    projects.mkdir(exist_ok=True)
    (projects / "shop.yml").write_text("project:\n  repository: acme/shop\n  public_badge: true\n")
    anybody = visit(house.wiring)
    assert "no runs" in anybody.get(path).text
    house.ends(house.push(a_plan(stage("lint"))), "lint", Outcome.FAILURE)
    failing = anybody.get(path)
    assert ElementTree.fromstring(failing.text).get("aria-label") == "turnout: failing"
    assert (failing.headers["content-type"], failing.headers["cache-control"]) == (
        "image/svg+xml",
        "public, max-age=60",
    )
    assert anybody.get(path, headers={"if-none-match": failing.headers["etag"]}).status_code == 304
    house.ends(house.push(a_plan(stage("lint")), "t2"), "lint")
    assert "passing" in anybody.get(path, headers={"if-none-match": failing.headers["etag"]}).text
    assert "no runs" in anybody.get(path, params={"branch": "<b>"}).text


# --- the description ----------------------------------------------------------------------------------


def test_every_operation_is_described(house: House) -> None:
    described = visit(house.wiring).get("/api/v1/openapi.json").json()
    operations = [each for path in described["paths"].values() for each in path.values()]
    assert len(operations) > 30
    assert len({each["operationId"] for each in operations}) == len(operations)
    for each in operations:
        assert each["summary"], each["operationId"]
        assert {"401", "403", "404", "422", "503"} <= set(each["responses"]), each["operationId"]
    assert "HTTPValidationError" not in json.dumps(described)

"""Manifests and kustomizations on a real API server."""

from __future__ import annotations

import json

import pytest

from agents.sdk.workspace import AgentError
from tests.agents.deploy.conftest import DIGESTS, Desk, pushed
from tests.agents.deploy.shop import CONFIG, kustomization, manifests
from turnout.core.model import Outcome

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def test_manifests_are_applied_then_applied_again_and_the_result_says_what_changed(desk: Desk) -> None:
    first, workspace = desk.deploy(manifests(), upstream=pushed(1))
    assert first.outcome is Outcome.SUCCESS, workspace.text
    assert (first.outputs["created"], first.outputs["revision"]) == ("2", "1")
    assert desk.image() == f"behave.test/run@{DIGESTS[1]}"
    second, workspace = desk.deploy(manifests(greeting="salut"), run="run-2", upstream=pushed(1))
    assert (second.outputs["revision"], second.outputs["revision_before"]) == ("2", "1")
    assert (second.outputs["configured"], second.outputs["unchanged"]) == ("1", "1")
    assert "-  greeting: hello" in workspace.text
    assert "+  greeting: salut" in workspace.text
    assert desk.greeting() == "salut"


def test_a_failing_rollout_is_rolled_back_to_the_revision_before(desk: Desk) -> None:
    desk.deploy(manifests(), upstream=pushed(1))
    files = manifests(
        image="behave.test/run:1", greeting="salut", extra=CONFIG.replace("name: shop", "name: more")
    )
    options = {"timeout": "5s", "image": {"name": "behave.test/run"}}
    failed, workspace = desk.deploy(files, options, run="run-2", upstream=pushed(2, "never-ready"))
    assert failed.outcome is Outcome.FAILURE, workspace.text
    assert "rolled back to revision 1" in failed.summary
    assert failed.outputs["rolled_back"] == "true"
    assert desk.image() == f"behave.test/run@{DIGESTS[1]}"
    assert desk.greeting() == "hello"
    assert desk.kubectl("get", "configmap", "more", "--ignore-not-found") == ""
    third, _ = desk.deploy(manifests(), run="run-3", upstream=pushed(3))
    assert (third.outputs["revision"], third.outputs["revision_before"]) == ("3", "1")


def test_what_the_first_deploy_made_is_removed_when_it_fails(desk: Desk) -> None:
    failed, workspace = desk.deploy(manifests(image="behave.test/image-pull:1"), {"timeout": "5s"})
    assert failed.outcome is Outcome.FAILURE, workspace.text
    assert "cannot be pulled" in failed.summary
    assert "2 new objects were deleted" in failed.summary
    assert desk.image() == ""
    assert desk.greeting() == ""


def test_what_was_there_before_the_first_deploy_gets_back_what_it_had(desk: Desk) -> None:
    desk.kubectl("create", "configmap", "shop", "--from-literal=greeting=by hand")
    options = {"timeout": "5s", "kubectl": {"force_conflicts": True}}
    failed, workspace = desk.deploy(manifests(image="behave.test/never-ready:1"), options)
    assert failed.outcome is Outcome.FAILURE, workspace.text
    assert desk.greeting() == "by hand"
    assert desk.image() == ""


def test_an_overlay_of_the_environment_is_found_and_its_image_set(desk: Desk) -> None:
    options = {"image": {"name": "shop"}}
    done, workspace = desk.deploy(kustomization(), options, upstream=pushed(1))
    assert done.outcome is Outcome.SUCCESS, workspace.text
    assert desk.image() == f"behave.test/run@{DIGESTS[1]}"
    assert "configmap/settings-" in done.outputs["resources"]


def test_what_the_manifests_no_longer_have_is_deleted_where_that_is_asked_for(desk: Desk) -> None:
    desk.deploy(manifests(more=CONFIG.replace("name: shop", "name: more")))
    options = {"kubectl": {"prune": True}}
    done, _ = desk.deploy(manifests(), options, run="run-2")
    assert done.outputs["deleted"] == "1"
    assert desk.kubectl("get", "configmap", "more", "--ignore-not-found") == ""


def test_a_dry_run_shows_the_difference_and_changes_nothing(desk: Desk) -> None:
    done, workspace = desk.deploy(manifests(), {"dry_run": True})
    assert done.outcome is Outcome.SUCCESS
    assert "+  greeting: hello" in workspace.text
    assert desk.image() == ""
    assert sorted(each.name for each in done.artifacts) == ["deploy.diff", "manifests.yaml"]


def test_a_field_of_somebody_elses_is_a_failure_before_anything_is_changed(desk: Desk) -> None:
    desk.kubectl("create", "configmap", "shop", "--from-literal=greeting=by hand")
    failed, _ = desk.deploy(manifests())
    assert failed.outcome is Outcome.FAILURE
    assert "before anything was changed" in failed.summary
    assert "force_conflicts" in failed.reason
    assert desk.image() == ""


def test_a_rollback_task_takes_back_what_the_stage_had_deployed_and_does_it_once(desk: Desk) -> None:
    desk.deploy(manifests(), upstream=pushed(1))
    done, _ = desk.deploy(manifests(greeting="salut"), run="run-2", upstream=pushed(2))
    own = {"deploy": done.outputs}
    back, workspace = desk.deploy(manifests(), run="run-2", upstream=own, rollback=True)
    assert back.outcome is Outcome.SUCCESS, workspace.text
    assert "rolled back to revision 1" in back.summary
    assert (desk.greeting(), desk.image()) == ("hello", f"behave.test/run@{DIGESTS[1]}")
    again, _ = desk.deploy(manifests(), run="run-2", upstream=own, rollback=True)
    assert "had been rolled back already" in again.summary


def test_a_rollback_task_leaves_what_has_come_since(desk: Desk) -> None:
    done, _ = desk.deploy(manifests(), upstream=pushed(1))
    desk.deploy(manifests(greeting="salut"), run="run-2", upstream=pushed(2))
    with pytest.raises(AgentError, match="has come after 1"):
        desk.deploy(manifests(), upstream={"deploy": done.outputs}, rollback=True)
    assert desk.greeting() == "salut"


def test_a_retried_attempt_does_not_deploy_again_what_the_lost_one_had(desk: Desk) -> None:
    desk.deploy(manifests(), upstream=pushed(1), attempt="attempt-1")
    again, workspace = desk.deploy(manifests(), upstream=pushed(1), attempt="attempt-2", number=2)
    assert again.outcome is Outcome.SUCCESS
    assert again.outputs["revision"] == "1"
    assert "made by an earlier attempt of this task" in workspace.text


def test_secrets_are_in_neither_log_nor_artifacts(desk: Desk) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\nstringData: {password: SECRET}\n"
    desk.deploy(manifests(secret=secret.replace("SECRET", "correct-horse")))
    done, workspace = desk.deploy(manifests(secret=secret.replace("SECRET", "battery-staple")), run="run-2")
    assert done.outputs["configured"] == "1"
    kept = "".join(each.read_text() for each in workspace.artifacts.values())
    said = workspace.text + kept + json.dumps(done.to_json())
    for word in ("correct-horse", "battery-staple", "Y29ycmVjdC1ob3JzZQ", "YmF0dGVyeS1zdGFwbGU"):
        assert word not in said
    assert "secret/shop" in said
    token = next(line for line in desk.config.splitlines() if "token:" in line).split()[-1]
    assert token not in said
    assert not list(workspace.scratch.rglob("*kubeconfig*"))

"""Manifests and kustomizations on a real API server."""

from __future__ import annotations

import json
import threading

import pytest

from agents.deploy import agent
from agents.sdk.stopping import Stopped
from agents.sdk.workspace import AgentError
from tests.agents.deploy.conftest import DIGESTS, Desk, flattened, pushed
from tests.agents.deploy.shop import CONFIG, DEPLOYMENT, kustomization, manifests
from tests.waiting import wait_until
from turnout.core.errors import TransientError
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


def test_a_cancel_in_mid_rollout_goes_back_to_what_was_before(desk: Desk) -> None:
    desk.deploy(manifests(), upstream=pushed(1))
    options = {"timeout": "60s", "image": {"name": "behave.test/run"}}
    asked = desk.task(options, run="run-2", upstream=pushed(2, "never-ready"))
    workspace = desk.workspace(asked, manifests(greeting="salut"))

    def cancel() -> None:
        wait_until(lambda: desk.image() == f"behave.test/never-ready@{DIGESTS[2]}", 60)
        workspace.stopping.request("cancelled", "somebody said so")
        workspace.stopping.end_tool()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Stopped):
        agent.run(asked, workspace)
    thread.join()
    assert "rolled back to revision 1" in workspace.stopping.undone
    assert (desk.image(), desk.greeting()) == (f"behave.test/run@{DIGESTS[1]}", "hello")


def test_what_a_lost_attempt_has_left_half_done_is_put_back_by_the_next_deploy(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.deploy(manifests(), upstream=pushed(1))
    options = {"timeout": "60s", "image": {"name": "behave.test/run"}}
    asked = desk.task(options, run="run-2", upstream=pushed(2, "never-ready"))
    more = manifests(greeting="salut", more=CONFIG.replace("name: shop", "name: more"))
    workspace = desk.workspace(asked, more)

    def cut_off() -> None:  # the attempt's process goes, and nothing is undone
        wait_until(lambda: desk.image() == f"behave.test/never-ready@{DIGESTS[2]}", 60)
        workspace.stopping.request("lost", "the machine has gone")
        workspace.stopping.end_tool()

    monkeypatch.setattr(workspace.stopping, "undoable", lambda work, undo, seconds: work())
    thread = threading.Thread(target=cut_off)
    thread.start()
    with pytest.raises(Stopped):
        agent.run(asked, workspace)
    thread.join()
    assert desk.greeting() == "salut"
    third, workspace = desk.deploy(manifests(), run="run-3", upstream=pushed(3))
    assert third.outcome is Outcome.SUCCESS, workspace.text
    assert "revision 2 of r is pending: its deploy was ended in between" in workspace.text
    assert "repaired: rolled back to revision 1" in workspace.text
    assert (third.outputs["revision_before"], third.outputs["revision"]) == ("1", "3")
    assert desk.greeting() == "hello"
    assert desk.kubectl("get", "configmap", "more", "--ignore-not-found") == ""


def test_a_check_of_an_address_that_does_not_answer_rolls_back(desk: Desk) -> None:
    desk.deploy(manifests(), upstream=pushed(1))
    options = {"verify": {"url": "http://127.0.0.1:9/health", "timeout": "1s"}}
    failed, _ = desk.deploy(manifests(greeting="salut"), options, run="run-2", upstream=pushed(2))
    assert failed.outcome is Outcome.FAILURE
    assert "http://127.0.0.1:9/health did not answer 200 within 1s" in failed.summary
    assert "rolled back to revision 1" in failed.summary
    assert desk.greeting() == "hello"


def test_a_namespace_is_made_where_that_is_asked_for(desk: Desk) -> None:
    desk.config = flattened(desk.cluster.kubeconfig)
    place = f"{desk.namespace}-new"
    with pytest.raises(AgentError, match=rf"there is no namespace {place}; .*create_namespace: true"):
        desk.deploy(manifests(), {"kubectl": {"namespace": place}}, upstream=pushed(1))
    options = {"kubectl": {"namespace": place, "create_namespace": True}}
    done, workspace = desk.deploy(manifests(), options, upstream=pushed(1))
    assert done.outcome is Outcome.SUCCESS, workspace.text
    assert done.outputs["namespace"] == place
    desk.kubectl("delete", "namespace", place, "--wait=false")


def test_pods_that_a_quota_forbids_are_the_reason(desk: Desk) -> None:
    desk.kubectl("create", "quota", "none", "--hard=pods=0")
    failed, _ = desk.deploy(manifests(), {"timeout": "5s"}, upstream=pushed(1))
    assert failed.outcome is Outcome.FAILURE
    assert "exceeded quota: none" in failed.summary


def test_a_forbidden_namespace_is_an_error(desk: Desk) -> None:
    with pytest.raises(AgentError, match=r"the cluster forbids it.*give the account"):
        desk.deploy(manifests(), {"kubectl": {"namespace": "kube-system"}}, upstream=pushed(1))


def test_a_cluster_that_cannot_be_reached_is_the_platforms_fault(desk: Desk) -> None:
    desk.config = desk.config.replace(desk.cluster.server, "https://127.0.0.1:1")
    with pytest.raises(TransientError, match="cannot be reached"):
        desk.deploy(manifests(), upstream=pushed(1))


def test_a_certificate_that_nobody_vouches_for_is_an_error(desk: Desk) -> None:
    lines = [line for line in desk.config.splitlines() if "certificate-authority-data" not in line]
    desk.config = "\n".join(lines)
    with pytest.raises(AgentError, match="a certificate that is not trusted"):
        desk.deploy(manifests(), upstream=pushed(1))


def test_statefulsets_and_daemonsets_are_waited_for_too(desk: Desk) -> None:
    stateful = DEPLOYMENT.replace("kind: Deployment", "kind: StatefulSet").replace(
        "replicas: 1", "serviceName: shop"
    )
    stateful = stateful.replace("IMAGE", "behave.test/run:1")
    daemon = DEPLOYMENT.replace("kind: Deployment", "kind: DaemonSet").replace("  replicas: 1\n", "")
    daemon = daemon.replace("IMAGE", "behave.test/run:1")
    done, workspace = desk.deploy({"k8s/a.yaml": stateful, "k8s/b.yaml": daemon})
    assert done.outcome is Outcome.SUCCESS, workspace.text
    assert "rollout status statefulset.apps/shop" in workspace.text
    assert "rollout status daemonset.apps/shop" in workspace.text

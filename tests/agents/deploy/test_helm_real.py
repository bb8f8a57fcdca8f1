"""Charts on a real API server, with Helm 4 and Helm 3."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agents.deploy import agent
from agents.sdk.stopping import Stopped
from agents.sdk.workspace import AgentError
from local.cluster.programs import program
from tests.agents.deploy.conftest import DIGESTS, Desk, pushed
from tests.agents.deploy.shop import CHART
from tests.waiting import wait_until
from turnout.core.errors import TransientError
from turnout.core.model import Outcome

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

both_helms = pytest.mark.parametrize("desk", ["helm", "helm3"], indirect=True)


def greeting(word: str) -> dict[str, Any]:
    return {"helm": {"set": {"greeting": word}}}


@both_helms
def test_a_chart_is_installed_then_upgraded_and_the_result_says_what_changed(desk: Desk) -> None:
    first, workspace = desk.deploy(CHART, upstream=pushed(1))
    assert first.outcome is Outcome.SUCCESS, workspace.text
    assert (first.outputs["revision"], first.outputs["revision_before"]) == ("1", "")
    assert first.outputs["created"] == "3"
    assert desk.image() == f"behave.test/run@{DIGESTS[1]}"
    second, workspace = desk.deploy(CHART, greeting("salut"), run="run-2", upstream=pushed(1))
    assert (second.outputs["revision"], second.outputs["revision_before"]) == ("2", "1")
    assert (second.outputs["configured"], second.outputs["unchanged"]) == ("1", "2")
    assert "-  greeting: hello" in workspace.text
    assert "+  greeting: salut" in workspace.text
    assert "not-so-secret-word" not in workspace.text
    assert second.tools["helm"][0] in "34"


@both_helms
def test_a_failing_rollout_is_rolled_back_to_the_revision_before(desk: Desk) -> None:
    desk.deploy(CHART, upstream=pushed(1))
    options = {"timeout": "5s", **greeting("salut")}
    failed, workspace = desk.deploy(CHART, options, run="run-2", upstream=pushed(2, "never-ready"))
    assert failed.outcome is Outcome.FAILURE, workspace.text
    assert "rolled back to revision 1 (as revision 3)" in failed.summary
    assert desk.image() == f"behave.test/run@{DIGESTS[1]}"
    assert desk.greeting() == "hello"
    third, _ = desk.deploy(CHART, greeting("salut"), run="run-3", upstream=pushed(3))
    assert (third.outputs["revision"], third.outputs["revision_before"]) == ("4", "3")


@both_helms
def test_a_first_install_that_fails_is_removed_and_the_reason_is_that_of_its_pods(desk: Desk) -> None:
    failed, workspace = desk.deploy(CHART, {"timeout": "5s"}, upstream=pushed(1, "image-pull"))
    assert failed.outcome is Outcome.FAILURE, workspace.text
    assert "cannot be pulled" in failed.summary
    assert "the first install was removed again" in failed.summary
    assert desk.image() == ""
    assert "release: not found" in desk.helm("history", "r")


def test_without_rollback_it_is_left_as_it_is_and_that_is_said(desk: Desk) -> None:
    failed, _ = desk.deploy(CHART, {"timeout": "5s", "rollback": False}, upstream=pushed(1, "crash"))
    assert failed.outcome is Outcome.FAILURE
    assert "keeps crashing" in failed.summary
    assert "left as it is" in failed.summary
    assert desk.image() == f"behave.test/crash@{DIGESTS[1]}"


def test_a_check_that_fails_after_the_rollout_rolls_back(desk: Desk) -> None:
    desk.deploy(CHART, upstream=pushed(1))
    options = {"verify": {"command": "echo broken; exit 3"}}
    failed, workspace = desk.deploy(CHART, options, run="run-2", upstream=pushed(2))
    assert failed.outcome is Outcome.FAILURE
    assert "the check ended with exit code 3; rolled back to revision 1" in failed.summary
    assert "broken" in workspace.text
    assert desk.image() == f"behave.test/run@{DIGESTS[1]}"


def test_the_check_sees_the_stages_secrets_but_not_the_way_to_the_cluster(desk: Desk) -> None:
    command = 'test -n "$OTHER" && test -z "$KUBECONFIG" && ! ls ~/.kubeconfig'
    done, workspace = desk.deploy(CHART, {"verify": {"command": command}}, upstream=pushed(1))
    assert done.outcome is Outcome.SUCCESS, workspace.text


@both_helms
def test_a_cancel_in_mid_rollout_goes_back_to_what_was_before(desk: Desk) -> None:
    desk.deploy(CHART, upstream=pushed(1))
    asked = desk.task({"timeout": "60s"}, run="run-2", upstream=pushed(2, "never-ready"))
    workspace = desk.workspace(asked, CHART)

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
    assert desk.image() == f"behave.test/run@{DIGESTS[1]}"
    assert "told to stop in mid-rollout" in workspace.text
    again, _ = desk.deploy(CHART, run="run-3", upstream=pushed(3))
    assert again.outcome is Outcome.SUCCESS


def _killed_in_between(desk: Desk, files: Mapping[str, str], folder: Path, image: str) -> None:
    """A helm that was ended with SIGKILL while it waited, as one whose machine has gone."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    helm = os.environ["TURNOUT_HELM"]
    command = [
        helm,
        f"--kubeconfig={desk.cluster.kubeconfig}",
        "-n",
        desk.namespace,
        "upgrade",
        "--install",
        "r",
    ]
    settings = ["--set", f"image.repository={image}", "--wait", "--timeout=5m", "--labels", "turnout=deploy"]
    process = subprocess.Popen([*command, str(folder / "deploy/chart"), *settings])
    try:
        wait_until(lambda: desk.image().startswith(image), 60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@both_helms
def test_an_upgrade_whose_process_was_killed_is_repaired_by_the_next_deploy(
    desk: Desk, tmp_path: Path
) -> None:
    desk.deploy(CHART, upstream=pushed(1))
    _killed_in_between(desk, CHART, tmp_path / "killed", "behave.test/never-ready")
    assert "pending-upgrade" in desk.helm("history", "r")
    done, workspace = desk.deploy(CHART, run="run-3", upstream=pushed(3))
    assert done.outcome is Outcome.SUCCESS, workspace.text
    assert "revision 2 of r is pending-upgrade: its helm was ended in between" in workspace.text
    assert "repaired: r was rolled back to revision 1" in workspace.text
    assert (done.outputs["revision_before"], done.outputs["revision"]) == ("3", "4")


def test_a_first_install_whose_process_was_killed_is_repaired_too(desk: Desk, tmp_path: Path) -> None:
    _killed_in_between(desk, CHART, tmp_path / "killed", "behave.test/never-ready")
    assert "pending-install" in desk.helm("history", "r")
    done, workspace = desk.deploy(CHART, upstream=pushed(1))
    assert done.outcome is Outcome.SUCCESS, workspace.text
    assert "left half done was removed" in workspace.text
    assert done.outputs["revision"] == "1"


def test_somebody_elses_helm_that_is_at_work_is_waited_for(desk: Desk, tmp_path: Path) -> None:
    _killed_in_between(desk, CHART, tmp_path / "killed", "behave.test/never-ready")
    desk.kubectl("label", "secrets", "--all", "turnout-")
    with pytest.raises(TransientError, match="somebody else's helm is at work on r"):
        desk.deploy(CHART, {"timeout": "5m"}, upstream=pushed(1))


def test_a_rollback_task_takes_back_what_the_stage_had_deployed_and_does_it_once(desk: Desk) -> None:
    desk.deploy(CHART, upstream=pushed(1))
    done, _ = desk.deploy(CHART, greeting("salut"), run="run-2", upstream=pushed(2))
    own = {"deploy": done.outputs}
    back, workspace = desk.deploy(CHART, run="run-2", upstream=own, rollback=True)
    assert back.outcome is Outcome.SUCCESS, workspace.text
    assert "rolled back to revision 1 (as revision 3)" in back.summary
    assert (desk.image(), desk.greeting()) == (f"behave.test/run@{DIGESTS[1]}", "hello")
    again, _ = desk.deploy(CHART, run="run-2", upstream=own, rollback=True)
    assert "had been rolled back to revision 1 already" in again.summary
    assert "revision 3" not in again.summary


def test_a_rollback_task_of_a_first_install_removes_it_once(desk: Desk) -> None:
    done, _ = desk.deploy(CHART, upstream=pushed(1))
    own = {"deploy": done.outputs}
    back, _ = desk.deploy(CHART, upstream=own, rollback=True)
    assert "the first install was removed again" in back.summary
    assert desk.image() == ""
    again, _ = desk.deploy(CHART, upstream=own, rollback=True)
    assert "had been removed already" in again.summary


def test_a_rollback_task_leaves_what_has_come_since(desk: Desk) -> None:
    done, _ = desk.deploy(CHART, upstream=pushed(1))
    desk.deploy(CHART, run="run-2", upstream=pushed(2))
    with pytest.raises(AgentError, match="has come after 1"):
        desk.deploy(CHART, upstream={"deploy": done.outputs}, rollback=True)
    assert desk.image() == f"behave.test/run@{DIGESTS[2]}"


def test_a_retried_attempt_does_not_deploy_again_what_the_lost_one_had(desk: Desk) -> None:
    desk.deploy(CHART, upstream=pushed(1))
    desk.deploy(CHART, run="run-2", upstream=pushed(2), attempt="attempt-1")
    again, workspace = desk.deploy(CHART, run="run-2", upstream=pushed(2), attempt="attempt-2", number=2)
    assert again.outcome is Outcome.SUCCESS
    assert (again.outputs["revision"], again.outputs["revision_before"]) == ("2", "1")
    assert "made by an earlier attempt of this task" in workspace.text


def test_a_dry_run_changes_nothing(desk: Desk) -> None:
    done, workspace = desk.deploy(CHART, {"dry_run": True}, upstream=pushed(1))
    assert done.outcome is Outcome.SUCCESS
    assert "+  greeting: hello" in workspace.text
    assert "release: not found" in desk.helm("history", "r")
    manifests = workspace.artifacts["manifests.yaml"].read_text()
    assert "password: '***'" in manifests
    assert DIGESTS[1] in manifests


def test_a_chart_that_does_not_take_the_image_by_its_digest_is_refused_before_anything_is_changed(
    desk: Desk,
) -> None:
    chart = CHART | {
        "deploy/chart/values.yaml": CHART["deploy/chart/values.yaml"].replace("image:", "picture:")
    }
    chart["deploy/chart/templates/shop.yaml"] = chart["deploy/chart/templates/shop.yaml"].replace(
        ".Values.image", ".Values.picture"
    )
    failed, _ = desk.deploy(chart, upstream=pushed(1))
    assert failed.outcome is Outcome.FAILURE
    assert "is in no container; the images are behave.test/run:1" in failed.summary
    assert desk.image() == ""


def test_a_chart_that_knows_no_key_for_the_digest_gets_it_behind_the_tag(desk: Desk) -> None:
    chart = CHART | {
        "deploy/chart/values.yaml": CHART["deploy/chart/values.yaml"].replace(', digest: ""', "")
    }
    done, workspace = desk.deploy(chart, upstream=pushed(1))
    assert done.outcome is Outcome.SUCCESS, workspace.text
    assert desk.image() == f"behave.test/run:1@{DIGESTS[1]}"


def test_a_chart_with_a_mistake_is_the_codes_fault(desk: Desk) -> None:
    chart = CHART | {"deploy/chart/templates/broken.yaml": "{{ .Values.nothing.at.all }}\n"}
    failed, _ = desk.deploy(chart, upstream=pushed(1))
    assert failed.outcome is Outcome.FAILURE
    assert "cannot be rendered" in failed.summary
    assert "broken.yaml" in failed.summary


def test_a_namespace_that_is_forbidden_is_an_error_that_says_what_is_missing(desk: Desk) -> None:
    with pytest.raises(AgentError, match=r"the cluster forbids it.*give the account"):
        desk.deploy(CHART, {"helm": {"namespace": "kube-system"}}, upstream=pushed(1))


def test_an_account_that_may_only_look_is_an_error_and_leaves_nothing_behind(desk: Desk) -> None:
    from tests.agents.deploy.conftest import flattened

    every = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
    desk.config = flattened(desk.cluster.kubeconfig_for(desk.namespace, rules=every))
    with pytest.raises(AgentError, match="forbids it"):
        desk.deploy(CHART, upstream=pushed(1))
    assert desk.image() == ""


def test_credentials_that_are_not_taken_are_an_error(desk: Desk) -> None:
    lines = desk.config.splitlines()
    token = next(line for line in lines if "token:" in line)
    desk.config = "\n".join("    token: not-a-token" if line == token else line for line in lines)
    with pytest.raises(AgentError, match="does not take the credentials"):
        desk.deploy(CHART, upstream=pushed(1))


def test_a_cluster_that_cannot_be_reached_is_the_platforms_fault(desk: Desk) -> None:
    desk.config = desk.config.replace(desk.cluster.server, "https://127.0.0.1:1")
    with pytest.raises(TransientError, match=r"https://127.0.0.1:1 cannot be reached.*connection refused"):
        desk.deploy(CHART, upstream=pushed(1))


def test_helm_of_the_tests_is_the_version_that_its_name_says() -> None:
    versions = {
        name: subprocess.run(
            [str(program(name)), "version", "--short"], capture_output=True, text=True, check=True
        )
        for name in ("helm", "helm3")
    }
    assert versions["helm"].stdout.startswith("v4.")
    assert versions["helm3"].stdout.startswith("v3.")

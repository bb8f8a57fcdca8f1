"""The kubernetes runtime on a real API server, scheduler and controllers; its pods are played by kwok."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from local.cluster import Cluster, program
from tests.contracts.job_runtime import PassedJobContract, a_task
from tests.runtimes.kubernetes_jobs import KubernetesJobs
from tests.waiting import wait_until
from turnout.core.errors import PermanentError, TransientError
from turnout.core.messages import TaskRequested
from turnout.core.ports import JobState
from turnout.runtimes.kubernetes_api import open_api
from turnout.runtimes.kubernetes_manifest import name_of
from turnout.runtimes.kubernetes_placement import Placement

LAUNCHER = Path(__file__).parents[2] / "infra" / "kubernetes" / "launcher.yaml"
RULES: list[dict[str, Any]] = next(
    each["rules"] for each in yaml.safe_load_all(LAUNCHER.read_text()) if each["kind"] == "Role"
)


class TestKubernetesRuntime(PassedJobContract):
    """With exactly the rights of infra/kubernetes/launcher.yaml."""

    @pytest.fixture
    def harness(self, cluster: Cluster) -> KubernetesJobs:
        namespace = cluster.namespace()
        return KubernetesJobs(cluster, namespace, str(cluster.kubeconfig_for(namespace, rules=RULES)))


@pytest.fixture
def jobs(cluster: Cluster) -> KubernetesJobs:
    return KubernetesJobs(cluster, cluster.namespace())


def task_of(agent: str, **more: Any) -> TaskRequested:
    return a_task(KubernetesJobs.kind, agent, agent=agent, **more)


def until(jobs: KubernetesJobs, attempt: str, seen: Callable[[JobState], bool], what: str) -> JobState:
    runtime = jobs.open()

    def look() -> JobState | None:
        state = runtime.state(attempt)
        return state if seen(state) else None

    found = wait_until(look, jobs.patience, what, poll=0.05)
    assert found is not None
    return found


def ended(jobs: KubernetesJobs, attempt: str) -> JobState:
    return until(jobs, attempt, lambda state: state.phase == "ended", "the job has ended")


def running(jobs: KubernetesJobs, task: TaskRequested) -> None:
    assert jobs.open().launch(task)
    until(jobs, task.attempt, lambda state: state.phase == "running", "the job runs")


# --- what is launched -------------------------------------------------------------------------------------


def test_whoever_may_read_jobs_and_pods_does_not_see_the_pass(jobs: KubernetesJobs) -> None:
    task = task_of("script")
    running(jobs, task)
    token = jobs.environment(task.attempt)["TURNOUT_ATTEMPT_TOKEN"]
    assert token not in repr(jobs.job(task.attempt))
    assert token not in repr(jobs.pods(task.attempt))


def test_the_secret_of_a_pass_cannot_be_changed_and_goes_with_its_job(jobs: KubernetesJobs) -> None:
    task = task_of("succeed")
    assert jobs.open(placement=Placement(keep=1)).launch(task)
    path = f"/api/v1/namespaces/{jobs.namespace}/secrets/{name_of(task.attempt)}"
    assert jobs.cluster.api.get(path)["immutable"] is True
    wait_until(lambda: jobs.cluster.api.find(path) is None, jobs.patience, "the secret is gone")
    assert jobs.open().state(task.attempt) == JobState("unknown")


def test_the_operator_says_where_pods_run_and_a_stage_what_they_get(jobs: KubernetesJobs) -> None:
    placement = Placement(
        node_selector={"kubernetes.io/hostname": "node-1"},
        tolerations=({"key": "ci", "operator": "Exists", "effect": "NoSchedule"},),
        pull_secrets=("registry",),
        disk=10**9,
        cpus=0.5,
    )
    task = task_of("script", resources={"cpu": 0.0, "memory": 2**28})
    assert jobs.open(placement=placement).launch(task)
    until(jobs, task.attempt, lambda state: state.phase == "running", "it runs on the node it may run on")
    spec = jobs.pod(task.attempt)["spec"]
    assert spec["nodeName"] == "node-1"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert {"key": "ci", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    (container,) = spec["containers"]
    assert container["resources"]["limits"] == container["resources"]["requests"]
    assert container["resources"]["limits"] == {
        "cpu": "500m",
        "ephemeral-storage": "1G",
        "memory": "268435456",
    }


def test_launched_by_two_launchers_at_once_one_of_them_has_done_it(jobs: KubernetesJobs) -> None:
    for number in range(5):
        task = task_of("script", attempt=f"at-once-{number}")
        said: list[bool] = []
        barrier = threading.Barrier(2)

        def launch(
            task: TaskRequested = task, said: list[bool] = said, barrier: threading.Barrier = barrier
        ) -> None:
            runtime = jobs.open()
            runtime.state(task.attempt)  # both are connected
            barrier.wait()
            said.append(runtime.launch(task))

        threads = [threading.Thread(target=launch) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(jobs.patience)
        assert sorted(said) == [False, True]
        jobs.pod(task.attempt)
        assert jobs.begun(task.attempt) == 1


def test_somebody_elses_job_of_that_name_is_left_alone(jobs: KubernetesJobs) -> None:
    mine, other = task_of("script", attempt="a"), task_of("script", attempt="b")
    running(jobs, mine)
    path = f"/apis/batch/v1/namespaces/{jobs.namespace}/jobs/{name_of(mine.attempt)}"
    jobs.cluster.api.patch(path, {"metadata": {"annotations": {"turnout.dev/attempt": other.attempt}}})
    with pytest.raises(PermanentError, match="is not of attempt a"):
        jobs.open().launch(mine)


# --- how it ends ------------------------------------------------------------------------------------------


def test_an_evicted_pod_is_told_as_such_and_not_begun_again(jobs: KubernetesJobs) -> None:
    task = task_of("script")
    running(jobs, task)
    jobs.cluster.evict(jobs.namespace, jobs.pod(task.attempt)["metadata"]["name"])
    assert "evicted" in ended(jobs, task.attempt).reason.lower()
    settled(jobs, task)
    assert not jobs.open().launch(task)
    assert jobs.begun(task.attempt) == 1


def settled(jobs: KubernetesJobs, task: TaskRequested) -> None:
    """The controller has drawn its conclusion: from then on it makes no pods."""

    def conditions() -> set[str]:
        return {each["type"] for each in jobs.job(task.attempt)["status"].get("conditions", ())}

    wait_until(lambda: {"Complete", "Failed"} & conditions(), jobs.patience, "the job is concluded")


def test_a_pod_that_a_node_short_of_memory_throws_out_is_told_as_such(jobs: KubernetesJobs) -> None:
    task = task_of("evicted")
    assert jobs.open().launch(task)
    state = ended(jobs, task.attempt)
    assert "evicted (TerminationByKubelet): The node was low on resource: memory" in state.reason
    settled(jobs, task)
    assert "evicted (TerminationByKubelet)" in jobs.open().state(task.attempt).reason
    assert jobs.begun(task.attempt) == 1


def test_a_pod_that_vanishes_with_its_node_is_a_job_that_has_ended(jobs: KubernetesJobs) -> None:
    task = task_of("script")
    running(jobs, task)
    pod = jobs.pod(task.attempt)["metadata"]["name"]
    jobs.cluster.api.delete(f"/api/v1/namespaces/{jobs.namespace}/pods/{pod}", at_once=True)
    settled(jobs, task)
    state = ended(jobs, task.attempt)
    assert state.reason == "its pod is gone"
    assert state.since is not None
    assert jobs.begun(task.attempt) == 1


def test_a_job_that_takes_too_long_is_ended(jobs: KubernetesJobs) -> None:
    task = task_of("script")
    running(jobs, task)
    path = f"/apis/batch/v1/namespaces/{jobs.namespace}/jobs/{name_of(task.attempt)}"
    assert jobs.job(task.attempt)["spec"]["activeDeadlineSeconds"] > task.timeout
    jobs.cluster.api.patch(path, {"spec": {"activeDeadlineSeconds": 1}})
    settled(jobs, task)
    assert ended(jobs, task.attempt).reason == "it took longer than all its limits together, 1 s"


def test_a_container_that_needs_too_much_memory_is_told_with_its_limit(jobs: KubernetesJobs) -> None:
    task = task_of("oom", resources={"cpu": 0.0, "memory": 64 * 2**20})
    assert jobs.open().launch(task)
    assert "its limit of 64 MiB" in ended(jobs, task.attempt).reason


def test_what_a_job_wrote_last_is_told_where_it_died_silently(jobs: KubernetesJobs) -> None:
    jobs.cluster.say("starting", "a terrible thing happened")
    task = task_of("fail")
    assert jobs.open().launch(task)
    state = ended(jobs, task.attempt)
    assert state.reason == "its container ended with status 1"
    assert state.log == "starting\na terrible thing happened\n"


def test_a_cancelled_job_is_asked_to_end_and_says_who_ended_it(jobs: KubernetesJobs) -> None:
    task = task_of("script")
    running(jobs, task)
    jobs.open().cancel(task.attempt)
    settled(jobs, task)
    assert ended(jobs, task.attempt).reason == "it was cancelled"
    assert jobs.job(task.attempt)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 30


def test_a_job_whose_image_never_comes_can_be_cancelled(jobs: KubernetesJobs) -> None:
    task = task_of("image-pull")
    assert jobs.open().launch(task)
    until(jobs, task.attempt, lambda state: "ImagePullBackOff" in state.reason, "it waits for its image")
    jobs.open().cancel(task.attempt)
    assert ended(jobs, task.attempt).reason == "it was cancelled"


# --- what it waits for ------------------------------------------------------------------------------------


def test_an_image_that_cannot_be_pulled_is_what_the_job_waits_for(jobs: KubernetesJobs) -> None:
    task = task_of("image-pull")
    assert jobs.open().launch(task)
    state = until(
        jobs, task.attempt, lambda state: "ImagePullBackOff" in state.reason, "it waits for its image"
    )
    assert state.phase == "waiting"
    assert "behave.test/image-pull:1" in state.reason


def test_a_node_with_room_is_what_the_job_waits_for(jobs: KubernetesJobs) -> None:
    task = task_of("script", resources={"cpu": 500.0, "memory": 0})
    assert jobs.open().launch(task)
    state = until(jobs, task.attempt, lambda state: "Unschedulable" in state.reason, "it waits for a node")
    assert state.phase == "waiting"
    assert "Insufficient cpu" in state.reason


def test_a_quota_of_pods_is_what_the_job_waits_for(jobs: KubernetesJobs) -> None:
    quota(jobs, {"pods": "0"})
    task = task_of("script")
    assert jobs.open().launch(task)
    state = until(
        jobs, task.attempt, lambda state: "exceeded quota" in state.reason, "it waits for the quota"
    )
    assert state.phase == "waiting"


def test_a_quota_of_jobs_is_a_reason_to_try_again(jobs: KubernetesJobs) -> None:
    quota(jobs, {"count/jobs.batch": "0"})
    with pytest.raises(TransientError, match="exceeded quota"):
        jobs.open().launch(task_of("script"))


def quota(jobs: KubernetesJobs, hard: dict[str, str]) -> None:
    path = f"/api/v1/namespaces/{jobs.namespace}/resourcequotas"
    jobs.cluster.api.post(path, {"metadata": {"name": "small"}, "spec": {"hard": hard}})
    wait_until(
        lambda: jobs.cluster.api.get(f"{path}/small").get("status", {}).get("hard") == hard,
        jobs.patience,
        "the quota holds",
    )


# --- what stands in the way -------------------------------------------------------------------------------


def without(resource: str, verb: str) -> list[dict[str, Any]]:
    kept = [
        {**each, "verbs": [one for one in each["verbs"] if each["resources"] != [resource] or one != verb]}
        for each in RULES
    ]
    return [each for each in kept if each["verbs"]]


@pytest.mark.parametrize(
    ("resource", "verb", "named"),
    [
        ("jobs", "create", "create jobs (batch)"),
        ("secrets", "create", "create secrets (core)"),
        ("jobs", "patch", "patch jobs (batch)"),
        ("jobs", "get", "get jobs (batch)"),
        ("pods", "list", "list pods (core)"),
    ],
)
def test_a_right_that_is_missing_is_named(jobs: KubernetesJobs, resource: str, verb: str, named: str) -> None:
    config = jobs.cluster.kubeconfig_for(jobs.namespace, rules=without(resource, verb))
    runtime = KubernetesJobs(jobs.cluster, jobs.namespace, str(config)).open()

    def walk() -> None:
        task = task_of("script")
        runtime.launch(task)
        runtime.cancel(task.attempt)
        runtime.state(task.attempt)

    with pytest.raises(PermanentError) as refused:
        walk()
    assert named in refused.value.hint
    assert jobs.namespace in refused.value.hint


@pytest.mark.parametrize(("resource", "verb"), [("pods/log", "get"), ("events", "list")])
def test_a_right_that_only_tells_more_may_be_missing(jobs: KubernetesJobs, resource: str, verb: str) -> None:
    config = jobs.cluster.kubeconfig_for(jobs.namespace, rules=without(resource, verb))
    quota(jobs, {"pods": "1"})
    held = KubernetesJobs(jobs.cluster, jobs.namespace, str(config))
    failing, without_room = task_of("fail"), task_of("script")
    assert held.open().launch(failing)
    assert ended(held, failing.attempt).reason == "its container ended with status 1"
    running(jobs, without_room)  # what has ended takes no room
    third = task_of("pending")
    assert held.open().launch(third)
    until(held, third.attempt, lambda state: state.phase == "waiting", "it waits")


def test_a_namespace_that_is_not_there_is_named(cluster: Cluster) -> None:
    with pytest.raises(PermanentError) as refused:
        KubernetesJobs(cluster, "nowhere").open().launch(task_of("script"))
    assert "nowhere" in refused.value.hint
    assert "TURNOUT_KUBERNETES_NAMESPACE" in refused.value.hint


def test_credentials_that_are_no_longer_good_are_named(jobs: KubernetesJobs, tmp_path: Path) -> None:
    config = tmp_path / "config"
    good = jobs.cluster.kubeconfig_for(jobs.namespace, rules=RULES).read_text()
    config.write_text(
        json.dumps(yaml.safe_load(good) | {"users": [{"name": "me", "user": {"token": "old"}}]})
    )
    with pytest.raises(PermanentError) as refused:
        KubernetesJobs(jobs.cluster, jobs.namespace, str(config)).open().launch(task_of("script"))
    assert "TURNOUT_KUBERNETES_CONFIG" in refused.value.hint


def test_the_manifest_for_operators_is_all_that_a_cluster_needs(cluster: Cluster) -> None:
    apply = [str(program("kubectl")), f"--kubeconfig={cluster.kubeconfig}", "apply", "--server-side", "-f"]
    subprocess.run([*apply, str(LAUNCHER)], check=True, capture_output=True, timeout=60)
    wait_until(
        lambda: cluster.api.find("/api/v1/namespaces/turnout-jobs/serviceaccounts/default"),
        30,
        "it has accounts",
    )
    config = cluster.kubeconfig_of("turnout-jobs", "turnout-launcher")
    jobs = KubernetesJobs(cluster, "turnout-jobs", str(config))
    task = task_of("script")
    running(jobs, task)
    jobs.open().cancel(task.attempt)
    assert ended(jobs, task.attempt).reason == "it was cancelled"


def test_a_launcher_in_a_pod_uses_the_pods_own_account_and_namespace(
    jobs: KubernetesJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = json.loads(jobs.cluster.kubeconfig_for(jobs.namespace, rules=RULES).read_text())
    address = urlsplit(jobs.cluster.server)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    files = {"token": held["users"][0]["user"]["token"], "namespace": jobs.namespace}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    incluster = "kubernetes.config.incluster_config"
    monkeypatch.setattr(f"{incluster}.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(f"{incluster}.SERVICE_CERT_FILENAME", str(jobs.cluster.authority))
    monkeypatch.setattr("turnout.runtimes.kubernetes_api.NAMESPACE_FILE", tmp_path / "namespace")
    api = open_api("", "", "")
    assert api.namespace == jobs.namespace
    assert api.job("nothing") is None


def test_a_pod_that_a_taint_drives_away_is_told_as_evicted(jobs: KubernetesJobs) -> None:
    task = task_of("script")
    running(jobs, task)
    node = jobs.pod(task.attempt)["spec"]["nodeName"]
    taint = {"key": "turnout.test/empty", "effect": "NoExecute"}
    try:
        jobs.cluster.api.patch(f"/api/v1/nodes/{node}", {"spec": {"taints": [taint]}})
        settled(jobs, task)
    finally:
        jobs.cluster.api.patch(f"/api/v1/nodes/{node}", {"spec": {"taints": None}})
    reason = ended(jobs, task.attempt).reason
    assert "DisruptionTarget" in reason or "DeletionByTaintManager" in reason
    assert jobs.begun(task.attempt) == 1

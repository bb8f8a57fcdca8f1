"""The chart of the agents: what Helm makes of it, and what a real API server says to that. kwok plays its pods."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import yaml

from local.cluster import Cluster, program
from local.helm.table import CHART
from tests.contracts.job_runtime import PassedJobContract, a_task
from tests.infra.chart import (
    EXAMPLES,
    RELEASE,
    Object,
    environment,
    helm,
    named,
    of_kind,
    pod_specs,
    rendered,
    walled,
)
from tests.real import require
from tests.runtimes.kubernetes_jobs import KubernetesJobs
from tests.runtimes.test_kubernetes_real import RULES
from tests.waiting import wait_until
from turnout.adapters.settings import read_settings
from turnout.core.model import Runtime
from turnout.core.topics import AGENT_KINDS, agent_topic, topic

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
DEV, GKE, PROD = (CHART / "ci" / f"{each}.yaml" for each in ("dev", "gke", "prod"))


@pytest.fixture(scope="session")
def keda(cluster: Cluster) -> Cluster:
    """A cluster that knows KEDA's resources; nobody there looks after them."""
    script = ROOT / "local/setup/keda.sh"
    where = subprocess.run([script, "--where"], capture_output=True, text=True, check=True).stdout.strip()
    crds = Path(where) / "crds"
    require("KEDA's resource definitions", crds.is_dir(), "run `make real-parts`")
    for each in ("scaledobjects", "triggerauthentications"):
        definition = yaml.safe_load((crds / f"keda.sh_{each}.yaml").read_text())
        cluster.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    wait_until(lambda: cluster.api.find("/apis/keda.sh/v1alpha1"), 30, "KEDA's resources are known")
    return cluster


# --- what Helm makes of it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda each: each.stem)
@pytest.mark.parametrize("name", ["helm", "helm3"])
def test_helm_finds_nothing_wrong(cluster: Cluster, name: str, values: Path) -> None:
    done = helm("lint", "--strict", str(CHART), "--values", str(values), name=name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ("jobs.namspace=ci", "namspace"),
        ("imagess.turnout=x", "imagess"),
        ("agents.kinds.script.maximum=4", "maximum"),
        ("agents.kinds.test.max=7", "/agents/kinds/test/max"),
        ("agents.sandbox=off", "/agents/sandbox"),
        ("launcher.replicas=many", "/launcher/replicas"),
        ("scaling.sasl=oauth", "/scaling/sasl"),
        ("settings.TURNOUT_LOG_LEVEL=debug", "TURNOUT_LOG_LEVEL"),
        ("jobs.network.allow[0].cidr=169.254.169.254/32", "/jobs/network/allow/0"),
        ("secrets.SERVER_KEY.to={everybody}", "/secrets/SERVER_KEY/to"),
        ("kafka.mechanism=", "kafka.mechanism: SASL_PLAINTEXT and SASL_SSL need"),
        ("kafka.secret=", "kafka.secret: name the Secret"),
        ("gatewayUrl=", "gatewayUrl: say where launched jobs reach the gateway"),
        ("images.agents=", "images.agents: say in which images agents run"),
        ("jobs.network.gateway=null", "missing property 'gateway'"),
        ("scaling.sasl=oauthbearer", "scaling.tokenEndpoint: KEDA can't sign in"),
        ("secrets.FUNCTION_TOKEN.to={dispatcher}", "secrets.FUNCTION_TOKEN: the launcher needs it"),
    ],
)
def test_a_wrong_value_is_refused_and_named(cluster: Cluster, planted: str, said: str) -> None:
    done = helm("template", RELEASE, str(CHART), "--values", str(PROD), "--set", planted)
    assert done.returncode != 0
    assert said in done.stderr


# --- what is made fits the code ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda each: each.stem)
def example(request: pytest.FixtureRequest, cluster: Cluster) -> list[Object]:
    return rendered(request.param)


@pytest.fixture(scope="module")
def everything(cluster: Cluster) -> list[Object]:
    """Each kind of agents is resident."""
    kinds = ",".join(f"agents.kinds.{kind}.min=0" for kind in AGENT_KINDS)
    return rendered(PROD, "--set", kinds)


def test_each_part_starts_with_what_it_is_told(example: list[Object], tmp_path: Path) -> None:
    for deployment in of_kind(example, "Deployment"):
        environ = dict(environment(deployment))
        for name in [each for each in environ if each.endswith("_FILE") and "CA" not in each]:
            held = tmp_path / name
            held.write_text("held")
            assert environ[name].startswith("/run/secrets/turnout/")
            environ[name] = str(held)
        settings = read_settings(environ)
        known = {f"TURNOUT_{each.upper()}" for each in type(settings).model_fields} | {"TURNOUT_DISK"}
        told = {each.removesuffix("_FILE") if each not in known else each for each in environ}
        assert told - known - {"PORT"} == set()


def test_a_launcher_is_told_of_the_namespace_the_account_and_the_imagesof_jobs(
    example: list[Object],
) -> None:
    environ = {
        name: value
        for name, value in environment(named(example, "Deployment", f"{RELEASE}-launcher")).items()
        if not name.endswith("_FILE")
    }
    settings = read_settings(environ)
    assert settings.runtimes == (Runtime.KUBERNETES,)
    named(example, "Namespace", settings.kubernetes_namespace)
    account = named(example, "ServiceAccount", settings.kubernetes_service_account)
    assert account["metadata"]["namespace"] == settings.kubernetes_namespace
    assert not account["automountServiceAccountToken"]
    assert settings.images.of("lint").endswith("/turnout-lint:4f2a90c1d3e5")
    if settings.kubernetes_priority_class:
        named(example, "PriorityClass", settings.kubernetes_priority_class)


def test_what_kedas_triggers_name_is_what_agents_read(everything: list[Object]) -> None:
    found = {}
    for each in of_kind(everything, "ScaledObject"):
        (trigger,) = each["spec"]["triggers"]
        kind = trigger["metadata"]["topic"].removeprefix("agent.")
        found[kind] = trigger["metadata"]["consumerGroup"]
        assert trigger["metadata"]["topic"] == agent_topic(kind)
        target = named(everything, "Deployment", each["spec"]["scaleTargetRef"]["name"])
        (container,) = target["spec"]["template"]["spec"]["containers"]
        assert container["command"][:4] == ["turnout", "agent", "serve", kind]
        assert each["spec"]["maxReplicaCount"] <= topic(agent_topic(kind)).partitions
        assert "replicas" not in target["spec"]  # which would undo what KEDA did with each upgrade
    assert found == {kind: f"agents.{kind}" for kind in AGENT_KINDS}


def test_a_pod_that_is_told_to_stop_is_given_the_time_that_its_attempts_are(everything: list[Object]) -> None:
    for each in of_kind(everything, "Deployment"):
        drain = float(environment(each).get("TURNOUT_DRAIN", 20))
        assert each["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= drain + 20


def test_each_pod_of_a_kind_is_a_member_of_its_own(everything: list[Object]) -> None:
    for each in of_kind(everything, "Deployment"):
        (container,) = each["spec"]["template"]["spec"]["containers"]
        if container["name"] == "agent":
            assert container["command"][-2:] == ["--member", "$(POD_NAME)"]
            names = [variable["name"] for variable in container["env"]]
            assert names.index("POD_NAME") == 0


def test_nothing_but_the_launcher_and_the_sweeper_has_a_token_of_the_cluster(
    everything: list[Object],
) -> None:
    have = {
        spec["serviceAccountName"] for spec in pod_specs(everything) if spec["automountServiceAccountToken"]
    }
    assert have == {f"{RELEASE}-launcher", f"{RELEASE}-sweeper"}


def test_a_part_holds_no_secret_that_is_not_meant_for_it(everything: list[Object]) -> None:
    held = {
        each["metadata"]["name"]: {
            name
            for name in environment(each)
            if name.endswith("_FILE") and not name.startswith("TURNOUT_KAFKA")
        }
        for each in of_kind(everything, "Deployment")
    }
    assert held[f"{RELEASE}-launcher"] == {"TURNOUT_SERVER_KEY_FILE", "TURNOUT_FUNCTION_TOKEN_FILE"}
    assert held[f"{RELEASE}-dispatcher"] == {"TURNOUT_FUNCTION_TOKEN_FILE"}
    assert held[f"{RELEASE}-agent-lint"] == {"TURNOUT_GITHUB_TOKEN_FILE"}


def test_the_rights_are_those_that_the_runtime_is_tried_with(example: list[Object]) -> None:
    """`tests/runtimes/test_kubernetes_real.py` shows of each that without it something fails."""
    assert named(example, "Role", f"{RELEASE}-launcher")["rules"] == RULES


def test_no_job_reaches_the_addresses_where_credentials_are_handed_out(example: list[Object]) -> None:
    policy = named(example, "NetworkPolicy", f"{RELEASE}-jobs")["spec"]
    assert policy["podSelector"] == {}
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    dns, *others = policy["egress"]
    assert {each["port"] for each in dns["ports"]} == {53}
    for rule in others:
        for peer in rule["to"]:
            if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                assert "169.254.0.0/16" in peer["ipBlock"]["except"]


# --- on a real API server -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda each: each.stem)
def test_the_api_server_knows_all_that_is_made(keda: Cluster, values: Path, tmp_path: Path) -> None:
    namespace = keda.namespace()
    # the pod of `helm test` needs its account to be there: `helm test` shows it, below
    objects = [each for each in rendered(values) if each["kind"] != "Pod"]
    for each in objects:
        if "namespace" in each["metadata"]:
            each["metadata"]["namespace"] = namespace
    done = checked(keda, objects, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(server dry run)") == len(objects)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"maxReplicaCount": "many"}, "maxReplicaCount"),
        ({"maxReplicas": 6}, 'unknown field "spec.maxReplicas"'),
    ],
)
def test_a_scaled_object_that_is_none_is_refused(
    keda: Cluster, everything: list[Object], tmp_path: Path, wrong: Object, said: str
) -> None:
    scaled = of_kind(everything, "ScaledObject")[0]
    planted = scaled | {"spec": scaled["spec"] | wrong}
    planted["metadata"] = {"name": "planted", "namespace": "default"}
    done = checked(keda, [planted], tmp_path)
    assert done.returncode != 0
    assert said in done.stderr


def checked(cluster: Cluster, objects: list[Object], folder: Path) -> subprocess.CompletedProcess[str]:
    """By the server, with every field that it does not know."""
    file = folder / "all.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    kubectl = [str(program("kubectl")), f"--kubeconfig={cluster.kubeconfig}", "create"]
    return subprocess.run(
        [*kubectl, "--dry-run=server", "--validate=strict", "-f", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_is_installed_upgraded_rolled_back_and_removed(keda: Cluster, tmp_path: Path) -> None:
    namespace, jobs = keda.namespace(), f"jobs-{time.monotonic_ns()}"  # both enforce the restricted standard
    image = "registry.example.org/ci/turnout"
    values = yaml.safe_load(PROD.read_text())
    values["agents"]["nodeSelector"] = {}  # the cluster's nodes are of no pool
    values["images"]["agents"] = "behave.test/succeed:{agent}"
    values["jobs"]["namespace"] = jobs
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    given = ["--values", str(tmp_path / "mine.yaml")]

    def done(*arguments: str) -> str:
        said = helm(*arguments, "--namespace", namespace, cluster=keda)
        assert said.returncode == 0, said.stdout + said.stderr
        return said.stdout

    def images() -> set[str]:
        found = keda.api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments")["items"]
        return {
            each["spec"]["template"]["spec"]["containers"][0]["image"]
            for each in found
            if "agent-test" not in each["metadata"]["name"]
        }

    waits = ["--wait", "--timeout", "90s"]
    said = done("install", RELEASE, str(CHART), *given, *waits)
    assert "Launched agents: a stage with `runtime: kubernetes`" in said
    assert images() == {f"{image}:4f2a90c1d3e5"}
    running = [each for each in keda.pods(namespace) if each["status"]["phase"] == "Running"]
    assert len(running) == 2 + 1 + 2 + 2  # launcher, sweeper, dispatcher, and one of each resident kind
    done("upgrade", RELEASE, str(CHART), *given, *waits, "--set", f"images.turnout={image}:next")
    assert images() == {f"{image}:next"}
    done("rollback", RELEASE, "1", *waits)
    assert images() == {f"{image}:4f2a90c1d3e5"}
    assert "Succeeded" in done("test", RELEASE)
    done("uninstall", RELEASE, *waits)
    for kind in ("deployments", "services", "serviceaccounts", "networkpolicies", "poddisruptionbudgets"):
        left = kubectl(keda, "get", kind, "--namespace", namespace, "-o", "name").split()
        assert [each for each in left if RELEASE in each] == []
    for kind in ("scaledobjects", "triggerauthentications"):
        assert keda.api.get(f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/{kind}")["items"] == []
    left = keda.api.find(f"/api/v1/namespaces/{jobs}")
    assert left is None or left["status"]["phase"] == "Terminating"


def kubectl(cluster: Cluster, *arguments: str) -> str:
    command = [str(program("kubectl")), f"--kubeconfig={cluster.kubeconfig}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


# --- the runtime in what the chart makes ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_jobs(cluster: Cluster) -> list[Object]:
    return rendered(DEV)


@pytest.fixture
def jobs(cluster: Cluster, of_jobs: list[Object]) -> KubernetesJobs:
    """A namespace with all that the chart puts into one, and the launcher with its account there."""
    return walled(cluster, of_jobs)


class TestRuntimeInTheChart(PassedJobContract):
    """With the chart's account, and within its quota, its limits and its pod security."""

    @pytest.fixture
    def harness(self, jobs: KubernetesJobs) -> KubernetesJobs:
        return jobs


def test_a_job_that_asks_for_nothing_has_the_charts_limits(jobs: KubernetesJobs) -> None:
    task = a_task(jobs.kind, "asks for nothing", agent="script")
    assert jobs.open().launch(task)
    (container,) = jobs.pod(task.attempt)["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}


def test_a_job_over_the_charts_quota_waits_for_room(cluster: Cluster, of_jobs: list[Object]) -> None:
    jobs = walled(cluster, of_jobs, pods="1")
    first, second = (a_task(jobs.kind, each, agent="script", attempt=each) for each in ("one", "two"))
    assert jobs.open().launch(first)
    jobs.pod(first.attempt)
    assert jobs.open().launch(second)
    wait_until(
        lambda: "exceeded quota: turnout-jobs" in jobs.open().state(second.attempt).reason,
        jobs.patience,
        "it waits for room",
        poll=0.1,
    )


def test_a_job_that_asks_for_more_than_the_chart_allows_is_not_made(jobs: KubernetesJobs) -> None:
    task = a_task(jobs.kind, "too much", agent="script", resources={"cpu": 9.0, "memory": 0})
    assert jobs.open().launch(task)
    wait_until(
        lambda: "maximum cpu usage per Container is 8" in jobs.open().state(task.attempt).reason,
        jobs.patience,
        "it says why no pod is made",
        poll=0.1,
    )

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.deploy import agent
from agents.sdk.attempt import UNWIND
from agents.sdk.hosting import MARGIN
from agents.sdk.workspace import AgentError, ToolRun
from tests.agents.deploy.shop import CHART, manifests
from tests.agents.deploy.tools import Tools, workspace
from tests.agents.workspace import PlainWorkspace, task, write
from turnout.core.errors import TransientError
from turnout.core.messages import TaskRequested
from turnout.core.model import Outcome
from turnout.core.policy import UNDOING

DIGEST = "sha256:" + "b" * 64


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    return Tools(tmp_path / "tools", monkeypatch)


@pytest.fixture
def here(tmp_path: Path) -> PlainWorkspace:
    return workspace(tmp_path)


def asked(options: dict[str, Any] | None = None, **fields: Any) -> TaskRequested:
    return task("deploy", options, **({"secrets": ("KUBECONFIG", "OTHER")} | fields))


def history(*statuses: str) -> str:
    return json.dumps([
        {"revision": number, "status": status, "updated": "2020-01-01T00:00:00Z", "description": ""}
        for number, status in enumerate(statuses, 1)
    ])  # fmt: skip


def test_what_comes_from_a_fork_is_never_deployed(tools: Tools, here: PlainWorkspace) -> None:
    write(here.path, CHART)
    with pytest.raises(AgentError, match="from a fork"):
        agent.run(asked(trusted=False), here)
    assert tools.calls == []


def test_the_credentials_are_in_a_file_of_the_tool_alone_and_on_no_command_line(
    tools: Tools, here: PlainWorkspace
) -> None:
    write(here.path, manifests())
    agent.run(asked(), here)
    with_config = [call for call in tools.calls if "a-very-secret-token" in str(call["config"])]
    assert len(with_config) > 3
    assert {call["mode"] for call in with_config} == {"0o600"}
    for call in tools.calls:
        assert "a-very-secret-token" not in json.dumps(call["argv"])
        environment = call["env"]
        assert isinstance(environment, dict)
        assert "OTHER" not in environment
        assert "a-very-secret-token" not in str(environment)
        assert environment["KUBERC"] == "off"
    assert "a-very-secret-token" in here.hidden
    assert "a-very-secret-token" not in here.text


def test_what_renders_the_manifests_is_not_told_the_way_to_the_cluster(
    tools: Tools, here: PlainWorkspace
) -> None:
    write(here.path, manifests())
    agent.run(asked(), here)
    (rendering,) = [call for call in tools.calls if "kustomize" in json.dumps(call["argv"])]
    assert rendering["config"] == ""


def test_the_pipelines_own_environment_turns_no_tool_to_another_cluster(
    tools: Tools, here: PlainWorkspace
) -> None:
    write(here.path, CHART)
    here.given |= {"HELM_KUBEAPISERVER": "https://evil.example.org", "KUBECTL_EXTERNAL_DIFF": "sh"}
    agent.run(asked(), here)
    for call in tools.calls:
        environment = call["env"]
        assert isinstance(environment, dict)
        assert not environment.get("HELM_KUBEAPISERVER")
        assert not environment.get("KUBECTL_EXTERNAL_DIFF")


def test_the_image_is_set_by_a_values_file_and_no_file_of_the_repository_is_touched(
    tools: Tools, here: PlainWorkspace
) -> None:
    write(here.path, CHART)
    before = {path: path.read_bytes() for path in here.path.rglob("*") if path.is_file()}
    pod = {"containers": [{"name": "x", "image": f"registry.test/shop@{DIGEST}"}]}
    tools.say(
        "helm template",
        out=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod}),
    )
    upstream = {"build": {"image": "registry.test/shop:3", "digest": DIGEST}}
    done = agent.run(asked({"helm": {"set": {"replicas": 2}}}, upstream=upstream), here)
    assert done.outputs["deployed"] == f"registry.test/shop:3@{DIGEST}"
    assert json.loads((here.scratch / "deploy/values.json").read_text()) == {
        "image": {"repository": "registry.test/shop", "tag": "3", "digest": DIGEST},
        "replicas": 2,
    }
    assert {path: path.read_bytes() for path in here.path.rglob("*") if path.is_file()} == before
    assert "image" not in done.outputs  # that is what a build gives


def test_nothing_is_applied_before_the_difference_is_shown(tools: Tools, here: PlainWorkspace) -> None:
    write(here.path, CHART)
    tools.say(
        "kubectl diff", code=1, out="diff -u -N /tmp/LIVE-1/a /tmp/MERGED-1/a\n--- /tmp/LIVE-1/a\tnow\n+x\n"
    )
    agent.run(asked(), here)
    lines = tools.lines
    diff = next(number for number, line in enumerate(lines) if " diff " in f" {line} ")
    upgrade = next(number for number, line in enumerate(lines) if "helm upgrade" in line)
    assert diff < upgrade
    assert here.kept["deploy.diff"] == b"--- a\n+x\n"


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ('error: Apply failed with 1 conflict: conflict with "kubectl": .data.x\n', "failure"),
        ('The Deployment "shop" is invalid: spec.x: Invalid value\n', "failure"),
    ],
)
def test_what_the_server_does_not_take_is_a_failure_and_nothing_is_applied(
    tools: Tools, here: PlainWorkspace, said: str, outcome: str
) -> None:
    write(here.path, manifests())
    tools.say("kubectl diff", code=2, err=said)
    done = agent.run(asked(), here)
    assert done.outcome is Outcome(outcome)
    assert not tools.called("kubectl apply")


def test_a_difference_that_cannot_be_told_yet_is_no_obstacle(tools: Tools, here: PlainWorkspace) -> None:
    write(here.path, manifests())
    tools.say("kubectl diff", code=2, err='Error from server (NotFound): namespaces "shop" not found\n')
    assert agent.run(asked(), here).outcome is Outcome.SUCCESS
    assert "cannot be told before it is there" in here.text


def test_a_cluster_that_goes_away_in_mid_rollout_loses_the_attempt(
    tools: Tools, here: PlainWorkspace
) -> None:
    write(here.path, CHART)
    tools.say("helm upgrade", code=1, err="Error: UPGRADE FAILED: dial tcp 10.0.0.1:6443: i/o timeout\n")
    with pytest.raises(TransientError, match="cannot be reached"):
        agent.run(asked(), here)
    assert not tools.called("helm rollback")


def test_what_is_forbidden_in_mid_rollout_is_an_error_and_is_rolled_back(
    tools: Tools, here: PlainWorkspace
) -> None:
    write(here.path, CHART)
    tools.say("helm history", out=history("deployed", "failed"))
    tools.say(
        "helm upgrade",
        code=1,
        err='Error: UPGRADE FAILED: services is forbidden: User "x" cannot create resource\n',
    )
    with pytest.raises(AgentError, match=r"forbids it.*rolled back to revision 1"):
        agent.run(asked(), here)
    assert tools.called("helm rollback 1")


def test_a_lock_is_told_and_the_attempt_is_tried_again(tools: Tools, here: PlainWorkspace) -> None:
    write(here.path, CHART)
    said = "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress\n"
    tools.say("helm upgrade", code=1, err=said)
    with pytest.raises(TransientError, match="somebody else's helm"):
        agent.run(asked(), here)


def test_a_helm_that_hangs_is_ended_and_rolled_back(
    tools: Tools, here: PlainWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here.path, CHART)
    tools.say("helm history", out=history("deployed", "pending-upgrade"))
    ran = here.run

    def run(argv: Sequence[str], **how: Any) -> ToolRun:
        if "upgrade" in argv:
            return ToolRun(tuple(argv), None, 9, timed_out=True)
        return ran(argv, **how)

    monkeypatch.setattr(here, "run", run)
    done = agent.run(asked({"timeout": "5s"}), here)
    assert done.outcome is Outcome.FAILURE
    assert "helm had not ended after 1m5s; rolled back to revision 1" in done.summary


def test_a_question_without_an_answer_loses_the_attempt(
    tools: Tools, here: PlainWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here.path, CHART)
    ran = here.run

    def run(argv: Sequence[str], **how: Any) -> ToolRun:
        return ToolRun(tuple(argv), None, 9, timed_out=True) if "history" in argv else ran(argv, **how)

    monkeypatch.setattr(here, "run", run)
    with pytest.raises(TransientError, match="helm history had no answer of the cluster"):
        agent.run(asked(), here)


def test_what_the_chart_no_longer_has_is_told(tools: Tools, here: PlainWorkspace) -> None:
    write(here.path, CHART)
    tools.say("helm history", out=history("deployed"))
    gone = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"
    tools.say("helm get manifest", out=gone.replace("NAME", "old") + "---\n" + gone.replace("NAME", "shop"))
    done = agent.run(asked(), here)
    assert done.outputs["deleted"] == "1"
    assert "configmap/old in shop" in done.outputs["resources"]


def test_a_rollback_that_fails_is_said_loudly(tools: Tools, here: PlainWorkspace) -> None:
    write(here.path, CHART)
    tools.say("helm history", out=history("deployed", "failed"))
    tools.say("helm upgrade", code=1, err="Error: UPGRADE FAILED: context deadline exceeded\n")
    tools.say("helm rollback", code=1, err="Error: no such revision\n")
    done = agent.run(asked({"timeout": "1s"}), here)
    assert done.outcome is Outcome.FAILURE
    assert "rolling back failed" in done.summary
    assert done.outputs["rolled_back"] == "false"


@pytest.mark.parametrize("version", ["v3.17.2", "v4.1.4", "v5.0.0"])
def test_helm_3_and_later_are_taken_with_flags_that_all_of_them_know(
    tools: Tools, here: PlainWorkspace, version: str
) -> None:
    write(here.path, CHART)
    tools.say("helm version", out=version)
    done = agent.run(asked(), here)
    assert done.tools == {"helm": version[1:]}
    assert tools.called("helm upgrade --install --wait")
    assert not any("--atomic" in line or "--rollback-on-failure" in line for line in tools.lines)


@pytest.mark.parametrize("version", ["v2.17.0", "v3.12.3", "", "what"])
def test_another_helm_is_an_error(tools: Tools, here: PlainWorkspace, version: str) -> None:
    write(here.path, CHART)
    tools.say("helm version", out=version)
    with pytest.raises(AgentError, match=r"install Helm 3 \(3.13 or newer\) or 4"):
        agent.run(asked(), here)


def test_a_missing_tool_is_an_error_that_says_what_to_do(
    here: PlainWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here.path, CHART)
    for name in ("TURNOUT_HELM", "TURNOUT_KUBECTL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(here, "which", lambda program: None)
    with pytest.raises(AgentError, match=r"no kubectl .*TURNOUT_KUBECTL=PATH"):
        agent.run(asked(), here)


def test_a_rollback_task_whose_deploy_failed_says_that_it_was_rolled_back(
    tools: Tools, here: PlainWorkspace
) -> None:
    write(here.path, CHART)
    own = {"deploy": {"release": "r", "revision_before": "1", "rolled_back": "true"}}
    done = agent.run(asked(upstream=own, rollback=True), here)
    assert done.outcome is Outcome.SUCCESS
    assert "had been rolled back already" in done.summary
    nothing = agent.run(asked(rollback=True), here)
    assert "nothing had been deployed" in nothing.summary
    assert not tools.called("helm rollback")


def test_an_image_without_its_proof_is_refused_before_anything_is_applied(
    tools: Tools, here: PlainWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here.path, CHART)
    pod = {"containers": [{"name": "x", "image": "redis:7"}, {"name": "y", "image": f"shop@{DIGEST}"}]}
    tools.say(
        "helm template",
        out=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod}),
    )
    asked_for: list[str] = []

    def require(of: TaskRequested, digest: str) -> list[str]:
        asked_for.append(digest)
        if digest != DIGEST:
            raise AgentError(f"{digest} is not attested")
        return ["attested: by the build"]

    monkeypatch.setattr("agents.sdk.attested.require", require)
    with pytest.raises(AgentError, match="redis:7 is not attested"):
        agent.run(asked().with_(attested=object()), here)
    assert not tools.called("helm upgrade")
    assert asked_for == ["redis:7"]


def test_the_platform_waits_longer_than_going_back_takes() -> None:
    tools_end, listens, killed = 5.0, UNWIND, MARGIN
    assert agent.UNDO + tools_end + listens + killed <= UNDOING["deploy"]

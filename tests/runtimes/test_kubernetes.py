"""The kubernetes runtime's parts that need no cluster: what is written down, and what goes wrong on the way."""

from __future__ import annotations

import json
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.job_runtime import a_task
from turnout.adapters.settings import InvalidSettings, read_settings
from turnout.adapters.system_clock import SystemClock
from turnout.core.errors import PermanentError, TransientError
from turnout.core.images import Images
from turnout.core.model import Runtime
from turnout.core.policy import pass_expiry
from turnout.gateway import Passes
from turnout.runtimes.kubernetes import KubernetesRuntime
from turnout.runtimes.kubernetes_api import KubernetesApi, open_api
from turnout.runtimes.kubernetes_manifest import job, name_of
from turnout.runtimes.kubernetes_placement import (
    Placement,
    read_names,
    read_selector,
    read_tolerations,
    read_user,
)
from turnout.wiring import Wiring

PASS = {"TURNOUT_GATEWAY_URL": "http://g", "TURNOUT_ATTEMPT": "a", "TURNOUT_ATTEMPT_TOKEN": "v1.0.mac"}


def made(placement: Placement | None = None, **more: Any) -> dict[str, Any]:
    task = a_task(Runtime.KUBERNETES, **more)
    return job(task, "agents/script:1", PASS, placement or Placement(), seconds=60)


# --- what is written down ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attempt", ["5f3c", "A.strange_One", "x" * 120, "_", "4e0e6265-0cfd-58aa-9ba5-000000000000"]
)
def test_a_name_fits_whatever_the_attempt_is_called(attempt: str) -> None:
    name = name_of(attempt)
    assert len(name) <= 57  # a pod's name adds six characters
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert name == name_of(attempt)


def test_two_attempts_never_share_a_name() -> None:
    strange = ["A", "a", "a.", "A.", "x" * 120, "x" * 119]
    assert len({name_of(each) for each in strange}) == len(strange)


def test_a_value_that_can_be_no_label_is_left_out() -> None:
    labels = made(project="a project with blanks", stage="unit (3.11)")["metadata"]["labels"]
    assert "turnout.dev/project" not in labels
    assert "turnout.dev/stage" not in labels
    assert labels["turnout.dev/agent"] == "script"


def test_a_task_that_asks_for_nothing_gets_what_the_operator_gives() -> None:
    def limits(placement: Placement, **more: Any) -> Any:
        return made(placement, **more)["spec"]["template"]["spec"]["containers"][0]["resources"].get("limits")

    given = Placement(memory=2**30, cpus=2)
    assert limits(Placement()) is None
    assert limits(given) == {"cpu": "2000m", "memory": str(2**30)}
    asked = {"cpu": 0.25, "memory": 2**20}
    assert limits(given, resources=asked) == {"cpu": "250m", "memory": str(2**20)}


def test_a_job_gets_no_account_no_second_pod_and_no_way_up() -> None:
    spec = made()["spec"]
    pod = spec["template"]["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 0)
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    held = pod["containers"][0]["securityContext"]
    assert held["capabilities"] == {"drop": ["ALL"]}
    assert held["readOnlyRootFilesystem"] is held["runAsNonRoot"] is True
    assert held["allowPrivilegeEscalation"] is False
    assert PASS["TURNOUT_ATTEMPT_TOKEN"] not in json.dumps(made())


def test_a_job_may_take_as_long_as_its_pass_is_good() -> None:
    taken: dict[str, Any] = {}

    class Taking:
        def create_job(self, manifest: dict[str, Any]) -> dict[str, Any]:
            taken.update(manifest)
            return {"metadata": {"uid": "1", "annotations": manifest["metadata"]["annotations"]}}

        def create_secret(self, manifest: dict[str, Any]) -> bool:
            return True

    passes = Passes("http://g", b"key", SystemClock())
    task = a_task(Runtime.KUBERNETES, timeout=100.0)
    KubernetesRuntime(Images("agents/{agent}:1"), passes, connect=Taking).launch(task)
    now = SystemClock().now()
    good = (pass_expiry(passes.timing, 100.0, now) - now).total_seconds()
    assert taken["spec"]["activeDeadlineSeconds"] == good


def test_what_an_operator_writes_is_what_kubernetes_takes() -> None:
    assert read_selector("disk=ssd, zone=a,empty=") == {"disk": "ssd", "zone": "a", "empty": ""}
    assert read_tolerations("ci=only:NoSchedule,spot,gpu:NoExecute") == (
        {"key": "ci", "operator": "Equal", "value": "only", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists"},
        {"key": "gpu", "operator": "Exists", "effect": "NoExecute"},
    )
    assert read_names(" a, b ,") == ("a", "b")
    assert (read_user("5"), read_user("5:6")) == ((5, 5), (5, 6))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NODE_SELECTOR", "disk"),
        ("TOLERATIONS", "ci=only:Sometimes"),
        ("USER", "0"),
        ("USER", "root"),
        ("NAMESPACE", "Turnout"),
        ("PULL", "sometimes"),
        ("KEEP", "5"),
    ],
)
def test_a_setting_that_kubernetes_would_refuse_is_refused_at_once(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"TURNOUT_KUBERNETES_{name}"):
        read_settings({f"TURNOUT_KUBERNETES_{name}": value})


@pytest.mark.parametrize("given", ["disk", "=ssd", "a=b=c"])
def test_a_selector_that_is_none_says_what_is_expected(given: str) -> None:
    with pytest.raises(ValueError, match="expected label=value"):
        read_selector(given)


def test_a_toleration_that_is_none_says_what_is_expected() -> None:
    with pytest.raises(ValueError, match="expected key"):
        read_tolerations("a:b:c")


def test_the_launcher_of_a_cluster_is_made_without_asking_it(tmp_path: Path) -> None:
    settings = read_settings(
        {
            "TURNOUT_HOME": str(tmp_path),
            "TURNOUT_LAUNCHER_RUNTIMES": "kubernetes",
            "TURNOUT_GATEWAY_URL": "http://gateway.example.org",
            "TURNOUT_KUBERNETES_TOLERATIONS": "ci=only:NoSchedule",
            "TURNOUT_KUBERNETES_CONFIG": str(tmp_path / "nowhere"),
        }
    )
    runtime = Wiring(settings).launcher.runtimes[Runtime.KUBERNETES]
    assert isinstance(runtime, KubernetesRuntime)
    with pytest.raises(PermanentError, match="nothing says how to reach Kubernetes"):
        runtime.state("a")


# --- what goes wrong --------------------------------------------------------------------------------------


def write_config(path: Path, server: str) -> None:
    one, two = {"cluster": "c", "user": "u", "namespace": "first"}, {"cluster": "c", "user": "u"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "one", "context": one}, {"name": "two", "context": two}],
        "current-context": "one",
    }
    path.write_text(json.dumps(content))


class Answering:
    """An API server that gives one answer to whatever it is asked."""

    status = 200
    body = b"{}"
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, folder: Path) -> None:
        answer = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = do_PATCH = _any

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.config = folder / "config"
        write_config(self.config, f"http://127.0.0.1:{self.server.server_address[1]}")

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def says(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.status, self.body, self.headers = status, body, headers


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Answering]:
    made = Answering(tmp_path)
    yield made
    made.close()


@pytest.fixture
def api(server: Answering) -> KubernetesApi:
    return open_api(str(server.config), "", "")


def test_the_namespace_is_the_given_one_or_the_contexts_or_the_default(server: Answering) -> None:
    def namespace(context: str, given: str) -> str:
        return open_api(str(server.config), context, given).namespace

    assert namespace("", "") == "first"
    assert namespace("two", "") == "default"
    assert namespace("", "mine") == "mine"


def test_a_context_that_is_not_there_is_named(server: Answering) -> None:
    with pytest.raises(PermanentError, match="three") as refused:
        open_api(str(server.config), "three", "")
    assert "TURNOUT_KUBERNETES_CONTEXT" in refused.value.hint


def test_a_server_that_is_busy_says_when_to_come_again(server: Answering, api: KubernetesApi) -> None:
    server.says(429, b'{"message": "too many requests"}', ("Retry-After", "7"))
    with pytest.raises(TransientError, match="too many requests") as busy:
        api.create_job({"kind": "Job", "metadata": {"name": "x"}})
    assert busy.value.retry_after == 7.0


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_that_fails_is_asked_again(server: Answering, api: KubernetesApi, status: int) -> None:
    server.says(status, b"<html>bad gateway</html>")
    with pytest.raises(TransientError, match="bad gateway"):
        api.job("x")


def test_an_answer_that_is_cut_off_is_asked_again(server: Answering, api: KubernetesApi) -> None:
    server.says(200, b"", ("content-length", "100"))
    with pytest.raises(TransientError):
        api.job("x")


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.runtimes.kubernetes_api.ANSWER_WITHIN", (5.0, 0.1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = tmp_path / "config"
        write_config(config, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(TransientError, match="timed out"):
            open_api(str(config), "", "").job("x")


def test_a_manifest_that_is_refused_says_why_and_what_to_look_at(
    server: Answering, api: KubernetesApi
) -> None:
    server.says(422, b'{"message": "Job is invalid: spec: too\\nmuch"}')
    with pytest.raises(
        PermanentError, match="Job x can't be made: Job is invalid: spec: too much"
    ) as refused:
        api.create_job({"kind": "Job", "metadata": {"name": "x"}})
    assert "TURNOUT_KUBERNETES_" in refused.value.hint


def test_a_conflict_that_is_not_about_the_name_is_no_launch(server: Answering, api: KubernetesApi) -> None:
    server.says(409, b'{"reason": "Conflict", "message": "being deleted"}')
    with pytest.raises(TransientError, match="being deleted"):
        api.create_secret({"kind": "Secret", "metadata": {"name": "x"}})


def test_lines_that_cannot_be_had_are_none(server: Answering, api: KubernetesApi) -> None:
    server.says(503, b"")
    assert api.said("x") == ""
    server.says(403, b"{}")
    assert api.said("x") == ""
    assert api.warnings("x") == []


def test_nothing_of_the_client_is_loaded_before_it_is_needed() -> None:
    import subprocess

    seen = "import sys, turnout.wiring, turnout.runtimes.kubernetes, turnout.runtimes.kubernetes_api"
    done = subprocess.run(
        [sys.executable, "-c", f"{seen}; print('kubernetes' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "False", done.stderr

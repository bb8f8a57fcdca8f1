"""The few questions that the kubernetes runtime asks an API server, with what goes wrong as ours. All is plain JSON.

Source: Kubernetes API reference, batch/v1 Job, core/v1 Pod, Secret, Event; "API concepts" on status codes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from turnout.core.errors import PermanentError, TransientError

Object = Mapping[str, Any]
ANSWER_WITHIN = (5.0, 30.0)  # seconds: to connect, to answer
LAST_LINES = 20
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""In a pod that has an account: whose namespace is meant where nothing says which."""
_MERGE = "application/merge-patch+json"
_LACKS = re.compile(r'cannot (?P<verb>\w+) resource "(?P<what>[\w/.]+)" in API group "(?P<group>[\w.]*)"')
DOCS = "docs/runtimes-kubernetes.md has the role"


class KubernetesApi:
    """One namespace of one cluster. Thread-safe.

    Every call raises TransientError where the server is away, too busy or out of quota, and PermanentError, that says
    what to do, where it refuses.
    """

    def __init__(self, client: Any, namespace: str) -> None:
        self._client = client
        self.namespace = namespace
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._core = f"/api/v1/namespaces/{namespace}"

    def create_job(self, manifest: Object) -> Object | None:
        """None: there is one of this name."""
        return self._create(self._jobs, manifest)

    def create_secret(self, manifest: Object) -> bool:
        """False: there is one of this name."""
        return self._create(f"{self._core}/secrets", manifest) is not None

    def job(self, name: str) -> Object | None:
        return self._found(f"{self._jobs}/{name}")

    def patch_job(self, name: str, change: Object) -> None:
        """Nothing where there is no such job."""
        status, said = self._ask("PATCH", f"{self._jobs}/{name}", body=change)
        if status >= 400 and status != 404:
            self._refused("a job can't be changed", status, said)

    def pods(self, job: str) -> list[Object]:
        return self._items("pods", [("labelSelector", f"batch.kubernetes.io/job-name={job}")])

    def warnings(self, uid: str) -> list[str]:
        """What is said of an object that goes wrong, the newest last; none where we may not read it."""
        try:
            found = self._items("events", [("fieldSelector", f"involvedObject.uid={uid},type=Warning")])
        except PermanentError:
            return []
        ordered = sorted(
            found, key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or "")
        )
        return [str(each.get("message", "")) for each in ordered]

    def said(self, pod: str) -> str:
        """The last lines of its container; empty where they are gone, or not ours to read."""
        try:
            status, said = self._ask(
                "GET", f"{self._core}/pods/{pod}/log", [("tailLines", LAST_LINES), ("limitBytes", 65536)]
            )
        except TransientError:
            return ""
        return said if status == 200 else ""

    def _create(self, path: str, manifest: Object) -> Object | None:
        status, said = self._ask("POST", path, body=manifest)
        if status == 409 and _reason(said) == "AlreadyExists":
            return None
        if status >= 400:
            self._refused(f"{manifest['kind']} {manifest['metadata']['name']} can't be made", status, said)
        made: Object = json.loads(said)
        return made

    def _found(self, path: str) -> Object | None:
        status, said = self._ask("GET", path)
        if status == 404:
            return None
        if status >= 400:
            self._refused("a job can't be looked at", status, said)
        found: Object = json.loads(said)
        return found

    def _items(self, what: str, query: list[tuple[str, Any]]) -> list[Object]:
        status, said = self._ask("GET", f"{self._core}/{what}", query)
        if status >= 400:
            self._refused(f"{what} can't be listed", status, said)
        items: list[Object] = json.loads(said)["items"]
        return items

    def _ask(
        self, method: str, path: str, query: list[tuple[str, Any]] | None = None, body: Object | None = None
    ) -> tuple[int, str]:
        """Status and text of any answer. Raises: TransientError where there is none, or a passing one."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = _MERGE if method == "PATCH" else "application/json"
        try:
            asked = list(query or [])
            self._client.update_params_for_auth(headers, asked, ["BearerToken"])
            answer = self._client.rest_client.request(
                method,
                self._client.configuration.host + path,
                query_params=asked,
                headers=headers,
                body=body,
                _request_timeout=ANSWER_WITHIN,
            )
            return int(answer.status), answer.data.decode("utf-8", "replace")
        except ApiException as error:
            said = (
                error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else error.body or ""
            )
            status = int(error.status or 0)
            if status in (0, 408, 429) or status >= 500:
                after = (error.headers or {}).get("Retry-After", "")
                raise TransientError(
                    f"Kubernetes can't answer now: {_message(said) or error.reason}",
                    retry_after=float(after) if str(after).isdigit() else None,
                ) from error
            return status, said
        except (HTTPError, OSError) as error:
            raise TransientError(
                f"Kubernetes can't be reached: {_short(error)}",
                "look at TURNOUT_KUBERNETES_CONFIG and TURNOUT_KUBERNETES_CONTEXT",
            ) from error

    def _refused(self, what: str, status: int, said: str) -> NoReturn:
        message = _message(said)
        if status == 403 and "exceeded quota" in message:
            raise TransientError(f"{what}: {message}", "wait for room, or raise the namespace's quota")
        if status == 409:
            raise TransientError(f"{what}: {message}")
        raise PermanentError(f"{what}: {message}", self._hint(status, message))

    def _hint(self, status: int, message: str) -> str:
        if status == 401:
            return "the credentials are not, or no longer, good: look at TURNOUT_KUBERNETES_CONFIG"
        if status == 403 and (lacks := _LACKS.search(message)):
            group = lacks["group"] or "core"
            return (
                f"give the launcher's account the right to {lacks['verb']} {lacks['what']} ({group}) in the "
                f"namespace {self.namespace}; {DOCS}"
            )
        if status == 404:
            return f"make the namespace {self.namespace}, or set TURNOUT_KUBERNETES_NAMESPACE to another one"
        return "look at the TURNOUT_KUBERNETES_ settings and at the stage's resources"


def open_api(config: str, context: str, namespace: str) -> KubernetesApi:
    """``config``: a kubeconfig file; empty: the pod's own account where there is one, else kubectl's default file.

    ``namespace`` empty: the account's, or the context's. Raises: PermanentError.
    """
    from kubernetes import client
    from kubernetes.config import ConfigException

    configuration = client.Configuration()
    try:
        own = _load(configuration, config, context)
    except (ConfigException, OSError, ValueError, TypeError) as error:
        raise PermanentError(
            f"nothing says how to reach Kubernetes: {_short(error)}",
            "set TURNOUT_KUBERNETES_CONFIG to a kubeconfig file, and TURNOUT_KUBERNETES_CONTEXT to one in it",
        ) from error
    configuration.retries = False  # what went wrong is redelivered, with a backoff for all
    return KubernetesApi(client.ApiClient(configuration), namespace or own or "default")


def _load(configuration: Any, config: str, context: str) -> str:
    """The namespace that goes with it."""
    from kubernetes import config as loading

    if not config and not context:
        try:
            loading.load_incluster_config(client_configuration=configuration)
        except loading.ConfigException:
            pass
        else:
            return _account_namespace()
    loading.load_kube_config(config or None, context or None, client_configuration=configuration)
    contexts, active = loading.list_kube_config_contexts(config or None)
    chosen = next((each for each in contexts if each["name"] == context), active)
    return str(chosen["context"].get("namespace", ""))


def _account_namespace() -> str:
    try:
        return NAMESPACE_FILE.read_text().strip()
    except OSError:
        return ""


def _parsed(said: str) -> dict[str, Any]:
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _message(said: str) -> str:
    return " ".join(str(_parsed(said).get("message") or said).split())[:500]


def _reason(said: str) -> str:
    return str(_parsed(said).get("reason", ""))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__

"""helm and kubectl, run against one cluster: in the sandbox, with the credentials in a file of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.deploy import objects
from agents.deploy.complaints import complaint, last_words, platform
from agents.deploy.kubeconfig import Access, access
from agents.deploy.objects import Id, Object
from agents.deploy.options import Credentials
from agents.sdk.inside import read_inside
from agents.sdk.operator_paths import HELM, KUBE_PLUGINS, KUBECTL, operator_settings
from agents.sdk.toolchain import put
from agents.sdk.workspace import AgentError, ToolRun, Workspace
from turnout.core.errors import TransientError

READ = 60.0  # seconds that a question to the API server gets
WRITE = 180.0

# What the pipeline's own `env` could turn a tool with: another server, programs of its own.
_QUIET = dict.fromkeys(
    (
        "HELM_KUBEAPISERVER", "HELM_KUBETOKEN", "HELM_KUBEASUSER", "HELM_KUBEASGROUPS", "HELM_KUBECAFILE",
        "HELM_KUBECONTEXT", "HELM_KUBEINSECURE_SKIP_TLS_VERIFY", "HELM_KUBETLS_SERVER_NAME", "HELM_NAMESPACE",
        "HELM_DEBUG", "KUBECTL_EXTERNAL_DIFF", "KUBECTL_COMMAND_HEADERS",
    ),
    "",
) | {"KUBERC": "off", "HELM_PLUGINS": "/nonexistent", "HELM_DRIVER": "secret"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cluster:
    workspace: Workspace
    access: Access = field(repr=False)
    namespace: str
    programs: Mapping[str, str]

    def run(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        timeout: float = READ,
        quiet: bool = True,
        accepted: Sequence[int] = (0,),
        checked: bool = True,
        online: bool = True,
    ) -> ToolRun:
        """``online``: with the network and the credentials. ``quiet``: it only asks, and what goes wrong is in the log.

        Raises: TransientError where the cluster cannot be reached; AgentError where it does not let us; and, unless
        ``checked`` is false, where the exit code is none of the ``accepted``. What was to change something and took
        too long is the caller's.
        """
        ran = self.workspace.run(
            [self.programs[program], *arguments],
            env=_QUIET,
            timeout=timeout,
            network=True if online else None,
            capture=True,
            quiet=quiet,
            secrets=(),
            files={"KUBECONFIG": self.access.text} if online else {"KUBECONFIG": ""},
        )
        if ran.code in accepted:
            return ran
        said = ran.stderr.decode(errors="replace")
        if ran.timed_out and online and (quiet or checked):
            raise TransientError(
                f"{program} {arguments[0]} had no answer of the cluster at {self.access.server} in {timeout:g} s"
            )
        if ran.oom_killed or (ran.code is None and not ran.timed_out):
            why = "ran out of memory" if ran.oom_killed else f"was ended by signal {ran.signal}"
            raise AgentError(f"{program} {why}", "give the stage more `resources.memory`; see the log")
        if online and (problem := platform(said, self.access.server)) is not None:
            raise problem
        if checked:
            raise AgentError(
                f"{program} {arguments[0]} failed: {last_words(said) or f'exit code {ran.code}'}"
            )
        return ran

    def kubectl(self, *arguments: str, **how: object) -> ToolRun:
        return self.run("kubectl", (*arguments, "--namespace", self.namespace), **how)  # type: ignore[arg-type]

    def helm(self, *arguments: str, **how: object) -> ToolRun:
        return self.run("helm", (*arguments, "--namespace", self.namespace), **how)  # type: ignore[arg-type]

    def get(self, *arguments: str) -> tuple[Object, ...]:
        """What there is of what is asked for. What the server has no kind of, is not there."""
        asked = ("get", *arguments, "--ignore-not-found", "--output", "json", "--show-managed-fields=false")
        ran = self.kubectl(*asked, checked=False)
        said = ran.stderr.decode(errors="replace")
        if ran.code != 0 and complaint(said) not in ("unknown kind", "no namespace", "not found"):
            raise AgentError(f"kubectl get failed: {last_words(said)}")
        return objects.read(ran.stdout.decode(errors="replace"), "kubectl") if ran.stdout.strip() else ()

    def live(self, manifests: Path) -> tuple[Object, ...]:
        """The objects of a file as the server has them."""
        return self.get("--filename", str(manifests))

    def delete(self, ids: Sequence[Id], timeout: float = WRITE) -> None:
        """What is gone already is no error."""
        for where in sorted({each.namespace or self.namespace for each in ids}):
            names = [
                f"{each.resource}/{each.name}" for each in ids if (each.namespace or self.namespace) == where
            ]
            self.run(
                "kubectl",
                ("delete", *names, "--namespace", where, "--ignore-not-found", "--wait=false"),
                timeout=timeout,
                quiet=False,
            )

    def write(self, name: str, text: str) -> Path:
        """A file for a tool to read, made anew each time: what tools ran in between may have changed it."""
        folder = self.workspace.scratch / "deploy"
        if folder.is_symlink() or folder.is_file():  # a tool's doing: it would have us write elsewhere
            folder.unlink()
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # what is above it, is open to nobody else
        return put(folder / name, text)


def reach(workspace: Workspace, named: Credentials, namespace: str, needed: Sequence[str]) -> Cluster:
    """``needed``: programs. Raises: AgentError when one is missing, or there is no way to the cluster."""
    operator = operator_settings()
    plugins = operator.get(KUBE_PLUGINS)

    def plugin(command: str) -> str | None:
        path = Path(plugins) / command if plugins else None
        return str(path) if path is not None and path.is_file() else None

    programs = {}
    for program, setting in (("kubectl", KUBECTL), ("helm", HELM)):
        found = operator.get(setting) or workspace.which(program)
        if found is None and program in needed:
            raise AgentError(
                f"there is no {program} where this stage runs",
                f"install {program}, or give the agents {setting}=PATH",
            )
        programs[program] = found or program
    given = access(named, workspace.secret, plugin)
    for each in given.hidden:
        workspace.hide(each)
    return Cluster(workspace, given, namespace or given.namespace or "default", programs)


def kubectl_version(cluster: Cluster) -> str:
    ran = cluster.run("kubectl", ("version", "--client", "--output", "json"), online=False)
    try:
        return str(json.loads(ran.stdout)["clientVersion"]["gitVersion"]).removeprefix("v")
    except (ValueError, LookupError, TypeError):
        return ""


def read_text(root: Path, name: str) -> str:
    """A file of the repository. Raises: AgentError when it is none of text."""
    content = read_inside(root, name)
    if content is None:
        raise AgentError(f"there is no file {name} in the repository")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise AgentError(f"{name} is no text in UTF-8") from error

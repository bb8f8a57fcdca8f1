"""What ``with:`` of a deploy stage may say."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from agents.sdk.options import Inside, InsidePaths
from turnout.core.durations import parse_duration
from turnout.core.model import Value

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?")
_KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,400}")


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError("expected a duration like 90s, 5m or 1h")


def _matching(pattern: re.Pattern[str], wanted: str) -> AfterValidator:
    def check(value: str) -> str:
        if value and not pattern.fullmatch(value):
            raise ValueError(f"expected {wanted}")
        return value

    return AfterValidator(check)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | int) else value


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s@/?#]+(?:[/?#]\S*)?", value):
        raise ValueError("expected an address like https://shop.example.org/health, without a user in it")
    return value


Duration = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Name = Annotated[str, _matching(_NAME, "a name of small letters, digits and -, at most 53")]
Key = Annotated[str, _matching(_KEY, "a key of the chart's values, like image.tag")]
SecretName = Annotated[str, _matching(_SECRET, "the name of a secret")]
Status = Annotated[tuple[Annotated[int, Field(ge=100, le=599)], ...], BeforeValidator(_listed)]


class HelmOptions(Value):
    """``chart``: a folder of the repository. ``set``: values by their keys, over those of the ``values`` files.

    ``release``: empty: the repository's name. ``namespace``: empty: the kubeconfig's, else ``default``.
    """

    chart: Inside = ""
    release: Name = ""
    namespace: Name = ""
    create_namespace: bool = False
    values: InsidePaths = ()
    set: dict[Key, str | int | float | bool] = Field(default_factory=dict)
    skip_crds: bool = False


class KubectlOptions(Value):
    """``manifests``: files and folders of the repository. ``kustomize``: a folder with a kustomization.

    ``release``: what the deploy is recorded as in the cluster. ``prune``: what the release had and the manifests no
    longer have is deleted.
    """

    manifests: InsidePaths = ()
    kustomize: Inside | None = None
    release: Name = ""
    namespace: Name = ""
    create_namespace: bool = False
    prune: bool = False
    force_conflicts: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> KubectlOptions:
        if self.manifests and self.kustomize is not None:
            raise ValueError("expected `manifests` or `kustomize`, not both")
        return self


class ImageOptions(Value):
    """How the image that was built is set. ``stage``: which one built it, empty: the only one there is.

    Helm: the keys of the chart's values; empty: that part is not set. ``reference``: a key for the whole,
    ``name:tag@digest``. kubectl: ``name`` is the image that stands in the manifests, empty: the same repository.
    """

    stage: str = ""
    repository: Key = "image.repository"
    tag: Key = "image.tag"
    digest: Key = "image.digest"
    reference: Key = ""
    name: Annotated[str, _matching(_REPOSITORY, "the name of an image without tag and digest")] = ""


class Verify(Value):
    """A check after the rollout: ``url`` answers a GET with one of ``status`` before ``timeout``, or ``command``,
    a shell's, ends with 0. Where it does not, what was before is put back."""

    url: Annotated[str, AfterValidator(_url)] | None = None
    command: str = ""
    status: Status = (200,)
    timeout: Duration = 60.0
    interval: Duration = 2.0

    @model_validator(mode="after")
    def _one_of_two(self) -> Verify:
        if bool(self.url) == bool(self.command):
            raise ValueError("expected `url` or `command`, one of them")
        return self


class Credentials(Value):
    """The names of the secrets that lead to the cluster. ``context``: of the kubeconfig, empty: its current one."""

    kubeconfig: SecretName = "KUBECONFIG"
    server: SecretName = "KUBE_SERVER"
    token: SecretName = "KUBE_TOKEN"  # noqa: S105 - the name of one
    ca: SecretName = "KUBE_CA"
    context: str = ""


class DeployOptions(Value):
    """``timeout``: seconds that a rollout gets, and putting back what was before gets as many. ``rollback``: whether a
    deploy that fails is rolled back by the agent. ``dry_run``: nothing but the diff. ``image``: false: none is set."""

    helm: HelmOptions | None = None
    kubectl: KubectlOptions | None = None
    image: ImageOptions | Literal[False] = ImageOptions()
    verify: Verify | None = None
    credentials: Credentials = Credentials()
    timeout: Duration = 300.0
    rollback: bool = True
    diff: bool = True
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> DeployOptions:
        if self.helm is not None and self.kubectl is not None:
            raise ValueError("expected `helm` or `kubectl`, not both")
        return self

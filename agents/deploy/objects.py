"""Kubernetes objects as they stand in manifests: read, told apart, masked, compared. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from agents.sdk.workspace import AgentError

MASK = "***"
MOST_NODES = 500_000
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
HOOK = "helm.sh/hook"
_CLEANED = ("resourceVersion", "uid", "generation", "creationTimestamp", "managedFields", "selfLink")

Object = dict[str, Any]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Days and hours stay the texts that they are, as in Go."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":value"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True, order=True)
class Id:
    """``group``: of the API, without its version. ``namespace``: as it stands there, perhaps empty."""

    kind: str
    name: str
    namespace: str = ""
    group: str = ""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind.lower()}/{self.name}{where}"

    @property
    def resource(self) -> str:
        """As kubectl takes it before a ``/``."""
        return f"{self.kind.lower()}.{self.group}" if self.group else self.kind.lower()


def read(text: str, who: str) -> tuple[Object, ...]:
    """The objects of a stream of documents, lists taken apart. ``who``: wrote it, for people.

    Raises: AgentError for what is no YAML, or no object of Kubernetes.
    """
    try:
        documents = list(yaml.load_all(text, _Loader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        raise AgentError(f"{who} cannot be read: {said}") from error
    left = [MOST_NODES]
    found: list[Object] = []
    for each in documents:
        _bounded(each, left, who)
        found += _objects(each, who)
    return tuple(found)


def mapping(text: str, who: str) -> dict[str, Any]:
    """One document that is a mapping, or empty. Raises: AgentError."""
    try:
        found = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AgentError(f"{who} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise AgentError(f"{who} is no mapping")
    return found


def _objects(document: Any, who: str) -> Iterator[Object]:
    if document is None:
        return
    if not isinstance(document, dict):
        raise AgentError(f"{who} holds a document that is no object of Kubernetes")
    if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
        for each in document["items"]:
            yield from _objects(each, who)
        return
    if not document:
        return
    meta = document.get("metadata")
    if not isinstance(meta, dict) or not all(
        isinstance(each, str) and each for each in (document.get("kind"), document.get("apiVersion"))
    ):
        raise AgentError(f"{who} holds a document without apiVersion, kind or metadata")
    if not isinstance(meta.get("name"), str) or not meta["name"]:
        raise AgentError(f"{who}: a {document['kind']} has no metadata.name", "name it")
    yield document


def _bounded(value: Any, left: list[int], who: str) -> None:
    """Aliases of YAML make small texts large; whoever walks over them pays. Raises: AgentError."""
    left[0] -= 1
    if left[0] < 0:
        raise AgentError(
            f"{who} has more than {MOST_NODES} values, aliases counted as often as they are used"
        )
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    for each in inner:
        _bounded(each, left, who)


def identity(each: Mapping[str, Any]) -> Id:
    group, slash, _ = str(each["apiVersion"]).partition("/")
    meta = each["metadata"]
    return Id(each["kind"], meta["name"], str(meta.get("namespace") or ""), group if slash else "")


def placed(id: Id, namespace: str) -> Id:
    """With the namespace that it goes to when it names none; the same for what has none at all, on both sides."""
    return id if id.namespace else Id(id.kind, id.name, namespace, id.group)


def hooks_left_out(objects: Iterable[Object]) -> tuple[Object, ...]:
    """Without those that Helm runs beside the release."""
    return tuple(each for each in objects if HOOK not in (each["metadata"].get("annotations") or {}))


def workloads(objects: Iterable[Object]) -> tuple[Id, ...]:
    """Those that are rolled out."""
    return tuple(
        id for id in map(identity, objects) if id.kind in WORKLOADS and id.group in ("apps", "extensions")
    )


def images(objects: Iterable[Object]) -> tuple[str, ...]:
    """Of every container, also of those that start first, in order, each once."""
    return tuple(dict.fromkeys(image for each in objects for image in _images(each)))


def _images(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("containers", "initContainers", "ephemeralContainers") and isinstance(inner, list):
                for container in inner:
                    if isinstance(container, dict) and isinstance(container.get("image"), str):
                        yield container["image"]
            else:
                yield from _images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _images(inner)


def masked(each: Object) -> Object:
    """For people's eyes: a Secret without its values, also where an annotation repeats them."""
    if each.get("kind") != "Secret" or str(each.get("apiVersion")) != "v1":
        return each
    meta = dict(each["metadata"])
    annotations = dict(meta.get("annotations") or {})
    if "kubectl.kubernetes.io/last-applied-configuration" in annotations:
        annotations["kubectl.kubernetes.io/last-applied-configuration"] = MASK
        meta["annotations"] = annotations
    hidden = {
        part: dict.fromkeys(each[part], MASK)
        for part in ("data", "stringData")
        if isinstance(each.get(part), dict)
    }
    return {**each, "metadata": meta, **hidden}


def secret_values(objects: Iterable[Object]) -> tuple[str, ...]:
    """What stands in Secrets, as it stands there."""
    return tuple(
        dict.fromkeys(
            str(value)
            for each in objects
            if each.get("kind") == "Secret"
            for part in ("data", "stringData")
            if isinstance(each.get(part), dict)
            for value in each[part].values()
            if value not in (None, "")
        )
    )


def shown(objects: Iterable[Object]) -> str:
    """As YAML, Secrets masked."""
    return "---\n".join(
        yaml.safe_dump(masked(each), sort_keys=False, allow_unicode=True, width=110) for each in objects
    )


def cleaned(each: Object) -> Object:
    """As it could be applied again: without what the server adds."""
    meta = {key: value for key, value in each["metadata"].items() if key not in _CLEANED}
    return {key: value for key, value in each.items() if key != "status"} | {"metadata": meta}


@dataclass(frozen=True, slots=True)
class Changes:
    created: tuple[Id, ...] = ()
    configured: tuple[Id, ...] = ()
    unchanged: tuple[Id, ...] = ()
    deleted: tuple[Id, ...] = ()

    def __str__(self) -> str:
        parts = (
            ("created", self.created),
            ("configured", self.configured),
            ("deleted", self.deleted),
            ("unchanged", self.unchanged),
        )
        return ", ".join(f"{len(ids)} {word}" for word, ids in parts if ids) or "no resources"


def changes(before: Sequence[Object], after: Sequence[Object], deleted: Sequence[Id] = ()) -> Changes:
    """``before``, ``after``: the same objects as the server had them. What has a generation has changed with it, other
    things with every write."""
    versions = {identity(each): _version(each) for each in before}
    created, configured, unchanged = [], [], []
    for each in after:
        id = identity(each)
        if id not in versions:
            created.append(id)
        elif versions[id] != _version(each):
            configured.append(id)
        else:
            unchanged.append(id)
    return Changes(tuple(created), tuple(configured), tuple(unchanged), tuple(deleted))


def _version(each: Object) -> str:
    meta = each["metadata"]
    generation = meta.get("generation")
    labels = json.dumps([meta.get("labels"), meta.get("annotations")], sort_keys=True, default=str)
    if generation is None:
        return str(meta.get("resourceVersion"))
    return f"{generation} {re.sub(_REVISION, '', labels)}"


# A controller of the server writes it, after the object has changed.
_REVISION = r'"deployment\.kubernetes\.io/revision": "[^"]*",? ?'


def selector(each: Object) -> str:
    """Of a workload's pods, as kubectl takes it; empty: it has none that a command line can say."""
    labels = (each.get("spec") or {}).get("selector", {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))

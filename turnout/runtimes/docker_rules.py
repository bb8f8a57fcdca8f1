"""What the docker runtime may ask of an engine. `turnout.runtimes.docker_door` lets nothing else by.

Source: Docker Engine API 1.41
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from turnout.runtimes.docker import HOST_ALIAS, SCRATCH

OLDEST = (1, 40)
"""Version of the API: older ones also take a container's settings when it is started."""
_PATH = re.compile(r"(?:/v(\d{1,2})\.(\d{1,3}))?(/[A-Za-z0-9_./-]+)")
_CONTAINER = re.compile(r"/containers/([A-Za-z0-9][A-Za-z0-9_.-]*)(/json|/start|/stop|/logs)?")
_ID = re.compile(r"[0-9a-f]{64}")
_USER = re.compile(r"[1-9]\d*(:\d+)?")
_TMPFS = re.compile(r"rw,exec,nosuid,nodev,mode=1777,size=\d+")
TMP = "/tmp"  # noqa: S108 - the container's own
_VERBS = {("GET", "/json"), ("GET", "/logs"), ("POST", "/start"), ("POST", "/stop"), ("DELETE", None)}

Check = Callable[[Any], bool]


class Refused(Exception):
    """What is asked is nothing that the docker runtime asks."""


@dataclass(frozen=True, slots=True)
class Asked:
    """``path``: as it was sent, with the API's version. ``query``: likewise, without ``?``."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Rules:
    """``images``: those of the agents. ``network``: of the jobs. ``owner``: which Turnout's containers."""

    images: frozenset[str]
    network: str
    owner: str

    @property
    def prefix(self) -> str:
        """How the names of its containers begin."""
        return f"turnout-{self.owner}-" if self.owner else "turnout-"

    def admit(self, asked: Asked, owner_of: Callable[[str], str | None]) -> bytes:
        """The body to send on. ``owner_of``: the owner that a container's labels name, by its id. Raises: Refused."""
        path, query = _path(asked.path), parse_qs(asked.query, keep_blank_values=True)
        if path == "/containers/create" and asked.method == "POST":
            if not _one(query, "name").startswith(self.prefix):
                raise Refused(f"a container is called {self.prefix}…")
            return self._container(asked.body)
        if asked.body:
            raise Refused(f"{asked.method} {path} takes no body")
        match asked.method, path:
            case "GET", "/version" | "/_ping":
                return b""
            case "GET", "/containers/json":
                if f"turnout.owner={self.owner}" not in _labels(query):
                    raise Refused(f"only containers with the label turnout.owner={self.owner} are listed")
                return b""
            case "POST", "/images/create":
                name, tag = _one(query, "fromImage"), _one(query, "tag")
                between = "@" if tag.startswith("sha256:") else ":"
                if "fromSrc" in query or f"{name}{between}{tag}" not in self.images:
                    raise Refused(f"{name}{between}{tag} is no agent's image")
                return b""
            case _:
                self._about(asked.method, path, owner_of)
                return b""

    def _about(self, method: str, path: str, owner_of: Callable[[str], str | None]) -> None:
        found = _CONTAINER.fullmatch(path)
        if found is None or (method, found[2]) not in _VERBS:
            raise Refused(f"{method} {path} is nothing that a launcher asks")
        named = found[1].startswith(self.prefix)
        if not named and not (_ID.fullmatch(found[1]) and owner_of(found[1]) == self.owner):
            raise Refused(f"{found[1]} is no container of this Turnout")

    def _container(self, body: bytes) -> bytes:
        """Made anew of what is known, since the engine reads keys whatever their case, and the last one of two."""
        try:
            given = json.loads(body)
        except ValueError as error:
            raise Refused("the body is no JSON") from error
        host = given.get("HostConfig") if isinstance(given, dict) else None
        if not isinstance(host, dict):
            raise Refused("there is no HostConfig")
        top = {name: value for name, value in given.items() if name != "HostConfig"}
        kept = _only(top, self._settings, ("Image", "User", "Labels"))
        kept["HostConfig"] = _only(
            host,
            self._limits,
            ("ReadonlyRootfs", "CapDrop", "SecurityOpt", "NetworkMode", "Mounts", "RestartPolicy"),
        )
        return json.dumps(kept).encode()

    @property
    def _settings(self) -> Mapping[str, Check]:
        return {
            "Image": lambda it: it in self.images,
            "User": lambda it: isinstance(it, str) and _USER.fullmatch(it) is not None,
            "Labels": lambda it: isinstance(it, dict) and it.get("turnout.owner") == self.owner,
            "Env": lambda it: isinstance(it, list) and all(isinstance(each, str) for each in it),
            "StopTimeout": _number,
            "AttachStdout": _truth,
            "AttachStderr": _truth,
        }

    @property
    def _limits(self) -> Mapping[str, Check]:
        return {
            "ReadonlyRootfs": lambda it: it is True,
            "CapDrop": lambda it: it == ["ALL"],
            "SecurityOpt": lambda it: it == ["no-new-privileges"],
            "NetworkMode": lambda it: it == self.network,
            "Mounts": lambda it: it == [{"Type": "volume", "Target": SCRATCH}],
            "RestartPolicy": lambda it: it == {"Name": "no"},
            "Tmpfs": lambda it: isinstance(it, dict) and set(it) <= {TMP} and _all_match(_TMPFS, it.values()),
            "LogConfig": lambda it: isinstance(it, dict) and it.get("Type") == "json-file",
            "ExtraHosts": lambda it: it == [f"{HOST_ALIAS}:host-gateway"],
            "PidsLimit": _number,
            "Memory": _number,
            "MemorySwap": _number,
            "NanoCpus": _number,
        }


def _only(given: Mapping[str, Any], known: Mapping[str, Check], needed: tuple[str, ...]) -> dict[str, Any]:
    """What is known of it; what says nothing is left out. Raises: Refused for anything else."""
    kept = {name: value for name, value in given.items() if value not in (None, False, "", 0, [], {})}
    for name, value in kept.items():
        if name not in known or not known[name](value):
            raise Refused(f"{name}: {json.dumps(value)[:200]} is nothing that a launcher asks")
    if missing := [name for name in needed if name not in kept]:
        raise Refused(f"{', '.join(missing)}: missing")
    return kept


def _path(given: str) -> str:
    """Without the API's version. Raises: Refused."""
    found = _PATH.fullmatch(given)
    if found is None or ".." in given or "//" in given:
        raise Refused(f"{given[:200]} is no path of the engine's")
    if found[1] is not None and (int(found[1]), int(found[2])) < OLDEST:
        raise Refused(f"version {found[1]}.{found[2]} of the API is too old")
    if found[1] is None and found[3] not in ("/version", "/_ping"):
        raise Refused("the version of the API is missing")
    return found[3]


def _one(query: Mapping[str, list[str]], name: str) -> str:
    """Raises: Refused where it is missing, or said twice, in any case of letters."""
    said = [value for key, values in query.items() if key.lower() == name.lower() for value in values]
    if len(said) != 1 or name not in query:
        raise Refused(f"{name} is said {len(said)} times")
    return said[0]


def _labels(query: Mapping[str, list[str]]) -> list[str]:
    """Raises: Refused."""
    try:
        found = json.loads(_one(query, "filters"))["label"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("filters: expected JSON with labels") from error
    return [str(each) for each in found] if isinstance(found, list) else []


def _all_match(wanted: re.Pattern[str], given: Iterable[Any]) -> bool:
    return all(isinstance(each, str) and wanted.fullmatch(each) for each in given)


def _number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _truth(value: Any) -> bool:
    return value is True

"""The room that buildah runs in, with its storage and its settings.

A project has a few storages, so that builds that run at the same time are not in each other's way; a build takes the
first that is free, and finds the layers that earlier builds left there. Trusted code and forks have storages apart, as
`Workspace.cache` is.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agents.build.asked import Asked
from agents.sdk import disk
from agents.sdk.environment import sandbox
from agents.sdk.operator_build import CACHE, MIRROR
from agents.sdk.workspace import AgentError, ToolRun, Workspace
from turnout.core.durations import format_size, parse_size
from turnout.runtimes.builder_room import BuilderRoom, sweep_groups
from turnout.runtimes.sandbox import Bubblewrap
from turnout.runtimes.sandbox_files import remove_tree
from turnout.runtimes.sandbox_spec import MINIMAL_PATH, Mount

STORAGES = 4
CACHE_SIZE = "10Gi"
GROUPS = "buildah-buildah"  # what runc calls the control groups of steps

AUTH, STORAGE, REGISTRIES = "/run/auth.json", "/run/storage.conf", "/run/registries.conf"
INSIDE = "/storage"
"""Where the room has a build's storage: users of its steps can pass the folders above it."""
_PASSED = frozenset({"ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE"})
_POLICY = json.dumps({"default": [{"type": "insecureAcceptAnything"}]})


def program(name: str) -> str:
    """The path of a builder's program; empty: it is not there."""
    return shutil.which(name, path=MINIMAL_PATH) or ""


def runtime() -> str:
    """What runs the steps. runc first: crun refuses machines with both versions of control groups."""
    return program("runc") or program("crun")


def missing() -> str:
    """Why buildah cannot work here; empty: it can."""
    if not program("buildah"):
        return "buildah is not installed (apt-get install buildah runc netavark, dnf install buildah)"
    if not runtime():
        return "nothing is there to run the steps of a build with (apt-get install runc)"
    if os.geteuid() != 0:
        return (
            "buildah is given a room of its own, which only root can make: run the agents of builds as root"
        )
    held_in = sandbox("auto")
    if not isinstance(held_in, Bubblewrap):
        return held_in.describe()
    return ""


def shares_network() -> bool:
    """Whether tools that ask for the network have this machine's: the operator wants it so, or there is no other."""
    held_in = sandbox("auto")
    return isinstance(held_in, Bubblewrap) and not held_in.network


@dataclass(frozen=True, slots=True)
class Builder:
    """``storage``: this build's, exclusively. ``results``: a folder that the builder writes to."""

    workspace: Workspace
    asked: Asked
    storage: Path
    results: Path

    def run(self, *argv: str, secret: bool = True, quiet: bool = False, capture: bool = False) -> ToolRun:
        """``secret``: whether it is given the credentials of registries. Raises: as `Workspace.run_in`."""
        held_in = sandbox("auto")
        assert isinstance(held_in, Bubblewrap)
        files = {
            STORAGE: self._storage(),
            REGISTRIES: self.registries(),
            "/etc/containers/policy.json": _POLICY,
        }
        auth = self.asked.access.auth_file() if secret else ""
        if auth:
            files[AUTH] = auth
        room = BuilderRoom(held_in.host, held_in.cgroups, files, held_in.network if self.apart else "")
        env = {
            "CONTAINERS_STORAGE_CONF": STORAGE,
            "CONTAINERS_REGISTRIES_CONF": REGISTRIES,
            "BUILDAH_ISOLATION": "oci",
            "BUILDAH_RUNTIME": runtime(),
            "TMPDIR": f"{INSIDE}/tmp",  # noqa: S108 - in the room, where it is this build's own
            **({"REGISTRY_AUTH_FILE": AUTH} if auth else {}),
            **_passed(os.environ),
        }
        mounts = [Mount(self.storage, INSIDE, writable=True), Mount(self.results, writable=True)]
        mounts += [Mount(Path(path)) for name, path in env.items() if name.startswith("SSL_CERT_")]
        clean = False
        try:
            ran = self.workspace.run_in(
                room, argv, mounts=mounts, env=env, network=True, capture=capture, quiet=quiet
            )
            clean = ran.code is not None
            return ran
        finally:
            if not clean:  # the room was ended, and with it whoever would have removed them
                sweep_groups(GROUPS)

    @property
    def apart(self) -> bool:
        """Whether the builder has a network of its own: not where its registry is on this machine's loopback."""
        return not self.asked.near

    def _storage(self) -> str:
        lines = ["[storage]", 'driver = "overlay"']
        lines += [f"{name} = {json.dumps(f'{INSIDE}/{name}')}" for name in ("runroot", "graphroot")]
        return "\n".join(lines) + "\n"

    def registries(self) -> str:
        """Source: containers-registries.conf(5)."""
        lines = ['unqualified-search-registries = ["docker.io"]', 'short-name-mode = "permissive"']
        plain = {*self.asked.access.insecure, *(() if self.apart else ("127.0.0.1", "localhost"))}
        for registry in sorted(plain):
            lines += ["[[registry]]", f"location = {json.dumps(registry)}", "insecure = true"]
        if mirror := self.asked.settings.get(MIRROR, ""):
            host = mirror.partition("/")[0]
            insecure = host in plain or host.partition(":")[0] in plain
            lines += ["[[registry]]", 'location = "docker.io"', "[[registry.mirror]]"]
            lines += [f"location = {json.dumps(mirror)}", f"insecure = {json.dumps(insecure)}"]
        return "\n".join(lines) + "\n"


@contextmanager
def builder(workspace: Workspace, asked: Asked) -> Iterator[Builder]:
    """Waits for a storage. Raises: AgentError where a setting is wrong."""
    most = _cache_size(asked.settings)
    home = _own(workspace.cache / "buildah")
    results = workspace.scratch / "build"
    results.mkdir(mode=0o700, exist_ok=True)
    number, lock = _take(home, workspace)
    try:
        storage = home / str(number)
        if storage.exists() and disk.used(storage, most)[0] > most:
            workspace.log(
                f"the layers kept of earlier builds take more than {format_size(most)}: beginning anew"
            )
            remove_tree(storage)
        remove_tree(storage / "tmp")
        for folder in (storage, storage / "runroot", storage / "graphroot", storage / "tmp"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o711)
        made = Builder(workspace, asked, storage, results)
        if (storage / "unclean").exists():  # a build that was ended left its containers behind
            made.run(program("buildah"), "rm", "--all", secret=False, quiet=True)
        (storage / "unclean").touch()
        yield made
        (storage / "unclean").unlink()
    finally:
        os.close(lock)


def _own(home: Path) -> Path:
    """The folder, ours alone. An installer may write beside it, and could have put another in its place."""
    with suppress(FileNotFoundError):
        seen = home.lstat()
        if not stat.S_ISDIR(seen.st_mode):
            home.unlink()
        elif seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
            remove_tree(home)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return home


def _take(home: Path, workspace: Workspace) -> tuple[int, int]:
    """A storage's number, and the lock on it."""
    opened = [
        os.open(home / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for number in range(STORAGES)
    ]
    taken = -1
    for number, descriptor in enumerate(opened):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        taken = number
        break
    if taken < 0:
        workspace.log(f"waiting: {STORAGES} builds of this project are running here")
        taken = 0
        fcntl.flock(opened[0], fcntl.LOCK_EX)
    for number, descriptor in enumerate(opened):
        if number != taken:
            os.close(descriptor)
    return taken, opened[taken]


def _cache_size(settings: Mapping[str, str]) -> int:
    given = settings.get(CACHE, CACHE_SIZE)
    try:
        return parse_size(given)
    except ValueError as error:
        raise AgentError(f"{CACHE}={given}: {error}", "give a size like 10Gi where the agents run") from error


def _passed(environ: Mapping[str, str]) -> dict[str, str]:
    """How to reach registries: the machine's proxy and certificates, in either case."""
    return {name: value for name, value in environ.items() if name.upper() in _PASSED}

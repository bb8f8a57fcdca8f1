"""The room that kaniko's executor runs in: a root of its own below the attempt's scratch folder.

The executor unpacks images over the root that it finds, and clears it between stages. Changed into a root of its own,
it leaves the agent's files alone. That is no fence against code: a step of the build is root there. What holds it in is
the container around all of it.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.sdk.workspace import AgentError
from turnout.runtimes.sandbox_files import remove_tree

EXECUTOR = "/kaniko/executor"
CONTEXT, AUTH, DIGEST, LAYOUT, BUNDLE = (
    "/kaniko/context",
    "/kaniko/.docker/config.json",
    "/kaniko/digest",
    "/kaniko/layout",
    "/kaniko/ssl/certs/ca-certificates.crt",
)
_SYS_CHROOT = 18  # Source: capabilities(7), linux/capability.h
_DEVICES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
_RESOLVING = ("resolv.conf", "hosts", "nsswitch.conf")
# The executor leaves alone, and out of images, what is mounted. Source: proc(5), "/proc/pid/mountinfo".
_MOUNTS = "".join(
    f"{number} 1 0:{number} / {place} rw - none none rw\n"
    for number, place in enumerate(
        ["/proc", "/sys", "/dev", "/kaniko", *(f"/etc/{name}" for name in _RESOLVING)], 20
    )
)


def contained(root: Path = Path("/")) -> bool:
    """Whether this process is in a container: the root of a machine is no overlay, and engines leave their marks."""
    for mark in (".dockerenv", "run/.containerenv", "var/run/secrets/kubernetes.io"):
        if (root / mark).exists():
            return True
    try:
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
        groups = (root / "proc/1/cgroup").read_text()
    except OSError:
        return False
    at_root = [line.partition(" - ")[2].split(" ")[0] for line in mounts if line.split(" ")[4] == "/"]
    named = any(word in groups for word in ("/docker", "/kubepods", "/libpod", "/containerd", "/actions_job"))
    return named or at_root[-1:] in (["overlay"], ["fuse-overlayfs"])


def rights(status: Path = Path("/proc/self/status")) -> str:
    """Which one is missing; empty: none is."""
    if os.geteuid() != 0:
        return "it unpacks images with their owners: run this agent's container as root"
    held = next(
        (int(line.split()[1], 16) for line in status.read_text().splitlines() if line.startswith("CapEff:")),
        0,
    )
    if not held >> _SYS_CHROOT & 1:
        return "it is given a root of its own: let this agent's container keep CAP_SYS_CHROOT"
    return ""


@contextmanager
def room(place: Path, executor: Path, checkout: Path, auth: str) -> Iterator[Path]:
    """The root, gone at the end. ``auth``: Docker's ``config.json``, empty: there is none."""
    remove_tree(place)
    place.mkdir(mode=0o700)
    root = place / "root"
    root.mkdir(mode=0o755)
    try:
        for folder in (
            "kaniko/ssl/certs",
            "kaniko/.docker",
            "kaniko/tmp",
            "dev",
            "etc",
            "proc/self",
            "sys",
            "root",
        ):
            (root / folder).mkdir(parents=True)
        for folder in ("tmp", "var/tmp"):
            (root / folder).mkdir(parents=True)
            (root / folder).chmod(0o1777)
        shutil.copyfile(executor, root / "kaniko/executor")
        (root / "kaniko/executor").chmod(0o755)
        shutil.copytree(
            checkout, _inside(root, CONTEXT), symlinks=True, ignore=lambda where, _: _git(where, checkout)
        )
        _settings(root, auth)
        _devices(root)
        yield root
    except OSError as error:
        raise AgentError(f"kaniko's room could not be made: {error}", "is there room on the disk?") from error
    finally:
        remove_tree(place)


def _git(where: str, checkout: Path) -> list[str]:
    return [".git"] if Path(where) == checkout else []


def _settings(root: Path, auth: str) -> None:
    for name in _RESOLVING:
        source = Path("/etc", name)
        (root / "etc" / name).write_bytes(source.read_bytes() if source.is_file() else b"")
    for each in (os.environ.get("SSL_CERT_FILE", ""), *_CERTIFICATES):
        if each and Path(each).is_file():
            shutil.copyfile(each, _inside(root, BUNDLE))
            break
    (root / "proc/self/mountinfo").write_text(_MOUNTS)
    if auth:
        descriptor = os.open(_inside(root, AUTH), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(auth)


def _devices(root: Path) -> None:
    """Where we may make none, the steps have none: few need one."""
    for name, major, minor in _DEVICES:
        try:
            os.mknod(root / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
            (root / "dev" / name).chmod(0o666)
        except PermissionError:
            return
    for name, target in (
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
    ):
        (root / "dev" / name).symlink_to(target)


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")

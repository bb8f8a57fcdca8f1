"""What bubblewrap's sandbox is made of: what was found on this machine, once."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

RLIMIT_NPROC_PER_NAMESPACE = (5, 14)  # the first Linux that counts processes per user namespace

SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")

# What programs look up in /etc, without the machine's own accounts, names and credentials.
ETC = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "debian_version", "fonts",
    "java*", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic", "magic.mime", "maven",
    "mime.types", "os-release", "perl", "pki", "protocols", "python3*", "services", "ssl", "terminfo", "timezone",
)  # fmt: skip
ETC_NETWORK = ("gai.conf", "host.conf", "hosts", "resolv.conf")


@dataclass(frozen=True, slots=True)
class Host:
    """What was found on this machine, once.

    ``user``: who tools run as. ``drops``: we are root and become that user.
    ``system``: the top folders of the system; a link's target, or None for a folder of its own.
    ``etc``: the names in /etc that exist. ``linked``: where those of them are that are links.
    ``prefix``: this Python, where it lies outside the system.
    ``prlimit``: the program, where a limit on processes holds inside the sandbox alone.
    """

    bwrap: str
    version: tuple[int, ...]
    user: int
    group: int
    drops: bool
    machine: str
    system: tuple[tuple[str, str | None], ...]
    etc: tuple[str, ...]
    etc_network: tuple[str, ...]
    prefix: Path | None
    prlimit: str | None
    linked: tuple[str, ...] = ()


def look(bwrap: str, version: tuple[int, ...], owner: int, root: Path = Path("/")) -> Host:
    """Look around. ``owner``: whom tools run as if we are root."""
    drops = os.geteuid() == 0
    system = [
        (name, os.readlink(root / name) if (root / name).is_symlink() else None)
        for name in SYSTEM
        if (root / name).exists()
    ]
    prefix = Path(sys.base_prefix).resolve()
    uname = os.uname()
    kernel = tuple(int(part) for part in uname.release.split("-")[0].split(".")[:2] if part.isdecimal())
    prlimit = root / "usr/bin/prlimit"
    etc, etc_network = _present(root / "etc", ETC), _present(root / "etc", ETC_NETWORK)
    places = [root / "etc" / name for name in (*etc, *etc_network)]
    return Host(
        bwrap=bwrap,
        version=version,
        user=owner if drops else os.getuid(),
        group=owner if drops else os.getgid(),
        drops=drops,
        machine=uname.machine,
        system=tuple(system),
        etc=tuple(etc),
        etc_network=tuple(etc_network),
        prefix=None if any(prefix.is_relative_to(f"/{name}") for name in SYSTEM) else prefix,
        prlimit=str(prlimit) if kernel >= RLIMIT_NPROC_PER_NAMESPACE and prlimit.exists() else None,
        linked=tuple(str(place.resolve()) for place in places if place.is_symlink()),
    )


def _present(folder: Path, patterns: Iterable[str]) -> list[str]:
    return sorted(path.name for pattern in patterns for path in folder.glob(pattern) if path.exists())


def shown(host: Host) -> tuple[str, ...]:
    """What bubblewrap reads of this machine, apart from what is staged."""
    own = (host.bwrap, os.path.realpath(host.bwrap), "/etc", "/proc", "/dev/pts")
    return (*own, *(f"/{name}" for name, _ in host.system), *host.linked)


def is_binary(path: str) -> bool:
    """A regular file that everyone may run, and that needs no interpreter."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        mode = os.fstat(descriptor).st_mode
        return stat.S_ISREG(mode) and mode & 0o005 == 0o005 and os.read(descriptor, 4) == b"\x7fELF"
    finally:
        os.close(descriptor)

"""Files that are in Git LFS: their pointers in a tree become their content.

git-lfs reads its settings from the commit as well (``.lfsconfig``), which could send it, and what it is given to log in
with, anywhere. So it is run in a repository of its own, beside the mirror, that has nothing but a commit of ours with
the pointers that are wanted, and is told the address. Its objects stay there for the next attempt.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from turnout.adapters.git_command import Address, Git, GitFailed, said
from turnout.adapters.mirror import Mirror
from turnout.core.durations import format_size
from turnout.core.errors import PermanentError, TransientError

ATTRIBUTE = "filter=lfs"
LARGEST_POINTER = 1024  # bytes. Source: git-lfs, docs/spec.md
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>[0-9]{1,18})\n?"
)
_WHO = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Turnout"), ("EMAIL", "turnout@localhost"), ("DATE", "@0 +0000"))
}


@dataclass(frozen=True, slots=True)
class Pointer:
    """``blob``: git's id of the pointer itself. ``size`` of the content, in bytes."""

    path: bytes
    blob: str
    oid: str
    size: int


def pointers(git: Git, tree: Path) -> tuple[Pointer, ...]:
    """What a fresh checkout has of them: files that its attributes give to LFS, and that are pointers."""
    listed = git.run(["ls-files", "--stage", "-z", "--", f":(attr:{ATTRIBUTE})"], at=tree)
    found: list[Pointer] = []
    for line in filter(None, listed.split(b"\0")):
        head, _, path = line.partition(b"\t")
        mode, blob, _ = head.split(b" ")
        match = (
            _POINTER.fullmatch(_small(os.fsencode(tree) + b"/" + path)) if mode.startswith(b"100") else None
        )
        if match:
            found.append(Pointer(path, blob.decode(), match["oid"].decode(), int(match["size"])))
    return tuple(found)


def may_have_pointers(tree: Path) -> bool:
    """Whether the attributes at the tree's top speak of LFS; costs no process."""
    try:
        handle = os.open(tree / ".gitattributes", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with os.fdopen(handle, "rb") as file:
        return stat.S_ISREG(os.fstat(handle).st_mode) and ATTRIBUTE.encode() in file.read(1_000_000)


def fill(mirror: Mirror, tree: Path, found: Sequence[Pointer], most: int | None) -> None:
    """Put the content where the pointers are. ``most``: bytes that all of it may have.

    Raises: PermanentError (git-lfs is missing, an object is, too large), TransientError (the server is away).
    """
    total = sum(each.size for each in found)
    if most is not None and total > most:
        raise PermanentError(
            f"the files of {mirror.remote} in Git LFS have {format_size(total)}, more than the {format_size(most)} "
            "that an attempt may write",
            "raise TURNOUT_DISK where the agents run",
        )
    store = mirror.path.with_suffix(".lfs")
    wanted = {each.oid: each for each in found if not _object(store, each.oid).exists()}
    if wanted:
        _fetch(mirror, store, list(wanted.values()))
    for each in found:
        _write(_object(store, each.oid), Path(os.fsdecode(os.fsencode(tree) + b"/" + each.path)), each)
    # What git would compare is the pointer: without its filter, every one of them would be a change.
    names = b"".join(each.path + b"\0" for each in found)
    mirror.git.run(["update-index", "--assume-unchanged", "-z", "--stdin"], at=tree, stdin=names)


def _object(store: Path, oid: str) -> Path:
    return store / "lfs" / "objects" / oid[:2] / oid[2:4] / oid


def _fetch(mirror: Mirror, store: Path, wanted: Sequence[Pointer]) -> None:
    git = mirror.git
    Mirror(store, mirror.remote, git).make()
    (store / "objects/info/alternates").write_text(f"{mirror.objects}\n")
    listing = "".join(f"100644 blob {each.blob}\t{number}\n" for number, each in enumerate(wanted))
    made = git.run(["mktree"], at=store, stdin=listing.encode()).decode().strip()
    commit = git.run(["commit-tree", made, "-m", "wanted"], at=store, env=_WHO).decode().strip()
    url = endpoint(mirror.remote)
    settings = {
        "remote.origin.url": mirror.remote.url,
        "lfs.locksverify": "false",
        **({"lfs.url": url} if url else {}),
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    remote = Address(url or mirror.remote.url, mirror.remote.folder, mirror.remote.credential)
    try:
        git.run([*options, "lfs", "fetch", "origin", commit], at=store, remote=remote)
    except GitFailed as error:
        if "'lfs' is not a git command" in error.said:
            raise PermanentError(
                "git-lfs is not installed, and the pipeline's `checkout` asks for `lfs: true`",
                "install it where the agents run: apt-get install git-lfs",
            ) from error
        raise said("fetching Git LFS objects from", mirror.remote, error) from error


def endpoint(remote: Address) -> str:
    """Where git-lfs asks; empty: it knows itself (over ssh, from a folder).

    Source: git-lfs, docs/api/server-discovery.md.
    """
    if not remote.url.startswith(("http://", "https://")):
        return ""
    plain = remote.url.rstrip("/")
    return f"{plain}{'' if plain.endswith('.git') else '.git'}/info/lfs"


def _small(path: bytes) -> bytes:
    """The content of a plain file that is small enough for a pointer; of anything else nothing."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(handle, "rb") as file:
        known = os.fstat(handle)
        return file.read() if stat.S_ISREG(known.st_mode) and known.st_size <= LARGEST_POINTER else b""


def _write(source: Path, place: Path, pointer: Pointer) -> None:
    try:
        size = source.stat().st_size
        if size != pointer.size:
            name = f"the Git LFS object {pointer.oid[:12]}"
            raise PermanentError(f"{name} has {size} bytes, its pointer says {pointer.size}")
        handle = os.open(place, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)
        with source.open("rb") as content, os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
    except FileNotFoundError as error:
        raise PermanentError(f"the Git LFS object {pointer.oid[:12]} of {place.name} did not come") from error
    except OSError as error:
        raise TransientError(f"{place} can't be written: {error.strerror}") from error

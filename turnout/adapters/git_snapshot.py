"""A commit of a working tree as it is, uncommitted changes included, without touching the user's repository.

Its objects go to the mirror alone: a temporary index, another object directory. The same tree on the same commit
makes the same commit id, whenever and by whomever it is made.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turnout.adapters.git_command import Git, GitFailed, address, said
from turnout.adapters.mirror import Mirror, Mirrors
from turnout.core.errors import PermanentError

_MESSAGE = "The working tree, with changes that are not committed\n"
_CAREFUL = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.splitIndex=false",
    "-c", "core.untrackedCache=false",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``root``: the top of the working tree. ``head``: the commit it is based on, empty: none yet.

    ``branch``: the one that is checked out, empty: none is. ``dirty``: ``sha`` is not ``head``.
    """

    root: Path
    sha: str
    head: str
    branch: str
    dirty: bool


def snapshot(mirrors: Mirrors, path: Path) -> Snapshot:
    """Tracked and untracked files, ``.gitignore`` honoured; also of a folder that is no git repository.

    Raises: PermanentError (no such folder, not readable), TransientError (the disk is full).
    """
    start = path.expanduser().absolute().resolve()
    if not start.is_dir():
        raise PermanentError(f"{path} is not a folder", "name the folder of a checkout")
    git = mirrors.git
    git.prepare()
    try:
        inside = git.run(["rev-parse", "--is-bare-repository"], at=start) == b"false\n"
    except GitFailed:
        return _of_folder(mirrors, start)
    if not inside:
        head = _line(git, start, "rev-parse", "--verify", "--quiet", "HEAD")
        if not head:
            raise PermanentError(f"{start} is a bare repository without a commit")
        return Snapshot(start, head, head, _branch(git, start), dirty=False)
    root = Path(git.run(["rev-parse", "--show-toplevel"], at=start).decode().removesuffix("\n"))
    return _of_repository(mirrors, root)


def _of_repository(mirrors: Mirrors, root: Path) -> Snapshot:
    mirror = mirrors.of(str(root))
    mirror.make()
    git = mirror.git
    head = _line(git, root, "rev-parse", "--verify", "--quiet", "HEAD")
    branch = _branch(git, root)
    if head:
        mirror.ensure(head, f"refs/heads/{branch}" if branch else "")
    index = Path(_line(git, root, "rev-parse", "--path-format=absolute", "--git-path", "index"))
    env = {"GIT_OBJECT_DIRECTORY": str(mirror.objects)}
    with tempfile.TemporaryDirectory(prefix="turnout-index-") as temporary:
        env["GIT_INDEX_FILE"] = f"{temporary}/index"
        try:
            # The user's index knows which files have not changed, so they need not be read again.
            if not index.exists():
                raise FileNotFoundError(index)
            shutil.copy2(index, env["GIT_INDEX_FILE"])
            tree = _tree(git, root, env)
        except (GitFailed, OSError):  # it names objects that only the user's repository has, or there is none
            Path(env["GIT_INDEX_FILE"]).unlink(missing_ok=True)
            tree = _fresh_tree(mirror, root, env, head)
    if head and tree == _line(git, mirror.path, "rev-parse", f"{head}^{{tree}}"):
        return Snapshot(root, head, head, branch, dirty=False)
    return Snapshot(root, _commit(mirror, tree, head), head, branch, dirty=True)


def _of_folder(mirrors: Mirrors, root: Path) -> Snapshot:
    mirror = mirrors.of(str(root))
    mirror.make()
    with tempfile.TemporaryDirectory(prefix="turnout-index-") as temporary:
        env = {
            "GIT_DIR": str(mirror.path),
            "GIT_WORK_TREE": str(root),
            "GIT_INDEX_FILE": f"{temporary}/index",
        }
        tree = _fresh_tree(mirror, root, env, "")
    return Snapshot(root, _commit(mirror, tree, ""), "", "", dirty=True)


def _fresh_tree(mirror: Mirror, root: Path, env: Mapping[str, str], head: str) -> str:
    try:
        if head:
            mirror.git.run([*_CAREFUL, "read-tree", head], at=root, env=env)
        return _tree(mirror.git, root, env)
    except GitFailed as error:
        raise said("reading the working tree of", address(str(root)), error) from error


def _tree(git: Git, root: Path, env: Mapping[str, str]) -> str:
    ignored = _users_ignores()
    ours = [*_CAREFUL, *(["-c", f"core.excludesFile={ignored}"] if ignored else [])]
    git.run([*ours, "add", "--all", "--", "."], at=root, env=env)
    return git.run([*_CAREFUL, "write-tree"], at=root, env=env).decode().strip()


def _users_ignores() -> str:
    """What the user ignores everywhere: the one thing of their configuration that counts here."""
    asked = subprocess.run(
        ["git", "config", "--global", "--type=path", "--get", "core.excludesFile"],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode == 0:
        return asked.stdout.strip()
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path("~").expanduser() / ".config")
    default = Path(base, "git", "ignore")
    return str(default) if default.exists() else ""


def _commit(mirror: Mirror, tree: str, head: str) -> str:
    when = _line(mirror.git, mirror.path, "show", "--no-patch", "--format=%ct", head) if head else "0"
    env = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Turnout"), ("EMAIL", "turnout@localhost"), ("DATE", f"@{when} +0000"))
    }
    parents = ["-p", head] if head else []
    out = mirror.git.run(
        ["commit-tree", *parents, "-F", "-", tree], at=mirror.path, env=env, stdin=_MESSAGE.encode()
    )
    sha = out.decode().strip()
    mirror.keep(sha)
    return sha


def _branch(git: Git, at: Path) -> str:
    return _line(git, at, "symbolic-ref", "--quiet", "--short", "HEAD")


def _line(git: Git, at: Path, *arguments: str) -> str:
    """What git answers in one line; empty where it has no answer."""
    try:
        return git.run(arguments, at=at).decode("utf-8", "surrogateescape").removesuffix("\n")
    except GitFailed:
        return ""

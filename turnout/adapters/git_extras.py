"""What a checkout has besides the commit's own files, where the pipeline file asks for it: submodules, Git LFS."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from turnout.adapters import git_lfs
from turnout.adapters.git_submodules import Submodule, careful, fetched_from, server_of, submodules
from turnout.adapters.mirror import Mirror, Mirrors
from turnout.core.errors import PermanentError, TransientError
from turnout.core.plan import CheckoutOptions

DEEPEST = 10  # submodules within each other
MOST = 500  # of all depths together


@dataclass
class Extras:
    """For one checkout. ``home``: the mirror of the repository itself. ``trusted``: the commit is no fork's.

    ``most``: bytes that may come from Git LFS, None: any number. ``say``: a line for the log. ``patiently`` does what a
    server that is away can keep from being done, again if need be. ``objects``: folders that git's objects are in,
    which tools need to see.
    """

    mirrors: Mirrors
    home: Mirror
    options: CheckoutOptions
    trusted: bool
    most: int | None
    say: Callable[[str], None]
    patiently: Callable[[Callable[[], None]], None] = lambda work: work()
    objects: list[Path] = field(default_factory=list)
    _count: int = 0

    def add(self, sha: str, tree: Path) -> None:
        """Into the fresh checkout ``tree`` of ``sha``. Raises: PermanentError, TransientError."""
        self._add(self.home, sha, tree, "", 0)

    def _add(self, mirror: Mirror, sha: str, tree: Path, where: str, depth: int) -> None:
        # First the submodules: what git says of a tree with them is the same.
        if self.options.submodules != "none" and (depth == 0 or self.options.submodules == "recursive"):
            for each in submodules(mirror, sha):
                self._submodule(mirror, each, tree, where, depth)
        self._lfs(mirror, tree, where)

    def _submodule(self, parent: Mirror, wanted: Submodule, tree: Path, where: str, depth: int) -> None:
        name = f"{where}{wanted.path}"
        self._count += 1
        if depth >= DEEPEST or self._count > MOST:
            raise PermanentError(
                f"the submodule {name!a} is one too many: {MOST} in all, {DEEPEST} within each other"
            )
        remote = fetched_from(
            wanted.url,
            parent.remote,
            self.home.remote,
            elsewhere=self.options.elsewhere,
            ssh=self.trusted,
        )
        if remote.url.removesuffix(".git") == self.home.remote.url.removesuffix(".git"):
            mirror = self.home  # another commit of the repository itself
        else:
            # No credential, and nothing that another repository's attempts have fetched with theirs.
            mirror = self.mirrors.at(remote, for_=self.home.remote.url)
        try:
            self.patiently(lambda: self._ensure(mirror, wanted.sha))
        except PermanentError as error:
            raise PermanentError(
                f"the submodule {name!a}: {error.message}",
                error.hint
                if mirror is self.home or "credential" not in error.hint
                else f"the credential of this project is for {self.home.remote} alone: "
                "a submodule must be readable by all",
            ) from error
        into = _folder(tree, wanted.path)
        mirror.checkout(wanted.sha, into)
        self.objects.append(mirror.objects)
        self.say(f"checked out the submodule {name} at {wanted.sha[:12]}")
        self._add(mirror, wanted.sha, into, f"{name}/", depth + 1)

    def _ensure(self, mirror: Mirror, sha: str) -> None:
        if mirror is self.home:
            mirror.ensure(sha)
        elif not mirror.has(sha):
            options = careful(mirror.remote, self.home.remote)
            replace(mirror, options=options).ensure(sha, shallow=True)

    def _lfs(self, mirror: Mirror, tree: Path, where: str) -> None:
        if not self.options.lfs and not git_lfs.may_have_pointers(tree):
            return
        found = git_lfs.pointers(mirror.git, tree)
        if not found:
            return
        named = f"{where}{os.fsdecode(found[0].path)}" + (f" and {len(found) - 1} more" if found[1:] else "")
        if not self.options.lfs:
            self.say(
                f"in Git LFS, so only pointers are here: {named}. `checkout: {{lfs: true}}` in the pipeline file "
                "fetches the files"
            )
        elif server_of(mirror.remote) != server_of(self.home.remote):
            # Such a server names further addresses, which would be asked from here.
            self.say(
                f"in Git LFS on another server than the repository's, so only pointers are here: {named}"
            )
        else:
            self.patiently(lambda: git_lfs.fill(mirror, tree, found, self.most))
            self.say(f"fetched from Git LFS: {named}")


def _folder(tree: Path, path: str) -> Path:
    """The empty folder that git has made for a submodule. Raises: PermanentError where there is something else."""
    place = tree
    for step in path.split("/"):
        place = place / step
        try:
            kind = place.lstat().st_mode
        except OSError as error:
            raise TransientError(f"{place}: {error.strerror}") from error
        if step.lower() in ("", ".", "..", ".git") or not stat.S_ISDIR(kind):
            raise PermanentError(f"the submodule {path!a} has no folder of its own in the checkout")
    if any(place.iterdir()):
        raise PermanentError(f"the folder of the submodule {path!a} is not empty")
    return place

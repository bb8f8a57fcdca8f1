"""Mirrors of remotes on this machine: a commit is fetched once, and a working tree of it costs one git process.

A mirror is a bare repository below ``mirrors/``. Readers need no lock. One writer at a time fetches, under a lock that
its git inherits, so that a fetch which outlives a killed worker still keeps the others out. What a killed fetch
left behind is removed by the next one. ``refs/turnout/keep/<sha>`` says that a commit is here with all that it needs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from turnout.adapters.git_command import Address, Credential, Git, GitFailed, address, said
from turnout.adapters.source_text import check_size, text_of
from turnout.core.change import Change
from turnout.core.comparing import Base, base_of
from turnout.core.errors import PermanentError, TransientError

MOST_PACKS = 40
_KEEP = "refs/turnout/keep"
_MIRROR_CONFIG = """\
[core]
\trepositoryFormatVersion = 0
\tbare = true
\tsharedRepository = 0644
"""
_TREE_CONFIG = """\
[core]
\trepositoryFormatVersion = 0
\tbare = false
\tlogAllRefUpdates = false
\tcheckStat = minimal
\ttrustctime = false
"""


def _sha(text: str) -> str:
    if len(text) not in (40, 64) or not all(each in "0123456789abcdef" for each in text):
        raise PermanentError(f"{text!r} is no full commit id", "give all 40 hex digits")
    return text


@dataclass(frozen=True, slots=True)
class Mirror:
    """One remote's mirror. Every method may be called from many processes at once. ``options``: git's, for fetching."""

    path: Path
    remote: Address
    git: Git
    options: tuple[str, ...] = ()

    @property
    def objects(self) -> Path:
        return self.path / "objects"

    def make(self) -> None:
        """Make the empty repository, whole or not at all. Idempotent."""
        self.git.prepare()
        if (self.path / "HEAD").exists():
            return
        made = self.path.with_name(f".{self.path.name}.{os.getpid()}-{threading.get_ident()}")
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
            (made / folder).mkdir(parents=True, exist_ok=True)
        (made / "config").write_text(_MIRROR_CONFIG)
        (made / "HEAD").write_text("ref: refs/heads/main\n")
        try:
            made.rename(self.path)
        except OSError:  # somebody else was quicker
            if not (self.path / "HEAD").exists():
                raise
            _remove(made)

    def has(self, sha: str) -> bool:
        """Whether the commit is here with all that it needs; False where only git can tell."""
        return (self.path / _KEEP / _sha(sha)).exists()

    def ensure(self, sha: str, ref: str = "", *, shallow: bool = False) -> bool:
        """Fetch the commit unless it is here. ``ref`` helps with servers that give no bare commits.

        ``shallow``: nothing of its history and no tags, for a mirror that is hardly used twice.

        False: it was here. Raises: TransientError (the remote is away), PermanentError (no such commit).
        """
        if self.has(sha):
            return False
        self.make()
        with self._writing() as lock:
            if self.has(sha) or self._found(sha):
                return False
            self._clear_debris()
            wanted = [
                [sha],
                [f"+{ref}:refs/turnout/seen/{ref}"] if ref else [],
                ["+refs/heads/*:refs/heads/*"],
            ]
            refused: GitFailed | None = None
            for specs in filter(None, wanted):
                try:
                    self._fetch(specs, lock, shallow=shallow and specs != wanted[-1])
                except GitFailed as error:
                    problem = said("fetching from", self.remote, error)
                    if isinstance(problem, TransientError):
                        raise problem from error
                    refused = refused or error
                else:
                    self._roll_up()
                    if specs == [sha]:  # git has checked that nothing is missing
                        self.keep(sha)
                        return True
                if self._found(sha):
                    return True
        if refused is not None and "unadvertised object" in refused.said:
            raise PermanentError(
                f"{self.remote} gives only commits that a branch or tag of it holds, and none holds {sha}",
                "it was rewritten away, by a force-push it may be: run the newest commit; or let the server give it "
                "(git config uploadpack.allowAnySHA1InWant true)",
            )
        if refused is not None and not _no_such_object(refused):
            raise said("fetching from", self.remote, refused) from refused
        raise PermanentError(
            f"{self.remote} has no commit {sha}", "was the branch pushed, or has it been rewritten since?"
        )

    def keep(self, sha: str) -> None:
        """Note that the commit is here with all that it needs."""
        self.git.run(["update-ref", f"{_KEEP}/{_sha(sha)}", sha], at=self.path)

    def fetch_branch(self, name: str) -> str:
        """Fetch what the branch points to now; its commit. Raises: TransientError, PermanentError."""
        return self.fetch_ref(f"refs/heads/{name}")

    def fetch_ref(self, name: str) -> str:
        """Fetch what the full ref points to now; its commit, also of a tag. Raises: TransientError, PermanentError."""
        self.make()
        ref = f"refs/turnout/seen/{name}"
        with self._writing() as lock:
            self._clear_debris()
            try:
                self._fetch([f"+{name}:{ref}"], lock)
            except GitFailed as error:
                raise said("fetching from", self.remote, error) from error
        return self.git.run(["rev-parse", "--verify", f"{ref}^{{commit}}"], at=self.path).decode().strip()

    def checkout(self, sha: str, into: Path) -> None:
        """A working tree of exactly this commit at ``into``, which must not exist or be empty.

        Its index goes by what a change makes another one of a file, not by who has it where: trees change hands.
        Its repository borrows the mirror's objects, so tools that ask git need to see `objects` too.
        By hand and one ``read-tree``: 97 ms for 300 files, where ``clone --shared`` and ``checkout`` took 120 and a
        worktree 109, which besides would let tools write to the mirror.
        Raises: TransientError (the disk is full), PermanentError.
        """
        inner = into / ".git"
        try:
            for folder in ("objects/info", "refs/heads", "refs/tags"):
                (inner / folder).mkdir(parents=True, exist_ok=True)
            (inner / "config").write_text(_TREE_CONFIG)
            (inner / "HEAD").write_text(f"{_sha(sha)}\n")
            (inner / "objects/info/alternates").write_text(f"{self.objects}\n")
            (inner / "packed-refs").write_bytes(self._tags())
            if (self.path / "shallow").exists():  # where history ends, so that git misses nothing
                (inner / "shallow").write_bytes((self.path / "shallow").read_bytes())
        except OSError as error:
            raise TransientError(f"{into} can't be written: {error.strerror}") from error
        try:
            self.git.run(["read-tree", "--reset", "-u", sha], at=into)
        except GitFailed as error:
            raise said(f"checking out {sha} of", self.remote, error) from error

    def state(self) -> tuple[int, ...]:
        """Changes when a tree of the same commit would be another one: with the tags, and with where history ends."""
        found: list[int] = []
        tags = [folder for folder, _, _ in os.walk(f"{self.path}/refs/tags")]
        for path in (f"{self.path}/packed-refs", f"{self.path}/shallow", *tags):
            with suppress(FileNotFoundError):
                seen = os.stat(path)
                found += [seen.st_mtime_ns, seen.st_ino, seen.st_size]
        return tuple(found)

    def _tags(self) -> bytes:
        if not (self.path / "packed-refs").exists() and not any((self.path / "refs/tags").iterdir()):
            return b""
        out = self.git.run(["for-each-ref", "--format=%(objectname) %(refname)", "refs/tags"], at=self.path)
        return b"# pack-refs with: sorted\n" + out

    def _found(self, sha: str) -> bool:
        """Ask git: a commit that only half arrived isn't there."""
        try:
            self.git.run(["rev-list", "--objects", "--quiet", sha, "--not", "--all"], at=self.path)
        except GitFailed:
            return False
        self.keep(sha)
        return True

    def _fetch(self, specs: list[str], lock: int, *, shallow: bool = False) -> None:
        # One pack a fetch: it is there whole or not at all, while loose objects come one by one.
        options = ("-c", "fetch.unpackLimit=1", "fetch", "--quiet", "--force", "--update-shallow")
        unwanted = ("--no-write-fetch-head", "--no-auto-gc", "--no-recurse-submodules", "--no-tags")
        whole = ["--unshallow"] if (self.path / "shallow").exists() else []
        depth, tags = (["--depth=1"], []) if shallow else (whole, ["+refs/tags/*:refs/tags/*"])
        self.git.run(
            [*self.options, *options, *unwanted, *depth, "--", self.remote.url, *specs, *tags],
            at=self.path,
            remote=self.remote,
            keep=[lock],
        )

    def _roll_up(self) -> None:
        """Each fetch makes a pack; many of them make every look-up slow. Readers may go on meanwhile."""
        if len(list(self.path.glob("objects/pack/*.pack"))) > MOST_PACKS:
            try:
                self.git.run(["repack", "--geometric=2", "-d", "--quiet"], at=self.path)
            except GitFailed:
                pass  # an old git, or a full disk: slow, but not wrong

    @contextmanager
    def _writing(self) -> Iterator[int]:
        lock = os.open(f"{self.path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def _clear_debris(self) -> None:
        """Under the lock, whatever looks like a fetch under way is one that was killed."""
        for pattern in (
            "*.lock",
            "refs/**/*.lock",
            "objects/pack/tmp_*",
            "objects/pack/.tmp-*",
            "objects/tmp_*",
        ):
            for each in self.path.glob(pattern):
                each.unlink(missing_ok=True)


def _no_such_object(failed: GitFailed) -> bool:
    words = ("not our ref", "unadvertised object", "couldn't find remote ref", "bad object", "missing blob")
    return any(each in failed.said for each in words)


def _remove(folder: Path) -> None:
    for where, folders, files in os.walk(folder, topdown=False):
        for name in files:
            Path(where, name).unlink()
        for name in folders:
            Path(where, name).rmdir()
    folder.rmdir()


@dataclass(frozen=True, slots=True)
class Mirrors:
    """All mirrors of one home."""

    home: Path

    @property
    def git(self) -> Git:
        return Git(self.home / "mirrors" / "gitconfig")

    def of(self, clone_url: str, credential: Credential | None = None) -> Mirror:
        """Raises: PermanentError for an address that is not allowed."""
        return self.at(address(clone_url, credential))

    def at(self, remote: Address, *, for_: str = "", options: tuple[str, ...] = ()) -> Mirror:
        """``for_``: whose mirror it is, empty: of the repository's own project. What one could fetch is not shown to
        another, who could not."""
        same = remote.url if remote.folder else remote.url.removesuffix("/").removesuffix(".git")
        name = hashlib.sha256((f"{for_}\n{same}" if for_ else same).encode()).hexdigest()[:32]
        return Mirror(self.home / "mirrors" / f"{name}.git", remote, self.git, options)


@dataclass(frozen=True, slots=True)
class GitSource:
    """The `Source` port over mirrors. ``credential``: repository, clone URL → what its remote asks for, or None."""

    mirrors: Mirrors
    credential: Callable[[str, str], Credential | None] = lambda *_: None

    def read(self, change: Change, path: str) -> str | None:
        sha = change.config_sha or change.sha
        mirror = self._mirror(change, sha)
        if "\n" in path:
            return None
        # Links are followed within the commit, never out of it.
        asked = f"{sha}:{path}\n".encode()
        out = mirror.git.run(["cat-file", "--batch", "--follow-symlinks"], at=mirror.path, stdin=asked)
        head, _, body = out.partition(b"\n")
        match head.split(b" "):
            case [_, b"blob", size]:
                content = body[: int(size)]
            case _:  # missing, dangling, a folder, a link out of the repository
                return None
        check_size(path, len(content))
        return text_of(path, content)

    def changed_paths(self, change: Change) -> tuple[str, ...] | None:
        base = base_of(change)
        if base is None:
            return None
        mirror = self._mirror(change, change.sha)
        try:
            since = self._since(mirror, base, change.sha)
            out = mirror.git.run(
                ["diff-tree", "-r", "--no-renames", "--name-only", "-z", since, change.sha], at=mirror.path
            )
        except (GitFailed, PermanentError):
            return None  # histories that share nothing, a commit rewritten away: not known
        return tuple(sorted(each.decode("utf-8", "replace") for each in out.split(b"\0") if each))

    def head(self, change: Change) -> str:
        mirror = self.mirrors.of(change.clone_url, self.credential(change.repository, change.clone_url))
        return mirror.fetch_ref(change.ref)

    def _mirror(self, change: Change, sha: str) -> Mirror:
        mirror = self.mirrors.of(change.clone_url, self.credential(change.repository, change.clone_url))
        mirror.ensure(sha, change.ref if sha == change.sha else "")
        return mirror

    def _since(self, mirror: Mirror, base: Base, sha: str) -> str:
        """Raises: GitFailed, PermanentError where there is no such commit any more; TransientError."""
        since = base.sha
        try:
            if since:
                mirror.ensure(since)
        except PermanentError:
            if not base.branch:
                raise
            since = ""
        since = since or mirror.fetch_branch(base.branch)
        if not base.parted:
            return since
        return mirror.git.run(["merge-base", since, sha], at=mirror.path).decode().strip()
